//! The frame size that a recording is planned for if its frames change theirs. Pure.

use crate::media::Orientation;

/// Most changes kept of one track. What follows counts as the last one.
const MAX_CHANGES: usize = 4096;
/// A size is dominant if it, or larger ones, last for one part in this many of the recording.
const DOMINANT_PARTS: i64 = 10;
/// A size is also dominant if it, or larger ones, last this long, in ns.
const DOMINANT_NS: i64 = 30_000_000_000;
/// Sizes with at least this share of another's area are similar to it.
const SIMILAR_SHARE: f64 = 0.9;
/// Among similar sizes, a later one must last longer by this factor to win.
const MIN_LATER_FACTOR: f64 = 1.25;

/// Size and orientation in the headers of a frame.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FrameSize {
    /// Pixels of a coded frame, whatever their shape: how much detail it has.
    pub pixels: u64,
    /// Width and height as stored, with square pixels.
    pub stored: (f64, f64),
    /// Orientation that makes it upright.
    pub turn: Orientation,
}

impl FrameSize {
    /// Width and height upright, with square pixels.
    pub fn displayed(&self) -> (f64, f64) {
        let (width, height) = self.stored;
        if self.turn.is_sideways() { (height, width) } else { (width, height) }
    }
}

/// The sizes of a track's frames over time.
#[derive(Clone, Debug, Default)]
pub struct FrameSizes {
    /// Start of each size, in ns, in any order.
    changes: Vec<(i64, FrameSize)>,
    until_ns: i64,
}

/// A summary of the sizes of a recording.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SizeSummary {
    /// The first one.
    pub first: FrameSize,
    /// The largest one that lasts.
    pub dominant: FrameSize,
    /// Whether there are several.
    pub has_changes: bool,
    /// Whether any frame is not upright.
    pub has_turns: bool,
}

impl FrameSizes {
    /// Adds the size of a frame. Frames of one size in a row are one entry.
    pub fn add(&mut self, at_ns: i64, size: FrameSize) {
        self.until_ns = self.until_ns.max(at_ns);
        let is_change = self.changes.last().is_none_or(|(_, last)| *last != size);
        if is_change && self.changes.len() < MAX_CHANGES {
            self.changes.push((at_ns, size));
        }
    }

    /// Adds the size of a frame before which the file was not read.
    pub fn add_sample(&mut self, at_ns: i64, size: FrameSize) {
        self.until_ns = self.until_ns.max(at_ns);
        if self.changes.len() < MAX_CHANGES {
            self.changes.push((at_ns, size));
        }
    }

    /// Extends the last size up to this time.
    pub fn extend_until(&mut self, ns: i64) {
        self.until_ns = self.until_ns.max(ns);
    }

    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.changes.len()
    }

    /// Sums up; `None` if no size is known. A turn by the container overrides those of frames.
    pub fn summary(&self, container: Orientation) -> Option<SizeSummary> {
        let mut changes = self.changes.clone();
        if !container.is_none() {
            changes.iter_mut().for_each(|(_, size)| size.turn = container);
        }
        changes.sort_by_key(|&(at_ns, _)| at_ns);
        let &(from_ns, first) = changes.first()?;
        // Total duration of each size, in the order of first frames.
        let mut totals: Vec<(FrameSize, i64)> = Vec::new();
        let ends = changes.iter().skip(1).map(|&(at_ns, _)| at_ns).chain([self.until_ns]);
        for (&(at_ns, size), end_ns) in changes.iter().zip(ends) {
            let lasts_ns = end_ns.saturating_sub(at_ns).max(0);
            match totals.iter_mut().find(|(known, _)| *known == size) {
                Some((_, total_ns)) => *total_ns += lasts_ns,
                None => totals.push((size, lasts_ns)),
            }
        }
        let enough_ns = (self.until_ns.saturating_sub(from_ns) / DOMINANT_PARTS).min(DOMINANT_NS);
        let dominant = dominant(&totals, enough_ns).unwrap_or(first);
        Some(SizeSummary {
            first,
            dominant,
            has_changes: totals.iter().any(|(size, _)| size.displayed() != first.displayed()),
            has_turns: totals.iter().any(|(size, _)| !size.turn.is_none()),
        })
    }
}

fn area(size: &FrameSize) -> f64 {
    size.pixels as f64
}

/// The largest size that a recording has, or exceeds, for long enough. Among similar sizes it is
/// the first, unless a later one lasts clearly longer.
fn dominant(totals: &[(FrameSize, i64)], enough_ns: i64) -> Option<FrameSize> {
    let mut by_area: Vec<_> = totals.iter().collect();
    by_area.sort_by(|a, b| area(&b.0).total_cmp(&area(&a.0)));
    let mut above_ns = 0;
    let (largest, _) = by_area.iter().find(|(_, lasts_ns)| {
        above_ns += lasts_ns;
        above_ns >= enough_ns
    })?;
    let similar = totals.iter().filter(|(size, _)| {
        let share = area(size) / area(largest);
        (SIMILAR_SHARE..=1.0 / SIMILAR_SHARE).contains(&share)
    });
    let wins = |next: i64, best: i64| next as f64 > best as f64 * MIN_LATER_FACTOR;
    let longest = similar.reduce(|best, next| if wins(next.1, best.1) { next } else { best });
    longest.map(|(size, _)| *size)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i64 = 1_000_000_000;

    fn size(width: u32, height: u32) -> FrameSize {
        FrameSize {
            pixels: u64::from(width) * u64::from(height),
            stored: (width.into(), height.into()),
            turn: Orientation::default(),
        }
    }

    /// The size planned for a recording that has these sizes from these seconds on.
    fn planned(changes: &[(i64, (u32, u32))], until: i64) -> (u32, u32) {
        let mut sizes = FrameSizes::default();
        changes.iter().for_each(|&(at, (width, height))| sizes.add(at * SECOND, size(width, height)));
        sizes.extend_until(until * SECOND);
        let (width, height) =
            sizes.summary(Orientation::default()).map(|s| s.dominant.displayed()).unwrap_or_default();
        (width as u32, height as u32)
    }

    #[test]
    fn the_largest_that_lasts_is_planned_for() {
        let (small, middle, large) = ((160, 90), (640, 360), (1280, 720));
        assert_eq!(planned(&[(0, small)], 10), small);
        assert_eq!(planned(&[(0, small), (2, middle), (4, large)], 12), large);
        assert_eq!(planned(&[(0, large), (1, small)], 100), small, "a moment of a larger size");
        assert_eq!(planned(&[(0, large), (40, small)], 3600), large, "half a minute is enough");
        assert_eq!(planned(&[(0, large), (20, small), (100, large), (115, small)], 3600), large, "in all");
        // Each for too short a time, but at or above 640×360 for long enough.
        let growing: Vec<_> = (0..10).map(|n| (10 + n, (640 + n as u32, 360))).collect();
        let growing = [&[(0, small)][..], &growing, &[(20, small)]].concat();
        assert_eq!(planned(&growing, 100).1, 360);
    }

    #[test]
    fn of_shapes_as_large_the_first_stays_unless_another_lasts_longer() {
        let (across, upright) = ((640, 360), (360, 640));
        assert_eq!(planned(&[(0, across), (5, upright)], 10), across);
        assert_eq!(planned(&[(0, across), (5, upright)], 11), across);
        assert_eq!(planned(&[(0, across), (2, upright)], 10), upright);
        assert_eq!(planned(&[(0, upright), (4, across), (5, upright)], 10), upright);
    }

    #[test]
    fn frames_of_other_pixels_are_as_large() {
        let of_pixels = |height| FrameSize { pixels: 720 * 576, stored: (720.0, height), ..size(1, 1) };
        let mut sizes = FrameSizes::default();
        sizes.add(0, of_pixels(540.0));
        sizes.add(15 * SECOND, of_pixels(405.0));
        sizes.extend_until(100 * SECOND);
        assert_eq!(sizes.summary(Orientation::default()).map(|s| s.dominant), Some(of_pixels(405.0)));
    }

    #[test]
    fn samples_count_in_the_order_of_their_times() {
        let mut sizes = FrameSizes::default();
        for (at, (width, height)) in [(0, (160, 90)), (90, (640, 360)), (50, (640, 360)), (10, (160, 90))] {
            sizes.add_sample(at * SECOND, size(width, height));
        }
        sizes.extend_until(100 * SECOND);
        let summary = sizes.summary(Orientation::default());
        assert_eq!(summary.map(|s| s.dominant), Some(size(640, 360)));
        assert_eq!(
            summary.map(|s| (s.first, s.has_changes, s.has_turns)),
            Some((size(160, 90), true, false))
        );
        assert_eq!(FrameSizes::default().summary(Orientation::default()), None);
    }

    #[test]
    fn a_turn_by_the_container_overrides_those_of_frames() {
        let turned = |degrees| Orientation { degrees, mirrored: false };
        let mut sizes = FrameSizes::default();
        sizes.add(0, size(640, 360));
        sizes.add(2 * SECOND, FrameSize { turn: turned(90), ..size(640, 360) });
        sizes.extend_until(10 * SECOND);
        let own = sizes.summary(Orientation::default());
        assert_eq!(
            own.map(|s| (s.dominant.displayed(), s.has_changes, s.has_turns)),
            Some(((360.0, 640.0), true, true))
        );
        let container = sizes.summary(turned(270));
        assert_eq!(container.map(|s| (s.dominant.turn, s.has_changes)), Some((turned(270), false)));
    }

    #[test]
    fn endless_changes_are_bounded() {
        let mut sizes = FrameSizes::default();
        (0..100_000).for_each(|n| sizes.add(n, size(100 + n as u32 % 2, 100)));
        assert_eq!(sizes.len(), MAX_CHANGES);
    }
}
