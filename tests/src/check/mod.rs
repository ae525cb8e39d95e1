//! Holds a finished stream against what its recording is known to be.

mod audio;
mod rendition;
mod rgb_frame;
mod stills;
mod video;
mod words;

use std::path::Path;

use serde_json::Value;

use crate::ground_truth::{GroundTruth, Refusal};
use crate::report::warnings;

pub use rendition::{ReportedRendition, renditions};
pub use words::plain;

/// Problems of the stream in `out`, which `process` answered with `answer`.
pub fn problems(truth: &GroundTruth, out: &Path, answer: &Value, scratch: &Path) -> Vec<String> {
    let mut wrong = Vec::new();
    let warned = warnings(answer);
    let mut truth = truth.clone();
    if let Some(first_part_s) = truth.first_part_s {
        let length_s = answer["media"]["duration_ms"].as_f64().unwrap_or(0.0) / 1000.0;
        if (length_s - first_part_s).abs() < (length_s - truth.length_s.unwrap_or(f64::MAX)).abs() {
            if warned.is_empty() {
                wrong.push(format!("only the first {first_part_s:.1} s are read, without a warning"));
            }
            truth = until(&truth, first_part_s);
        }
    }
    if let Some(expected_s) = truth.length_s {
        let said_s = answer["media"]["duration_ms"].as_f64().unwrap_or(0.0) / 1000.0;
        // A frame of slow video, or a packet of audio; not more than 2% of a long one.
        let allowed_s = (0.02 * expected_s).clamp(0.1, 0.5);
        if (said_s - expected_s).abs() > allowed_s {
            wrong.push(format!("it is {said_s:.2} s long, not {expected_s:.2} s"));
        }
    }
    if !truth.warned.is_empty() {
        let text = warned.join(" ").to_lowercase();
        if !truth.warned.iter().any(|word| text.contains(word)) {
            wrong.push(format!("no warning says any of {:?}: {warned:?}", truth.warned));
        }
    }
    if let Some(track) = truth.audio_track {
        let chosen = &answer["media"]["audio"];
        if chosen["stream_index"] != track {
            wrong.push(format!("audio track {} was chosen, not {track}", chosen["stream_index"]));
        }
        if chosen["chosen"]["why"].as_str().unwrap_or_default().is_empty() {
            wrong.push("the choice of the audio track has no reason".to_owned());
        }
    }
    let all = renditions(out, answer);
    let flashes_s = video::problems(&truth, &all, scratch, &mut wrong);
    wrong.extend(stills::problems(&truth, out, scratch));
    let beeps_s = audio::problems(&truth, out, scratch, &mut wrong);
    wrong.extend(apart(&truth, &flashes_s, &beeps_s, all.first().map_or(30.0, |top| top.rate)));
    if let Some(words) = &truth.words {
        wrong.extend(words::problems(words, out));
    }
    wrong
}

/// Problems with the way a file was refused, or with a missing refusal.
pub fn refused(refusal: &Refusal, code: Option<i32>, answer: &Value) -> Vec<String> {
    let message = answer["message"].as_str().unwrap_or_default();
    if code != Some(3) {
        return vec![format!("ended with {code:?} and not with a refusal: {message}")];
    }
    let lower = message.to_lowercase();
    if refusal.names.iter().any(|name| lower.contains(name)) && message.ends_with('.') {
        Vec::new()
    } else {
        vec![format!("the refusal says none of {:?}: {message}", refusal.names)]
    }
}

/// Of a truth, what is before `end_s`.
fn until(truth: &GroundTruth, end_s: f64) -> GroundTruth {
    let mut first = truth.clone();
    let before = |at: &f64| *at < end_s;
    for times in [&mut first.flashes_s, &mut first.beeps_s, &mut first.squares_s, &mut first.upright_s] {
        times.retain(before);
    }
    first.levels.retain(|level| level.at_s < end_s);
    first.voice_s.retain(|(_, to_s)| *to_s < end_s);
    first.length_s = Some(end_s);
    (first.frames, first.words) = (None, None);
    first
}

/// Maximum offset of a beep from its flash, in ms: people notice more.
const MAX_AV_OFFSET_MS: f64 = 40.0;

/// Compares the distance of each beep to its flash with what it has to be, in frames of this rate.
fn apart(truth: &GroundTruth, flashes_s: &[f64], beeps_s: &[f64], rate: f64) -> Vec<String> {
    // A flash between two frames of ours comes up to half a frame early or late. At 30 per second
    // that is within the limit; the smallest rendition has half as many.
    let allowed_ms = MAX_AV_OFFSET_MS + (500.0 / rate - 500.0 / 30.0).max(0.0);
    let nearest = |found: &[f64], at_s: f64| -> Option<f64> {
        found.iter().copied().min_by(|a, b| (a - at_s).abs().total_cmp(&(b - at_s).abs()))
    };
    let pairs = truth.flashes_s.iter().zip(&truth.beeps_s);
    pairs
        .filter(|(_, beep_s)| !truth.slowed_beeps_s.contains(beep_s))
        .filter_map(|(flash_s, beep_s)| {
            let found = nearest(beeps_s, *beep_s)? - nearest(flashes_s, *flash_s)?;
            let off_ms = (found - (beep_s - flash_s)) * 1000.0;
            (off_ms.abs() > allowed_ms)
                .then(|| format!("the beep is {off_ms:+.0} ms off its flash at {flash_s:.2} s"))
        })
        .collect()
}
