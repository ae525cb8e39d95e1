//! The audio of our renditions against what is known of it: beeps, a steady tone, a voice.

use std::f64::consts::TAU;
use std::path::Path;
use std::process::Command;

use super::video::times;
use crate::ground_truth::GroundTruth;
use crate::presentation::joined;
use crate::process::tool;
use crate::stream::files;

/// Samples per second of what is measured.
const RATE: usize = 48_000;
/// How far a beep may be off its time, in s.
const OFF_S: f64 = 0.06;
/// Frequency of the beeps, in Hz.
const BEEP_HZ: f64 = 1000.0;
/// Minimum level of a voice while it speaks, in dBFS.
const MIN_VOICE_DBFS: f64 = -35.0;
/// A hole: at least so long, in s, …
const HOLE_S: f64 = 0.002;
/// … and nowhere above this: -60 dBFS.
const HOLE_LEVEL: f32 = 0.001;
/// A period of a tone may be this share longer or shorter than the usual one.
const PERIOD_OFF: f64 = 0.02;

/// Checks both renditions and the audio for speech; returns when the beeps of the better one begin.
pub fn problems(truth: &GroundTruth, out: &Path, scratch: &Path, wrong: &mut Vec<String>) -> Vec<f64> {
    let asks = !truth.beeps_s.is_empty() || truth.tone_hz.is_some() || !truth.voice_s.is_empty();
    if !asks {
        return Vec::new();
    }
    let mut beeps_s = Vec::new();
    for name in ["a96", "a32"] {
        let playlist = files(out, "m3u8")
            .into_iter()
            .find(|path| path.parent().is_some_and(|folder| folder.ends_with(format!("audio/{name}"))));
        let Some(playlist) = playlist else {
            wrong.push(format!("{name}: there is no audio"));
            continue;
        };
        let sides = decode(&joined(&playlist, scratch));
        let mono: Vec<f32> = sides.iter().map(|[left, right]| (left + right) / 2.0).collect();
        let mut said = Vec::new();
        if !truth.beeps_s.is_empty() {
            let mut found = beeps(&mono);
            let slowed = |at_s: &f64| truth.slowed_beeps_s.iter().any(|slow| (slow - at_s).abs() < 0.5);
            found.retain(|at_s| !slowed(at_s));
            let expected: Vec<f64> = truth.beeps_s.iter().copied().filter(|at_s| !slowed(at_s)).collect();
            said.extend(times("beep", &expected, &found, OFF_S + truth.seam_s));
            if name == "a96" {
                beeps_s = found;
            }
        }
        if let Some(hz) = truth.tone_hz {
            said.extend(holes(&mono));
            // Both renditions are made of the same samples; in the smaller one the codec's own
            // noise moves zero crossings by some percent (measured on a tone without any fault).
            if name == "a96" {
                said.extend(steady(&mono, hz));
            }
        }
        let side = |index: usize| sides.iter().map(|both| both[index]).collect::<Vec<f32>>();
        for (way, samples) in [("left", side(0)), ("right", side(1)), ("mono", mono)] {
            let quiet = truth.voice_s.iter().find_map(|&(from_s, to_s)| audible(&samples, from_s, to_s));
            said.extend(quiet.map(|what| format!("{way}: {what}")));
        }
        wrong.extend(said.into_iter().map(|what| format!("{name}: {what}")));
    }
    beeps_s
}

/// Stereo samples of a file, from 0 on its own clock.
fn decode(file: &Path) -> Vec<[f32; 2]> {
    let output = Command::new(tool("ffmpeg", "ffmpeg"))
        .args(["-v", "error", "-nostdin", "-copyts", "-i"])
        .arg(file)
        .args(["-af", &format!("aresample={RATE}:async=1:min_hard_comp=0.02:first_pts=0")])
        .args(["-ac", "2", "-f", "f32le", "-"])
        .output()
        .unwrap();
    let sample = |bytes: &[u8]| f32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
    output.stdout.chunks_exact(8).map(|both| [sample(&both[..4]), sample(&both[4..])]).collect()
}

/// When beeps begin, in s: strength of 1 kHz in steps of 5 ms.
fn beeps(mono: &[f32]) -> Vec<f64> {
    let step = RATE / 200;
    let strengths: Vec<f64> = mono
        .chunks_exact(step)
        .map(|part| {
            let (mut real, mut imaginary) = (0.0, 0.0);
            for (index, &sample) in part.iter().enumerate() {
                let angle = TAU * BEEP_HZ * index as f64 / RATE as f64;
                real += f64::from(sample) * angle.cos();
                imaginary += f64::from(sample) * angle.sin();
            }
            (real.hypot(imaginary)) * 2.0 / step as f64
        })
        .collect();
    let most = strengths.iter().copied().fold(0.0, f64::max);
    if most < 0.01 {
        return Vec::new();
    }
    // A pause of 50 ms ends a beep.
    let (mut found, mut last) = (Vec::new(), None::<usize>);
    for (index, _) in strengths.iter().enumerate().filter(|(_, strength)| **strength > most / 2.0) {
        if last.is_none_or(|last| index - last > 10) {
            found.push(index as f64 * step as f64 / RATE as f64);
        }
        last = Some(index);
    }
    found
}

/// Of a tone, what lies between its first and its last half second.
fn inner(mono: &[f32]) -> Option<&[f32]> {
    mono.get(RATE / 2..mono.len().saturating_sub(RATE / 2)).filter(|inner| inner.len() > RATE)
}

/// A time in [`inner`], in s.
fn at_s(samples: usize) -> f64 {
    samples as f64 / RATE as f64 + 0.5
}

/// The holes in a tone.
fn holes(mono: &[f32]) -> Option<String> {
    let Some(inner) = inner(mono) else { return Some("the tone is too short".to_owned()) };
    let (mut holes, mut from) = (Vec::new(), 0);
    for (index, sample) in inner.iter().enumerate() {
        if sample.abs() >= HOLE_LEVEL {
            if (index - from) as f64 >= HOLE_S * RATE as f64 {
                holes.push(at_s(from));
            }
            from = index + 1;
        }
    }
    let first_s = holes.first()?;
    Some(format!("{} holes in the tone, the first at {first_s:.3} s", holes.len()))
}

/// The broken periods of a tone, and its frequency where that is another.
fn steady(mono: &[f32], hz: f64) -> Vec<String> {
    let Some(inner) = inner(mono) else { return Vec::new() };
    let mut said = Vec::new();
    let crossings: Vec<f64> = inner
        .windows(2)
        .enumerate()
        .filter(|(_, pair)| pair[0] < 0.0 && pair[1] >= 0.0)
        .map(|(index, pair)| index as f64 + f64::from(pair[0] / (pair[0] - pair[1])))
        .collect();
    let periods: Vec<f64> = crossings.windows(2).map(|pair| pair[1] - pair[0]).collect();
    let mut sorted = periods.clone();
    sorted.sort_by(f64::total_cmp);
    let Some(&usual) = sorted.get(sorted.len() / 2) else {
        said.push("there is no tone".to_owned());
        return said;
    };
    let off = |period: f64, from: f64| (period / from - 1.0).abs();
    // A clock that drifts changes the pitch by as much.
    if off(usual, RATE as f64 / hz) > 0.03 {
        said.push(format!("the tone has {:.1} Hz, not {hz:.1}", RATE as f64 / usual));
    }
    let broken: Vec<usize> =
        (0..periods.len()).filter(|&index| off(periods[index], usual) > PERIOD_OFF).collect();
    if let Some(&first) = broken.first() {
        let first_s = at_s(crossings[first] as usize);
        said.push(format!("{} broken periods in the tone, the first at {first_s:.3} s", broken.len()));
    }
    said
}

/// Whether a voice is loud enough while it speaks: over steps of 20 ms within 20 dB of the loud
/// ones.
fn audible(samples: &[f32], from_s: f64, to_s: f64) -> Option<String> {
    let at = |at_s: f64| ((at_s * RATE as f64) as usize).min(samples.len());
    let part = &samples[at(from_s)..at(to_s)];
    let mut powers: Vec<f64> = part
        .chunks_exact(RATE / 50)
        .map(|step| step.iter().map(|&s| f64::from(s).powi(2)).sum::<f64>() / step.len() as f64)
        .collect();
    powers.sort_by(f64::total_cmp);
    let Some(&loud) = powers.get(powers.len() * 19 / 20) else {
        return Some(format!("nothing from {from_s:.1} to {to_s:.1} s"));
    };
    let active: Vec<f64> = powers.into_iter().filter(|power| *power >= loud / 100.0).collect();
    let level_dbfs = 10.0 * (active.iter().sum::<f64>() / active.len() as f64 + 1e-12).log10();
    (level_dbfs < MIN_VOICE_DBFS)
        .then(|| format!("the voice from {from_s:.1} to {to_s:.1} s has {level_dbfs:.0} dBFS"))
}
