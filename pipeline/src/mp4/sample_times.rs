//! Presentation times of a track's samples, by its sample tables.

use chalkstream_formats::boxes::find;

use super::movie::Movie;
use super::movie_index::MovieIndex;
use super::sample_tables::SampleTables;
use super::track::MovieTrack;
use super::track_boxes::TrackBoxes;

/// Maximum number of samples whose times are read: six hours at 90 a second. Raw audio has far
/// more.
const MAX_SAMPLES: u64 = 2_000_000;
/// Maximum plausible time, in ns: a week.
const MAX_TIME_NS: i64 = 7 * 86_400_000_000_000;

/// Presentation times of a track's samples, before any edit.
pub struct SampleTimes {
    /// Times of the first samples in decode order, in ns.
    pub times_ns: Vec<i64>,
    /// Latest end, in ns.
    pub end_ns: i64,
    /// Number of samples.
    pub samples: u64,
    /// Time of the last keyframe, in ns.
    pub keyframe_ns: Option<i64>,
    /// Maximum time between two keyframes, in ns.
    pub keyframes_apart_ns: i64,
}

/// Reads the times of a track's samples, the first `max_times` of them as a list.
///
/// `None` if the tables are not authoritative (a fragmented file, shifted composition times), if
/// they are implausible, or if they point beyond the end of a file of `file_bytes`.
pub fn sample_times(
    index: &MovieIndex,
    movie: &Movie,
    track: &MovieTrack,
    file_bytes: u64,
    max_times: usize,
) -> Option<SampleTimes> {
    if find(&index.bytes, b"mvex").is_some() {
        return None;
    }
    let before = movie.tracks.iter().take_while(|t| t.id != track.id).filter(|t| t.handler == track.handler);
    let boxes = TrackBoxes::find(index, movie, &track.handler, before.count() as u32)?;
    if !boxes.is_self_contained || boxes.timescale == 0 || find(boxes.stbl, b"cslg").is_some() {
        return None;
    }
    let tables = SampleTables::read(boxes.stbl).ok()?;
    let ns = |ticks: i64| {
        let ns = i64::try_from(i128::from(ticks) * 1_000_000_000 / i128::from(boxes.timescale)).ok()?;
        (-MAX_TIME_NS..=MAX_TIME_NS).contains(&ns).then_some(ns)
    };
    let mut found =
        SampleTimes { times_ns: Vec::new(), end_ns: 0, samples: 0, keyframe_ns: None, keyframes_apart_ns: 0 };
    for sample in tables.samples() {
        if sample.offset.checked_add(u64::from(sample.size))? > file_bytes {
            return None;
        }
        found.samples += 1;
        if found.samples > MAX_SAMPLES {
            return None;
        }
        if sample.sync {
            let at = ns(sample.pts)?;
            let before = found.keyframe_ns.replace(at).unwrap_or(at);
            found.keyframes_apart_ns = found.keyframes_apart_ns.max(at.saturating_sub(before));
        }
        found.end_ns = found.end_ns.max(ns(sample.pts.checked_add(i64::from(sample.duration))?)?);
        if found.times_ns.len() < max_times {
            found.times_ns.push(ns(sample.pts)?);
        }
    }
    (found.samples > 0).then_some(found)
}
