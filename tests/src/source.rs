//! Facts of a source as ffprobe reads them: the reference that ours are compared with.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::process::{PATIENTLY, tool};

/// A source as ffprobe reads it.
pub struct ProbedSource {
    json: Value,
}

impl ProbedSource {
    /// Probes a file.
    pub fn probe(file: &Path) -> Self {
        let output = Command::new(tool("ffprobe", "ffmpeg"))
            .args(["-v", "error", "-of", "json", "-show_streams", "-show_format"])
            .args(PATIENTLY)
            .arg(file)
            .output()
            .unwrap();
        Self { json: serde_json::from_slice(&output.stdout).unwrap_or_default() }
    }

    /// The `index`th stream of a kind (`video` or `audio`).
    pub fn stream(&self, kind: &str, index: u64) -> Option<&Value> {
        let all = self.json["streams"].as_array()?;
        all.iter().filter(|stream| stream["codec_type"] == kind).nth(index as usize)
    }

    /// When the file starts on its own clock, in s.
    pub fn start_s(&self) -> f64 {
        seconds(&self.json["format"]["start_time"]).unwrap_or(0.0)
    }

    /// How much later than the file a stream starts, in s.
    pub fn late_s(&self, stream: &Value) -> f64 {
        seconds(&stream["start_time"]).map_or(0.0, |start_s| (start_s - self.start_s()).max(0.0))
    }

    /// How the frame is turned, in degrees anticlockwise: by its display matrix, or by its name.
    pub fn rotation(stream: &Value) -> i64 {
        let list = stream["side_data_list"].as_array();
        let by_matrix = list.into_iter().flatten().find_map(|side| side["rotation"].as_i64());
        by_matrix.or_else(|| Self::rotation_by_name(stream).map(|degrees| -degrees)).unwrap_or(0)
    }

    /// Degrees clockwise in the track's name, where HTC's phones write them. ffmpeg ignores it.
    fn rotation_by_name(stream: &Value) -> Option<i64> {
        stream["tags"]["title"].as_str()?.strip_prefix("htc_video_rotA-")?.parse().ok()
    }

    /// The filter that turns a frame as its track's name says.
    fn turn_by_name(stream: &Value) -> &'static str {
        match Self::rotation_by_name(stream) {
            Some(90) => "transpose=clock,",
            Some(180) => "hflip,vflip,",
            Some(270) => "transpose=cclock,",
            _ => "",
        }
    }

    /// Width and height as displayed: square pixels, upright.
    pub fn display_size(stream: &Value) -> (f64, f64) {
        let (mut width, mut height) =
            (stream["width"].as_f64().unwrap_or(0.0), stream["height"].as_f64().unwrap_or(0.0));
        if let Some((num, den)) = ratio(&stream["sample_aspect_ratio"], ':')
            && num > 0.0
            && den > 0.0
        {
            // Nothing is enlarged: the longer way shrinks.
            if num < den { width *= num / den } else { height *= den / num }
        }
        if Self::rotation(stream).rem_euclid(180) == 90 { (height, width) } else { (width, height) }
    }

    /// Frames per second.
    pub fn rate(stream: &Value) -> f64 {
        let rate = |field: &str| ratio(&stream[field], '/').map(|(n, d)| n / d).filter(|r| r.is_finite());
        rate("avg_frame_rate").filter(|&r| r > 0.1).or(rate("r_frame_rate")).unwrap_or(25.0).clamp(0.5, 240.0)
    }

    /// Values in a file that say where, when and with what it was made: values that must not be
    /// found in anything we publish.
    pub fn secrets(&self) -> Vec<String> {
        let identifying = [
            "location",
            "make",
            "model",
            "software",
            "artist",
            "author",
            "copyright",
            "date",
            "creation",
            "gps",
            "device",
            "serial",
            "android",
            "manufacturer",
            "comment",
            "title",
            "user",
            "content.identifier",
        ];
        let mut found = Vec::new();
        let sections = self.json["streams"].as_array().into_iter().flatten().chain([&self.json["format"]]);
        for section in sections {
            for (key, value) in section["tags"].as_object().into_iter().flatten() {
                let key = key.to_lowercase();
                let Some(value) = value.as_str().map(str::trim) else { continue };
                if value.len() >= 4 && identifying.iter().any(|word| key.contains(word)) {
                    found.push(value.to_owned());
                }
            }
        }
        found.sort();
        found.dedup();
        found
    }

    /// The filters with which ffmpeg makes upright, progressive BT.709 frames of a stream at a
    /// size. It does not always report that frames are made of fields.
    pub fn filter_chain(stream: &Value, (width, height): (usize, usize), fields: bool) -> String {
        let text = |field: &str| stream[field].as_str().unwrap_or("unknown").to_owned();
        let known = |value: String, or: &str| {
            if value.is_empty() || value == "unknown" || value == "reserved" { or.to_owned() } else { value }
        };
        let tall = stream["height"].as_u64().unwrap_or(0).min(stream["width"].as_u64().unwrap_or(0)) > 576;
        let usual = if tall { "bt709" } else { "smpte170m" };
        let matrix = known(text("color_space"), usual);
        let transfer = text("color_transfer");
        let mut filter_chain = Self::turn_by_name(stream).to_owned();
        if fields || !matches!(stream["field_order"].as_str(), None | Some("progressive" | "unknown")) {
            filter_chain.push_str("yadif=deint=interlaced,");
        }
        if transfer == "smpte2084" || transfer == "arib-std-b67" {
            let (matrix, primaries) =
                (known(text("color_space"), "bt2020nc"), known(text("color_primaries"), "bt2020"));
            let range = if text("color_range") == "pc" { "full" } else { "limited" };
            filter_chain.push_str(&format!(
                "zscale=min={matrix}:pin={primaries}:tin={transfer}:rin={range}:t=linear:npl=100,format=gbrpf32le,\
                 zscale=p=bt709,tonemap=mobius:param=0.3:desat=2:peak=10,zscale=t=bt709:m=bt709:r=limited,\
                 format=yuv420p,scale={width}:{height}:flags=bicubic"
            ));
        } else {
            let matrix = match matrix.as_str() {
                "bt709" | "gbr" => "bt709",
                "bt2020nc" | "bt2020c" => "bt2020",
                _ => "smpte170m",
            };
            filter_chain.push_str(&format!(
                "scale={width}:{height}:flags=bicubic+accurate_rnd+full_chroma_int:in_color_matrix={matrix}:\
                 out_color_matrix=bt709:out_range=tv,format=yuv420p"
            ));
        }
        filter_chain
    }
}

/// A number that ffprobe prints as text.
pub fn seconds(value: &Value) -> Option<f64> {
    value.as_str()?.parse().ok()
}

fn ratio(value: &Value, sign: char) -> Option<(f64, f64)> {
    let (num, den) = value.as_str()?.split_once(sign)?;
    Some((num.parse().ok()?, den.parse().ok()?))
}
