//! Repair of stereo audio in which only one channel has the voice, or one channel is inverted.
//!
//! A lapel microphone on one channel is silent for a listener with one earphone. A miswired plug
//! inverts one channel, and the voice vanishes where a phone or the transcript adds both. Either
//! may hold for a part of a recording only. So each block of an eighth of a second is judged by the
//! seconds after it.
//!
//! Real stereo passes unchanged, sample by sample.

use std::collections::VecDeque;

use super::sample_rate::{RATE_HZ, ms_from_frames};
use crate::error::Result;
use crate::media::{self, Warning, clock_time};

/// Frames judged together.
const BLOCK_FRAMES: usize = RATE_HZ as usize / 8;
/// Number of blocks that are looked ahead: 6 s.
const LOOKAHEAD_BLOCKS: usize = 48;
/// Minimum number of audible blocks that start a mode: 1.5 s among those ahead.
const MIN_MODE_BLOCKS: usize = 12;
/// Minimum number of such blocks in a row, if fewer of those ahead agree: 2 s.
const MIN_RUN_BLOCKS: usize = 16;
/// Frames over which one mode fades into the next.
const FADE_FRAMES: usize = RATE_HZ as usize / 40;

/// One frame of this many is used to compare the channels.
const DECIMATION: usize = 6;
/// Maximum delay between the channels that is tried, either way: 0.5 ms.
const MAX_LAG_SAMPLES: usize = 4;
/// Mean square (-75 dBFS) below which there is nothing to compare.
const MIN_POWER: f64 = 3e-8;
/// Power of a pause relative to the loudest block near it (-20 dB): breath, the room. It says
/// nothing about the channels.
const MAX_PAUSE_POWER_RATIO: f64 = 0.01;

/// Relation of the channels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ChannelMode {
    Stereo,
    /// One is the other with inverted polarity.
    Inverted,
    /// One is silent, or far quieter.
    OneSided,
}

impl ChannelMode {
    /// Returns the factors of the left and the right input channel, for the left and the right
    /// output.
    fn matrix(self) -> [[f32; 2]; 2] {
        match self {
            ChannelMode::Stereo => [[1.0, 0.0], [0.0, 1.0]],
            ChannelMode::Inverted => [[1.0, 0.0], [0.0, -1.0]],
            // The sum, not the louder channel, so that faint audio on the other one is kept.
            ChannelMode::OneSided => [[1.0, 1.0], [1.0, 1.0]],
        }
    }

    /// Whether a block may belong to a passage of this mode.
    fn allows(self, block: &BlockMeasure) -> bool {
        match self {
            ChannelMode::Stereo => true,
            ChannelMode::Inverted => {
                block.correlation_at_zero < -0.3
                    || (block.min_correlation < -0.4 && -block.min_correlation > block.max_correlation + 0.1)
            }
            ChannelMode::OneSided => block.power_ratio() < 0.04,
        }
    }

    /// Whether a block clearly belongs to this mode.
    fn is_clear(self, block: &BlockMeasure) -> bool {
        match self {
            ChannelMode::Stereo => true,
            ChannelMode::Inverted => {
                block.power_ratio() >= 0.01
                    && (block.correlation_at_zero < -0.8
                        || (block.min_correlation < -0.6
                            && -block.min_correlation > block.max_correlation + 0.2))
            }
            // Correlated audio 14 dB lower is a voice panned to one side: both channels have it.
            ChannelMode::OneSided => {
                block.power_ratio() < 0.01
                    || (block.power_ratio() < 0.04 && block.max_correlation.max(-block.min_correlation) < 0.3)
            }
        }
    }
}

/// Measurements of a block between 150 Hz and 1.5 kHz, where a voice has most of its power.
#[derive(Clone, Copy, Debug)]
struct BlockMeasure {
    /// Mean square of the left channel.
    left: f64,
    /// Mean square of the right channel.
    right: f64,
    /// Correlation of the channels without delay, and its extremes within a small delay.
    correlation_at_zero: f64,
    min_correlation: f64,
    max_correlation: f64,
}

impl BlockMeasure {
    fn power(&self) -> f64 {
        self.left.max(self.right)
    }

    /// Returns the power of the weaker channel relative to the stronger one.
    fn power_ratio(&self) -> f64 {
        self.left.min(self.right) / self.power().max(f64::MIN_POSITIVE)
    }

    fn from_band(bands: &[[f32; 2]]) -> Self {
        let product = |a: &[[f32; 2]], b: &[[f32; 2]]| -> f64 {
            a.iter().zip(b).map(|(a, b)| f64::from(a[0] * b[1])).sum()
        };
        let square = |channel: usize| -> f64 { bands.iter().map(|b| f64::from(b[channel].powi(2))).sum() };
        let (left, right) = (square(0), square(1));
        let scale = (left * right).sqrt();
        let correlation = |sum: f64| if scale > 0.0 { sum / scale } else { 0.0 };
        let correlation_at_zero = correlation(product(bands, bands));
        let (mut min_correlation, mut max_correlation) = (correlation_at_zero, correlation_at_zero);
        for lag in 1..=MAX_LAG_SAMPLES.min(bands.len()) {
            for sum in [product(&bands[lag..], bands), product(bands, &bands[lag..])] {
                min_correlation = min_correlation.min(correlation(sum));
                max_correlation = max_correlation.max(correlation(sum));
            }
        }
        let count = bands.len().max(1) as f64;
        Self {
            left: left / count,
            right: right / count,
            correlation_at_zero,
            min_correlation,
            max_correlation,
        }
    }
}

/// A band-pass for both channels, with one pole at the low end and two at the high end.
#[derive(Default)]
struct BandPass {
    low: [f32; 2],
    first: [f32; 2],
    second: [f32; 2],
}

impl BandPass {
    fn filter(&mut self, frame: [f32; 2]) -> [f32; 2] {
        // 1 - exp(-2 pi f / 48 kHz) for 150 Hz and 1.5 kHz.
        const LOW: f32 = 0.019_44;
        const HIGH: f32 = 0.178_3;
        for (c, sample) in frame.into_iter().enumerate() {
            self.low[c] += LOW * (sample - self.low[c]);
            self.first[c] += HIGH * (sample - self.low[c] - self.first[c]);
            self.second[c] += HIGH * (self.first[c] - self.second[c]);
        }
        self.second
    }
}

/// Repairs a stereo signal; its output is some seconds behind its input.
pub struct ChannelRepair {
    band: BandPass,
    bands: Vec<[f32; 2]>,
    open_block: Vec<[f32; 2]>,
    blocks: VecDeque<(Vec<[f32; 2]>, BlockMeasure)>,
    mode: ChannelMode,
    /// Peak power of the last seconds.
    peak: f64,
    inverted_frames: u64,
    one_sided_frames: u64,
}

impl ChannelRepair {
    /// Creates the repair at the start of a signal.
    pub fn new() -> Self {
        Self {
            band: BandPass::default(),
            bands: Vec::new(),
            open_block: Vec::with_capacity(BLOCK_FRAMES),
            blocks: VecDeque::new(),
            mode: ChannelMode::Stereo,
            peak: 0.0,
            inverted_frames: 0,
            one_sided_frames: 0,
        }
    }

    /// Adds frames, and passes on those that can be judged.
    pub fn push(
        &mut self,
        mut frames: &[[f32; 2]],
        write_frames: &mut impl FnMut(&[[f32; 2]]) -> Result<()>,
    ) -> Result<()> {
        while !frames.is_empty() {
            let (now, rest) = frames.split_at(frames.len().min(BLOCK_FRAMES - self.open_block.len()));
            for frame in now {
                let band = self.band.filter(*frame);
                if self.open_block.len().is_multiple_of(DECIMATION) {
                    self.bands.push(band);
                }
                self.open_block.push(*frame);
            }
            if self.open_block.len() == BLOCK_FRAMES {
                self.close_block();
                if self.blocks.len() > LOOKAHEAD_BLOCKS {
                    self.release_block(write_frames)?;
                }
            }
            frames = rest;
        }
        Ok(())
    }

    /// Passes on the rest.
    pub fn finish(&mut self, write_frames: &mut impl FnMut(&[[f32; 2]]) -> Result<()>) -> Result<()> {
        self.close_block();
        while !self.blocks.is_empty() {
            self.release_block(write_frames)?;
        }
        Ok(())
    }

    fn close_block(&mut self) {
        if !self.open_block.is_empty() {
            let measured = BlockMeasure::from_band(&self.bands);
            self.bands.clear();
            let frames = std::mem::replace(&mut self.open_block, Vec::with_capacity(BLOCK_FRAMES));
            self.blocks.push_back((frames, measured));
        }
    }

    fn release_block(&mut self, write_frames: &mut impl FnMut(&[[f32; 2]]) -> Result<()>) -> Result<()> {
        let ahead: Vec<BlockMeasure> = self.blocks.iter().map(|block| block.1).collect();
        let Some((mut frames, measured)) = self.blocks.pop_front() else { return Ok(()) };
        // Falls by 20 dB in 6 s.
        self.peak = measured.power().max(self.peak * 0.909);
        let before = self.mode;
        self.mode = decide_mode(before, &ahead, self.peak);
        if measured.power() > MIN_POWER {
            match self.mode {
                ChannelMode::Stereo => {}
                ChannelMode::Inverted => self.inverted_frames += frames.len() as u64,
                ChannelMode::OneSided => self.one_sided_frames += frames.len() as u64,
            }
        }
        apply_mode(&mut frames, before, self.mode);
        write_frames(&frames)
    }

    /// Returns warnings about what was repaired, and for how long.
    pub fn warnings(&self) -> Vec<Warning> {
        let mut warnings = Vec::new();
        let mut add = |code: &str, frames: u64, text: &str| {
            if frames > 0 {
                let time = clock_time(ms_from_frames(frames).max(1000));
                warnings.push(Warning::new(code, format!("For {time} {text}")));
            }
        };
        add(
            media::CHANNELS_OPPOSED,
            self.inverted_frames,
            "the two audio channels cancelled each other; one was inverted.",
        );
        add(media::ONE_SIDED, self.one_sided_frames, "only one audio channel had sound; both have it now.");
        warnings
    }
}

/// Decides the mode of the first block, from the mode before it and the blocks that follow.
fn decide_mode(current: ChannelMode, ahead: &[BlockMeasure], peak: f64) -> ChannelMode {
    let loudest = ahead.iter().map(BlockMeasure::power).fold(peak, f64::max);
    let min_power = MIN_POWER.max(loudest * MAX_PAUSE_POWER_RATIO);
    let mut audible = ahead.iter().filter(|block| block.power() > min_power).peekable();
    // A pause belongs to the passage after it.
    let Some(first) = audible.peek() else { return current };
    if current != ChannelMode::Stereo && current.allows(first) {
        return current;
    }
    let audible: Vec<&BlockMeasure> = audible.collect();
    let is_starting = |mode: ChannelMode| {
        let run = audible.iter().take_while(|block| mode.allows(block)).count();
        let all = audible.iter().filter(|block| mode.allows(block)).count();
        let clear = |count: usize| audible[..count].iter().filter(|block| mode.is_clear(block)).count();
        run > 0
            && ((run >= MIN_RUN_BLOCKS && clear(run) * 2 >= run)
                || (all >= MIN_MODE_BLOCKS
                    && all * 5 >= audible.len() * 4
                    && clear(audible.len()) * 2 >= audible.len()))
    };
    [ChannelMode::OneSided, ChannelMode::Inverted]
        .into_iter()
        .find(|mode| is_starting(*mode))
        .unwrap_or(ChannelMode::Stereo)
}

/// Applies a mode to a block. The mode before fades out at its beginning.
fn apply_mode(frames: &mut [[f32; 2]], before: ChannelMode, mode: ChannelMode) {
    let (from, to) = (before.matrix(), mode.matrix());
    let faded = if from == to { 0 } else { FADE_FRAMES.min(frames.len()) };
    let mixed = |[left, right]: [f32; 2], matrix: [[f32; 2]; 2]| {
        matrix.map(|factors| left * factors[0] + right * factors[1])
    };
    for (i, frame) in frames[..faded].iter_mut().enumerate() {
        let part = i as f32 / FADE_FRAMES as f32;
        let (old, new) = (mixed(*frame, from), mixed(*frame, to));
        *frame = [0, 1].map(|c| old[c] + (new[c] - old[c]) * part);
    }
    if mode != ChannelMode::Stereo {
        frames[faded..].iter_mut().for_each(|frame| *frame = mixed(*frame, to));
    }
}

#[cfg(test)]
#[path = "channels_tests.rs"]
mod tests;
