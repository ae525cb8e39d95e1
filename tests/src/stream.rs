//! Checks a finished folder of `chalkstream process` against its source: playlists, segments,
//! lengths, captions.

use std::path::{Path, PathBuf};
use std::process::Command;

use m3u8_rs::Playlist;
use serde_json::Value;

use crate::boxes;
use crate::node;
use crate::presentation;
use crate::process::tool;

/// Problems of the stream in `out`; empty where all is right. Its ends are compared with those of
/// the source, given with the number of its audio track that was used.
pub fn problems(source: Option<(&Path, usize)>, out: &Path) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut boundaries: Vec<(String, Vec<u64>)> = Vec::new();
    let playlists = files(out, "m3u8");
    if !playlists.iter().any(|path| path.ends_with("master.m3u8")) {
        wrong.push("no master playlist".to_owned());
    }
    for path in &playlists {
        let name = path.strip_prefix(out).unwrap().display().to_string();
        let text = std::fs::read(path).unwrap();
        match m3u8_rs::parse_playlist_res(&text) {
            Err(error) => wrong.push(format!("{name} does not parse: {error:?}")),
            Ok(Playlist::MasterPlaylist(master)) if master.variants.is_empty() => {
                wrong.push(format!("{name} has no variant"));
            }
            Ok(Playlist::MasterPlaylist(_)) => {}
            Ok(Playlist::MediaPlaylist(_)) if name.contains("subtitles") => {}
            Ok(Playlist::MediaPlaylist(media)) => {
                let said = complaints(path);
                if !said.is_empty() {
                    let first = said.lines().take(3).collect::<Vec<_>>().join(" | ");
                    wrong.push(format!("{name}: ffmpeg says: {first}"));
                }
                let starts = segments(path, &media, &name, &mut wrong);
                // Stills change at their own times: a slow frame's frames come up to one of them
                // late.
                if name.contains("/video/") && !name.contains("/stills/") {
                    boundaries.push((name, starts));
                }
            }
        }
    }
    for pair in boundaries.windows(2) {
        if pair[0].1 != pair[1].1 {
            wrong.push(format!("{} and {} differ in their boundaries", pair[0].0, pair[1].0));
        }
    }
    if let Some((source, audio)) = source {
        ends(source, audio, out, &mut wrong);
    }
    wrong.extend(node::playlists(playlists.iter().map(|path| named(path, out))));
    wrong.extend(node::webvtts(files(out, "vtt").iter().map(|path| {
        let (name, text) = named(path, out);
        // RFC 8216, 3.5, adds a header line to a segment that WebVTT itself does not know.
        let text = text.replacen("WEBVTT\nX-TIMESTAMP-MAP=MPEGTS:0,LOCAL:00:00:00.000\n", "WEBVTT\n", 1);
        let kind = if path.ends_with("storyboard.vtt") { "metadata" } else { "subtitles" };
        (name, text, kind)
    })));
    wrong
}

/// A file's path below `out`, and its text.
fn named(path: &Path, out: &Path) -> (String, String) {
    (path.strip_prefix(out).unwrap().display().to_string(), std::fs::read_to_string(path).unwrap())
}

/// Every file below `folder` with this extension.
pub fn files(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let mut found = all_files(folder);
    found.retain(|path| path.extension().is_some_and(|e| e == extension));
    found
}

/// Every file below `folder`.
pub fn all_files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() { found.extend(all_files(&path)) } else { found.push(path) }
    }
    found.sort();
    found
}

/// Returns what ffmpeg prints when it decodes a playlist to its end.
fn complaints(playlist: &Path) -> String {
    let said = decode(playlist);
    // Of few frames per second with reordering, its reader of playlists makes up times that go
    // back. The same segments in one file must then decode without a word.
    if said.lines().any(|line| line.contains("non monotonically")) {
        let scratch = tempfile::TempDir::new().unwrap();
        return decode(&presentation::joined(playlist, scratch.path()));
    }
    said
}

/// Returns what ffmpeg prints when it decodes a playlist or a file.
fn decode(playlist: &Path) -> String {
    let output = Command::new(tool("ffmpeg", "ffmpeg"))
        .args(["-v", "error", "-nostdin", "-i"])
        .arg(playlist)
        .args(["-fps_mode", "passthrough", "-f", "null", "-"])
        .output()
        .unwrap();
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// Checks EXTINF against the boxes; returns each segment's start in ms.
fn segments(path: &Path, media: &m3u8_rs::MediaPlaylist, name: &str, wrong: &mut Vec<String>) -> Vec<u64> {
    let folder = path.parent().unwrap();
    let Some(map) = media.segments.first().and_then(|segment| segment.map.as_ref()) else {
        wrong.push(format!("{name}: no EXT-X-MAP"));
        return Vec::new();
    };
    let scale = f64::from(boxes::timescale(&std::fs::read(folder.join(&map.uri)).unwrap()));
    let (mut starts, mut expected, mut offset) = (Vec::new(), 0, 0_u64);
    let complete = |uri: &str| std::fs::read(folder.join(uri)).unwrap();
    for segment in &media.segments {
        let mut bytes = complete(&segment.uri);
        if let Some(range) = &segment.byte_range {
            let from = range.offset.unwrap_or(offset) as usize;
            offset = from as u64 + range.length;
            bytes = bytes[from..from + range.length as usize].to_vec();
        }
        let fragments = boxes::fragments(&bytes);
        let first = &fragments[0];
        let duration: u64 = fragments.iter().map(|f| f.duration).sum();
        if first.start != expected {
            wrong.push(format!("{name}: {} starts at {} and not at {expected}", segment.uri, first.start));
        }
        if !first.sync {
            wrong.push(format!("{name}: {} does not start with a keyframe", segment.uri));
        }
        expected = first.start + duration;
        let real = duration as f64 / scale;
        if (real - f64::from(segment.duration)).abs() > 0.0011 {
            wrong
                .push(format!("{name}: {} lasts {real:.4} s, EXTINF says {}", segment.uri, segment.duration));
        }
        if f64::from(segment.duration).round() > media.target_duration as f64 {
            wrong.push(format!("{name}: {} is longer than the target duration", segment.uri));
        }
        starts.push((first.start as f64 * 1000.0 / scale).round() as u64);
    }
    starts
}

/// A track of the source as ffprobe reads it, in seconds.
struct Span {
    kind: &'static str,
    /// First and last presented instant.
    first: f64,
    last: f64,
    /// Its longest usual packet.
    packet: f64,
    /// Padding at the end that the file says a decoder may leave out.
    padding: f64,
    /// Whether nothing says how long the last packet lasts.
    is_open: bool,
}

/// The span of each kind of track. Of several audio tracks, the one at `audio` is read.
fn spans(file: &Path, audio: usize) -> Vec<Span> {
    let output = Command::new(tool("ffprobe", "ffmpeg"))
        .args(["-v", "error", "-of", "json", "-show_streams", "-show_packets", "-show_entries"])
        .arg(
            "packet=stream_index,pts_time,dts_time,duration_time,flags:packet_side_data=discard_padding:\
             stream=index,codec_type,r_frame_rate,sample_rate,disposition",
        )
        .arg(file)
        .output()
        .unwrap();
    let probed: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
    let mut spans = Vec::new();
    for kind in ["video", "audio"] {
        let stream = probed["streams"]
            .as_array()
            .into_iter()
            .flatten()
            .filter(|stream| stream["codec_type"] == kind && stream["disposition"]["attached_pic"] != 1)
            .nth(if kind == "audio" { audio } else { 0 });
        let Some(stream) = stream else { continue };
        let (mut first, mut last, mut lengths, mut padding) = (f64::MAX, f64::MIN, Vec::new(), 0.0);
        let mut is_open = false;
        let number = |value: &Value| value.as_str().and_then(|text| text.parse::<f64>().ok());
        let rate_hz = number(&stream["sample_rate"]).unwrap_or(48_000.0);
        for packet in probed["packets"].as_array().into_iter().flatten() {
            let discarded = packet["flags"].as_str().is_some_and(|flags| flags.contains('D'));
            if packet["stream_index"] != stream["index"] || discarded {
                continue;
            }
            let Some(at) = number(&packet["pts_time"]).or_else(|| number(&packet["dts_time"])) else {
                continue;
            };
            let length = number(&packet["duration_time"]).unwrap_or(0.0);
            is_open = length == 0.0;
            first = first.min(at);
            last = last.max(at + length);
            lengths.push(length);
            let side_data = packet["side_data_list"].as_array().into_iter().flatten();
            padding = side_data.filter_map(|data| data["discard_padding"].as_f64()).sum::<f64>() / rate_hz;
        }
        lengths.sort_by(f64::total_cmp);
        if last > first {
            spans.push(Span { kind, first, last, packet: lengths[lengths.len() / 2], padding, is_open });
        }
    }
    spans
}

/// Each track must end within one output frame, or one packet of audio, of the source track's end.
fn ends(source: &Path, audio: usize, out: &Path, wrong: &mut Vec<String>) {
    let spans = spans(source, audio);
    let Some(zero) = spans.iter().map(|span| span.first).reduce(f64::min) else { return };
    let longest = spans.iter().map(|span| span.last).fold(zero, f64::max);
    for Span { kind, last, packet, padding, is_open, .. } in &spans {
        let pick = if *kind == "video" { "/video/" } else { "/audio/" };
        for playlist in files(out, "m3u8").iter().filter(|path| path.display().to_string().contains(pick)) {
            let folder = playlist.parent().unwrap();
            let scale = f64::from(boxes::timescale(&std::fs::read(folder.join("init.mp4")).unwrap()));
            let Some(segment) = files(folder, "m4s").pop() else { continue };
            let fragments = boxes::fragments(&std::fs::read(&segment).unwrap());
            let tail = fragments.last().unwrap();
            let end = tail.end as f64 / scale;
            let frame = (tail.duration as f64 / f64::from(tail.samples) / scale).max(1024.0 / 48_000.0);
            // ffprobe also counts a last packet that is cut in the middle.
            let off = end - (last - zero);
            let late = match off {
                off if off < 0.0 => (off + padding).min(0.0),
                // A last frame of no stated length is on until the recording ends.
                off if *is_open => (off - (longest - last)).max(0.0),
                off => off,
            };
            if late.abs() > frame.max(packet.min(0.05)) + 0.001 {
                let name = folder.strip_prefix(out).unwrap().display();
                wrong.push(format!("{name} ends at {end:.3} s, the source's {kind} at {:.3}", last - zero));
            }
        }
    }
}
