//! Audio compared: how much later ours is than the source's, by cross-correlation.

use std::path::Path;
use std::process::Command;

use crate::process::tool;

/// Samples per second compared.
const RATE: usize = 8000;
/// Maximum offset that is searched, in samples: 0.25 s.
const WIDEST: i64 = 2000;
/// Length compared, in s.
pub const WINDOW_S: f64 = 3.0;

/// One stretch of a file's audio, mono; what is before the file's start is silence.
pub fn decode(file: &Path, stream: u64, from_s: f64, decode_fully: bool) -> Vec<f32> {
    let mut command = Command::new(tool("ffmpeg", "ffmpeg"));
    command.args(["-v", "error", "-nostdin"]);
    let cut = |command: &mut Command| {
        command.args(["-ss", &format!("{:.6}", from_s.max(0.0))]);
    };
    if !decode_fully {
        cut(&mut command);
    }
    command.arg("-i").arg(file);
    if decode_fully {
        cut(&mut command);
    }
    // Late starts and gaps are filled: otherwise the first sample would be taken for the time asked
    // for.
    let output = command
        .args([
            "-map",
            &format!("0:a:{stream}"),
            "-t",
            &format!("{WINDOW_S}"),
            "-af",
            "aresample=8000:async=1:min_hard_comp=0.02:first_pts=0",
        ])
        .args(["-ac", "1", "-f", "f32le", "-"])
        .output()
        .unwrap();
    output.stdout.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect()
}

/// Whether anything is audible: louder than 50 dB below full scale.
pub fn is_audible(samples: &[f32]) -> bool {
    let energy: f64 = samples.iter().map(|&sample| f64::from(sample).powi(2)).sum();
    energy > 1e-5 * samples.len() as f64
}

/// How many ms later `ours` is than `theirs`; `None` if it cannot be measured (silence, a steady
/// tone).
pub fn lag_ms(ours: &[f32], theirs: &[f32]) -> Option<f64> {
    let length = ours.len().min(theirs.len());
    if length < RATE / 4 {
        return None;
    }
    let (a, b) = (&ours[..length], &theirs[..length]);
    let widest = WIDEST.min(length as i64 / 3);
    let at = |lag: i64| -> f64 {
        let (mut cross, mut left, mut right) = (0.0_f64, 1e-9_f64, 1e-9_f64);
        for i in widest..length as i64 - widest {
            let (x, y) = (f64::from(a[i as usize]), f64::from(b[(i - lag) as usize]));
            (cross, left, right) = (cross + x * y, left + x * x, right + y * y);
        }
        if left < 1e-6 || right < 1e-6 { 0.0 } else { cross / (left * right).sqrt() }
    };
    let all: Vec<(i64, f64)> = (-widest..=widest).map(|lag| (lag, at(lag))).collect();
    let best = all.iter().copied().max_by(|a, b| a.1.total_cmp(&b.1))?;
    // A tone fits at each of its periods: then the place says nothing.
    let rival =
        all.iter().filter(|(lag, _)| (lag - best.0).abs() > 40).map(|&(_, like)| like).fold(0.0, f64::max);
    (best.1 > 0.5 && rival < best.1 * 0.93).then_some(best.0 as f64 * 1000.0 / RATE as f64)
}
