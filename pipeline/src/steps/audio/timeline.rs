//! Where decoded audio goes on the recording's timeline: pure arithmetic on time stamps and counts.
//!
//! A player keeps its audio clock and corrects it slowly where the time stamps, on average, say otherwise. So
//! does [`Placer`]: packets follow each other without a cut as long as no jump of the time stamps lasts, and
//! where the average moves away, the audio is stretched evenly. Time stamps that are right within
//! [`MIN_JUMP_FRAMES`] change no sample.

use std::collections::VecDeque;

use super::drift::{BLOCK_FRAMES, Drift, Line, REACH_FRAMES};
use super::jumps::{Judged, Jumps, MIN_JUMP_FRAMES, Packet};

/// Samples per second of everything after the decoder.
pub const RATE_HZ: u64 = 48_000;

/// An average this far from the time stamps' is corrected; less is out of sync unnoticed.
const DEAD_BAND_FRAMES: f64 = MIN_JUMP_FRAMES;
/// How far ahead leaving the dead band counts.
const FORESIGHT_FRAMES: f64 = RATE_HZ as f64 * 4.0;
/// Within this, an error is corrected.
const PULL_FRAMES: f64 = RATE_HZ as f64 * 2.0;
/// Fastest correction beside the recording's own drift: half a percent, a twelfth of a semitone.
const MAX_PULL: f64 = 0.005;
/// Fastest drift that is followed: one and a half times 48 kHz taken for 44.1.
const MAX_DRIFT: f64 = 0.125;
/// An average further away than this is not drift; it is corrected at once.
const MAX_ERROR_FRAMES: f64 = RATE_HZ as f64 / 4.0;

/// Where one packet goes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Placed {
    /// Frames decoded before it.
    pub at: u64,
    /// Its own frames.
    pub frames: u64,
    /// Place of its first frame on the timeline, in frames.
    pub from: f64,
    /// Place of the frame after its last one.
    pub until: f64,
}

/// Places packets, some seconds behind the newest.
#[derive(Debug, Default)]
pub struct Placer {
    decoded: u64,
    jumps: Jumps,
    drift: Drift,
    judged: VecDeque<Judged>,
    /// Packet up to which time stamps are in `drift`.
    known: u64,
    line: Option<(u64, Line)>,
    /// Place on the timeline of a frame, less the frames decoded before it. `None` before the first packet.
    offset: Option<f64>,
    is_following: bool,
    /// Where the last packet ends by its own time stamp.
    claimed_end: i64,
}

impl Placer {
    /// Takes a packet of `frames` whose time on the recording's timeline is `time_ns`.
    pub fn push(&mut self, time_ns: i64, frames: u64) {
        if frames > 0 {
            self.jumps.push(Packet { at: self.decoded, frames, stamp: frames_of_ns(time_ns) });
            self.decoded += frames;
        }
    }

    /// The next packet whose place is known. `ended`: no more packets come.
    pub fn next(&mut self, ended: bool) -> Option<Placed> {
        while let Some(judged) = self.jumps.next(ended) {
            self.known = judged.packet.at;
            if !judged.is_stray {
                self.drift.add(judged.packet.at, judged.packet.offset() - judged.level);
            }
            self.judged.push_back(judged);
        }
        let at = self.judged.front()?.packet.at;
        if !ended && self.known < at + REACH_FRAMES + BLOCK_FRAMES {
            return None;
        }
        self.judged.pop_front().map(|judged| self.place(&judged))
    }

    fn place(&mut self, judged: &Judged) -> Placed {
        let Packet { at, frames, stamp } = judged.packet;
        let line = self.line_at(at);
        // Where the average of the time stamps wants the offset to be.
        let wanted = |at: f64| line.map_or(judged.packet.offset(), |line| line.value(at) + judged.level);
        let here = wanted(at as f64);
        let mut offset = match (self.offset, judged.jump) {
            // The first packet goes exactly where it belongs, if it is not the odd one out.
            (None, _) if (here - judged.packet.offset()).abs() <= DEAD_BAND_FRAMES / 2.0 => {
                judged.packet.offset()
            }
            (None, _) => here.round(),
            (_, Some(jump)) => jump,
            (Some(offset), None) => offset,
        };
        if (here - offset).abs() > MAX_ERROR_FRAMES {
            offset = here.round();
        }
        let ahead = line.map_or(at as f64, |line| line.until.min(at as f64 + FORESIGHT_FRAMES));
        self.is_following |= (here - offset).abs() > DEAD_BAND_FRAMES
            || (wanted(ahead.max(at as f64)) - offset).abs() > DEAD_BAND_FRAMES;
        let mut slope = 0.0;
        if self.is_following {
            let pull = ((here - offset) / PULL_FRAMES).clamp(-MAX_PULL, MAX_PULL);
            slope = (line.map_or(0.0, |line| line.slope) + pull).clamp(-MAX_DRIFT, MAX_DRIFT);
        }
        let end = offset + slope * frames as f64;
        self.offset = Some(end);
        self.claimed_end = stamp.saturating_add(frames as i64);
        Placed { at, frames, from: at as f64 + offset, until: (at + frames) as f64 + end }
    }

    /// The line for the block that a packet begins in.
    fn line_at(&mut self, at: u64) -> Option<Line> {
        let block = at / BLOCK_FRAMES;
        if self.line.is_none_or(|(of, _)| of != block) {
            self.line = self.drift.line(at).map(|line| (block, line)).or(self.line);
        }
        self.line.map(|(_, line)| line)
    }

    /// Silence after the `made` frames that make up for time stamps within the tolerance of a jump.
    pub fn missing(&self, made: u64) -> u64 {
        let missing = u64::try_from(self.claimed_end).unwrap_or(0).saturating_sub(made);
        if missing as f64 <= 2.0 * MIN_JUMP_FRAMES { missing } else { 0 }
    }
}

/// Frames in a time, to the nearest.
fn frames_of_ns(ns: i64) -> i64 {
    ((i128::from(ns) * i128::from(RATE_HZ) + 500_000_000).div_euclid(1_000_000_000)) as i64
}

/// Milliseconds in a number of frames, rounded up.
pub fn ms_of_frames(frames: u64) -> u64 {
    (frames * 1000).div_ceil(RATE_HZ)
}

#[cfg(test)]
#[path = "timeline_tests.rs"]
pub(crate) mod tests;
