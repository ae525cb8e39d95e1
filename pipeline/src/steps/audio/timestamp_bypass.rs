//! A bypass that keeps timestamps away from the resampler.
//!
//! GStreamer's `audioresample` restarts its filter where a timestamp is 31 ms off, or a buffer is
//! marked as discontinuous. That is audible, and drops the audio in the filter. It also smooths
//! smaller deviations.
//!
//! Here it gets timestamps that only count samples, in a segment without an end. So the samples
//! pass as one stream. Each buffer gets the original timestamp of its samples back after it.

use std::sync::{Arc, Mutex, PoisonError};

use gstreamer as gst;
use gstreamer::prelude::*;

use super::sample_rate::RATE_HZ;
use crate::error::{Error, Result};

/// Bytes of a frame of two 32-bit samples.
const FRAME_BYTES: usize = 8;

/// The state of the bypass. Counts are in frames at [`RATE_HZ`].
#[derive(Default)]
struct TimestampBypass {
    rate_hz: u64,
    /// Start of the last buffer that entered, and its timestamp.
    input_start: u64,
    input_timestamp: Option<gst::ClockTime>,
    /// Input frames since `restart_frames`, at their own rate.
    frames_in: u64,
    restart_frames: u64,
    frames_out: u64,
    is_restarted: bool,
    /// The segment of the timestamps.
    segment: Option<gst::Event>,
}

impl TimestampBypass {
    fn enter(&mut self, buffer: &mut gst::BufferRef) {
        if self.is_restarted {
            // New caps or a new segment empty the filter.
            (self.restart_frames, self.frames_in, self.is_restarted) = (self.frames_out, 0, false);
        }
        self.input_start = self.restart_frames + self.frames_in * RATE_HZ / self.rate_hz.max(1);
        self.input_timestamp = buffer.pts();
        let counted = self.frames_in as u128 * 1_000_000_000 / u128::from(self.rate_hz.max(1));
        buffer.set_pts(gst::ClockTime::from_nseconds(counted as u64));
        buffer.unset_flags(gst::BufferFlags::DISCONT);
        self.frames_in += (buffer.size() / FRAME_BYTES) as u64;
    }

    fn leave(&mut self, buffer: &mut gst::BufferRef) {
        let nanoseconds = |frames: u64| gst::ClockTime::from_nseconds(frames * 1_000_000_000 / RATE_HZ);
        // The filter holds some frames, so its output is a little older than its newest input.
        let pts = self.input_timestamp.map(|input_timestamp| {
            if self.frames_out < self.input_start {
                input_timestamp.saturating_sub(nanoseconds(self.input_start - self.frames_out))
            } else {
                input_timestamp + nanoseconds(self.frames_out - self.input_start)
            }
        });
        let frames = (buffer.size() / FRAME_BYTES) as u64;
        buffer.set_pts(pts);
        buffer.set_duration(nanoseconds(frames));
        self.frames_out += frames;
    }
}

/// Hides timestamps from a resampler, whose output must be stereo at [`RATE_HZ`].
pub fn install(resampler: &gst::Element) -> Result<()> {
    let pad =
        |name| resampler.static_pad(name).ok_or_else(|| Error::internal("the resampler has no such pad"));
    let bypass = Arc::new(Mutex::new(TimestampBypass::default()));
    let entering = bypass.clone();
    let mask = gst::PadProbeType::BUFFER | gst::PadProbeType::EVENT_DOWNSTREAM;
    pad("sink")?.add_probe(mask, move |_, info| {
        let mut bypass = entering.lock().unwrap_or_else(PoisonError::into_inner);
        match &mut info.data {
            Some(gst::PadProbeData::Buffer(buffer)) => bypass.enter(buffer.make_mut()),
            Some(gst::PadProbeData::Event(event)) => match event.view() {
                gst::EventView::Caps(caps) => {
                    let rate = caps.caps().structure(0).and_then(|s| s.get::<i32>("rate").ok());
                    bypass.rate_hz = rate.map_or(RATE_HZ, |rate| rate.max(1) as u64);
                    bypass.is_restarted = true;
                }
                gst::EventView::Segment(segment) => {
                    let open = gst::FormattedSegment::<gst::ClockTime>::new();
                    let open = gst::event::Segment::builder(&open).seqnum(segment.seqnum()).build();
                    bypass.segment = Some(std::mem::replace(event, open));
                    bypass.is_restarted = true;
                }
                _ => {}
            },
            _ => {}
        }
        gst::PadProbeReturn::Ok
    });
    pad("src")?.add_probe(mask, move |_, info| {
        let mut bypass = bypass.lock().unwrap_or_else(PoisonError::into_inner);
        match &mut info.data {
            Some(gst::PadProbeData::Buffer(buffer)) => bypass.leave(buffer.make_mut()),
            Some(gst::PadProbeData::Event(event)) if event.type_() == gst::EventType::Segment => {
                if let Some(segment) = &bypass.segment {
                    *event = segment.clone();
                }
            }
            _ => {}
        }
        gst::PadProbeReturn::Ok
    });
    Ok(())
}
