//! Detection of the packets that begin after a gap or an overlap of the recording.
//!
//! A jump of the timestamps lasts. Jitter, a late burst or a single wrong timestamp passes. So each
//! packet is judged by the seconds after it.

use std::collections::VecDeque;

use super::sample_rate::RATE_HZ;

/// Minimum jump that counts as a gap: less than one AAC frame (21 ms).
///
/// Containers round to milliseconds or worse, and a cut at each rounding would be audible.
pub const MIN_JUMP_FRAMES: f64 = RATE_HZ as f64 * 0.02;

/// Time for which a jump must last.
const LOOKAHEAD_FRAMES: u64 = RATE_HZ * 3;
/// Number of packets that replace that time if they are far apart, as in discontinuous
/// transmission.
const MIN_LOOKAHEAD_PACKETS: usize = 8;
/// Maximum number of packets whose timestamps predict the next one.
const MAX_RECENT_PACKETS: usize = 9;
/// Maximum time that those packets span.
const MAX_RECENT_FRAMES: u64 = RATE_HZ * 3 / 10;
/// Number of packets before and after one that show how much the timestamps jitter.
const NEIGHBOUR_PACKETS: usize = 48;
/// Number of packets before one that show how far the timestamps went.
const HISTORY_PACKETS: usize = 150;
/// Maximum drift expected from one packet to the next, as a share of the rate.
const MAX_TREND: f64 = 0.03;
/// Minimum ratio of a jump to the lower quartile of the jitter: at least three deviations of any
/// even distribution.
const NOISE_FACTOR: f64 = 10.0;

/// One decoded buffer.
#[derive(Clone, Copy, Debug)]
pub struct TimedPacket {
    /// Number of frames decoded before it.
    pub position: u64,
    /// Number of its own frames.
    pub frames: u64,
    /// Its timestamp, in frames on the recording's timeline.
    pub timestamp: i64,
}

impl TimedPacket {
    /// Returns the timestamp's offset from the count of frames.
    pub fn offset(&self) -> f64 {
        self.timestamp as f64 - self.position as f64
    }
}

/// A packet and the judgement of its timestamp.
#[derive(Clone, Copy, Debug)]
pub struct JudgedPacket {
    /// The packet.
    pub packet: TimedPacket,
    /// The offset from this packet on, if it follows a gap or an overlap.
    pub jump: Option<f64>,
    /// Sum of all jumps so far.
    pub level: f64,
    /// Whether its timestamp is an outlier, which says nothing about the packets around it.
    pub is_stray: bool,
}

/// Deviation of a packet from the offset that its predecessors predict, in frames.
#[derive(Clone, Copy, Debug)]
struct Deviation {
    /// The expected offset, and its growth per frame.
    expected: f64,
    trend: f64,
    /// The smallest jump that jitter does not explain.
    min_jump: f64,
}

/// Judges packets in order, some seconds behind the newest.
#[derive(Debug, Default)]
pub struct JumpDetector {
    waiting: VecDeque<TimedPacket>,
    /// Packets since the last jump, without outliers.
    recent: VecDeque<TimedPacket>,
    /// The packets before, each with the sum of the jumps up to it.
    history: VecDeque<(TimedPacket, f64)>,
    level: f64,
}

impl JumpDetector {
    /// Adds the next packet.
    pub fn push(&mut self, packet: TimedPacket) {
        self.waiting.push_back(packet);
    }

    /// Returns the next packet that can be judged. `is_ended`: no more packets follow.
    pub fn next(&mut self, is_ended: bool) -> Option<JudgedPacket> {
        let packet = *self.waiting.front()?;
        if !is_ended && !self.has_lookahead(&packet) {
            return None;
        }
        let deviation = self.deviation(&packet);
        let jump = deviation.and_then(|deviation| self.jump(&packet, deviation));
        if let (Some(to), Some(Deviation { expected, .. })) = (jump, deviation) {
            self.level += to - expected;
            self.recent.clear();
        }
        self.waiting.pop_front();
        self.history.push_back((packet, self.level));
        if self.history.len() > HISTORY_PACKETS {
            self.history.pop_front();
        }
        let is_stray = deviation.is_some() && jump.is_none();
        if !is_stray {
            self.recent.push_back(packet);
            while self.recent.len() > MAX_RECENT_PACKETS
                || self
                    .recent
                    .front()
                    .is_some_and(|first| packet.position - first.position > MAX_RECENT_FRAMES)
            {
                self.recent.pop_front();
            }
        }
        Some(JudgedPacket { packet, jump, level: self.level, is_stray })
    }

    fn has_lookahead(&self, packet: &TimedPacket) -> bool {
        self.waiting.back().is_some_and(|last| {
            last.position - packet.position >= LOOKAHEAD_FRAMES
                || (self.waiting.len() > MIN_LOOKAHEAD_PACKETS
                    && last.timestamp.saturating_sub(packet.timestamp) >= LOOKAHEAD_FRAMES as i64)
        })
    }

    /// Returns the deviation, if the packet is further from the expected offset than jitter
    /// explains.
    fn deviation(&self, packet: &TimedPacket) -> Option<Deviation> {
        let mut offsets: Vec<f64> = self.recent.iter().map(TimedPacket::offset).collect();
        let middle = median(&mut offsets)?;
        if (packet.offset() - middle).abs() <= MIN_JUMP_FRAMES {
            return None;
        }
        let (trend, noise, unevenness) = self.trend_and_noise();
        let centre = self.recent.iter().map(|p| p.position as f64).sum::<f64>() / self.recent.len() as f64;
        let expected = middle + trend * (packet.position as f64 - centre);
        let min_jump = MIN_JUMP_FRAMES.max(NOISE_FACTOR * noise);
        // With jitter or bursts, a trend from packet to packet does not predict seconds.
        let trend = if unevenness > MIN_JUMP_FRAMES / 10.0 { 0.0 } else { trend };
        ((packet.offset() - expected).abs() > min_jump).then_some(Deviation { expected, trend, min_jump })
    }

    /// Returns the growth of the offset from packet to packet, and the quartiles of its unevenness.
    /// All three are robust against jumps.
    fn trend_and_noise(&self) -> (f64, f64, f64) {
        let before = self.history.len().saturating_sub(NEIGHBOUR_PACKETS);
        let before = self.history.iter().skip(before).map(|(packet, _)| packet);
        let neighbours: Vec<&TimedPacket> =
            before.chain(self.waiting.iter().take(NEIGHBOUR_PACKETS)).collect();
        let mut slopes: Vec<f64> = neighbours
            .windows(2)
            .filter(|pair| pair[1].position > pair[0].position)
            .map(|pair| (pair[1].offset() - pair[0].offset()) / (pair[1].position - pair[0].position) as f64)
            .collect();
        let trend = median(&mut slopes).unwrap_or(0.0).clamp(-MAX_TREND, MAX_TREND);
        let mut steps: Vec<f64> =
            neighbours.windows(2).map(|pair| pair[1].offset() - pair[0].offset()).collect();
        let typical = median(&mut steps).unwrap_or(0.0);
        let mut noise: Vec<f64> = steps.iter().map(|step| (step - typical).abs()).collect();
        noise.sort_unstable_by(f64::total_cmp);
        let quartile = |n: usize| noise.get(noise.len() * n / 4).copied().unwrap_or(0.0);
        (trend, quartile(1), quartile(3))
    }

    /// Returns how far four fifths of the packets before went to a side of the expected offset:
    /// jitter may go so far again. Near the end of the recording, how far nearly all of them went.
    fn reached_before(&self, packet: &TimedPacket, side: f64, expected: f64, trend: f64) -> f64 {
        let distance = |(before, level): &(TimedPacket, f64)| {
            let growth = trend * (packet.position - before.position) as f64;
            (before.offset() - level + self.level - expected + growth) * side
        };
        let mut distances: Vec<f64> = self.history.iter().map(distance).collect();
        distances.sort_unstable_by(f64::total_cmp);
        let share = if self.has_lookahead(packet) { 0.8 } else { 0.95 };
        distances.get((distances.len() as f64 * share) as usize).copied().unwrap_or(0.0)
    }

    /// Returns the offset from this packet on, if at least four fifths of the next seconds keep
    /// their distance to the expected offset, and the seconds before did not reach as far.
    fn jump(&self, packet: &TimedPacket, Deviation { expected, trend, min_jump }: Deviation) -> Option<f64> {
        let side = (packet.offset() - expected).signum();
        let ahead = || self.waiting.iter().take_while(|p| p.position - packet.position <= LOOKAHEAD_FRAMES);
        let distance =
            |p: &TimedPacket| p.offset() - expected - trend * (p.position - packet.position) as f64;
        let min_distance = self.reached_before(packet, side, expected, trend).max(min_jump / 2.0);
        let lasting = ahead().filter(|p| distance(p) * side > min_distance).count();
        if lasting * 5 < ahead().count() * 4 {
            return None;
        }
        if min_jump <= MIN_JUMP_FRAMES {
            return Some(packet.offset());
        }
        // With jitter, one timestamp is not enough: take the median up to the next jump.
        let mut settled: Vec<f64> = Vec::with_capacity(MAX_RECENT_PACKETS);
        for next in ahead().take(MAX_RECENT_PACKETS) {
            if settled.last().is_some_and(|last| (next.offset() - last).abs() > min_jump) {
                break;
            }
            settled.push(next.offset());
        }
        median(&mut settled).map(f64::round)
    }
}

/// Returns the middle value; reorders `values`.
pub fn median(values: &mut [f64]) -> Option<f64> {
    let middle = values.len() / 2;
    (!values.is_empty()).then(|| *values.select_nth_unstable_by(middle, f64::total_cmp).1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FRAMES: u64 = 960;

    /// Judges packets of 20 ms whose offsets are given in ms, and returns the jumps in ms by
    /// packet.
    fn jumps(offsets_ms: &[f64]) -> Vec<(usize, f64)> {
        let mut jumps = JumpDetector::default();
        let mut found = Vec::new();
        for (i, offset) in offsets_ms.iter().enumerate() {
            let position = i as u64 * FRAMES;
            jumps.push(TimedPacket {
                position,
                frames: FRAMES,
                timestamp: position as i64 + (offset * 48.0) as i64,
            });
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
    fn jitter_in_waves_is_no_gap_and_hides_none() {
        for packets in 3..15 {
            for start in [0.0, 1.5, 3.0, 4.5] {
                // Up to 40 ms.
                let wave = |i: usize| {
                    let i = i as f64;
                    let slow = 31.0 * (i / f64::from(packets) + start).sin();
                    (slow + 9.0 * (5.0 + i * i * 5.0).sin()).round()
                };
                let offsets: Vec<f64> = (0..500).map(wave).collect();
                assert_eq!(jumps(&offsets), [], "waves of {packets} packets from {start} on");
                let with_gap = (0..500).map(|i| wave(i) + if i < 200 { 0.0 } else { 150.0 });
                let found = jumps(&with_gap.collect::<Vec<_>>());
                let is_found = found.iter().any(|(i, _)| (200..203).contains(i));
                assert!(is_found, "waves of {packets} packets from {start} on: {found:?}");
            }
        }
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
