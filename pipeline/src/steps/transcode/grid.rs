//! The even grid of output frames, and which source frame each of them displays. Pure.

use crate::media::Rational;

const SECOND_NS: f64 = 1e9;

/// The grid of the full-rate renditions. Half-rate renditions use every second frame of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grid {
    /// Frames per second of the full-rate renditions.
    pub rate: Rational,
    /// Full-rate frames to one frame of the slowest rendition. Keyframes are at multiples of it, so
    /// all renditions have them at the same times.
    pub slowest_step: u64,
    /// Time between keyframes, in ms.
    pub interval_ms: u64,
}

impl Grid {
    /// Returns the presentation time of a full-rate frame, in ns.
    pub fn time_ns(&self, frame: u64) -> u64 {
        let ns = u128::from(frame) * u128::from(self.rate.den) * 1_000_000_000;
        (ns / u128::from(self.rate.num.max(1))) as u64
    }

    /// Whether a frame is the slowest rendition's first at or after a multiple of the keyframe
    /// interval.
    pub fn is_keyframe(&self, frame: u64) -> bool {
        self.is_first_at_or_after(frame, self.interval_ms)
    }

    /// Whether a segment of two keyframe intervals starts at a frame.
    pub fn is_segment_start(&self, frame: u64) -> bool {
        self.is_first_at_or_after(frame, self.interval_ms * 2)
    }

    fn is_first_at_or_after(&self, frame: u64, interval_ms: u64) -> bool {
        let slowest_step = self.slowest_step.max(1);
        if !frame.is_multiple_of(slowest_step) {
            return false;
        }
        let intervals = |frame: u64| {
            u128::from(frame) * u128::from(self.rate.den) * 1000
                / (u128::from(self.rate.num.max(1)) * u128::from(interval_ms.max(1)))
        };
        frame == 0 || intervals(frame) > intervals(frame - slowest_step)
    }

    /// Returns the first grid frame that displays a source frame presented at `time_ns`: the
    /// nearest. Ties and near ties go to the later grid frame. So 60 frames per second become 30
    /// without an odd frame displacing an even one.
    pub fn first_frame_at(&self, time_ns: i64) -> u64 {
        let at = time_ns as f64 * f64::from(self.rate.num) / (f64::from(self.rate.den) * SECOND_NS);
        (at - 0.45).ceil().max(0.0) as u64
    }

    /// Returns the number of full-rate frames that end nearest to `end_ns`; at least one.
    pub fn frames_until(&self, end_ns: i64) -> u64 {
        let at = end_ns as f64 * f64::from(self.rate.num) / (f64::from(self.rate.den) * SECOND_NS);
        at.round().max(1.0) as u64
    }
}

/// Returns ticks per second of a rendition's track, and ticks of a frame. Both are integers,
/// so rounding errors never add up.
pub fn timescale(rate: Rational) -> (u32, u32) {
    let (num, den) = (u64::from(rate.num.max(1)), u64::from(rate.den.max(1)));
    if (90_000 * den).is_multiple_of(num) && 90_000 * den / num < 1 << 31 {
        return (90_000, (90_000 * den / num) as u32);
    }
    let times = 10_000_u64.div_ceil(num);
    ((num * times) as u32, (den * times) as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grid(num: u32, den: u32, slowest_step: u64) -> Grid {
        Grid { rate: Rational::new(num, den), slowest_step, interval_ms: 1600 }
    }

    #[test]
    fn keyframes_are_the_first_frames_at_or_after_each_interval() {
        let keys = |g: Grid, n| (0..n).filter(|&f| g.is_keyframe(f)).collect::<Vec<_>>();
        assert_eq!(keys(grid(25, 1, 2), 130), [0, 40, 80, 120]);
        assert_eq!(keys(grid(30_000, 1001, 2), 150), [0, 48, 96, 144]);
        // At 24 frames per second 1.6 s are 38.4 frames; the rendition at 12 has even frames only.
        assert_eq!(keys(grid(24, 1, 2), 130), [0, 40, 78, 116]);
        assert_eq!(keys(grid(1, 1, 1), 9), [0, 2, 4, 5, 7, 8]);
        let g = grid(24, 1, 2);
        assert_eq!((0..200).filter(|&f| g.is_segment_start(f)).collect::<Vec<_>>(), [0, 78, 154]);
        assert!((0..5000).filter(|&f| g.is_segment_start(f)).all(|f| g.is_keyframe(f)));
    }

    #[test]
    fn sixty_become_thirty_by_every_second_frame() {
        let g = grid(30, 1, 2);
        let first: Vec<u64> = (0..8).map(|i| g.first_frame_at(i * 16_666_667)).collect();
        assert_eq!(first, [0, 1, 1, 2, 2, 3, 3, 4]);
        // Two source frames may have one first grid frame: the later one replaces the earlier.
    }

    #[test]
    fn late_starts_and_times_before_zero_begin_with_the_first_frame() {
        assert_eq!(grid(25, 1, 1).first_frame_at(-5), 0);
        assert_eq!(grid(25, 1, 1).first_frame_at(852_019_000), 21);
    }

    #[test]
    fn the_end_is_within_half_a_frame() {
        let g = grid(30_000, 1001, 2);
        for end_ns in (1_000_000..5_000_000_000_i64).step_by(7_777_777) {
            let made = g.time_ns(g.frames_until(end_ns)) as i64;
            assert!((made - end_ns).abs() <= 33_366_667 || g.frames_until(end_ns) == 1);
        }
    }

    #[test]
    fn frame_lengths_are_whole_ticks() {
        assert_eq!(timescale(Rational::new(30, 1)), (90_000, 3000));
        assert_eq!(timescale(Rational::new(15_000, 1001)), (90_000, 6006));
        assert_eq!(timescale(Rational::new(25, 2)), (90_000, 7200));
        assert_eq!(timescale(Rational::new(5249, 2633)), (10_498, 5266));
    }
}
