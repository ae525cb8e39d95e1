//! Frames of our renditions against what is known of them.

use std::path::Path;

use super::rendition::ReportedRendition;
use super::rgb_frame::{RgbFrame, decode, square, still, upright};
use crate::ground_truth::GroundTruth;
use crate::presentation::joined;

/// How far a flash may be off its time, in s, besides half a frame: containers round.
const OFF_S: f64 = 0.06;
/// Side of the small frames that brightness is measured in, in pixels.
const SMALL: usize = 16;
/// Brightness may be this much off: range and gamma are rounded in eight bits.
const GREY_OFF: f64 = 10.0;

/// Checks all renditions; returns the flashes of the largest.
pub fn problems(
    truth: &GroundTruth,
    all: &[ReportedRendition],
    scratch: &Path,
    wrong: &mut Vec<String>,
) -> Vec<f64> {
    let asks = !truth.flashes_s.is_empty()
        || !truth.levels.is_empty()
        || !truth.squares_s.is_empty()
        || !truth.upright_s.is_empty()
        || truth.size.is_some()
        || truth.frames.is_some();
    let Some(top) = all.first().filter(|_| asks) else {
        if asks {
            wrong.push("there is no video".to_owned());
        }
        return Vec::new();
    };
    if let Some(size) = truth.size
        && (size.0.abs_diff(top.size.0) > 2 || size.1.abs_diff(top.size.1) > 2)
    {
        wrong.push(format!("the largest rendition is {:?}, not {size:?}", top.size));
    }
    let mut flashes_s = Vec::new();
    let timed = !truth.flashes_s.is_empty() || !truth.levels.is_empty() || truth.frames.is_some();
    for (index, made) in all.iter().enumerate() {
        let name = format!("{}×{}", made.size.0, made.size.1);
        let mut said = Vec::new();
        let file = joined(&made.playlist, scratch);
        if timed {
            let small = decode(&file, None, (SMALL, SMALL));
            let found = flashes(&small);
            if !truth.flashes_s.is_empty() {
                said.extend(times("flash", &truth.flashes_s, &found, OFF_S + truth.seam_s + 0.5 / made.rate));
            }
            said.extend(levels(truth, &small, made.rate));
            if index == 0 {
                let frames = small.len() as u64;
                if truth.frames.is_some_and(|expected| expected != frames) {
                    said.push(format!("{frames} frames, not {}", truth.frames.unwrap_or(0)));
                }
                flashes_s = found;
            }
        }
        for &at_s in &truth.squares_s {
            match still(&file, at_s, made.size) {
                Some(frame) => said.extend(square(&frame)),
                None => said.push(format!("no frame at {at_s:.1} s")),
            }
        }
        for &at_s in &truth.upright_s {
            match still(&file, at_s, made.size) {
                Some(frame) => said.extend(upright(&frame)),
                None => said.push(format!("no frame at {at_s:.1} s")),
            }
        }
        wrong.extend(said.into_iter().map(|what| format!("{name}: {what}")));
    }
    flashes_s
}

/// When frames become white.
fn flashes(frames: &[RgbFrame]) -> Vec<f64> {
    let (mut found, mut was) = (Vec::new(), false);
    for frame in frames {
        let is = frame.is_white();
        if is && !was {
            found.push(frame.at_s);
        }
        was = is;
    }
    found
}

/// Whether each expected moment was found near its time, and no other.
pub fn times(what: &str, expected: &[f64], found: &[f64], off_s: f64) -> Vec<String> {
    let near = |all: &[f64], at: f64| all.iter().any(|other| (other - at).abs() <= off_s);
    let list = || found.iter().map(|at| format!("{at:.3}")).collect::<Vec<_>>().join(" ");
    let mut said = Vec::new();
    if let Some(missing) = expected.iter().find(|at| !near(found, **at)) {
        said.push(format!("no {what} at {missing:.3} s but at {} s", list()));
    } else if let Some(added) = found.iter().find(|at| !near(expected, **at)) {
        said.push(format!("a {what} too many at {added:.3} s, all at {} s", list()));
    }
    said
}

/// Whether the frames have the expected brightness, each from its time on.
fn levels(truth: &GroundTruth, frames: &[RgbFrame], rate: f64) -> Vec<String> {
    let Some(last) = frames.last() else { return vec!["there are no frames".to_owned()] };
    // A frame of ours stays for as long as it lasts: a change comes up to half of that early or
    // late.
    let off_s = (0.5 / rate).max(0.04) + 0.005;
    let at = |at_s: f64| frames.iter().rev().find(|frame| frame.at_s <= at_s + 1e-4).or(frames.first());
    let mut said = Vec::new();
    for (index, level) in truth.levels.iter().enumerate() {
        let end_s =
            truth.levels.get(index + 1).map_or_else(|| truth.length_s.unwrap_or(last.at_s), |next| next.at_s);
        if end_s - level.at_s < 2.0 * off_s {
            continue;
        }
        for at_s in [level.at_s + off_s, (level.at_s + end_s) / 2.0, end_s - off_s] {
            let Some(frame) = at(at_s) else { continue };
            let grey = frame.middle().iter().sum::<f64>() / 3.0;
            if (grey - f64::from(level.grey)).abs() > GREY_OFF {
                let expected = level.grey;
                said.push(format!("brightness {grey:.0} at {at_s:.2} s, not {expected}"));
                break;
            }
        }
    }
    said.truncate(3);
    said
}
