//! A pass over a file's packets, without decoding: which tracks there are, and when they start and end.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use gstreamer as gst;
use gstreamer::prelude::*;

use super::samples::{Sampling, SizeReader};
use super::scanned::{MOST_TIMES, Scanned, Tracks};
use crate::context::StepContext;
use crate::cpu_clock::ContentionClock;
use crate::error::{Error, Result};
use crate::gst::{RunningPipeline, element, is_audio, is_video, open_demuxer, signed_ns};
use crate::limits::MAX_FULL_SCAN_BYTES;
use crate::mp4::sample_times::SampleTimes;
use crate::source::{ReadAt, Source};

/// Of a larger file, this much is read.
const PART_BYTES: u64 = 24 << 20;
/// Longest scan.
const LONGEST: Duration = Duration::from_millis(2500);
/// Longest look at samples of a large file.
const LONGEST_SAMPLES: Duration = Duration::from_millis(1500);
/// All scans of one file together: the first pictures and sounds still have to be decoded within the step's deadline.
const LONGEST_ALL: Duration = Duration::from_millis(5000);
/// What a scan saw.
pub struct Scan {
    /// Tracks in the demuxer's order.
    pub tracks: Vec<Scanned>,
    /// Whether the whole file was read.
    pub whole: bool,
    /// Length the demuxer claims, in ns.
    pub claimed_ns: Option<u64>,
    /// What went wrong, if the file is damaged.
    pub error: Option<Error>,
}

/// Counts what is read, so that a large file is not read whole.
struct Counting {
    inner: Source,
    read: AtomicU64,
}

impl ReadAt for Counting {
    fn size_bytes(&self) -> u64 {
        self.inner.size_bytes()
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> std::io::Result<usize> {
        let n = self.inner.read_at(offset, buf)?;
        self.read.fetch_add(n as u64, Ordering::Relaxed);
        Ok(n)
    }
}

/// What a scan looks for beyond times.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Look {
    /// Nothing.
    Times,
    /// Sizes of frames too: of a file that is not read to its end, in samples spread over it.
    Sizes,
}

/// How much of a file of this size is read.
pub fn budget(size_bytes: u64) -> u64 {
    if size_bytes <= MAX_FULL_SCAN_BYTES { u64::MAX } else { PART_BYTES }
}

/// Reads a file's packets until `budget` bytes are read, as long as the step's `clock` leaves time for it.
pub fn scan(
    source: Source,
    container: &str,
    budget: u64,
    look: Look,
    clock: &ContentionClock,
    ctx: &StepContext,
) -> Result<Scan> {
    // The demuxer of a transport stream starts at its first packet, a keyframe that pictures before it may precede.
    let reading = if container == "mpegts" { Reading::Unclipped } else { Reading::Running };
    scan_as((reading, look), source, container, budget, clock, ctx)
}

/// Reads the packets of an MP4 of one track without an edit list: times are media times.
pub fn scan_media(source: Source, budget: u64, clock: &ContentionClock, ctx: &StepContext) -> Result<Scan> {
    scan_as((Reading::Media, Look::Times), source, "mp4", budget, clock, ctx)
}

/// Which times of packets count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reading {
    /// Running times, and nothing before the segment's start.
    Running,
    /// Running times of all packets.
    Unclipped,
    /// Stream times. Of a track in fragments the demuxer takes the first as the start of its segment, so that in
    /// running time all tracks would begin together.
    Media,
}

fn scan_as(
    (reading, look): (Reading, Look),
    source: Source,
    container: &str,
    budget: u64,
    clock: &ContentionClock,
    ctx: &StepContext,
) -> Result<Scan> {
    let counting = Arc::new(Counting { inner: source, read: AtomicU64::new(0) });
    let (pipeline, demux) = open_demuxer(counting.clone(), container)?;
    let tracks = Tracks::default();
    let watch = Watch {
        tracks: tracks.clone(),
        pipeline: pipeline.downgrade(),
        reading,
        look,
        sampling: Arc::default(),
    };
    let sampling = watch.sampling.clone();
    if let Some(pad) = demux.static_pad("src") {
        watch.pad(&pad);
    } else {
        demux.connect_pad_added(move |_, pad| watch.pad(pad));
    }
    let stage = RunningPipeline::new(pipeline);
    let until = (clock.elapsed() + LONGEST).min(LONGEST_ALL);
    let mut error = stage.start(gst::State::Playing).err();
    let mut whole = false;
    while error.is_none() {
        ctx.check_cancelled()?;
        match stage.wait_for_end(Duration::from_millis(20)) {
            Ok(true) => {
                whole = true;
                break;
            }
            Ok(false) => {}
            Err(found) => error = Some(found),
        }
        if counting.read.load(Ordering::Relaxed) > budget || clock.elapsed() > until {
            break;
        }
    }
    let claimed_ns = demux
        .query_duration::<gst::ClockTime>()
        .or_else(|| stage.pipeline.query_duration::<gst::ClockTime>())
        .map(gst::ClockTime::nseconds);
    if let (Look::Sizes, false, None, Some(claimed_ns)) = (look, whole, &error, claimed_ns) {
        let until = (clock.elapsed() + LONGEST_SAMPLES).min(LONGEST_ALL);
        let has_read_enough = || counting.read.load(Ordering::Relaxed) > budget.saturating_mul(2);
        let is_over = || has_read_enough() || clock.elapsed() > until;
        sampling.sample(&demux, &tracks, claimed_ns, &is_over, ctx)?;
    }
    drop(stage);
    let tracks = std::mem::take(&mut *tracks.lock().unwrap_or_else(PoisonError::into_inner));
    Ok(Scan { tracks, whole, claimed_ns, error })
}

/// What watches a demuxer's pads.
struct Watch {
    tracks: Tracks,
    pipeline: gst::glib::WeakRef<gst::Pipeline>,
    reading: Reading,
    look: Look,
    sampling: Arc<Sampling>,
}

impl Watch {
    /// Takes a demuxer's pad in: its packets end in a sink that throws them away.
    fn pad(&self, pad: &gst::Pad) {
        let (tracks, reading, look) = (&self.tracks, self.reading, self.look);
        let Some(pipeline) = self.pipeline.upgrade() else { return };
        let Ok(sink) = element("fakesink") else { return };
        sink.set_property("sync", false);
        sink.set_property("async", false);
        let place = {
            let mut tracks = tracks.lock().unwrap_or_else(PoisonError::into_inner);
            // The demuxer of MP4 ends a stream's name with the track's number.
            let number = pad.stream_id().and_then(|id| id.rsplit('/').next()?.parse().ok());
            tracks.push(Scanned { caps: pad.current_caps(), number, ..Scanned::default() });
            tracks.len() - 1
        };
        let (tracks, sampling) = (tracks.clone(), self.sampling.clone());
        let mut segment: Option<gst::FormattedSegment<gst::ClockTime>> = None;
        let segment = Mutex::new(segment.take());
        let sizes = Mutex::new(SizeReader::default());
        if let (Look::Sizes, Some(caps)) = (look, pad.current_caps()) {
            sizes.lock().unwrap_or_else(PoisonError::into_inner).caps(&caps);
        }
        let mask = gst::PadProbeType::BUFFER
            | gst::PadProbeType::BUFFER_LIST
            | gst::PadProbeType::EVENT_DOWNSTREAM
            | gst::PadProbeType::EVENT_FLUSH;
        pad.add_probe(mask, move |_, info| {
            let mut tracks = tracks.lock().unwrap_or_else(PoisonError::into_inner);
            let mut segment = segment.lock().unwrap_or_else(PoisonError::into_inner);
            let mut sizes = sizes.lock().unwrap_or_else(PoisonError::into_inner);
            let Some(track) = tracks.get_mut(place) else { return gst::PadProbeReturn::Ok };
            let is_sample = sampling.is_active();
            let mut take = |buffer: &gst::Buffer| {
                if is_sample {
                    sampling.packet(&mut sizes, buffer, &mut track.sizes);
                } else {
                    sizes.packet(buffer, &mut track.sizes);
                    packet(track, buffer, segment.as_ref(), reading);
                }
            };
            match &info.data {
                Some(gst::PadProbeData::Buffer(buffer)) => take(buffer),
                Some(gst::PadProbeData::BufferList(list)) => {
                    list.iter_owned().for_each(|buffer| take(&buffer))
                }
                Some(gst::PadProbeData::Event(event)) => match event.view() {
                    gst::EventView::Caps(caps) => {
                        if look == Look::Sizes {
                            sizes.caps(caps.caps());
                        }
                        if !is_sample {
                            track.caps = Some(caps.caps_owned());
                        }
                    }
                    gst::EventView::FlushStop(_) => sizes.flushed(),
                    gst::EventView::Segment(new) => *segment = new.segment().downcast_ref().cloned(),
                    gst::EventView::Tag(tag) => tags(track, tag.tag()),
                    _ => {}
                },
                _ => {}
            }
            gst::PadProbeReturn::Ok
        });
        let linked = pipeline.add(&sink).is_ok()
            && sink.sync_state_with_parent().is_ok()
            && sink.static_pad("sink").is_some_and(|to| pad.link(&to).is_ok());
        if !linked {
            tracing::warn!("a track could not be scanned");
        }
    }
}

fn tags(track: &mut Scanned, list: &gst::TagListRef) {
    if let Some(value) = list.get::<gst::tags::ImageOrientation>() {
        track.orientation = Some(value.get().to_owned());
    }
    if let Some(value) = list.get::<gst::tags::LanguageCode>() {
        track.language = Some(value.get().to_owned());
    }
}

/// A packet's presented part: cut to the segment, which is what an edit list becomes.
fn packet(
    track: &mut Scanned,
    buffer: &gst::BufferRef,
    segment: Option<&gst::FormattedSegment<gst::ClockTime>>,
    reading: Reading,
) {
    track.packets += 1;
    track.bytes += buffer.size() as u64;
    // AVI has no presentation times; a decode time is as near as it tells.
    let Some(pts) = buffer.pts().or(buffer.dts()) else { return };
    let length = buffer.duration().unwrap_or(gst::ClockTime::ZERO);
    let Some(segment) = segment else { return };
    let Some(end) = pts.checked_add(length) else { return };
    let clips = reading != Reading::Unclipped;
    let from = segment.start().filter(|_| clips).map_or(pts, |start| pts.max(start));
    let until = segment.stop().map_or(end, |stop| end.min(stop));
    if until < from || (until == from && length > gst::ClockTime::ZERO) {
        return;
    }
    let of_track = |time: gst::ClockTime| {
        let signed = match reading {
            Reading::Media => segment.to_stream_time_full(time),
            _ => segment.to_running_time_full(time),
        };
        signed.map(signed_ns)
    };
    let (Some(from), Some(until)) = (of_track(from), of_track(until)) else { return };
    track.start_ns = Some(track.start_ns.map_or(from, |start| start.min(from)));
    if track.times_ns.is_empty() || until >= track.end_ns {
        track.last_bytes = buffer.size() as u64;
    }
    track.end_ns = if track.times_ns.is_empty() { until } else { track.end_ns.max(until) };
    if track.times_ns.len() < MOST_TIMES {
        track.times_ns.push(from);
    }
    if !buffer.flags().contains(gst::BufferFlags::DELTA_UNIT) {
        let before = track.keyframe_ns.replace(from).unwrap_or(from);
        track.keyframes_apart_ns = track.keyframes_apart_ns.max(from.saturating_sub(before));
    }
}

impl Scan {
    /// The track of this number, where something of it is presented.
    pub fn track(&self, number: Option<u32>) -> Option<&Scanned> {
        self.tracks.iter().find(|track| track.number == number && track.start_ns.is_some())
    }

    /// What a scan of one track would see whose samples are known.
    pub fn of_table(number: Option<u32>, shown: SampleTimes) -> Self {
        let track = Scanned {
            number,
            packets: shown.samples,
            start_ns: shown.times_ns.first().copied(),
            end_ns: shown.end_ns,
            times_ns: shown.times_ns,
            keyframe_ns: shown.keyframe_ns,
            keyframes_apart_ns: shown.keyframes_apart_ns,
            ..Scanned::default()
        };
        Self { tracks: vec![track], whole: true, claimed_ns: None, error: None }
    }

    /// Takes the tracks' ends from a scan of the file's end, if that got there.
    pub fn end_as(&mut self, last: &Self) {
        // Where the file is cut off, the end is that of what can be read.
        if !last.whole && last.error.is_none() {
            return;
        }
        let mut further = false;
        for track in &mut self.tracks {
            if let Some(last) = last.tracks.iter().find(|last| last.number == track.number) {
                further |= last.end_ns > track.end_ns;
                track.end_ns = track.end_ns.max(last.end_ns);
                track.keyframe_ns = track.keyframe_ns.max(last.keyframe_ns);
            }
        }
        self.whole = last.whole || further;
    }

    /// Whether a track is one that only a key opens, by what demuxers call such tracks.
    pub fn is_encrypted(&self) -> bool {
        let name = |track: &Scanned| Some(track.caps.as_ref()?.structure(0)?.name().to_string());
        let closed = ["application/x-webm-enc", "application/x-cenc", "application/x-cbcs"];
        self.tracks.iter().filter_map(name).any(|name| closed.contains(&name.as_str()))
    }

    /// Picture and sound tracks with packets, each kind numbered in the order the demuxer gave them.
    pub fn numbered(&self) -> Vec<Scanned> {
        let (mut pictures, mut sounds) = (0, 0);
        let mut found = Vec::new();
        for track in &self.tracks {
            let Some(caps) = &track.caps else { continue };
            let count = if is_video(caps) {
                &mut pictures
            } else if is_audio(caps) {
                &mut sounds
            } else {
                continue;
            };
            let index = *count;
            *count += 1;
            if track.packets > 0 {
                found.push(Scanned { index, picture: is_video(caps), ..track.clone() });
            }
        }
        found
    }
}
