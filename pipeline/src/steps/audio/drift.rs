//! How a recording's audio clock drifts against its time stamps: a straight line over some seconds.

use std::collections::VecDeque;

use super::jumps::median;
use super::timeline::RATE_HZ;

/// Time stamps are averaged over blocks of this length first.
pub const BLOCK_FRAMES: u64 = RATE_HZ / 4;
/// How far a line reaches from its middle, to both sides.
pub const REACH_FRAMES: u64 = RATE_HZ * 5;

/// Rounds of leaving out what does not fit.
const ROUNDS: usize = 6;
/// Blocks this near the line are always kept.
const ALWAYS_KEPT_FRAMES: f64 = RATE_HZ as f64 * 0.005;
/// Shorter than this nothing can be said about a slope.
const MIN_SPAN_FRAMES: f64 = RATE_HZ as f64;

/// Offset of the time stamps, without jumps, as a line over the count of frames.
#[derive(Clone, Copy, Debug, Default)]
pub struct Line {
    at: f64,
    value: f64,
    /// Frames by which the offset grows per frame.
    pub slope: f64,
    /// Where the data ends.
    pub until: f64,
}

impl Line {
    /// The offset at a count of frames.
    pub fn value(&self, at: f64) -> f64 {
        self.value + self.slope * (at - self.at)
    }
}

/// Sums of the packets in one block.
#[derive(Clone, Copy, Debug)]
struct Block {
    index: u64,
    packets: f64,
    at: f64,
    offset: f64,
}

/// Collects time stamps; its memory does not grow with the recording.
#[derive(Debug, Default)]
pub struct Drift {
    blocks: VecDeque<Block>,
}

impl Drift {
    /// Takes the offset of a packet, without jumps.
    pub fn add(&mut self, at: u64, offset: f64) {
        let index = at / BLOCK_FRAMES;
        match self.blocks.back_mut().filter(|block| block.index == index) {
            Some(block) => {
                block.packets += 1.0;
                block.at += at as f64;
                block.offset += offset;
            }
            None => self.blocks.push_back(Block { index, packets: 1.0, at: at as f64, offset }),
        }
    }

    /// The line around a count of frames, `None` if there is nothing near it. What lies further back is
    /// forgotten.
    pub fn line(&mut self, at: u64) -> Option<Line> {
        let reach = REACH_FRAMES / BLOCK_FRAMES;
        let index = at / BLOCK_FRAMES;
        while self.blocks.len() > 1 && self.blocks.front().is_some_and(|first| first.index + reach < index) {
            self.blocks.pop_front();
        }
        let near = self.blocks.iter().take_while(|block| block.index <= index + reach);
        fit(near.map(|block| (block.at / block.packets, block.offset / block.packets)).collect())
    }
}

/// A least-squares line; points that do not fit the others are left out.
fn fit(mut points: Vec<(f64, f64)>) -> Option<Line> {
    let until = points.last()?.0;
    let mut line = least_squares(&points, until);
    for _ in 0..ROUNDS {
        let misses: Vec<f64> = points.iter().map(|(at, offset)| offset - line.value(*at)).collect();
        let middle = median(&mut misses.clone())?;
        let spread = median(&mut misses.iter().map(|miss| (miss - middle).abs()).collect::<Vec<_>>())?;
        // Three standard deviations of what is normally distributed.
        let most = (4.45 * spread).max(ALWAYS_KEPT_FRAMES);
        let before = points.len();
        let mut miss = misses.iter();
        points.retain(|_| miss.next().is_some_and(|miss| (miss - middle).abs() <= most));
        if points.len() == before {
            break;
        }
        line = least_squares(&points, until);
    }
    Some(line)
}

fn least_squares(points: &[(f64, f64)], until: f64) -> Line {
    let count = points.len().max(1) as f64;
    let at = points.iter().map(|point| point.0).sum::<f64>() / count;
    let value = points.iter().map(|point| point.1).sum::<f64>() / count;
    let span = points.last().map_or(0.0, |last| last.0 - points[0].0);
    let square: f64 = points.iter().map(|point| (point.0 - at).powi(2)).sum();
    let product: f64 = points.iter().map(|point| (point.0 - at) * (point.1 - value)).sum();
    let slope = if span < MIN_SPAN_FRAMES { 0.0 } else { product / square };
    Line { at, value, slope, until }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_withstands_jitter_and_outliers() {
        let mut drift = Drift::default();
        let mut seed = 1u32;
        for i in 0..500u64 {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let jitter = f64::from(seed >> 8) / f64::from(1 << 24) * 3840.0 - 1920.0;
            let stall = if (240..270).contains(&i) { 40_000.0 } else { 0.0 };
            drift.add(i * 960, i as f64 * 960.0 * 0.01 + jitter + stall);
        }
        let line = drift.line(240_000).expect("a line");
        assert!((line.slope - 0.01).abs() < 0.001, "{line:?}");
        assert!((line.value(240_000.0) - 2400.0).abs() < 200.0, "{line:?}");
        assert!(drift.blocks.len() <= 41);
    }
}
