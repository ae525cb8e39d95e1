//! One recording through `chalkstream process`, and the verdict: a line of the conformance table.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::likeness::pictures;
use crate::process::chalkstream;
use crate::served::Served;
use crate::source::Probed;
use crate::stack::models;
use crate::truth::{Misread, Truth};
use crate::{apple, check, echo, expectations, presentation, stream, traces};

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
pub const SEEK_FROM_S: f64 = 60.0;

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
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    judge_by(file, folder, served, expectations::of(&name).as_ref())
}

/// The same, held against what is known of the file.
pub fn judge_by(file: &Path, folder: &Path, served: Option<&Served>, truth: Option<&Truth>) -> Row {
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
    let refusal = truth.and_then(|truth| truth.refusal);
    if let Some(refusal) = refusal
        && !(refusal.or_played && output.status.success())
    {
        row.wrong.extend(check::refused(&refusal, output.status.code(), &answer));
        row.refused = code;
        return row;
    }
    match (expected, output.status.code(), &code) {
        (Some(expected), Some(3), Some(code)) if expected == code => row.refused = Some(code.clone()),
        (None, Some(0), _) => {
            accepted(file, &out, folder, &answer, truth, &mut row);
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

fn accepted(file: &Path, out: &Path, scratch: &Path, answer: &Value, truth: Option<&Truth>, row: &mut Row) {
    let trusts = |about: Misread| truth.is_none_or(|truth| truth.trusts_ffmpeg(about));
    let audio = answer["media"]["audio"]["stream_index"].as_u64().unwrap_or(0) as usize;
    row.wrong.extend(stream::problems(trusts(Misread::Ends).then_some((file, audio)), out));
    if let Some(truth) = truth {
        row.wrong.extend(check::problems(truth, out, answer, scratch));
    }
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
        Some((index, stream)) if trusts(Misread::Frames) => {
            pictures(file, out, scratch, answer, (index, stream), row)
        }
        Some(_) => [None; 2],
        None if media["video"].is_null() && probed.stream("video", 0).is_none() => [None; 2],
        None => {
            row.wrong.push("the picture was not used".into());
            [None; 2]
        }
    };
    if let Some(index) = index("audio") {
        let heard = if trusts(Misread::Audio) { sounds(file, out, scratch, index, row) } else { [None; 2] };
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
