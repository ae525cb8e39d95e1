//! Stereo with a voice that one side alone has, or both with opposite polarity, put right while it lasts.
//!
//! A lapel microphone on one channel is silent for a listener with one earphone. A plug wired the wrong way
//! round inverts one channel, and the voice vanishes where a phone or the transcript adds both. Either may hold
//! for a part of a recording only, so each block of an eighth of a second is judged with the seconds after it.
//! Real stereo passes unchanged, sample by sample.

use std::collections::VecDeque;

use super::timeline::{RATE_HZ, ms_of_frames};
use crate::error::Result;
use crate::media::{self, Warning, clock_time};

/// Frames judged together.
const BLOCK_FRAMES: usize = RATE_HZ as usize / 8;
/// Blocks looked ahead: 6 s.
const AHEAD_BLOCKS: usize = 48;
/// Blocks with sound that make a mode begin: 1.5 s of them among those ahead, or 2 s without another between.
const MIN_BLOCKS: usize = 12;
/// See `MIN_BLOCKS`.
const MIN_RUN_BLOCKS: usize = 16;
/// Frames in which one mode fades into the next.
const FADE_FRAMES: usize = RATE_HZ as usize / 40;

/// Every so many frames one is kept to compare the channels.
const DECIMATION: usize = 6;
/// Delays between the channels that are tried, to both sides: up to 0.5 ms.
const MAX_LAG: usize = 4;
/// Below this mean square (-75 dBFS) there is nothing to compare.
const MIN_POWER: f64 = 3e-8;
/// Blocks this far (20 dB) below the loudest one near them say nothing: pauses, breath, the room.
const MAX_PAUSE: f64 = 0.01;

/// What the channels are to each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    Stereo,
    /// One is the other with opposite polarity.
    Opposed,
    /// One has nothing, or far less.
    OneSided,
}

impl Mode {
    /// What becomes of the left and the right channel: the factors of the left and the right one in each.
    fn matrix(self) -> [[f32; 2]; 2] {
        match self {
            Mode::Stereo => [[1.0, 0.0], [0.0, 1.0]],
            Mode::Opposed => [[1.0, 0.0], [0.0, -1.0]],
            // The sum, not the louder one: faint sound on the other side is kept.
            Mode::OneSided => [[1.0, 1.0], [1.0, 1.0]],
        }
    }

    /// Whether a block can belong to a stretch of this mode.
    fn allows(self, block: &Measured) -> bool {
        match self {
            Mode::Stereo => true,
            Mode::Opposed => {
                block.at_once < -0.3 || (block.lowest < -0.4 && -block.lowest > block.highest + 0.1)
            }
            Mode::OneSided => block.weaker() < 0.04,
        }
    }

    /// Whether a block belongs to this mode without doubt.
    fn is_clear(self, block: &Measured) -> bool {
        match self {
            Mode::Stereo => true,
            Mode::Opposed => {
                block.weaker() >= 0.01
                    && (block.at_once < -0.8 || (block.lowest < -0.6 && -block.lowest > block.highest + 0.2))
            }
            // Correlated sound 14 dB below is a voice panned to a side: both sides have it.
            Mode::OneSided => {
                block.weaker() < 0.01 || (block.weaker() < 0.04 && block.highest.max(-block.lowest) < 0.3)
            }
        }
    }
}

/// What was measured of a block, between 150 Hz and 1.5 kHz, where a voice has most of its power.
#[derive(Clone, Copy, Debug)]
struct Measured {
    /// Mean square of the channels.
    left: f64,
    right: f64,
    /// Correlation of the channels without delay, and its extremes within a small delay.
    at_once: f64,
    lowest: f64,
    highest: f64,
}

impl Measured {
    fn power(&self) -> f64 {
        self.left.max(self.right)
    }

    /// The weaker channel's power as a part of the stronger one's.
    fn weaker(&self) -> f64 {
        self.left.min(self.right) / self.power().max(f64::MIN_POSITIVE)
    }

    fn of(bands: &[[f32; 2]]) -> Self {
        let product = |a: &[[f32; 2]], b: &[[f32; 2]]| -> f64 {
            a.iter().zip(b).map(|(a, b)| f64::from(a[0] * b[1])).sum()
        };
        let square = |channel: usize| -> f64 { bands.iter().map(|b| f64::from(b[channel].powi(2))).sum() };
        let (left, right) = (square(0), square(1));
        let scale = (left * right).sqrt();
        let correlation = |sum: f64| if scale > 0.0 { sum / scale } else { 0.0 };
        let at_once = correlation(product(bands, bands));
        let (mut lowest, mut highest) = (at_once, at_once);
        for lag in 1..=MAX_LAG.min(bands.len()) {
            for sum in [product(&bands[lag..], bands), product(bands, &bands[lag..])] {
                lowest = lowest.min(correlation(sum));
                highest = highest.max(correlation(sum));
            }
        }
        let count = bands.len().max(1) as f64;
        Self { left: left / count, right: right / count, at_once, lowest, highest }
    }
}

/// A band-pass of one pole below and two above, for both channels.
#[derive(Default)]
struct Band {
    low: [f32; 2],
    first: [f32; 2],
    second: [f32; 2],
}

impl Band {
    fn pass(&mut self, frame: [f32; 2]) -> [f32; 2] {
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

/// Repairs a stereo signal, some seconds behind what it takes.
pub struct Repair {
    band: Band,
    bands: Vec<[f32; 2]>,
    filling: Vec<[f32; 2]>,
    blocks: VecDeque<(Vec<[f32; 2]>, Measured)>,
    mode: Mode,
    /// Peak power of the last seconds.
    peak: f64,
    opposed_frames: u64,
    one_sided_frames: u64,
}

impl Repair {
    /// At the start of a signal.
    pub fn new() -> Self {
        Self {
            band: Band::default(),
            bands: Vec::new(),
            filling: Vec::with_capacity(BLOCK_FRAMES),
            blocks: VecDeque::new(),
            mode: Mode::Stereo,
            peak: 0.0,
            opposed_frames: 0,
            one_sided_frames: 0,
        }
    }

    /// Takes frames, and hands on those that can be judged.
    pub fn push(
        &mut self,
        mut frames: &[[f32; 2]],
        take: &mut impl FnMut(&[[f32; 2]]) -> Result<()>,
    ) -> Result<()> {
        while !frames.is_empty() {
            let (now, rest) = frames.split_at(frames.len().min(BLOCK_FRAMES - self.filling.len()));
            for frame in now {
                let band = self.band.pass(*frame);
                if self.filling.len().is_multiple_of(DECIMATION) {
                    self.bands.push(band);
                }
                self.filling.push(*frame);
            }
            if self.filling.len() == BLOCK_FRAMES {
                self.close();
                if self.blocks.len() > AHEAD_BLOCKS {
                    self.release(take)?;
                }
            }
            frames = rest;
        }
        Ok(())
    }

    /// Hands on the rest.
    pub fn finish(&mut self, take: &mut impl FnMut(&[[f32; 2]]) -> Result<()>) -> Result<()> {
        self.close();
        while !self.blocks.is_empty() {
            self.release(take)?;
        }
        Ok(())
    }

    fn close(&mut self) {
        if !self.filling.is_empty() {
            let measured = Measured::of(&self.bands);
            self.bands.clear();
            let frames = std::mem::replace(&mut self.filling, Vec::with_capacity(BLOCK_FRAMES));
            self.blocks.push_back((frames, measured));
        }
    }

    fn release(&mut self, take: &mut impl FnMut(&[[f32; 2]]) -> Result<()>) -> Result<()> {
        let ahead: Vec<Measured> = self.blocks.iter().map(|block| block.1).collect();
        let Some((mut frames, measured)) = self.blocks.pop_front() else { return Ok(()) };
        // Falls by 20 dB in 6 s.
        self.peak = measured.power().max(self.peak * 0.909);
        let before = self.mode;
        self.mode = mode(before, &ahead, self.peak);
        if measured.power() > MIN_POWER {
            match self.mode {
                Mode::Stereo => {}
                Mode::Opposed => self.opposed_frames += frames.len() as u64,
                Mode::OneSided => self.one_sided_frames += frames.len() as u64,
            }
        }
        apply(&mut frames, before, self.mode);
        take(&frames)
    }

    /// What was repaired, and for how long.
    pub fn notes(&self) -> Vec<Warning> {
        let mut notes = Vec::new();
        let mut note = |code: &str, frames: u64, what: &str| {
            if frames > 0 {
                let time = clock_time(ms_of_frames(frames).max(1000));
                notes.push(Warning::new(code, format!("For {time} {what}")));
            }
        };
        note(
            media::CHANNELS_OPPOSED,
            self.opposed_frames,
            "the two audio channels cancelled each other; one was inverted.",
        );
        note(media::ONE_SIDED, self.one_sided_frames, "only one audio channel had sound; both have it now.");
        notes
    }
}

/// The mode of the first block, given the one before it and the blocks that follow.
fn mode(current: Mode, ahead: &[Measured], peak: f64) -> Mode {
    let loudest = ahead.iter().map(Measured::power).fold(peak, f64::max);
    let least = MIN_POWER.max(loudest * MAX_PAUSE);
    let mut audible = ahead.iter().filter(|block| block.power() > least).peekable();
    // A pause belongs to what comes after it.
    let Some(first) = audible.peek() else { return current };
    if current != Mode::Stereo && current.allows(first) {
        return current;
    }
    let audible: Vec<&Measured> = audible.collect();
    let begins = |mode: Mode| {
        let run = audible.iter().take_while(|block| mode.allows(block)).count();
        let all = audible.iter().filter(|block| mode.allows(block)).count();
        let clear = |of: usize| audible[..of].iter().filter(|block| mode.is_clear(block)).count();
        run > 0
            && ((run >= MIN_RUN_BLOCKS && clear(run) * 2 >= run)
                || (all >= MIN_BLOCKS
                    && all * 5 >= audible.len() * 4
                    && clear(audible.len()) * 2 >= audible.len()))
    };
    [Mode::OneSided, Mode::Opposed].into_iter().find(|mode| begins(*mode)).unwrap_or(Mode::Stereo)
}

/// Applies a mode to a block; at its beginning the one before fades out.
fn apply(frames: &mut [[f32; 2]], before: Mode, mode: Mode) {
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
    if mode != Mode::Stereo {
        frames[faded..].iter_mut().for_each(|frame| *frame = mixed(*frame, to));
    }
}

#[cfg(test)]
#[path = "channels_tests.rs"]
mod tests;
