//! Measures how much more each rendition shows than the next smaller one, in a sample of frames.

use super::frame::{Frame, Plane, Scaler};
use crate::error::Result;

/// Longest time between the frames compared.
const MAX_INTERVAL_NS: u64 = 10_000_000_000;
/// Time between the first two, and after the source changes its size. It doubles from there. A
/// short recording is thus not judged by one frame, which may be a flash or black, and events that
/// recur every second or two do not coincide with it.
const MIN_INTERVAL_NS: u64 = 800_000_000;
/// Side of the blocks compared, in pixels: a line of small writing fills some of them completely.
const BLOCK: usize = 16;
/// Reported for identical frames, in dB.
const SAME_DB: f64 = 99.0;

/// Measurements of neighbouring renditions.
pub struct QualityProbe {
    next_ns: u64,
    last_ns: u64,
    interval_ns: u64,
    /// Enlarges the next smaller rendition, for each but the smallest.
    enlargers: Vec<Scaler>,
    worst: Vec<f64>,
}

impl QualityProbe {
    /// A probe for renditions of these sizes, largest first.
    pub fn new(sizes: &[(u32, u32)]) -> Self {
        let pairs = sizes.len().saturating_sub(1);
        Self {
            next_ns: 0,
            last_ns: 0,
            interval_ns: MIN_INTERVAL_NS,
            enlargers: sizes[..pairs].iter().map(|&(width, height)| Scaler::new(width, height)).collect(),
            worst: vec![0.0; pairs],
        }
    }

    /// Notes that frames change their size or format: they may show more than those before.
    pub fn source_changed(&mut self) {
        if self.next_ns > 0 {
            self.interval_ns = MIN_INTERVAL_NS;
            self.next_ns = self.next_ns.min(self.last_ns.saturating_add(MIN_INTERVAL_NS));
        }
    }

    /// Whether a frame at this time is to be measured.
    pub fn is_due(&self, time_ns: u64) -> bool {
        time_ns >= self.next_ns
    }

    /// Compares one frame in all sizes, largest first.
    pub fn measure(&mut self, time_ns: u64, frames: &[&Frame]) -> Result<()> {
        (self.last_ns, self.next_ns) = (time_ns, time_ns.saturating_add(self.interval_ns));
        self.interval_ns = self.interval_ns.saturating_mul(2).min(MAX_INTERVAL_NS);
        for (index, pair) in frames.windows(2).enumerate() {
            if let (Some(enlarger), Some(worst)) = (self.enlargers.get_mut(index), self.worst.get_mut(index))
            {
                let enlarged = enlarger.scale(&pair[1].planes())?;
                *worst = worst.max(worst_block(&pair[0].planes()[0], &enlarged.planes()[0]));
            }
        }
        Ok(())
    }

    /// Returns, for each rendition but the smallest, its similarity to the next smaller one where
    /// they differ most, in dB; `None` if nothing was measured.
    pub fn decibels(&self) -> Vec<Option<f64>> {
        let is_measured = self.next_ns > 0;
        self.worst.iter().map(|&error| is_measured.then(|| decibel(error))).collect()
    }
}

/// Signal-to-noise ratio of a mean squared error of 8-bit samples.
fn decibel(error: f64) -> f64 {
    if error <= 0.0 { SAME_DB } else { (10.0 * (255.0 * 255.0 / error).log10()).min(SAME_DB) }
}

/// Largest mean squared error of any block of two planes of one size.
fn worst_block(one: &Plane<'_>, other: &Plane<'_>) -> f64 {
    let (width, height) = (one.width.min(other.width), one.height.min(other.height));
    let mut worst = 0.0_f64;
    for top in (0..height).step_by(BLOCK) {
        let rows = top..(top + BLOCK).min(height);
        for left in (0..width).step_by(BLOCK) {
            let right = (left + BLOCK).min(width);
            let mut sum = 0_u64;
            for y in rows.clone() {
                let a = &one.data[y * one.stride + left..y * one.stride + right];
                let b = &other.data[y * other.stride + left..y * other.stride + right];
                sum += a.iter().zip(b).map(|(a, b)| u64::from(a.abs_diff(*b)).pow(2)).sum::<u64>();
            }
            worst = worst.max(sum as f64 / ((right - left) * rows.len()) as f64);
        }
    }
    worst
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// A frame whose luma is a function of the position.
    fn frame(width: usize, height: usize, luma: impl Fn(usize, usize) -> u8) -> Frame {
        let data: Vec<u8> =
            (0..height).flat_map(|y| (0..width).map(move |x| (x, y))).map(|(x, y)| luma(x, y)).collect();
        let chroma = vec![128; (width / 2) * (height / 2)];
        fn plane(data: &[u8], width: usize, height: usize) -> Plane<'_> {
            Plane { data, stride: width, width, height }
        }
        let planes = [
            plane(&data, width, height),
            plane(&chroma, width / 2, height / 2),
            plane(&chroma, width / 2, height / 2),
        ];
        Scaler::new(width as u32, height as u32).scale(&planes).unwrap()
    }

    fn detail_db(luma: impl Fn(usize, usize) -> u8) -> f64 {
        let large = frame(320, 192, luma);
        let small = Scaler::new(160, 96).scale(&large.planes()).unwrap();
        let mut probe = QualityProbe::new(&[(320, 192), (160, 96)]);
        assert!(probe.is_due(0) && probe.decibels() == [None]);
        probe.measure(0, &[&large, &small]).unwrap();
        probe.decibels()[0].unwrap()
    }

    /// Times at which frames are compared until `end_ms`, for a source that changes at
    /// `changes_ms`.
    fn times_ms(changes_ms: &[u64], end_ms: u64) -> Vec<u64> {
        let frame = frame(32, 32, |_, _| 0);
        let mut probe = QualityProbe::new(&[(32, 32), (16, 16)]);
        let mut times = Vec::new();
        for ms in (0..end_ms).step_by(100) {
            if changes_ms.contains(&ms) {
                probe.source_changed();
            }
            if probe.is_due(ms * 1_000_000) {
                probe.measure(ms * 1_000_000, &[&frame]).unwrap();
                times.push(ms);
            }
        }
        times
    }

    #[test]
    fn frames_are_compared_often_at_first_and_after_a_change() {
        let unchanged = [0, 800, 2400, 5600, 12_000, 22_000, 32_000];
        assert_eq!(times_ms(&[], 40_000), unchanged);
        assert_eq!(times_ms(&[0, 27_000], 30_000), [&unchanged[..6], &[27_000, 27_800, 29_400]].concat());
        let every_frame: Vec<u64> = (0..40).map(|n| n * 100).collect();
        assert_eq!(times_ms(&every_frame, 4000), [0, 800, 1600, 2400, 3200]);
    }

    #[test]
    fn soft_frames_have_no_more_detail_and_a_line_of_writing_has() {
        assert!(detail_db(|x, y| (x / 4 + y / 4) as u8) > 45.0);
        let writing =
            |x: usize, y: usize| if (64..72).contains(&y) && x < 60 && x.is_multiple_of(2) { 0 } else { 220 };
        assert!(detail_db(writing) < 20.0);
    }
}
