//! Observes the packets that leave a demuxer's pads.

use std::sync::{Arc, Mutex, PoisonError};

use gstreamer as gst;
use gstreamer::prelude::*;

use super::scanned_track::{MAX_TIMES, ScannedTrack, SharedTracks};
use super::size_samples::{SizeReader, SizeSampler};
use crate::gst::{element, signed_ns};

/// What a scan collects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScanDetail {
    /// Times only.
    Times,
    /// Sizes of frames too. If the file is not read to its end, those of samples spread over it.
    TimesAndSizes,
}

/// The times of packets that count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PacketTimes {
    /// Running times, and nothing before the segment's start.
    Running,
    /// Running times of all packets.
    Unclipped,
    /// Stream times. For a track in fragments the demuxer takes the first as the start of its
    /// segment, so that in running time all tracks would begin together.
    Media,
}

type Segment = gst::FormattedSegment<gst::ClockTime>;

/// Observes all pads of a demuxer.
pub struct PacketObserver {
    tracks: SharedTracks,
    pipeline: gst::glib::WeakRef<gst::Pipeline>,
    times: PacketTimes,
    detail: ScanDetail,
    sampler: Arc<SizeSampler>,
}

impl PacketObserver {
    /// An observer that adds to `tracks`.
    pub fn new(
        tracks: SharedTracks,
        pipeline: gst::glib::WeakRef<gst::Pipeline>,
        times: PacketTimes,
        detail: ScanDetail,
    ) -> Self {
        Self { tracks, pipeline, times, detail, sampler: Arc::default() }
    }

    /// Samples sizes after the scan.
    pub fn sampler(&self) -> Arc<SizeSampler> {
        self.sampler.clone()
    }

    /// Adds a track for a pad of the demuxer. Its packets end in a sink that drops them.
    pub fn observe(&self, pad: &gst::Pad) {
        let Some(pipeline) = self.pipeline.upgrade() else { return };
        let Ok(sink) = element("fakesink") else { return };
        sink.set_property("sync", false);
        sink.set_property("async", false);
        let state = Mutex::new(self.add_track(pad));
        let tracks = self.tracks.clone();
        let mask = gst::PadProbeType::BUFFER
            | gst::PadProbeType::BUFFER_LIST
            | gst::PadProbeType::EVENT_DOWNSTREAM
            | gst::PadProbeType::EVENT_FLUSH;
        pad.add_probe(mask, move |_, info| {
            let mut tracks = tracks.lock().unwrap_or_else(PoisonError::into_inner);
            let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(track) = tracks.get_mut(state.index) {
                state.add(track, info);
            }
            gst::PadProbeReturn::Ok
        });
        // A pad that cannot be linked has a track without packets, which is not chosen.
        let _is_linked = pipeline.add(&sink).is_ok()
            && sink.sync_state_with_parent().is_ok()
            && sink.static_pad("sink").is_some_and(|to| pad.link(&to).is_ok());
    }

    fn add_track(&self, pad: &gst::Pad) -> PadState {
        let caps = pad.current_caps();
        let mut sizes = SizeReader::default();
        if let (ScanDetail::TimesAndSizes, Some(caps)) = (self.detail, &caps) {
            sizes.set_caps(caps);
        }
        // The demuxer of MP4 ends a stream's name with the track's ID.
        let track_id = pad.stream_id().and_then(|id| id.rsplit('/').next()?.parse().ok());
        let mut tracks = self.tracks.lock().unwrap_or_else(PoisonError::into_inner);
        tracks.push(ScannedTrack { caps, track_id, ..ScannedTrack::default() });
        PadState {
            index: tracks.len() - 1,
            segment: None,
            sizes,
            times: self.times,
            detail: self.detail,
            sampler: self.sampler.clone(),
        }
    }
}

/// What is known of one pad.
struct PadState {
    /// Index of its track.
    index: usize,
    segment: Option<Segment>,
    sizes: SizeReader,
    times: PacketTimes,
    detail: ScanDetail,
    sampler: Arc<SizeSampler>,
}

impl PadState {
    /// Adds what leaves the pad.
    fn add(&mut self, track: &mut ScannedTrack, info: &gst::PadProbeInfo<'_>) {
        match &info.data {
            Some(gst::PadProbeData::Buffer(buffer)) => self.add_buffer(track, buffer),
            Some(gst::PadProbeData::BufferList(list)) => {
                list.iter_owned().for_each(|buffer| self.add_buffer(track, &buffer));
            }
            Some(gst::PadProbeData::Event(event)) => self.add_event(track, event),
            _ => {}
        }
    }

    fn add_buffer(&mut self, track: &mut ScannedTrack, buffer: &gst::Buffer) {
        if self.sampler.is_active() {
            self.sampler.add(&mut self.sizes, buffer, &mut track.sizes);
        } else {
            self.sizes.add(buffer, &mut track.sizes);
            add_packet(track, buffer, self.segment.as_ref(), self.times);
        }
    }

    fn add_event(&mut self, track: &mut ScannedTrack, event: &gst::Event) {
        match event.view() {
            gst::EventView::Caps(caps) => {
                if self.detail == ScanDetail::TimesAndSizes {
                    self.sizes.set_caps(caps.caps());
                }
                if !self.sampler.is_active() {
                    track.caps = Some(caps.caps_owned());
                }
            }
            gst::EventView::FlushStop(_) => self.sizes.reset(),
            gst::EventView::Segment(new) => self.segment = new.segment().downcast_ref().cloned(),
            gst::EventView::Tag(tag) => add_tags(track, tag.tag()),
            _ => {}
        }
    }
}

fn add_tags(track: &mut ScannedTrack, list: &gst::TagListRef) {
    if let Some(value) = list.get::<gst::tags::ImageOrientation>() {
        track.orientation_tag = Some(value.get().to_owned());
    }
    if let Some(value) = list.get::<gst::tags::LanguageCode>() {
        track.language = Some(value.get().to_owned());
    }
}

/// Adds the part of a packet that is presented. The segment, which an edit list becomes, clips it.
fn add_packet(
    track: &mut ScannedTrack,
    buffer: &gst::BufferRef,
    segment: Option<&Segment>,
    times: PacketTimes,
) {
    track.packets += 1;
    track.bytes += buffer.size() as u64;
    // AVI has no presentation times; a decode time is as near as it gets.
    let Some(pts) = buffer.pts().or(buffer.dts()) else { return };
    let length = buffer.duration().unwrap_or(gst::ClockTime::ZERO);
    let Some(segment) = segment else { return };
    let Some(end) = pts.checked_add(length) else { return };
    let clips_start = times != PacketTimes::Unclipped;
    let from = segment.start().filter(|_| clips_start).map_or(pts, |start| pts.max(start));
    let until = segment.stop().map_or(end, |stop| end.min(stop));
    if until < from || (until == from && length > gst::ClockTime::ZERO) {
        return;
    }
    let track_time_ns = |time: gst::ClockTime| {
        let signed = match times {
            PacketTimes::Media => segment.to_stream_time_full(time),
            _ => segment.to_running_time_full(time),
        };
        signed.map(signed_ns)
    };
    let (Some(from), Some(until)) = (track_time_ns(from), track_time_ns(until)) else { return };
    track.start_ns = Some(track.start_ns.map_or(from, |start| start.min(from)));
    if track.times_ns.is_empty() || until >= track.end_ns {
        track.last_packet_bytes = buffer.size() as u64;
    }
    track.end_ns = if track.times_ns.is_empty() { until } else { track.end_ns.max(until) };
    if track.times_ns.len() < MAX_TIMES {
        track.times_ns.push(from);
    }
    if !buffer.flags().contains(gst::BufferFlags::DELTA_UNIT) {
        let before = track.last_keyframe_ns.replace(from).unwrap_or(from);
        track.keyframes_apart_ns = track.keyframes_apart_ns.max(from.saturating_sub(before));
    }
}
