//! One recording through `chalkstream process`, and the verdict: a line of the conformance table.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::frames::{Frame, Likeness, compare, decode};
use crate::process::chalkstream;
use crate::served::Served;
use crate::source::Probed;
use crate::stack::models;
use crate::{apple, echo, presentation, stream, traces};

/// What cannot be read here, with the code that says so. Everything else must play.
const REFUSED: [(&str, &str); 3] = [
    // Nine bits a sample: GStreamer has no such format.
    ("9bitwhite.mkv", "unsupported_codec"),
    // A stub without any stream.
    ("ASF.wmv", "decode_failed"),
    // No decoder for it in any distribution.
    ("sample_vvc.mp4", "unsupported_codec"),
];
/// Sound and picture may be this far apart, in ms.
const APART_MS: f64 = 40.0;
/// Longest source that is decoded whole to find a picture in it, in s; in longer ones ffmpeg seeks.
const SEEK_FROM_S: f64 = 60.0;

/// One line of the table.
#[derive(Clone, Debug, Default)]
pub struct Row {
    /// The file's name.
    pub name: String,
    /// Least PSNR of luma over the times looked at, in dB, and SSIM there.
    pub likeness: Option<(f64, f64)>,
    /// `1920×1080 ⟳90`.
    pub size: String,
    /// Length made and length declared, in s.
    pub lengths_s: Option<(f64, f64)>,
    /// Sound later than picture at the start and at the end, in ms, where it can be told.
    pub apart_ms: [Option<f64>; 2],
    /// Ours less the referee's: mean luma and chromas, the most over the times looked at.
    pub colour: Option<[f64; 3]>,
    /// `none`, `pq` or `hlg`.
    pub hdr: String,
    /// How the source is served as it is, where that is to be judged: `as it is`, or why not.
    pub source: Option<String>,
    /// What was warned of.
    pub warnings: Vec<String>,
    /// Refused with this code, as it should be.
    pub refused: Option<String>,
    /// What is wrong; empty where all is right.
    pub wrong: Vec<String>,
}

/// Processes and judges a file, and its source as `served`, where it is to be. Its stream stays in `folder/out`.
pub fn judge(file: &Path, folder: &Path, served: Option<&Served>) -> Row {
    let name = file.file_name().unwrap().to_string_lossy().into_owned();
    let mut row = Row { name: name.clone(), ..Row::default() };
    let out = folder.join("out");
    let output = Command::new(chalkstream())
        .env("CHALKSTREAM__SPEECH__MODEL_PATH", models())
        .args(["process", "--json", "--out"])
        .arg(&out)
        .arg(file)
        .output()
        .unwrap();
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
    let expected = REFUSED.iter().find(|(refused, _)| *refused == name).map(|(_, code)| *code);
    let code = answer["code"].as_str().map(str::to_owned);
    match (expected, output.status.code(), &code) {
        (Some(expected), Some(3), Some(code)) if expected == code => row.refused = Some(code.clone()),
        (None, Some(0), _) => {
            accepted(file, &out, folder, &answer, &mut row);
            if let Some(served) = served {
                as_it_is(file, folder, &answer, served, &mut row);
            }
        }
        _ => row.wrong.push(format!(
            "{}: {}",
            output.status,
            String::from_utf8_lossy(&output.stdout).replace('\n', " ").chars().take(300).collect::<String>()
        )),
    }
    row
}

fn accepted(file: &Path, out: &Path, scratch: &Path, answer: &Value, row: &mut Row) {
    row.wrong.extend(stream::problems(file, out));
    let master = out.join("hls/master.m3u8");
    let broken = apple::broken(&presentation::read(&master));
    row.wrong.extend(broken.iter().map(|b| format!("rule {}: {}", b.rule, b.what)));
    for playlist in stream::files(out, "m3u8") {
        let name = playlist.strip_prefix(out).unwrap().display();
        let said = presentation::probe_segments(&playlist, scratch);
        row.wrong.extend(said.into_iter().map(|what| format!("{name}: {what}")));
    }
    for failed in answer["failed_optional"].as_array().into_iter().flatten() {
        row.wrong.push(format!("{} failed: {}", failed["step"], failed["message"]));
    }
    let media = &answer["media"];
    row.warnings = warnings(answer);
    row.hdr = media["video"]["hdr"].as_str().unwrap_or("").to_owned();
    let probed = Probed::of(file);
    row.wrong.extend(traces::left(out, &probed.secrets()));

    let index = |track: &str| media[track]["stream_index"].as_u64();
    let picture = index("video").and_then(|index| Some((index, probed.stream("video", index)?)));
    if let Some(length) = answer["steps"]["weak_line"]["report"]["duration_ms"]
        .as_u64()
        .or(answer["steps"]["sound"]["report"]["duration_ms"].as_u64())
    {
        row.lengths_s =
            Some((length as f64 / 1000.0, media["duration_ms"].as_u64().unwrap_or(0) as f64 / 1000.0));
    }
    let late = match picture {
        Some((index, stream)) => pictures(file, out, scratch, answer, (index, stream), row),
        None if media["video"].is_null() && probed.stream("video", 0).is_none() => [None; 2],
        None => {
            row.wrong.push("the picture was not used".into());
            [None; 2]
        }
    };
    if let Some(index) = index("audio") {
        let heard = sounds(file, out, scratch, index, row);
        for place in 0..2 {
            row.apart_ms[place] = heard[place].map(|heard| heard - late[place].unwrap_or(0.0));
            if let Some(apart) = row.apart_ms[place].filter(|apart| apart.abs() > APART_MS) {
                let when = ["start", "end"][place];
                row.wrong.push(format!("sound is {apart:.0} ms later than the picture at the {when}"));
            }
        }
    } else if probed.stream("audio", 0).is_some() {
        row.wrong.push("the sound was not used".into());
    }
}

/// Judges the source as it is served, where it may be.
fn as_it_is(file: &Path, scratch: &Path, answer: &Value, served: &Served, row: &mut Row) {
    let media = &answer["media"];
    let codec = media["video"]["codec"].as_str().unwrap_or_default();
    if media["container"] != "mp4" || !["h264", "hevc"].contains(&codec) {
        return;
    }
    let index = |track: &str| media[track]["stream_index"].as_u64();
    row.source = Some(match served.judge(file, index("video").unwrap_or(0), index("audio"), scratch) {
        Ok(verdict) => {
            row.wrong.extend(verdict.wrong);
            if verdict.heard { "as it is" } else { "as it is, sound not compared" }.to_owned()
        }
        Err(code) => format!("declined, {code}"),
    });
}

/// Everything that was warned of: about the file, and by steps.
pub fn warnings(answer: &Value) -> Vec<String> {
    let of = |value: &Value| -> Vec<String> {
        value
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|w| Some(w["message"].as_str()?.to_owned()))
            .collect()
    };
    let mut all = of(&answer["warnings"]);
    all.extend(of(&answer["media"]["warnings"]));
    for (_, step) in answer["steps"].as_object().into_iter().flatten() {
        all.extend(of(&step["report"]["warnings"]));
    }
    all.sort();
    all.dedup();
    all
}

/// Compares pictures near the start, in the middle and near the end; answers how many ms late ours is at the start
/// and at the end.
fn pictures(
    file: &Path,
    out: &Path,
    scratch: &Path,
    answer: &Value,
    (index, stream): (u64, &Value),
    row: &mut Row,
) -> [Option<f64>; 2] {
    let report = &answer["steps"]["weak_line"]["report"];
    let made = ["weak_line", "ladder", "ladder_top"]
        .iter()
        .filter_map(|step| answer["steps"][*step]["report"]["renditions"].as_array());
    let Some(top) =
        made.flatten().max_by_key(|r| r["height"].as_u64().unwrap_or(0) * r["width"].as_u64().unwrap_or(0))
    else {
        row.wrong.push("there is no picture".into());
        return [None; 2];
    };
    let side = |field: &str| top[field].as_u64().unwrap_or(0) as usize;
    let size = (side("width"), side("height"));
    let turned = Probed::rotation(stream).rem_euclid(360);
    row.size =
        format!("{}×{}{}", size.0, size.1, if turned == 0 { String::new() } else { format!(" ⟳{turned}") });
    shape(stream, size, row);

    let rate =
        top["frame_rate"]["num"].as_f64().unwrap_or(25.0) / top["frame_rate"]["den"].as_f64().unwrap_or(1.0);
    // Each rendition ends within a frame of its own of the source's end.
    let own = if top["duration_ms"].is_null() { report } else { top };
    let frames = (side_s(own) * rate).round().max(1.0);
    let playlist: PathBuf = out.join("hls").join(top["playlist"].as_str().unwrap_or_default());
    let joined = presentation::joined(&playlist, scratch);
    let fields = answer["media"]["video"]["interlaced"] == true;
    let chain = Probed::chain(stream, size, fields);
    let source_rate = Probed::rate(stream);
    let (mut worst, mut colour) = (None::<Likeness>, [0.0_f64; 3]);
    let mut late = [None; 2];
    let places = [0.1, 0.5, 0.9].map(|share| (frames * share).floor().min(frames - 1.0));
    for (place, frame) in places.into_iter().enumerate() {
        let at_s = frame / rate;
        let ours_from = (at_s - 0.4 / rate).max(0.0);
        let only_one = ["-frames:v".to_owned(), "1".to_owned()];
        let ours = decode(&seek(ours_from), &joined, &only_one, "null", 0.0, size);
        let near_s = 1.6 / source_rate.min(rate);
        let from_s = (at_s - near_s).max(0.0);
        let count = ((near_s + 1.6 / source_rate) * source_rate).ceil().clamp(2.0, 12.0) + 1.0;
        let mut after = vec!["-map".into(), format!("0:v:{index}"), "-frames:v".into(), format!("{count}")];
        let whole = side_s(report) < SEEK_FROM_S;
        let theirs: Vec<(f64, Frame)> = if whole {
            after.extend(seek(from_s));
            let near = decode(&[], file, &after, &chain, from_s, size);
            // Where none is near before it, one from long before is still on.
            if near.first().is_some_and(|(at, _)| *at > at_s + 0.5 / rate) {
                let after =
                    ["-map".into(), format!("0:v:{index}"), "-to".into(), format!("{:.6}", at_s + near_s)];
                let mut all = decode(&[], file, &after, &chain, 0.0, size);
                all.drain(..all.len().saturating_sub(4));
                all
            } else {
                near
            }
        } else {
            let found = decode(&seek(from_s), file, &after, &chain, 0.0, size);
            found.into_iter().map(|(at, frame)| (at + from_s, frame)).collect()
        };
        let (times, theirs): (Vec<f64>, Vec<Frame>) = theirs.into_iter().unzip();
        let Some(like) = ours.first().and_then(|(_, ours)| compare(ours, &theirs)) else {
            row.wrong.push(format!("no picture to compare at {at_s:.2} s"));
            continue;
        };
        // Only a picture that differs from its neighbours tells the time; and it may be held for the source's frame.
        if place != 1 && theirs.len() > 2 && theirs.windows(2).all(|pair| differ(&pair[0], &pair[1])) {
            let ends = times.get(like.best + 1).copied().unwrap_or(times[like.best] + 1.0 / source_rate);
            let half = 0.5 / rate;
            let off_s = (at_s + half - times[like.best]).min(0.0) + (at_s - half - ends).max(0.0);
            late[place / 2] = Some(off_s * 1000.0);
        }
        for (most, off) in colour.iter_mut().zip(like.off) {
            if off.abs() > most.abs() {
                *most = off;
            }
        }
        if like.turned {
            row.wrong.push(format!("the picture is not upright at {at_s:.2} s"));
        }
        if worst.is_none_or(|worst| like.psnr_db < worst.psnr_db) {
            worst = Some(like);
        }
    }
    if let Some(worst) = worst {
        row.likeness = Some((worst.psnr_db, worst.ssim));
        row.colour = Some(colour);
        if worst.psnr_db < 24.0 || worst.ssim < 0.8 {
            row.wrong
                .push(format!("the picture is another: {:.1} dB, SSIM {:.3}", worst.psnr_db, worst.ssim));
        }
        // The mean of a handful of samples is hardly one.
        let tiny = size.0 * size.1 < 32 * 32;
        let allowed = match row.hdr.as_str() {
            "none" if tiny => [6.0, 4.5, 4.5],
            "none" => [3.0, 2.5, 2.5],
            _ => [6.0, 4.0, 4.0],
        };
        if colour.iter().zip(allowed).any(|(off, allowed)| off.abs() > allowed) {
            row.wrong.push(format!(
                "colours are off by {:.1} luma, {:.1} and {:.1} chroma",
                colour[0], colour[1], colour[2]
            ));
        }
    }
    late
}

fn seek(from_s: f64) -> [String; 2] {
    ["-ss".into(), format!("{from_s:.6}")]
}

/// Whether two pictures can be told apart.
fn differ(a: &Frame, b: &Frame) -> bool {
    compare(a, std::slice::from_ref(b)).is_some_and(|like| like.psnr_db < 40.0)
}

fn side_s(report: &Value) -> f64 {
    report["duration_ms"].as_f64().unwrap_or(0.0) / 1000.0
}

/// Aspect as shown, and nothing larger than the source.
fn shape(stream: &Value, (width, height): (usize, usize), row: &mut Row) {
    let (shown_width, shown_height) = Probed::shown(stream);
    let (width, height) = (width as f64, height as f64);
    // Even sizes and whole pixels cost up to two on each side.
    let wanted = height * shown_width / shown_height.max(1.0);
    let wanted_high = width * shown_height / shown_width.max(1.0);
    if (wanted - width).abs() > 2.5 && (wanted_high - height).abs() > 2.5 {
        row.wrong.push(format!("{width}×{height} is not the shape of {shown_width:.0}×{shown_height:.0}"));
    }
    if width > shown_width + 1.5 || height > shown_height + 1.5 {
        row.wrong.push(format!("{width}×{height} is larger than {shown_width:.0}×{shown_height:.0}"));
    }
}

/// How many ms later our sound is than the source's, at the start and at the end.
fn sounds(file: &Path, out: &Path, scratch: &Path, index: u64, row: &mut Row) -> [Option<f64>; 2] {
    let Some(playlist) = stream::files(out, "m3u8").into_iter().find(|p| p.ends_with("audio/a96/index.m3u8"))
    else {
        row.wrong.push("there is no sound".into());
        return [None; 2];
    };
    let length = crate::playlist::seconds(&std::fs::read_to_string(&playlist).unwrap_or_default());
    let (whole, joined) = (length < SEEK_FROM_S, presentation::joined(&playlist, scratch));
    let places = [0.0, (length - echo::WINDOW_S).max(0.0)];
    places.map(|from| {
        let ours = echo::listen(&joined, 0, from, whole);
        let theirs = echo::listen(file, index, from, whole);
        if echo::is_heard(&theirs) && !echo::is_heard(&ours) {
            row.wrong.push(format!("{from:.1} s into it the sound is silent, the source's is not"));
        }
        echo::lag_ms(&ours, &theirs)
    })
}
