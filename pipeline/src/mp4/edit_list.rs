//! Edit lists (ISO/IEC 14496-12, 8.6.6): which parts of a track are presented, when, and how fast.
//!
//! Every number is from the file and may lie: where a list contradicts the sample tables, the tables win.

use chalkstream_formats::boxes::u32_at;

/// Most parts followed.
const MAX_PARTS: usize = 10_000;
/// A speed of one, in the 16.16 fixed point of the box.
const NORMAL_SPEED: i32 = 0x1_0000;
/// Speeds beyond 1/16 and 16 are writers' errors, such as a 1 without its fraction.
const MAX_SPEED: i32 = 16 * NORMAL_SPEED;
/// A list that presents anything later is not plausible, in ns.
const A_WEEK_NS: i64 = 7 * 86_400_000_000_000;
/// How far apart two lengths of one track may be, in ns; or a fiftieth of them, if that is more. Reordering moves ends.
const APART_NS: u64 = 150_000_000;
/// Longest priming or reordering delay that a list skips at the start of a track it does not trim, in ns.
const MAX_PRIMING_NS: i64 = 1_000_000_000;
/// Movie timescales in use, in ticks per second: a length that is right in one of them is in the wrong ticks.
const USUAL_TIMESCALES: [u32; 4] = [600, 1000, 90_000, 1_000_000];

/// The part of a track that is presented.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Edit {
    /// Media time presented first, in ns.
    pub start_ns: i64,
    /// When it is presented, in ns.
    pub delay_ns: i64,
    /// How much is presented, in ns; `None` for all.
    pub length_ns: Option<i64>,
}

/// A part of a track that is presented at one speed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EditPart {
    /// Media time presented first, in ns.
    pub media_ns: i64,
    /// When it is presented, in ns.
    pub at_ns: i64,
    /// When its presentation ends, in ns; `i64::MAX` for all of the media.
    pub until_ns: i64,
    /// Speed as 16.16 fixed point; 0 holds one frame.
    pub speed: i32,
}

impl EditPart {
    /// Presentation time of a media time, in ns; outside of the part's time for what it does not present.
    pub fn presented(&self, media_ns: i64) -> i64 {
        let since = media_ns.saturating_sub(self.media_ns);
        let scaled = match self.speed {
            NORMAL_SPEED => since,
            // The frame that is held is there from the start, whatever follows is not.
            0 if since <= 0 => 0,
            0 => return i64::MAX,
            speed => scale(since, NORMAL_SPEED, speed),
        };
        scaled.saturating_add(self.at_ns)
    }

    /// Media time at which the part ends, in ns.
    pub fn media_until_ns(&self) -> i64 {
        if self.until_ns == i64::MAX {
            return i64::MAX;
        }
        let length = self.until_ns.saturating_sub(self.at_ns);
        let media = if self.is_at_normal_speed() { length } else { scale(length, self.speed, NORMAL_SPEED) };
        self.media_ns.saturating_add(media)
    }

    /// Whether it is presented as fast as it was recorded.
    pub fn is_at_normal_speed(&self) -> bool {
        self.speed == NORMAL_SPEED
    }

    /// Whether it holds one frame.
    pub fn is_held(&self) -> bool {
        self.speed == 0
    }

    /// Its end, in ns, where the media ends at `media_end_ns`.
    fn end_ns(&self, media_end_ns: i64) -> i64 {
        if self.is_held() { self.until_ns } else { self.until_ns.min(self.presented(media_end_ns)) }
    }
}

fn scale(ns: i64, by: i32, of: i32) -> i64 {
    let exact = i128::from(ns) * i128::from(by) / i128::from(of.max(1));
    i64::try_from(exact).unwrap_or(if ns < 0 { i64::MIN } else { i64::MAX })
}

/// What the rest of the index says of a track, to hold its edit list against.
#[derive(Clone, Copy, Debug, Default)]
pub struct TrackTiming {
    /// Ticks per second of the movie.
    pub movie_timescale: u32,
    /// Ticks per second of the track.
    pub media_timescale: u32,
    /// Where its samples end, in ns, if they are all in the index.
    pub media_end_ns: Option<i64>,
    /// How long the track header says it is presented, in ns.
    pub header_ns: Option<i64>,
    /// How long the media header says the media is, in ns.
    pub media_header_ns: Option<i64>,
}

/// The parts of a track in the order they are presented; never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EditList {
    parts: Vec<EditPart>,
}

impl EditList {
    /// Reads the content of `elst`. `None` where it presents nothing, or is not plausible: then all of the track is
    /// presented.
    pub fn read(list: &[u8], facts: TrackTiming) -> Option<Self> {
        let wide = *list.first()? == 1;
        let size = if wide { 20 } else { 12 };
        let count = (u32_at(list, 4)? as usize).min(MAX_PARTS);
        let entries: Vec<_> = list.get(8..)?.chunks_exact(size).take(count).collect();
        let ns =
            |ticks: i64, per_second: u32| scaled(i128::from(ticks) * 1_000_000_000, i128::from(per_second));
        let mut parts: Vec<EditPart> = Vec::new();
        let mut at_ns = 0_i64;
        let media_parts = entries.iter().filter(|entry| start(entry, wide).is_some_and(|s| s >= 0)).count();
        for (place, entry) in entries.iter().enumerate() {
            let (length, start) = (length(entry, wide)?, start(entry, wide)?);
            if length < 0 || at_ns > A_WEEK_NS {
                return None;
            }
            if start < 0 {
                at_ns = at_ns.checked_add(ns(length, facts.movie_timescale)?)?;
                continue;
            }
            let alone = media_parts == 1;
            let media_ns = ns(start, facts.media_timescale)?;
            let mut length_ns = ns(length, facts.movie_timescale)?;
            // No length means all there is. Of several parts that can be the last one only.
            let is_all = length == 0 || (!wide && length == i64::from(u32::MAX));
            if (alone && facts.contradict(length, at_ns, media_ns)) || (is_all && place + 1 == entries.len())
            {
                length_ns = i64::MAX;
            } else if is_all {
                continue;
            }
            let speed = match u32_at(entry, size - 4)? as i32 {
                0 if !alone => 0,
                speed if (NORMAL_SPEED / 16..=MAX_SPEED).contains(&speed) => speed,
                _ => NORMAL_SPEED,
            };
            let declared_end_ns = at_ns.saturating_add(length_ns);
            let part = EditPart { media_ns, at_ns, until_ns: declared_end_ns, speed };
            let end_ns = facts.media_end_ns.map_or(declared_end_ns, |end| part.end_ns(end));
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

    /// The list as one part at the speed of recording, where it is that.
    pub fn single(&self) -> Option<Edit> {
        let [part] = self.parts[..] else { return None };
        let length_ns = (part.until_ns < i64::MAX).then(|| part.until_ns.saturating_sub(part.at_ns));
        let edit = Edit { start_ns: part.media_ns, delay_ns: part.at_ns, length_ns };
        part.is_at_normal_speed().then_some(edit)
    }

    /// When the presentation of media that ends at `media_end_ns` ends, in ns.
    pub fn end_ns(&self, media_end_ns: i64) -> i64 {
        let parts = self.parts.iter().filter(|part| part.media_ns < media_end_ns);
        parts.map(|part| part.end_ns(media_end_ns)).max().unwrap_or(0)
    }

    /// Presentation times of frames with these media times, in ns and ascending; the first `most`. A frame that is on
    /// when a part begins begins with it.
    pub fn presented(&self, media_ns: &[i64], most: usize) -> Vec<i64> {
        let mut times = Vec::new();
        for part in &self.parts {
            let on = media_ns.partition_point(|&ns| ns <= part.media_ns).saturating_sub(1);
            let own = media_ns.get(on..).unwrap_or_default().iter().map(|&ns| part.presented(ns));
            let own = own.take_while(|&ns| ns < part.until_ns).map(|ns| ns.max(part.at_ns));
            times.extend(own.take(most.saturating_sub(times.len())));
        }
        times.dedup();
        times
    }

    /// The slowest speed of a part, of those that move.
    pub fn slowest(&self) -> f64 {
        let speeds = self.parts.iter().map(|part| part.speed).filter(|&speed| speed > 0);
        f64::from(speeds.min().unwrap_or(NORMAL_SPEED)) / f64::from(NORMAL_SPEED)
    }

    /// The parts as runs in which media time only goes forward: each can be presented in one pass over the media.
    pub fn runs(&self) -> Vec<Vec<EditPart>> {
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

/// Lists round to the movie's ticks: parts that overlap by less are in order.
const ROUNDING_NS: i64 = 5_000_000;

fn follows(last: &EditPart, part: &EditPart) -> bool {
    part.media_ns.saturating_add(ROUNDING_NS) >= last.media_until_ns()
}

/// Appends a part, or extends the last one that goes on without a seam.
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

/// DeclaredDuration of an entry, in the movie's ticks.
fn length(entry: &[u8], wide: bool) -> Option<i64> {
    if wide { long(entry, 0) } else { Some(u32_at(entry, 0)?.into()) }
}

/// Media time of an entry, in the track's ticks; negative for a part without media.
fn start(entry: &[u8], wide: bool) -> Option<i64> {
    if wide { long(entry, 8) } else { Some((u32_at(entry, 4)? as i32).into()) }
}

fn long(entry: &[u8], at: usize) -> Option<i64> {
    Some(i64::from(u32_at(entry, at)?) << 32 | i64::from(u32_at(entry, at + 4)?))
}

fn scaled(value: i128, by: i128) -> Option<i64> {
    i64::try_from(value.checked_div(by)?).ok()
}

impl TrackTiming {
    /// Whether a list of one part from near the start is wrong about its length: in ticks of something else than the
    /// movie, far shorter than a track header that agrees with the samples, or as wrong as a media header that does not.
    /// A trim changes the list and the track header, and no other.
    fn contradict(&self, length: i64, at_ns: i64, media_ns: i64) -> bool {
        let Some(end_ns) = self.media_end_ns else { return false };
        let media_length_ns = end_ns.saturating_sub(media_ns);
        let near = |ns: i64, other: i64| ns.abs_diff(other) <= (other / 50).unsigned_abs().max(APART_NS);
        let own_ns =
            |ticks: u32| scaled(i128::from(length) * 1_000_000_000, i128::from(ticks)).unwrap_or(i64::MAX);
        let length_ns = own_ns(self.movie_timescale);
        if media_ns > MAX_PRIMING_NS || length_ns >= media_length_ns / 2 {
            return false;
        }
        let others = USUAL_TIMESCALES.into_iter().chain([self.media_timescale]);
        let in_other_ticks = others.into_iter().any(|ticks| near(own_ns(ticks), media_length_ns));
        let header_agrees =
            self.header_ns.is_some_and(|header| near(header, media_length_ns.saturating_add(at_ns)));
        let is_wrong_alike = self.media_header_ns.is_some_and(|header| near(header, length_ns));
        in_other_ticks || header_agrees || is_wrong_alike
    }
}

#[cfg(test)]
#[path = "edit_list_tests.rs"]
mod tests;
