//! Frames compared: ours against ffmpeg's of the source, upright and in BT.709, at the same size.

use std::path::Path;
use std::process::Command;

use crate::process::{PATIENTLY, tool};

/// An I420 frame of 8 bits in BT.709, limited range.
#[derive(Clone)]
pub struct Frame {
    /// Width, in pixels; even.
    pub width: usize,
    /// Height, in pixels; even.
    pub height: usize,
    data: Vec<u8>,
}

impl Frame {
    /// Frames that ffmpeg prints as raw I420. Luma beyond the limited range is displayed as its
    /// ends, and is taken for them.
    pub fn read(raw: &[u8], width: usize, height: usize) -> Vec<Self> {
        let frame = |raw: &[u8]| {
            let mut data = raw.to_vec();
            data[..width * height].iter_mut().for_each(|luma| *luma = (*luma).clamp(16, 235));
            Self { width, height, data }
        };
        raw.chunks_exact(width * height * 3 / 2).map(frame).collect()
    }

    fn luma(&self) -> &[u8] {
        &self.data[..self.width * self.height]
    }

    /// Mean luma and chromas.
    pub fn means(&self) -> [f64; 3] {
        let (luma, chroma) = self.data.split_at(self.width * self.height);
        let (u, v) = chroma.split_at(chroma.len() / 2);
        [luma, u, v].map(|part| part.iter().map(|&s| f64::from(s)).sum::<f64>() / part.len().max(1) as f64)
    }

    /// The frame turned over: left to right, top to bottom, or both.
    fn flipped(&self, sideways: bool, over: bool) -> Vec<u8> {
        let mut rows: Vec<Vec<u8>> = self.luma().chunks_exact(self.width).map(<[u8]>::to_vec).collect();
        if over {
            rows.reverse();
        }
        if sideways {
            rows.iter_mut().for_each(|row| row.reverse());
        }
        rows.concat()
    }
}

/// Peak signal to noise of luma, in dB; at most 99.
fn psnr(a: &[u8], b: &[u8]) -> f64 {
    let sum: f64 = a.iter().zip(b).map(|(a, b)| (f64::from(*a) - f64::from(*b)).powi(2)).sum();
    let mean = sum / a.len().max(1) as f64;
    if mean < 1e-5 { 99.0 } else { (10.0 * (255.0_f64.powi(2) / mean).log10()).min(99.0) }
}

/// Structural similarity of luma over blocks of 8 × 8.
fn ssim(a: &Frame, b: &Frame) -> f64 {
    let (mut sum, mut count) = (0.0, 0.0);
    for top in (0..a.height.saturating_sub(7)).step_by(8) {
        for left in (0..a.width.saturating_sub(7)).step_by(8) {
            let block = |frame: &Frame| -> Vec<f64> {
                (0..64).map(|i| f64::from(frame.data[(top + i / 8) * frame.width + left + i % 8])).collect()
            };
            let (x, y) = (block(a), block(b));
            let mean = |v: &[f64]| v.iter().sum::<f64>() / 64.0;
            let (mx, my) = (mean(&x), mean(&y));
            let vary = |v: &[f64], m: f64, w: &[f64], n: f64| {
                v.iter().zip(w).map(|(a, b)| (a - m) * (b - n)).sum::<f64>() / 63.0
            };
            let (c1, c2) = (6.5025, 58.5225);
            let cross = vary(&x, mx, &y, my);
            let (vx, vy) = (vary(&x, mx, &x, mx), vary(&y, my, &y, my));
            sum += (2.0 * mx * my + c1) * (2.0 * cross + c2) / ((mx * mx + my * my + c1) * (vx + vy + c2));
            count += 1.0;
        }
    }
    if count > 0.0 { sum / count } else { 1.0 }
}

/// Result of a comparison.
#[derive(Clone, Copy, Debug)]
pub struct FrameSimilarity {
    /// Which of the candidates is most alike.
    pub best: usize,
    /// Peak signal to noise of luma, in dB.
    pub psnr_db: f64,
    /// Structural similarity of luma.
    pub ssim: f64,
    /// Ours less theirs: mean luma and chromas.
    pub off: [f64; 3],
    /// Whether the frame turned over is more alike: it is not upright.
    pub is_flipped: bool,
}

/// Ours against the most alike of some frames of about the same time.
pub fn compare(ours: &Frame, candidates: &[Frame]) -> Option<FrameSimilarity> {
    let same = |c: &&Frame| (c.width, c.height) == (ours.width, ours.height);
    let (best, theirs) = candidates
        .iter()
        .enumerate()
        .filter(|(_, c)| same(c))
        .max_by(|(_, a), (_, b)| psnr(ours.luma(), a.luma()).total_cmp(&psnr(ours.luma(), b.luma())))?;
    let psnr_db = psnr(ours.luma(), theirs.luma());
    let is_flipped = [(true, false), (false, true), (true, true)]
        .iter()
        .any(|&(sideways, over)| psnr(&ours.flipped(sideways, over), theirs.luma()) > psnr_db + 1.0);
    let (a, b) = (ours.means(), theirs.means());
    let off = [a[0] - b[0], a[1] - b[1], a[2] - b[2]];
    Some(FrameSimilarity { best, psnr_db, ssim: ssim(ours, theirs), off, is_flipped })
}

/// Through RGB and back: colours that no screen can show become the nearest that one can. Ours come
/// from such colours by a matrix alone, ffmpeg's of a source in another matrix through RGB: both
/// look the same, with other samples.
const AS_SEEN: &str = "scale=in_color_matrix=bt709:in_range=tv:flags=accurate_rnd+full_chroma_int,format=gbrp,\
    scale=out_color_matrix=bt709:out_range=tv:flags=accurate_rnd+full_chroma_int";

/// The frames ffmpeg makes of `file` with these arguments, as I420 of this size, with their times
/// in s. Those before `from_s`, which ffmpeg decodes and drops, are not counted.
pub fn decode(
    before: &[String],
    file: &Path,
    after: &[String],
    chain: &str,
    from_s: f64,
    (width, height): (usize, usize),
) -> Vec<(f64, Frame)> {
    let output = Command::new(tool("ffmpeg", "ffmpeg"))
        .args(["-v", "info", "-nostats", "-nostdin"])
        .args(before)
        .args(PATIENTLY)
        .arg("-i")
        .arg(file)
        .args(["-vf", &format!("{chain},format=yuv420p,{AS_SEEN},format=yuv420p,showinfo=checksum=0")])
        .args(after)
        .args(["-fps_mode", "passthrough", "-f", "rawvideo", "-"])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    let times = said
        .lines()
        .filter(|line| line.contains("showinfo"))
        .filter_map(|line| line.split("pts_time:").nth(1)?.split_whitespace().next()?.parse::<f64>().ok())
        .filter(|&at| at >= from_s - 1e-4);
    times.zip(Frame::read(&output.stdout, width, height)).collect()
}
