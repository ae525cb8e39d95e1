//! One recording through `chalkstream process`, and the verdict: a line of the conformance table.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::ground_truth::{FfmpegError, GroundTruth};
use crate::process::chalkstream;
use crate::report::{Row, SEEK_FROM_S, warnings};
use crate::source::ProbedSource;
use crate::source_delivery::SourceDelivery;
use crate::stack::{SPEECH_MODEL, models};
use crate::video_similarity::compare_video;
use crate::{apple, audio_sync, check, expectations, metadata_leaks, presentation, stream};

/// Recordings that cannot be read here, with their error codes. Everything else must play.
const REFUSED: [(&str, &str); 3] = [
    // Nine bits a sample: GStreamer has no such format.
    ("9bitwhite.mkv", "unsupported_codec"),
    // A stub without any stream.
    ("ASF.wmv", "decode_failed"),
    // No decoder for it in any distribution.
    ("sample_vvc.mp4", "unsupported_codec"),
];
/// Audio and video may be this far apart, in ms.
const MAX_AV_OFFSET_MS: f64 = 40.0;

/// Processes and judges a file, and its source as `served`, where it is to be. Its stream stays in
/// `folder/out`.
pub fn check_file(file: &Path, folder: &Path, served: Option<&SourceDelivery>) -> Row {
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    check_against(file, folder, served, expectations::for_file(&name).as_ref())
}

/// The same, held against what is known of the file.
pub fn check_against(
    file: &Path,
    folder: &Path,
    served: Option<&SourceDelivery>,
    truth: Option<&GroundTruth>,
) -> Row {
    let name = file.file_name().unwrap().to_string_lossy().into_owned();
    let mut row = Row { name: name.clone(), ..Row::default() };
    let out = folder.join("out");
    let output = Command::new(chalkstream())
        .env("CHALKSTREAM__SPEECH__MODEL_PATH", models())
        .env("CHALKSTREAM__SPEECH__MODEL", SPEECH_MODEL)
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
                check_source_delivery(file, folder, &answer, served, &mut row);
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

fn accepted(
    file: &Path,
    out: &Path,
    scratch: &Path,
    answer: &Value,
    truth: Option<&GroundTruth>,
    row: &mut Row,
) {
    let trusts = |about: FfmpegError| truth.is_none_or(|truth| truth.trusts_ffmpeg(about));
    let audio = answer["media"]["audio"]["stream_index"].as_u64().unwrap_or(0) as usize;
    row.wrong.extend(stream::problems(trusts(FfmpegError::Ends).then_some((file, audio)), out));
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
    let probed = ProbedSource::probe(file);
    row.wrong.extend(metadata_leaks::find(out, &probed.secrets()));

    let index = |track: &str| media[track]["stream_index"].as_u64();
    let video = index("video").and_then(|index| Some((index, probed.stream("video", index)?)));
    if let Some(length) = answer["steps"]["weak_line"]["report"]["duration_ms"]
        .as_u64()
        .or(answer["steps"]["sound"]["report"]["duration_ms"].as_u64())
    {
        row.lengths_s =
            Some((length as f64 / 1000.0, media["duration_ms"].as_u64().unwrap_or(0) as f64 / 1000.0));
    }
    let late = match video {
        Some((index, stream)) if trusts(FfmpegError::Frames) => {
            compare_video(file, out, scratch, answer, (index, stream, probed.late_s(stream)), row)
        }
        Some(_) => [None; 2],
        None if media["video"].is_null() && probed.stream("video", 0).is_none() => [None; 2],
        None => {
            row.wrong.push("the video was not used".into());
            [None; 2]
        }
    };
    if let Some(index) = index("audio") {
        let audio_ms = if trusts(FfmpegError::Audio) {
            compare_audio(file, out, scratch, index, row)
        } else {
            [None; 2]
        };
        for index_of_end in 0..2 {
            row.av_offset_ms[index_of_end] =
                audio_ms[index_of_end].map(|audio_ms| audio_ms - late[index_of_end].unwrap_or(0.0));
            if let Some(apart) = row.av_offset_ms[index_of_end].filter(|apart| apart.abs() > MAX_AV_OFFSET_MS)
            {
                let when = ["start", "end"][index_of_end];
                row.wrong.push(format!("audio is {apart:.0} ms later than the video at the {when}"));
            }
        }
    } else if probed.stream("audio", 0).is_some() {
        row.wrong.push("the audio was not used".into());
    }
}

/// Judges the source as it is served, where it may be.
fn check_source_delivery(
    file: &Path,
    scratch: &Path,
    answer: &Value,
    served: &SourceDelivery,
    row: &mut Row,
) {
    let media = &answer["media"];
    let codec = media["video"]["codec"].as_str().unwrap_or_default();
    if media["container"] != "mp4" || !["h264", "hevc"].contains(&codec) {
        return;
    }
    let index = |track: &str| media[track]["stream_index"].as_u64();
    row.source = Some(match served.check(file, index("video").unwrap_or(0), index("audio"), scratch) {
        Ok(verdict) => {
            row.wrong.extend(verdict.wrong);
            if verdict.audio_compared { "as it is" } else { "as it is, audio not compared" }.to_owned()
        }
        Err(code) => format!("declined, {code}"),
    });
}

/// How many ms later our audio is than the source's, at the start and at the end.
fn compare_audio(file: &Path, out: &Path, scratch: &Path, index: u64, row: &mut Row) -> [Option<f64>; 2] {
    let Some(playlist) = stream::files(out, "m3u8").into_iter().find(|p| p.ends_with("audio/a96/index.m3u8"))
    else {
        row.wrong.push("there is no audio".into());
        return [None; 2];
    };
    let length = crate::playlist::seconds(&std::fs::read_to_string(&playlist).unwrap_or_default());
    let (decode_fully, joined) = (length < SEEK_FROM_S, presentation::joined(&playlist, scratch));
    let places = [0.0, (length - audio_sync::WINDOW_S).max(0.0)];
    places.map(|from| {
        let ours = audio_sync::decode(&joined, 0, from, decode_fully);
        let theirs = audio_sync::decode(file, index, from, decode_fully);
        if audio_sync::is_audible(&theirs) && !audio_sync::is_audible(&ours) {
            row.wrong.push(format!("{from:.1} s into it the audio is silent, the source's is not"));
        }
        audio_sync::lag_ms(&ours, &theirs)
    })
}
