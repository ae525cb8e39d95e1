//! Applies an edit list to decoded buffers: moves, cuts and stretches them.

use std::collections::VecDeque;

use gstreamer as gst;

use super::decoded::DecodedBuffer;
use crate::mp4::edit_list::{EditList, EditPart};

/// A run is over when a buffer is this far behind its end, in ns: damaged files jump by less.
const MAX_OVERRUN_NS: i64 = 1_000_000_000;

/// Presents a track whose edit list is hidden from the demuxer.
pub struct Presenter {
    /// The parts of the current pass over the media, then those of later passes.
    runs: VecDeque<Vec<EditPart>>,
    /// Whether one pass over the media is enough.
    is_one_pass: bool,
    ready: VecDeque<DecodedBuffer>,
    /// Media time of the last frame, and the end of its presentation.
    last: Option<(i64, i64)>,
}

impl Presenter {
    /// Creates a presenter for an edit list.
    pub fn new(edits: &EditList) -> Self {
        let runs: VecDeque<_> = edits.forward_runs().into();
        Self { is_one_pass: runs.len() == 1, runs, ready: VecDeque::new(), last: None }
    }

    /// Whether the media is decoded in one pass, from its start.
    pub fn is_one_pass(&self) -> bool {
        self.is_one_pass
    }

    /// Adds a buffer whose time is media time. Returns `false` if the current run is over.
    pub fn push(&mut self, decoded: DecodedBuffer) -> bool {
        let Some(run) = self.runs.front() else { return false };
        let end_ns = run.last().map_or(0, EditPart::media_until_ns);
        if decoded.time_ns >= end_ns.saturating_add(MAX_OVERRUN_NS) {
            return false;
        }
        for part in run {
            let Some(presented) = present(&decoded, part) else { continue };
            let end_ns = presented.time_ns.saturating_add(presented.duration_ns.unwrap_or(0) as i64);
            // A frame that continues across a seam is still on the screen.
            let continues = decoded.time_ns < part.media_ns
                && self.last.is_some_and(|(media, end)| media == decoded.time_ns && end >= presented.time_ns);
            self.last = Some((decoded.time_ns, end_ns));
            match self.ready.back_mut() {
                Some(last) if continues && !is_audio(&decoded.caps) => {
                    last.duration_ns = u64::try_from(end_ns.saturating_sub(last.time_ns)).ok();
                }
                _ => self.ready.push_back(presented),
            }
        }
        true
    }

    /// Returns the next presented buffer; its time is presentation time.
    pub fn pop(&mut self) -> Option<DecodedBuffer> {
        self.ready.pop_front()
    }

    /// Goes on to the next run and returns the media time at which it starts, in ns.
    pub fn next_run(&mut self) -> Option<i64> {
        self.runs.pop_front();
        self.last = None;
        self.runs.front()?.first().map(|part| part.media_ns)
    }

    /// Whether nothing is left to present after the media's end.
    pub fn is_last_run(&self) -> bool {
        self.runs.len() <= 1 && self.ready.is_empty()
    }
}

fn is_audio(caps: &gst::Caps) -> bool {
    caps.structure(0).is_some_and(|s| s.name() == "audio/x-raw")
}

/// Returns what a part presents of a buffer; `None` if nothing.
///
/// Audio is cut to the sample. A frame that is displayed when the part starts is moved to that
/// start.
fn present(decoded: &DecodedBuffer, part: &EditPart) -> Option<DecodedBuffer> {
    let length = decoded.duration_ns.unwrap_or(0) as i64;
    let (time, end) =
        (part.presented(decoded.time_ns), part.presented(decoded.time_ns.saturating_add(length)));
    if time >= part.until_ns || (end <= part.at_ns && length > 0) || (length == 0 && time < part.at_ns) {
        return None;
    }
    let (start, stop) = (time.max(part.at_ns), end.min(part.until_ns));
    let mut made = DecodedBuffer {
        buffer: decoded.buffer.clone(),
        caps: decoded.caps.clone(),
        time_ns: start,
        duration_ns: decoded.duration_ns,
        turn: decoded.turn,
    };
    if length == 0 {
        return Some(made);
    }
    made.duration_ns = Some((stop - start) as u64);
    if is_audio(&decoded.caps) {
        if part.is_held() {
            return None;
        }
        if !part.is_at_normal_speed() {
            return resampled(decoded, part, start, stop);
        }
        if (start, stop) != (time, end) {
            made.buffer = samples(decoded, start - time, stop - time)?;
        }
    }
    Some(made)
}

/// Cuts an interleaved buffer to the samples between two times, in ns from its start.
fn samples(decoded: &DecodedBuffer, from_ns: i64, until_ns: i64) -> Option<gst::Buffer> {
    let rate = decoded.caps.structure(0)?.get::<i32>("rate").ok()?;
    let count = |ns: i64| (ns as f64 * f64::from(rate) / 1e9).round() as usize;
    let all = count(decoded.duration_ns? as i64);
    let size = decoded.buffer.size();
    if all == 0 || !size.is_multiple_of(all) {
        return Some(decoded.buffer.clone());
    }
    let each = size / all;
    let (first, last) = (count(from_ns).min(all), count(until_ns).min(all));
    if last <= first {
        return None;
    }
    decoded.buffer.copy_region(gst::BufferCopyFlags::all(), first * each..last * each).ok()
}

/// Resamples interleaved floats to the part's speed, from `start` to `stop` of the presentation.
///
/// The pitch follows the speed, as on a tape; interpolation is linear. Samples lie on a grid that
/// starts with the part, so that buffers join without seams.
fn resampled(decoded: &DecodedBuffer, part: &EditPart, start: i64, stop: i64) -> Option<DecodedBuffer> {
    let structure = decoded.caps.structure(0)?;
    let rate = f64::from(structure.get::<i32>("rate").ok()?);
    let channels = usize::try_from(structure.get::<i32>("channels").ok()?).ok().filter(|&n| n > 0)?;
    if structure.get::<&str>("format") != Ok("F32LE") {
        return Some(DecodedBuffer {
            buffer: decoded.buffer.clone(),
            caps: decoded.caps.clone(),
            time_ns: start,
            duration_ns: Some((stop - start) as u64),
            turn: decoded.turn,
        });
    }
    let map = decoded.buffer.map_readable().ok()?;
    let frames: Vec<&[u8]> = map.chunks_exact(4 * channels).collect();
    let last = frames.len().checked_sub(1)?;
    let grid = |ns: i64| (ns.saturating_sub(part.at_ns) as f64 * rate / 1e9).ceil() as i64;
    let (first, end) = (grid(start), grid(stop));
    let speed = f64::from(part.speed) / 65_536.0;
    let offset = part.media_ns.saturating_sub(decoded.time_ns) as f64 * rate / 1e9;
    let mut out = Vec::with_capacity(usize::try_from(end - first).ok()? * 4 * channels);
    for index in first..end {
        let at = (index as f64 * speed + offset).clamp(0.0, last as f64);
        let (before, share) = (at as usize, at.fract() as f32);
        let (current, next) = (frames[before], frames[(before + 1).min(last)]);
        for (current, next) in current.chunks_exact(4).zip(next.chunks_exact(4)) {
            let value = |b: &[u8]| f32::from_le_bytes([b[0], b[1], b[2], b[3]]);
            out.extend((value(current) * (1.0 - share) + value(next) * share).to_le_bytes());
        }
    }
    let ns = |index: i64| (index as f64 * 1e9 / rate).round() as i64;
    Some(DecodedBuffer {
        buffer: gst::Buffer::from_mut_slice(out),
        caps: decoded.caps.clone(),
        time_ns: part.at_ns.saturating_add(ns(first)),
        duration_ns: Some((ns(end) - ns(first)) as u64),
        turn: decoded.turn,
    })
    .filter(|made| made.buffer.size() > 0)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::media::Orientation;
    use crate::mp4::edit_list::TrackTiming;

    const MS: i64 = 1_000_000;
    const NORMAL: u32 = 0x1_0000;

    /// A presenter for a movie of 1000 ticks a second: lengths and starts in milliseconds.
    fn presenter(entries: &[(u32, i32, u32)]) -> Presenter {
        gst::init().unwrap();
        let mut list = vec![0, 0, 0, 0];
        list.extend((entries.len() as u32).to_be_bytes());
        for (length, start, speed) in entries {
            list.extend([length.to_be_bytes(), start.to_be_bytes(), speed.to_be_bytes()].concat());
        }
        let timing = TrackTiming { movie_timescale: 1000, media_timescale: 1000, ..TrackTiming::default() };
        Presenter::new(&EditList::parse(&list, timing).unwrap())
    }

    fn audio(time_ms: i64) -> DecodedBuffer {
        let caps = gst::Caps::builder("audio/x-raw").field("rate", 1000).build();
        // 100 ms of samples of two bytes.
        let buffer = gst::Buffer::from_mut_slice((0..200).collect::<Vec<u8>>());
        DecodedBuffer {
            buffer,
            caps,
            time_ns: time_ms * MS,
            duration_ns: Some(100_000_000),
            turn: Orientation::default(),
        }
    }

    fn frame(time_ms: i64) -> DecodedBuffer {
        let caps = gst::Caps::builder("video/x-raw").build();
        DecodedBuffer {
            buffer: gst::Buffer::new(),
            caps,
            time_ns: time_ms * MS,
            duration_ns: Some(100_000_000),
            turn: Orientation::default(),
        }
    }

    fn taken(presenter: &mut Presenter) -> Vec<(i64, i64)> {
        let times = |d: DecodedBuffer| (d.time_ns / MS, d.duration_ns.unwrap_or(0) as i64 / MS);
        std::iter::from_fn(|| presenter.pop()).map(times).collect()
    }

    #[test]
    fn audio_is_cut_to_the_sample_at_both_ends() {
        let mut presenter = presenter(&[(500, -1, NORMAL), (120, 30, NORMAL)]);
        for time_ms in [0, 100, 200] {
            assert!(presenter.push(audio(time_ms)));
        }
        let first = presenter.pop().unwrap();
        assert_eq!((first.time_ns, first.duration_ns), (500 * MS, Some(70_000_000)));
        assert_eq!(first.buffer.size(), 140);
        assert_eq!(first.buffer.map_readable().unwrap()[0], 60);
        let second = presenter.pop().unwrap();
        assert_eq!((second.time_ns, second.buffer.size()), (570 * MS, 100));
        assert!(presenter.pop().is_none());
    }

    #[test]
    fn frames_follow_the_speed_of_their_part_and_nothing_else_is_presented() {
        let mut presenter =
            presenter(&[(300, 0, NORMAL), (400, 300, NORMAL / 2), (100, 800, NORMAL), (200, 900, 0)]);
        for index in 0..12 {
            assert!(presenter.push(frame(index * 100)));
        }
        let expected = [(0, 100), (100, 100), (200, 100), (300, 200), (500, 200), (700, 100), (800, 200)];
        assert_eq!(taken(&mut presenter), expected);
        assert!(!presenter.push(frame(2000)));
        assert_eq!(presenter.next_run(), None);
    }

    #[test]
    fn a_frame_that_continues_across_a_seam_comes_once() {
        let mut presenter = presenter(&[(150, 0, NORMAL), (300, 150, NORMAL / 2)]);
        for index in 0..3 {
            presenter.push(frame(index * 100));
        }
        assert_eq!(taken(&mut presenter), [(0, 100), (100, 150), (250, 200)]);
    }

    #[test]
    fn parts_that_go_back_are_presented_in_another_pass() {
        let mut presenter = presenter(&[(200, 500, NORMAL), (100, 100, NORMAL)]);
        assert!(!presenter.is_one_pass());
        for index in 0..8 {
            presenter.push(frame(index * 100));
        }
        assert_eq!(taken(&mut presenter), [(0, 100), (100, 100)]);
        assert_eq!(presenter.next_run(), Some(100 * MS));
        for index in 0..4 {
            presenter.push(frame(index * 100));
        }
        assert_eq!(taken(&mut presenter), [(200, 100)]);
        assert!(presenter.is_last_run());
    }

    #[test]
    fn audio_at_another_speed_is_resampled_without_seams() {
        let mut presenter = presenter(&[(1, 0, NORMAL), (400, 50, NORMAL / 2), (50, 500, 2 * NORMAL)]);
        let caps = gst::Caps::builder("audio/x-raw")
            .field("format", "F32LE")
            .field("rate", 1000)
            .field("channels", 1)
            .build();
        // A ramp of one a millisecond.
        for block in 0..10 {
            let samples =
                (0..100).flat_map(|i| ((block * 100 + i) as f32).to_le_bytes()).collect::<Vec<u8>>();
            presenter.push(DecodedBuffer {
                buffer: gst::Buffer::from_mut_slice(samples),
                caps: caps.clone(),
                time_ns: block * 100 * MS,
                duration_ns: Some(100_000_000),
                turn: Orientation::default(),
            });
        }
        let mut ramp = Vec::new();
        while let Some(decoded) = presenter.pop() {
            assert_eq!(decoded.time_ns, ramp.len() as i64 * MS);
            let map = decoded.buffer.map_readable().unwrap();
            ramp.extend(map.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])));
        }
        assert_eq!(ramp.len(), 451);
        for (index, value) in ramp.iter().enumerate().skip(1) {
            let since = index as f32 - 1.0;
            let exact = if index <= 400 { 50.0 + since / 2.0 } else { 500.0 + (since - 400.0) * 2.0 };
            assert!((value - exact).abs() <= 0.5, "{index}: {value}, not {exact}");
        }
    }
}
