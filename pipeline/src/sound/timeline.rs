//! Where decoded sound goes on the recording's timeline: pure arithmetic on time stamps and counts.

/// Samples per second of everything after the decoder.
pub const RATE_HZ: u64 = 48_000;

/// A time stamp this close to where the last buffer ended is taken as a rounding of it: containers round to
/// milliseconds or worse, and a cut at each rounding would be heard. Smaller than one AAC frame (21 ms).
const TOLERANCE_FRAMES: u64 = RATE_HZ * 20 / 1000;

/// Places buffers one after the other, from the start of the recording.
#[derive(Debug, Default)]
pub struct Placer {
    /// Frames placed so far, silence included.
    next: u64,
    /// Where the last buffer would have ended by its own time stamp.
    claimed_end: u64,
    started: bool,
}

/// What to do with one buffer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Placement {
    /// Frames of silence before it.
    pub silence: u64,
    /// Frames to leave out at its beginning, since others are there already.
    pub skip: u64,
}

impl Placer {
    /// Places a buffer of `frames` whose time on the recording's timeline is `time_ns`; what lies before 0 is left out.
    pub fn place(&mut self, time_ns: i64, frames: u64) -> Placement {
        let expected = frames_of_ns(time_ns);
        self.claimed_end = u64::try_from(expected + frames as i64).unwrap_or(0);
        let silence = u64::try_from(expected - self.next as i64).unwrap_or(0);
        let overlap = u64::try_from(self.next as i64 - expected).unwrap_or(0);
        // The first buffer goes exactly where it belongs.
        let placement = if self.started && silence.max(overlap) <= TOLERANCE_FRAMES {
            Placement::default()
        } else {
            Placement { silence, skip: overlap.min(frames) }
        };
        self.started |= placement.skip < frames;
        self.next += placement.silence + (frames - placement.skip);
        placement
    }

    /// Silence that makes up for time stamps that crept ahead within the tolerance.
    pub fn finish(&mut self) -> u64 {
        let missing = self.claimed_end.saturating_sub(self.next);
        self.next += missing;
        missing
    }

    /// Frames placed so far.
    pub fn frames(&self) -> u64 {
        self.next
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
mod tests {
    use super::*;

    const MS: i64 = 1_000_000;

    #[test]
    fn a_late_start_is_silence() {
        let mut placer = Placer::default();
        assert_eq!(placer.place(1500 * MS, 480), Placement { silence: 72_000, skip: 0 });
        assert_eq!(placer.place(1510 * MS, 480), Placement::default());
        assert_eq!(placer.frames(), 72_960);
    }

    #[test]
    fn what_comes_before_the_start_is_left_out() {
        let mut placer = Placer::default();
        assert_eq!(placer.place(-20 * MS, 480), Placement { silence: 0, skip: 480 });
        assert_eq!(placer.place(-5 * MS, 480), Placement { silence: 0, skip: 240 });
        assert_eq!(placer.place(5 * MS, 480), Placement::default());
        assert_eq!((placer.frames(), placer.finish()), (720, 0));
    }

    #[test]
    fn rounded_time_stamps_are_not_cut() {
        // 1024 frames are 21.33 ms; the container says 21, 43, 64, …
        let mut placer = Placer::default();
        for i in 0..1000i64 {
            let rounded = (i * 1024 * 1000 / RATE_HZ as i64) * MS;
            assert_eq!(placer.place(rounded, 1024), Placement::default(), "buffer {i}");
        }
        assert_eq!((placer.frames(), placer.finish()), (1_024_000, 0));
    }

    #[test]
    fn a_gap_is_filled_and_an_overlap_left_out() {
        let mut placer = Placer::default();
        placer.place(0, 4800);
        assert_eq!(placer.place(600 * MS, 4800), Placement { silence: 24_000, skip: 0 });
        assert_eq!(placer.place(650 * MS, 4800), Placement { silence: 0, skip: 2400 });
        assert_eq!(placer.place(100 * MS, 4800), Placement { silence: 0, skip: 4800 });
        assert_eq!(placer.frames(), 36_000);
    }

    #[test]
    fn the_end_is_where_the_time_stamps_say() {
        let mut placer = Placer::default();
        placer.place(0, 480);
        placer.place(25 * MS, 480);
        assert_eq!((placer.frames(), placer.finish(), placer.frames()), (960, 720, 1680));
    }
}
