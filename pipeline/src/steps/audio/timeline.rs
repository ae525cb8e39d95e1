//! Positions of decoded audio on the recording's timeline: pure arithmetic on timestamps and
//! counts.
//!
//! A player keeps its audio clock, and corrects it slowly if the timestamps deviate from it on
//! average. [`TimelineAligner`] does the same. Packets follow each other without a cut as long as
//! no jump of the timestamps lasts. If the average drifts away, the audio is stretched evenly.
//! Timestamps that are right within [`MIN_JUMP_FRAMES`] change no sample.

use std::collections::VecDeque;

use super::drift::{BLOCK_FRAMES, DriftEstimator, DriftLine, REACH_FRAMES};
use super::jumps::{JudgedPacket, JumpDetector, MIN_JUMP_FRAMES, TimedPacket};
use super::sample_rate::{RATE_HZ, frames_from_ns};

/// Deviation of the average from the timestamps above which it is corrected. A smaller one is not
/// noticeable.
const DEAD_BAND_FRAMES: f64 = MIN_JUMP_FRAMES;
/// Time ahead for which leaving the dead band is foreseen.
const FORESIGHT_FRAMES: f64 = RATE_HZ as f64 * 4.0;
/// Time within which an error is corrected.
const PULL_FRAMES: f64 = RATE_HZ as f64 * 2.0;
/// Maximum correction in addition to the recording's own drift: half a percent, a twelfth of a
/// semitone.
const MAX_PULL: f64 = 0.005;
/// Maximum drift that is followed: one and a half times that of 48 kHz mistaken for 44.1 kHz.
const MAX_DRIFT: f64 = 0.125;
/// Maximum deviation that counts as drift; a larger one is corrected at once.
const MAX_ERROR_FRAMES: f64 = RATE_HZ as f64 / 4.0;

/// Position of one packet on the timeline.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PlacedPacket {
    /// Number of frames decoded before it.
    pub position: u64,
    /// Number of its own frames.
    pub frames: u64,
    /// Position of its first frame on the timeline, in frames.
    pub start: f64,
    /// Position of the frame after its last one.
    pub end: f64,
}

/// Aligns packets to the timeline, some seconds behind the newest.
#[derive(Debug, Default)]
pub struct TimelineAligner {
    decoded: u64,
    jumps: JumpDetector,
    drift: DriftEstimator,
    judged: VecDeque<JudgedPacket>,
    /// Position of the packet up to which timestamps are in `drift`.
    known_until: u64,
    line: Option<(u64, DriftLine)>,
    /// Position of a frame on the timeline, less the number of frames decoded before it. `None`
    /// before the first packet.
    offset: Option<f64>,
    follows_drift: bool,
    /// End of the last packet by its own timestamp.
    claimed_end: i64,
}

impl TimelineAligner {
    /// Adds a packet of `frames` whose time on the recording's timeline is `time_ns`.
    pub fn push(&mut self, time_ns: i64, frames: u64) {
        if frames > 0 {
            self.jumps.push(TimedPacket {
                position: self.decoded,
                frames,
                timestamp: frames_from_ns(time_ns),
            });
            self.decoded += frames;
        }
    }

    /// Returns the next packet whose position is known. `is_ended`: no more packets follow.
    pub fn next(&mut self, is_ended: bool) -> Option<PlacedPacket> {
        while let Some(judged) = self.jumps.next(is_ended) {
            self.known_until = judged.packet.position;
            if !judged.is_stray {
                self.drift.add(judged.packet.position, judged.packet.offset() - judged.level);
            }
            self.judged.push_back(judged);
        }
        let position = self.judged.front()?.packet.position;
        if !is_ended && self.known_until < position + REACH_FRAMES + BLOCK_FRAMES {
            return None;
        }
        self.judged.pop_front().map(|judged| self.align(&judged))
    }

    fn align(&mut self, judged: &JudgedPacket) -> PlacedPacket {
        let TimedPacket { position, frames, timestamp } = judged.packet;
        let line = self.drift_line(position);
        // The offset by the average of the timestamps.
        let target_offset = |position: f64| {
            line.map_or(judged.packet.offset(), |line| line.offset_at(position) + judged.level)
        };
        let target = target_offset(position as f64);
        let mut offset = match (self.offset, judged.jump) {
            // The first packet goes exactly to its timestamp, unless it deviates from the others.
            (None, _) if (target - judged.packet.offset()).abs() <= DEAD_BAND_FRAMES / 2.0 => {
                judged.packet.offset()
            }
            (None, _) => target.round(),
            (_, Some(jump)) => jump,
            (Some(offset), None) => offset,
        };
        if (target - offset).abs() > MAX_ERROR_FRAMES {
            offset = target.round();
        }
        let ahead = line.map_or(position as f64, |line| line.end.min(position as f64 + FORESIGHT_FRAMES));
        self.follows_drift |= (target - offset).abs() > DEAD_BAND_FRAMES
            || (target_offset(ahead.max(position as f64)) - offset).abs() > DEAD_BAND_FRAMES;
        let mut slope = 0.0;
        if self.follows_drift {
            let pull = ((target - offset) / PULL_FRAMES).clamp(-MAX_PULL, MAX_PULL);
            slope = (line.map_or(0.0, |line| line.slope) + pull).clamp(-MAX_DRIFT, MAX_DRIFT);
        }
        let end_offset = offset + slope * frames as f64;
        self.offset = Some(end_offset);
        self.claimed_end = timestamp.saturating_add(frames as i64);
        PlacedPacket {
            position,
            frames,
            start: position as f64 + offset,
            end: (position + frames) as f64 + end_offset,
        }
    }

    /// Returns the line for the block in which a packet begins.
    fn drift_line(&mut self, position: u64) -> Option<DriftLine> {
        let block = position / BLOCK_FRAMES;
        if self.line.is_none_or(|(line_block, _)| line_block != block) {
            self.line = self.drift.line(position).map(|line| (block, line)).or(self.line);
        }
        self.line.map(|(_, line)| line)
    }

    /// Returns the silence, in frames, that is missing after the rendered frames. It compensates
    /// for timestamps within the tolerance of a jump.
    pub fn missing_at_end(&self, rendered_frames: u64) -> u64 {
        let missing = u64::try_from(self.claimed_end).unwrap_or(0).saturating_sub(rendered_frames);
        if missing as f64 <= 2.0 * MIN_JUMP_FRAMES { missing } else { 0 }
    }
}

#[cfg(test)]
#[path = "timeline_tests.rs"]
pub(crate) mod tests;
