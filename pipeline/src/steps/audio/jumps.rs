//! Which packets begin after a gap or overlap of the recording, as opposed to time stamps that merely jitter.
//!
//! A jump lasts; jitter, a late burst or a single wrong time stamp passes. So each packet is judged by the
//! seconds that follow it.

use std::collections::VecDeque;

use super::timeline::RATE_HZ;

/// Smaller jumps than this are not gaps: containers round to milliseconds or worse, and a cut at each rounding
/// would be audible. Less than one AAC frame (21 ms).
pub const MIN_JUMP_FRAMES: f64 = RATE_HZ as f64 * 0.02;

/// How far ahead a jump must last.
const AHEAD_FRAMES: u64 = RATE_HZ * 3;
/// So many packets may stand for that time where they are far apart, as in discontinuous transmission.
const MIN_AHEAD_PACKETS: usize = 8;
/// Packets whose time stamps give the expected one of the next, and the time they may span.
const RECENT_PACKETS: usize = 9;
/// See `RECENT_PACKETS`.
const RECENT_FRAMES: u64 = RATE_HZ * 3 / 10;
/// Packets before and after one that show how much the time stamps jitter.
const AROUND_PACKETS: usize = 48;
/// Fastest drift that is expected from one packet to the next, as a part of the rate.
const MAX_TREND: f64 = 0.03;
/// A jump is this many times the lower quartile of the jitter: three deviations or more of any even spread.
const NOISE_FACTOR: f64 = 10.0;

/// One decoded buffer.
#[derive(Clone, Copy, Debug)]
pub struct Packet {
    /// Frames decoded before it.
    pub at: u64,
    /// Its own frames.
    pub frames: u64,
    /// Its time stamp, in frames on the recording's timeline.
    pub stamp: i64,
}

impl Packet {
    /// How much later than its count of frames the time stamp is.
    pub fn offset(&self) -> f64 {
        self.stamp as f64 - self.at as f64
    }
}

/// A packet with what was found out about its time stamp.
#[derive(Clone, Copy, Debug)]
pub struct Judged {
    /// The packet.
    pub packet: Packet,
    /// The offset that holds from this packet on, if it follows a gap or overlap.
    pub jump: Option<f64>,
    /// Sum of all jumps up to here.
    pub level: f64,
    /// Whether its own time stamp says nothing about those around it.
    pub is_stray: bool,
}

/// How a packet differs from what its predecessors let expect, in frames.
#[derive(Clone, Copy, Debug)]
struct Deviation {
    /// The expected offset, and what it grows by per frame.
    expected: f64,
    trend: f64,
    /// The smallest jump that jitter does not explain.
    least: f64,
}

/// Judges packets in order, some seconds behind the newest.
#[derive(Debug, Default)]
pub struct Jumps {
    waiting: VecDeque<Packet>,
    /// Packets since the last jump, strays left out.
    recent: VecDeque<Packet>,
    history: VecDeque<Packet>,
    level: f64,
}

impl Jumps {
    /// Takes the next packet.
    pub fn push(&mut self, packet: Packet) {
        self.waiting.push_back(packet);
    }

    /// The next packet that can be judged. `ended`: no more packets come.
    pub fn next(&mut self, ended: bool) -> Option<Judged> {
        let packet = *self.waiting.front()?;
        if !ended && !self.sees_far_enough(&packet) {
            return None;
        }
        let deviation = self.deviation(&packet);
        let jump = deviation.and_then(|deviation| self.jump(&packet, deviation));
        if let (Some(to), Some(Deviation { expected, .. })) = (jump, deviation) {
            self.level += to - expected;
            self.recent.clear();
        }
        self.waiting.pop_front();
        self.history.push_back(packet);
        if self.history.len() > AROUND_PACKETS {
            self.history.pop_front();
        }
        let is_stray = deviation.is_some() && jump.is_none();
        if !is_stray {
            self.recent.push_back(packet);
            while self.recent.len() > RECENT_PACKETS
                || self.recent.front().is_some_and(|first| packet.at - first.at > RECENT_FRAMES)
            {
                self.recent.pop_front();
            }
        }
        Some(Judged { packet, jump, level: self.level, is_stray })
    }

    fn sees_far_enough(&self, packet: &Packet) -> bool {
        self.waiting.back().is_some_and(|last| {
            last.at - packet.at >= AHEAD_FRAMES
                || (self.waiting.len() > MIN_AHEAD_PACKETS
                    && last.stamp.saturating_sub(packet.stamp) >= AHEAD_FRAMES as i64)
        })
    }

    /// What was expected, if the packet is further from it than jitter explains.
    fn deviation(&self, packet: &Packet) -> Option<Deviation> {
        let mut offsets: Vec<f64> = self.recent.iter().map(Packet::offset).collect();
        let middle = median(&mut offsets)?;
        if (packet.offset() - middle).abs() <= MIN_JUMP_FRAMES {
            return None;
        }
        let (trend, noise, unevenness) = self.trend_and_noise();
        let centre = self.recent.iter().map(|p| p.at as f64).sum::<f64>() / self.recent.len() as f64;
        let expected = middle + trend * (packet.at as f64 - centre);
        let least = MIN_JUMP_FRAMES.max(NOISE_FACTOR * noise);
        // With jitter or bursts, a trend from packet to packet says nothing about seconds.
        let trend = if unevenness > MIN_JUMP_FRAMES / 10.0 { 0.0 } else { trend };
        ((packet.offset() - expected).abs() > least).then_some(Deviation { expected, trend, least })
    }

    /// How fast the offset grows from packet to packet, and the quartiles of how unevenly. All withstand jumps.
    fn trend_and_noise(&self) -> (f64, f64, f64) {
        let around: Vec<&Packet> =
            self.history.iter().chain(self.waiting.iter().take(AROUND_PACKETS)).collect();
        let mut slopes: Vec<f64> = around
            .windows(2)
            .filter(|pair| pair[1].at > pair[0].at)
            .map(|pair| (pair[1].offset() - pair[0].offset()) / (pair[1].at - pair[0].at) as f64)
            .collect();
        let trend = median(&mut slopes).unwrap_or(0.0).clamp(-MAX_TREND, MAX_TREND);
        let mut steps: Vec<f64> = around.windows(2).map(|pair| pair[1].offset() - pair[0].offset()).collect();
        let typical = median(&mut steps).unwrap_or(0.0);
        let mut noise: Vec<f64> = steps.iter().map(|step| (step - typical).abs()).collect();
        noise.sort_unstable_by(f64::total_cmp);
        let quartile = |n: usize| noise.get(noise.len() * n / 4).copied().unwrap_or(0.0);
        (trend, quartile(1), quartile(3))
    }

    /// The offset from this packet on, if at least four fifths of the next seconds keep their distance to
    /// what was expected.
    fn jump(&self, packet: &Packet, Deviation { expected, trend, least }: Deviation) -> Option<f64> {
        let side = (packet.offset() - expected).signum();
        let ahead = || self.waiting.iter().take_while(|p| p.at - packet.at <= AHEAD_FRAMES);
        let distance = |p: &Packet| p.offset() - expected - trend * (p.at - packet.at) as f64;
        let lasting = ahead().filter(|p| distance(p) * side > least / 2.0).count();
        if lasting * 5 < ahead().count() * 4 {
            return None;
        }
        if least <= MIN_JUMP_FRAMES {
            return Some(packet.offset());
        }
        // With jitter one time stamp is not enough: those up to the next jump say it together.
        let mut settled: Vec<f64> = Vec::with_capacity(RECENT_PACKETS);
        for next in ahead().take(RECENT_PACKETS) {
            if settled.last().is_some_and(|last| (next.offset() - last).abs() > least) {
                break;
            }
            settled.push(next.offset());
        }
        median(&mut settled).map(f64::round)
    }
}

/// The middle value.
pub fn median(values: &mut [f64]) -> Option<f64> {
    let middle = values.len() / 2;
    (!values.is_empty()).then(|| *values.select_nth_unstable_by(middle, f64::total_cmp).1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FRAMES: u64 = 960;

    /// Judges packets of 20 ms whose offsets are given in ms, and returns the jumps in ms by packet.
    fn jumps(offsets_ms: &[f64]) -> Vec<(usize, f64)> {
        let mut jumps = Jumps::default();
        let mut found = Vec::new();
        for (i, offset) in offsets_ms.iter().enumerate() {
            let at = i as u64 * FRAMES;
            jumps.push(Packet { at, frames: FRAMES, stamp: at as i64 + (offset * 48.0) as i64 });
        }
        for i in 0..offsets_ms.len() {
            let judged = jumps.next(true).expect("a packet");
            found.extend(judged.jump.map(|to| (i, to / 48.0)));
        }
        found
    }

    #[test]
    fn a_gap_is_found_where_it_is() {
        let offsets: Vec<f64> = (0..500).map(|i| if i < 200 { 0.0 } else { 350.0 }).collect();
        assert_eq!(jumps(&offsets), [(200, 350.0)]);
    }

    #[test]
    fn single_wrong_stamps_and_late_bursts_are_no_gaps() {
        let mut offsets = vec![0.0; 500];
        offsets[100] = 3_600_000.0;
        offsets[150] = -5000.0;
        // A stall of 600 ms: the packets held back meanwhile come at once.
        (0..30).for_each(|i| offsets[250 + i] = 600.0 - 20.0 * i as f64);
        // As long a stall, at the end of which everything is on time at once.
        (0..30).for_each(|i| offsets[350 + i] = 600.0);
        assert_eq!(jumps(&offsets), []);
    }

    #[test]
    fn each_pause_of_discontinuous_transmission_is_a_gap() {
        let offsets: Vec<f64> = (0..300).map(|i| (i as f64 - 100.0).clamp(0.0, 60.0) * 380.0).collect();
        let found = jumps(&offsets);
        assert_eq!(found.len(), 60, "{found:?}");
        assert!(found.iter().enumerate().all(|(i, jump)| *jump == (101 + i, (i + 1) as f64 * 380.0)));
    }
}
