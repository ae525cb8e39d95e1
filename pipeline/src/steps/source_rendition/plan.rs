//! Plans the segments of a track from its sample tables and edit list. Pure.
//!
//! The common timeline begins at 0 with the earliest presented sample of the recording.

use crate::declined::{DeclineReason, declined, open_gop};
use crate::mp4::edit_list::Edit;
use crate::mp4::sample_tables::{Sample, SampleTables};

/// Intended length of a segment, in ms: as in all other renditions.
const TARGET_SEGMENT_MS: u64 = 3200;
/// Most keyframes kept in memory.
const MAX_KEYFRAMES: usize = 1_000_000;
/// Clocks that tick more slowly are subdivided, so that rounding does not offset tracks against
/// each other.
const MIN_TIMESCALE: u32 = 1000;
/// Fastest clock that is plausible, in ticks per second.
const MAX_TIMESCALE: u32 = 100_000_000;
/// Latest start of audio, in ms: a player would wait for it.
const MAX_AUDIO_START_MS: u64 = 500;

/// A sample that decoding can start at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keyframe {
    /// Index of the sample in the track.
    pub number: u32,
    /// Presentation time, before any edit, in the track's own ticks.
    pub pts: i64,
    /// Offset of its bytes in the file.
    pub offset: u64,
    /// Size in bytes.
    pub size: u32,
    /// Offset and size of the sample after it, if that is not a keyframe.
    pub next: Option<(u64, u32)>,
}

/// A track's clock, and the part of the track that is presented.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TrackClock {
    /// Ticks per second of the segments.
    pub timescale: u32,
    /// Ticks of the segments to one of the track's own.
    factor: i64,
    /// Media time presented first, in the track's own ticks.
    from: i64,
    /// Media time from which nothing is presented.
    until: i64,
    /// Added to a media time, in ticks of the segments, it gives a time of the recording.
    shift: i64,
}

impl TrackClock {
    /// The clock of a track with `timescale` ticks per second.
    pub fn new(timescale: u32, edit: Option<Edit>, origin_ns: i64) -> Result<Self, DeclineReason> {
        if timescale == 0 || timescale > MAX_TIMESCALE {
            return Err(declined("damaged_index", "The recording's index is damaged."));
        }
        let factor = MIN_TIMESCALE.div_ceil(timescale);
        let ticks = |ns: i64, per_second: u32| {
            let exact = i128::from(ns) * i128::from(per_second);
            i64::try_from((exact + exact.signum() * 500_000_000) / 1_000_000_000).unwrap_or(i64::MAX / 4)
        };
        let edit = edit.unwrap_or(Edit { start_ns: 0, delay_ns: 0, length_ns: None });
        let from = ticks(edit.start_ns, timescale);
        let until = edit.length_ns.map_or(i64::MAX, |length| from.saturating_add(ticks(length, timescale)));
        let shift = ticks(edit.delay_ns.saturating_sub(origin_ns), timescale * factor)
            .saturating_sub(from.saturating_mul(i64::from(factor)));
        Ok(Self { timescale: timescale * factor, factor: i64::from(factor), from, until, shift })
    }

    /// Converts a media time into a time of the recording.
    fn time(&self, media: i64) -> i64 {
        media.saturating_mul(self.factor).saturating_add(self.shift)
    }

    fn ticks(&self, ms: u64) -> i64 {
        (ms * u64::from(self.timescale) / 1000) as i64
    }
}

/// The start of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentStart {
    /// Its first sample.
    pub number: u32,
    /// Its presentation time, in ticks of the segments.
    pub start: u64,
}

/// The samples of a track that are served, divided into segments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SegmentPlan {
    /// Ticks per second.
    pub timescale: u32,
    /// The starts of the segments; the first is at 0.
    pub cuts: Vec<SegmentStart>,
    /// Presentation time of the first sample.
    pub first: u64,
    /// Index of the first sample that is no longer served.
    pub until: u32,
    /// End of the last sample's presentation.
    pub end: u64,
    /// Presentation time that the first sample itself has.
    presented: i64,
    clock: TrackClock,
}

impl SegmentPlan {
    /// Returns the presentation time of a sample, in ticks of the segments.
    pub fn time(&self, sample: &Sample) -> u64 {
        if self.cuts.first().is_some_and(|cut| cut.number == sample.number) {
            return self.first;
        }
        u64::try_from(self.clock.time(sample.pts)).unwrap_or(0).max(self.first)
    }

    /// Returns the presentation time that the first sample itself has, in ms.
    pub fn presented_ms(&self) -> i64 {
        self.presented.saturating_mul(1000) / i64::from(self.timescale)
    }
}

/// Returns the keyframes of video, after checking that no group of pictures is open.
pub fn keyframes(tables: &SampleTables<'_>) -> Result<Vec<Keyframe>, DeclineReason> {
    let mut keys: Vec<Keyframe> = Vec::new();
    let mut latest = i64::MIN;
    for sample in tables.samples() {
        if sample.sync {
            // A frame decoded before it is presented after it.
            if sample.pts <= latest {
                return Err(open_gop());
            }
            if keys.len() == MAX_KEYFRAMES {
                return Err(declined(
                    "too_many_samples",
                    "The recording has more pictures than can be indexed.",
                ));
            }
            let Sample { number, pts, offset, size, .. } = sample;
            keys.push(Keyframe { number, pts, offset, size, next: None });
        } else if let Some(key) = keys.last_mut() {
            // A frame decoded after it is presented before it.
            if sample.pts < key.pts {
                return Err(open_gop());
            }
            if sample.number == key.number + 1 {
                key.next = Some((sample.offset, sample.size));
            }
        }
        latest = latest.max(sample.pts);
    }
    Ok(keys)
}

/// Plans the segments of video. `frame_ns` is the nominal duration of a frame.
pub fn plan_video(
    tables: &SampleTables<'_>,
    keys: &[Keyframe],
    clock: TrackClock,
    frame_ns: i64,
    max_segment_ms: u64,
) -> Result<SegmentPlan, DeclineReason> {
    // The frame that is displayed when presentation begins; the first frame of all; the last one to
    // decode that is presented.
    let (mut displayed, mut first) = (None, i64::MAX);
    let (mut until, mut end) = (0, i64::MIN);
    for sample in tables.samples() {
        if sample.pts <= clock.from {
            displayed = displayed.max(Some(sample.pts));
        }
        first = first.min(sample.pts);
        if sample.pts < clock.until {
            until = sample.number + 1;
        }
    }
    let frame = (i128::from(frame_ns) * i128::from(clock.timescale) / 1_000_000_000) as i64 / clock.factor;
    let begin = keys.iter().position(|key| match displayed {
        Some(displayed) => key.pts == displayed || (key.pts > clock.from && key.pts - clock.from <= frame),
        None => key.pts == first,
    });
    let Some(begin) = begin.filter(|&begin| keys[begin].number < until) else {
        return Err(declined(
            "starts_between_keyframes",
            "The recording was trimmed to start where a player cannot start.",
        ));
    };
    let keys: Vec<Keyframe> = keys[begin..].iter().filter(|key| key.number < until).copied().collect();
    for sample in tables.samples().take(until as usize).skip(keys[0].number as usize) {
        end = end.max(sample.pts.saturating_add(i64::from(sample.duration)));
    }
    // The first frame is displayed from the beginning, even if audio begins before it.
    let times: Vec<i64> = keys
        .iter()
        .enumerate()
        .map(|(index, key)| if index == 0 { 0 } else { clock.time(key.pts) })
        .collect();
    let end = clock.time(end).max(1);
    if end > clock.ticks(MAX_END_MS) {
        return Err(declined("damaged_index", "The recording's index is damaged."));
    }
    let chosen =
        cuts(&times, end, clock.ticks(TARGET_SEGMENT_MS), clock.ticks(max_segment_ms)).ok_or_else(|| {
            declined("keyframes_apart", "The recording's keyframes are too far apart to play it in parts.")
        })?;
    let cuts =
        chosen.iter().map(|&index| SegmentStart { number: keys[index].number, start: times[index] as u64 });
    Ok(SegmentPlan {
        timescale: clock.timescale,
        cuts: cuts.collect(),
        first: 0,
        until,
        end: end as u64,
        presented: clock.time(keys[0].pts).max(0),
        clock,
    })
}

/// Latest end of a recording, in ms: a week. Later times are false, and each would mean more
/// segments.
const MAX_END_MS: u64 = 7 * 86_400_000;

/// Returns the keyframes nearest to multiples of `aim`, as indexes into `times` (the first is 0),
/// so that no segment is longer than `max_ticks`. `None` if keyframes are further apart.
fn cuts(times: &[i64], end: i64, aim: i64, max_ticks: i64) -> Option<Vec<usize>> {
    let mut nearest = vec![0];
    let mut index = 0;
    let mut target = aim;
    while target < end {
        while index + 1 < times.len() && (times[index + 1] - target).abs() <= (times[index] - target).abs() {
            index += 1;
        }
        if nearest.last() != Some(&index) {
            nearest.push(index);
        }
        // If the last keyframe is nearest to a target, it is nearest to all later targets too.
        if index + 1 == times.len() {
            break;
        }
        target += aim;
    }
    let mut made = Vec::with_capacity(nearest.len());
    for (number, &from) in nearest.iter().enumerate() {
        let (to, stop) = match nearest.get(number + 1) {
            Some(&next) => (next, times[next]),
            None => (times.len(), end),
        };
        let mut at = from;
        made.push(at);
        while stop - times[at] > max_ticks {
            at = (at + 1..to).take_while(|&index| times[index] - times[at] <= max_ticks).last()?;
            made.push(at);
        }
    }
    Some(made)
}

/// Plans the segments of audio: cut where the video is (`video_ms`, from 0 to its end), and evenly
/// after that. `None` if it cannot accompany the video.
pub fn plan_audio(tables: &SampleTables<'_>, clock: TrackClock, video_ms: &[u64]) -> Option<SegmentPlan> {
    let mut made: Option<SegmentPlan> = None;
    let mut index = 1;
    let target = |index: usize| {
        let beyond = (index + 1).saturating_sub(video_ms.len()) as u64 * TARGET_SEGMENT_MS;
        let last = video_ms.len().checked_sub(1).and_then(|last| video_ms.get(index.min(last)));
        clock.ticks(last.copied().unwrap_or(0) + beyond)
    };
    for sample in tables.samples() {
        if sample.dts >= clock.until {
            break;
        }
        let (time, length) = (clock.time(sample.dts), i64::from(sample.duration) * clock.factor);
        // Audio is presented in decode order; players do not support anything else.
        if time > clock.ticks(MAX_END_MS) || sample.pts != sample.dts {
            return None;
        }
        let Some(plan) = &mut made else {
            // Skips encoder priming. A packet of which at least half is presented comes first.
            let mostly = time.saturating_add(length / 2) > 0
                && sample.dts + i64::from(sample.duration / 2) >= clock.from;
            if mostly {
                made = Some(SegmentPlan {
                    timescale: clock.timescale,
                    cuts: vec![SegmentStart { number: sample.number, start: 0 }],
                    first: time.max(0) as u64,
                    until: sample.number + 1,
                    end: time.saturating_add(length).max(1) as u64,
                    presented: time.max(0),
                    clock,
                });
            }
            continue;
        };
        if time + length / 2 >= target(index) {
            while time + length / 2 >= target(index) {
                index += 1;
            }
            plan.cuts.push(SegmentStart { number: sample.number, start: time as u64 });
        }
        plan.until = sample.number + 1;
        plan.end = time.saturating_add(length).max(1) as u64;
    }
    made.filter(|plan| plan.first <= clock.ticks(MAX_AUDIO_START_MS) as u64)
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
