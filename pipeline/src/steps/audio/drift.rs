//! Drift of a recording's audio clock against its timestamps, as a straight line over some seconds.

use std::collections::VecDeque;

use super::jumps::median;
use super::sample_rate::RATE_HZ;

/// Length of the blocks over which timestamps are averaged first.
pub const BLOCK_FRAMES: u64 = RATE_HZ / 4;
/// Time that a line spans before and after its middle.
pub const REACH_FRAMES: u64 = RATE_HZ * 5;

/// Maximum number of rounds that remove outliers.
const MAX_FIT_ROUNDS: usize = 6;
/// Deviation from the line below which a block is never an outlier.
const MIN_OUTLIER_FRAMES: f64 = RATE_HZ as f64 * 0.005;
/// Minimum time from which a slope is computed.
const MIN_SPAN_FRAMES: f64 = RATE_HZ as f64;

/// Offset of the timestamps, without jumps, as a line over the number of frames.
#[derive(Clone, Copy, Debug, Default)]
pub struct DriftLine {
    position: f64,
    value: f64,
    /// Growth of the offset per frame.
    pub slope: f64,
    /// End of the data.
    pub end: f64,
}

impl DriftLine {
    /// Returns the offset at a number of frames.
    pub fn offset_at(&self, position: f64) -> f64 {
        self.value + self.slope * (position - self.position)
    }
}

/// Sums of the packets in one block.
#[derive(Clone, Copy, Debug)]
struct DriftBlock {
    index: u64,
    packets: f64,
    position: f64,
    offset: f64,
}

/// Estimates the drift from timestamps; its memory does not grow with the recording.
#[derive(Debug, Default)]
pub struct DriftEstimator {
    blocks: VecDeque<DriftBlock>,
}

impl DriftEstimator {
    /// Adds the offset of a packet, without jumps.
    pub fn add(&mut self, position: u64, offset: f64) {
        let index = position / BLOCK_FRAMES;
        match self.blocks.back_mut().filter(|block| block.index == index) {
            Some(block) => {
                block.packets += 1.0;
                block.position += position as f64;
                block.offset += offset;
            }
            None => {
                self.blocks.push_back(DriftBlock { index, packets: 1.0, position: position as f64, offset })
            }
        }
    }

    /// Returns the line around a number of frames. `None` if there is no data near it. Older data
    /// is discarded.
    pub fn line(&mut self, position: u64) -> Option<DriftLine> {
        let reach = REACH_FRAMES / BLOCK_FRAMES;
        let index = position / BLOCK_FRAMES;
        while self.blocks.len() > 1 && self.blocks.front().is_some_and(|first| first.index + reach < index) {
            self.blocks.pop_front();
        }
        let near = self.blocks.iter().take_while(|block| block.index <= index + reach);
        fit_line(near.map(|block| (block.position / block.packets, block.offset / block.packets)).collect())
    }
}

/// Fits a line by least squares, and leaves out outliers.
fn fit_line(mut points: Vec<(f64, f64)>) -> Option<DriftLine> {
    let end = points.last()?.0;
    let mut line = least_squares(&points, end);
    for _ in 0..MAX_FIT_ROUNDS {
        let misses: Vec<f64> =
            points.iter().map(|(position, offset)| offset - line.offset_at(*position)).collect();
        let middle = median(&mut misses.clone())?;
        let spread = median(&mut misses.iter().map(|miss| (miss - middle).abs()).collect::<Vec<_>>())?;
        // Three standard deviations of a normal distribution.
        let max_miss = (4.45 * spread).max(MIN_OUTLIER_FRAMES);
        let before = points.len();
        let mut miss = misses.iter();
        points.retain(|_| miss.next().is_some_and(|miss| (miss - middle).abs() <= max_miss));
        if points.len() == before {
            break;
        }
        line = least_squares(&points, end);
    }
    Some(line)
}

fn least_squares(points: &[(f64, f64)], end: f64) -> DriftLine {
    let count = points.len().max(1) as f64;
    let position = points.iter().map(|point| point.0).sum::<f64>() / count;
    let value = points.iter().map(|point| point.1).sum::<f64>() / count;
    let span = points.last().map_or(0.0, |last| last.0 - points[0].0);
    let square: f64 = points.iter().map(|point| (point.0 - position).powi(2)).sum();
    let product: f64 = points.iter().map(|point| (point.0 - position) * (point.1 - value)).sum();
    let slope = if span < MIN_SPAN_FRAMES { 0.0 } else { product / square };
    DriftLine { position, value, slope, end }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_withstands_jitter_and_outliers() {
        let mut drift = DriftEstimator::default();
        let mut seed = 1u32;
        for i in 0..500u64 {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let jitter = f64::from(seed >> 8) / f64::from(1 << 24) * 3840.0 - 1920.0;
            let stall = if (240..270).contains(&i) { 40_000.0 } else { 0.0 };
            drift.add(i * 960, i as f64 * 960.0 * 0.01 + jitter + stall);
        }
        let line = drift.line(240_000).expect("a line");
        assert!((line.slope - 0.01).abs() < 0.001, "{line:?}");
        assert!((line.offset_at(240_000.0) - 2400.0).abs() < 200.0, "{line:?}");
        assert!(drift.blocks.len() <= 41);
    }
}
