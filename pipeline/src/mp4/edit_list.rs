//! Edit lists (ISO/IEC 14496-12, 8.6.6): the parts of a track that are presented, with time and
//! speed.
//!
//! Every number is from the file and may lie. If a list contradicts the sample tables, the tables
//! win.

use chalkstream_formats::boxes::{u32_at, u64_at};

/// Maximum number of parts to read.
const MAX_PARTS: usize = 10_000;
/// A speed of one, in the 16.16 fixed point of the box.
const NORMAL_SPEED: i32 = 0x1_0000;
/// Maximum speed; the minimum is its inverse. Others are writers' errors, such as a 1 without its
/// fraction.
const MAX_SPEED: i32 = 16 * NORMAL_SPEED;
/// Maximum presentation time of a plausible list, in ns: a week.
const MAX_TIME_NS: i64 = 7 * 86_400_000_000_000;
/// Maximum difference of two durations of a track that count as equal, in ns, or a fiftieth of them
/// if that is more. Reordering moves ends.
const MAX_DIFFERENCE_NS: u64 = 150_000_000;
/// Maximum priming or reordering delay, in ns, which a list skips at the start of an untrimmed
/// track.
const MAX_PRIMING_NS: i64 = 1_000_000_000;
/// Common movie timescales, in ticks per second. A duration that is right in one of them is in the
/// wrong ticks.
const USUAL_TIMESCALES: [u32; 4] = [600, 1000, 90_000, 1_000_000];

/// An edit list of one part at normal speed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Edit {
    /// Media time presented first, in ns.
    pub start_ns: i64,
    /// Presentation time of that media time, in ns.
    pub delay_ns: i64,
    /// Presented duration, in ns; `None` for all of the media.
    pub length_ns: Option<i64>,
}

/// A part of a track that is presented at one speed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EditPart {
    /// Media time presented first, in ns.
    pub media_ns: i64,
    /// Presentation time of its start, in ns.
    pub at_ns: i64,
    /// Presentation time of its end, in ns; `i64::MAX` for all of the media.
    pub until_ns: i64,
    /// Speed as 16.16 fixed point; 0 holds one frame.
    pub speed: i32,
}

impl EditPart {
    /// Returns the presentation time of a media time, in ns. It lies outside of the part if the
    /// part does not present that media.
    pub fn presented(&self, media_ns: i64) -> i64 {
        let since = media_ns.saturating_sub(self.media_ns);
        let scaled = match self.speed {
            NORMAL_SPEED => since,
            // The held frame is displayed from the start; later frames never are.
            0 if since <= 0 => 0,
            0 => return i64::MAX,
            speed => scale(since, NORMAL_SPEED, speed),
        };
        scaled.saturating_add(self.at_ns)
    }

    /// Returns the media time at which the part ends, in ns.
    pub fn media_until_ns(&self) -> i64 {
        if self.until_ns == i64::MAX {
            return i64::MAX;
        }
        let length = self.until_ns.saturating_sub(self.at_ns);
        let media = if self.is_at_normal_speed() { length } else { scale(length, self.speed, NORMAL_SPEED) };
        self.media_ns.saturating_add(media)
    }

    /// Whether it is presented at the speed of recording.
    pub fn is_at_normal_speed(&self) -> bool {
        self.speed == NORMAL_SPEED
    }

    /// Whether it holds one frame.
    pub fn is_held(&self) -> bool {
        self.speed == 0
    }

    /// Returns its end, in ns, for media that ends at `media_end_ns`.
    fn end_ns(&self, media_end_ns: i64) -> i64 {
        if self.is_held() { self.until_ns } else { self.until_ns.min(self.presented(media_end_ns)) }
    }
}

fn scale(ns: i64, by: i32, of: i32) -> i64 {
    let exact = i128::from(ns) * i128::from(by) / i128::from(of.max(1));
    i64::try_from(exact).unwrap_or(if ns < 0 { i64::MIN } else { i64::MAX })
}

/// Timing of a track in the rest of the index, against which its edit list is checked.
#[derive(Clone, Copy, Debug, Default)]
pub struct TrackTiming {
    /// Ticks per second of the movie.
    pub movie_timescale: u32,
    /// Ticks per second of the track.
    pub media_timescale: u32,
    /// End of the samples, in ns, if they are all in the index.
    pub media_end_ns: Option<i64>,
    /// Presented duration that the track header declares, in ns.
    pub header_ns: Option<i64>,
    /// Duration that the media header declares, in ns.
    pub media_header_ns: Option<i64>,
}

/// The parts of a track in the order of their presentation; never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EditList {
    parts: Vec<EditPart>,
}

impl EditList {
    /// Parses the content of `elst`. `None` if it presents nothing or is implausible: then all of
    /// the track is presented.
    pub fn parse(list: &[u8], timing: TrackTiming) -> Option<Self> {
        let is_wide = *list.first()? == 1;
        let size = if is_wide { 20 } else { 12 };
        let count = (u32_at(list, 4)? as usize).min(MAX_PARTS);
        let entries: Vec<_> = list.get(8..)?.chunks_exact(size).take(count).collect();
        let ns =
            |ticks: i64, per_second: u32| divided(i128::from(ticks) * 1_000_000_000, i128::from(per_second));
        let mut parts: Vec<EditPart> = Vec::new();
        let mut at_ns = 0_i64;
        let media_parts =
            entries.iter().filter(|entry| media_ticks(entry, is_wide).is_some_and(|s| s >= 0)).count();
        for (index, entry) in entries.iter().enumerate() {
            let (length, start) = (duration_ticks(entry, is_wide)?, media_ticks(entry, is_wide)?);
            if length < 0 || at_ns > MAX_TIME_NS {
                return None;
            }
            if start < 0 {
                at_ns = at_ns.checked_add(ns(length, timing.movie_timescale)?)?;
                continue;
            }
            let is_single = media_parts == 1;
            let media_ns = ns(start, timing.media_timescale)?;
            let mut length_ns = ns(length, timing.movie_timescale)?;
            // A duration of 0 means all of the media. Among several parts, only the last can have
            // it.
            let is_all = length == 0 || (!is_wide && length == i64::from(u32::MAX));
            if (is_single && timing.contradicts(length, at_ns, media_ns))
                || (is_all && index + 1 == entries.len())
            {
                length_ns = i64::MAX;
            } else if is_all {
                continue;
            }
            let speed = match u32_at(entry, size - 4)? as i32 {
                0 if !is_single => 0,
                speed if (NORMAL_SPEED / 16..=MAX_SPEED).contains(&speed) => speed,
                _ => NORMAL_SPEED,
            };
            let declared_end_ns = at_ns.saturating_add(length_ns);
            let part = EditPart { media_ns, at_ns, until_ns: declared_end_ns, speed };
            let end_ns = timing.media_end_ns.map_or(declared_end_ns, |end| part.end_ns(end));
            if end_ns > at_ns {
                push(&mut parts, EditPart { until_ns: end_ns, ..part });
            }
            at_ns = declared_end_ns;
        }
        (!parts.is_empty()).then_some(Self { parts })
    }

    /// The parts.
    pub fn parts(&self) -> &[EditPart] {
        &self.parts
    }

    /// Returns the only part, if there is one and it has normal speed.
    pub fn single(&self) -> Option<Edit> {
        let [part] = self.parts[..] else { return None };
        let length_ns = (part.until_ns < i64::MAX).then(|| part.until_ns.saturating_sub(part.at_ns));
        let edit = Edit { start_ns: part.media_ns, delay_ns: part.at_ns, length_ns };
        part.is_at_normal_speed().then_some(edit)
    }

    /// Returns the end of the presentation, in ns, for media that ends at `media_end_ns`.
    pub fn end_ns(&self, media_end_ns: i64) -> i64 {
        let parts = self.parts.iter().filter(|part| part.media_ns < media_end_ns);
        parts.map(|part| part.end_ns(media_end_ns)).max().unwrap_or(0)
    }

    /// Returns the first `max_times` presentation times of frames with these media times, all in ns
    /// and ascending. A frame that is displayed when a part starts is moved to that start.
    pub fn presentation_times(&self, media_ns: &[i64], max_times: usize) -> Vec<i64> {
        let mut times = Vec::new();
        for part in &self.parts {
            let first = media_ns.partition_point(|&ns| ns <= part.media_ns).saturating_sub(1);
            let own = media_ns.get(first..).unwrap_or_default().iter().map(|&ns| part.presented(ns));
            let own = own.take_while(|&ns| ns < part.until_ns).map(|ns| ns.max(part.at_ns));
            times.extend(own.take(max_times.saturating_sub(times.len())));
        }
        times.dedup();
        times
    }

    /// Returns the minimum speed of a part that does not hold a frame.
    pub fn min_speed(&self) -> f64 {
        let speeds = self.parts.iter().map(|part| part.speed).filter(|&speed| speed > 0);
        f64::from(speeds.min().unwrap_or(NORMAL_SPEED)) / f64::from(NORMAL_SPEED)
    }

    /// Groups the parts into runs in which media time only goes forward. Each can be presented in
    /// one pass over the media.
    pub fn forward_runs(&self) -> Vec<Vec<EditPart>> {
        let mut runs: Vec<Vec<EditPart>> = Vec::new();
        for &part in &self.parts {
            match runs.last_mut() {
                Some(run) if run.last().is_some_and(|last| follows(last, &part)) => run.push(part),
                _ => runs.push(vec![part]),
            }
        }
        runs
    }
}

/// Maximum overlap of parts that are in order, in ns. Lists round to the movie's ticks.
const MAX_OVERLAP_NS: i64 = 5_000_000;

fn follows(last: &EditPart, part: &EditPart) -> bool {
    part.media_ns.saturating_add(MAX_OVERLAP_NS) >= last.media_until_ns()
}

/// Appends a part, or extends the last one if the part continues it without a seam.
fn push(parts: &mut Vec<EditPart>, part: EditPart) {
    match parts.last_mut() {
        Some(last)
            if last.is_at_normal_speed()
                && part.is_at_normal_speed()
                && last.until_ns == part.at_ns
                && last.media_until_ns().abs_diff(part.media_ns) <= 1_000_000 =>
        {
            last.until_ns = part.until_ns;
        }
        _ => parts.push(part),
    }
}

/// Duration of an entry, in the movie's ticks.
fn duration_ticks(entry: &[u8], is_wide: bool) -> Option<i64> {
    if is_wide { i64_at(entry, 0) } else { Some(u32_at(entry, 0)?.into()) }
}

/// Media time of an entry, in the track's ticks; negative for a part without media.
fn media_ticks(entry: &[u8], is_wide: bool) -> Option<i64> {
    if is_wide { i64_at(entry, 8) } else { Some((u32_at(entry, 4)? as i32).into()) }
}

fn i64_at(entry: &[u8], offset: usize) -> Option<i64> {
    u64_at(entry, offset).map(u64::cast_signed)
}

fn divided(value: i128, by: i128) -> Option<i64> {
    i64::try_from(value.checked_div(by)?).ok()
}

impl TrackTiming {
    /// Whether a list of one part from near the start is wrong about its duration.
    ///
    /// It may be in wrong ticks, far shorter than a track header that agrees with the samples, or
    /// as wrong as the media header. A trim is none of these: it changes list and track header
    /// alone.
    fn contradicts(&self, length: i64, at_ns: i64, media_ns: i64) -> bool {
        let Some(end_ns) = self.media_end_ns else { return false };
        let media_length_ns = end_ns.saturating_sub(media_ns);
        let is_near =
            |ns: i64, other: i64| ns.abs_diff(other) <= (other / 50).unsigned_abs().max(MAX_DIFFERENCE_NS);
        let own_ns =
            |ticks: u32| divided(i128::from(length) * 1_000_000_000, i128::from(ticks)).unwrap_or(i64::MAX);
        let length_ns = own_ns(self.movie_timescale);
        if media_ns > MAX_PRIMING_NS || length_ns >= media_length_ns / 2 {
            return false;
        }
        let others = USUAL_TIMESCALES.into_iter().chain([self.media_timescale]);
        let in_other_ticks = others.into_iter().any(|ticks| is_near(own_ns(ticks), media_length_ns));
        let header_agrees =
            self.header_ns.is_some_and(|header| is_near(header, media_length_ns.saturating_add(at_ns)));
        let is_wrong_alike = self.media_header_ns.is_some_and(|header| is_near(header, length_ns));
        in_other_ticks || header_agrees || is_wrong_alike
    }
}

#[cfg(test)]
#[path = "edit_list_tests.rs"]
mod tests;
