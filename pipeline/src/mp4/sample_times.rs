//! When the samples of a track are presented, by its sample tables.

use chalkstream_formats::boxes::find;

use super::movie::{Index, Movie, Track};
use super::sample_tables::SampleTables;
use super::track_boxes::TrackBoxes;

/// Most samples whose times are read: six hours at 90 a second. Raw sound has far more.
const MOST_SHOWN: u64 = 2_000_000;
/// Times beyond this are no times of a recording.
const A_WEEK_NS: i64 = 7 * 86_400_000_000_000;

/// When a track's samples are shown, before any edit.
pub struct SampleTimes {
    /// Times of the first `most` samples in decode order, in ns.
    pub times_ns: Vec<i64>,
    /// Latest end, in ns.
    pub end_ns: i64,
    /// How many there are.
    pub samples: u64,
    /// Time of the last keyframe, in ns.
    pub keyframe_ns: Option<i64>,
    /// Longest time between two keyframes, in ns.
    pub keyframes_apart_ns: i64,
}

/// Reads sample times from the `stbl` tables. `None` if the tables are not authoritative (fragmented
/// file, shifted composition times), implausible, or point past the end of the file.
pub fn sample_times(
    index: &Index,
    movie: &Movie,
    track: &Track,
    file: u64,
    most: usize,
) -> Option<SampleTimes> {
    if find(&index.bytes, b"mvex").is_some() {
        return None;
    }
    let place = movie.tracks.iter().take_while(|t| t.id != track.id).filter(|t| t.handler == track.handler);
    let part = TrackBoxes::find(index, movie, &track.handler, place.count() as u32)?;
    if !part.is_self_contained || part.timescale == 0 || find(part.stbl, b"cslg").is_some() {
        return None;
    }
    let tables = SampleTables::read(part.stbl).ok()?;
    let ns = |ticks: i64| {
        let ns = i64::try_from(i128::from(ticks) * 1_000_000_000 / i128::from(part.timescale)).ok()?;
        (-A_WEEK_NS..=A_WEEK_NS).contains(&ns).then_some(ns)
    };
    let mut shown =
        SampleTimes { times_ns: Vec::new(), end_ns: 0, samples: 0, keyframe_ns: None, keyframes_apart_ns: 0 };
    for sample in tables.samples() {
        if sample.offset.checked_add(u64::from(sample.size))? > file {
            return None;
        }
        shown.samples += 1;
        if shown.samples > MOST_SHOWN {
            return None;
        }
        if sample.sync {
            let at = ns(sample.pts)?;
            let before = shown.keyframe_ns.replace(at).unwrap_or(at);
            shown.keyframes_apart_ns = shown.keyframes_apart_ns.max(at.saturating_sub(before));
        }
        shown.end_ns = shown.end_ns.max(ns(sample.pts.checked_add(i64::from(sample.duration))?)?);
        if shown.times_ns.len() < most {
            shown.times_ns.push(ns(sample.pts)?);
        }
    }
    (shown.samples > 0).then_some(shown)
}
