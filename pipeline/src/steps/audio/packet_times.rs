//! Keeps time stamps away from the resampler.
//!
//! GStreamer's `audioresample` starts its filter anew where a time stamp is 31 ms off or a buffer is marked
//! as discontinuous: audible, and every time it drops what is left in the filter. It smooths smaller
//! deviations. Here it gets time stamps that only count samples, in a segment without an end: the samples pass
//! as one stream, and each buffer that comes out carries the time stamp of the samples that went in.

use std::sync::{Arc, Mutex, PoisonError};

use gstreamer as gst;
use gstreamer::prelude::*;

use super::timeline::RATE_HZ;
use crate::error::{Error, Result};

/// Bytes of a frame of two 32-bit samples.
const FRAME_BYTES: usize = 8;

/// What passed the resampler. Counts are in frames at [`RATE_HZ`].
#[derive(Default)]
struct Passage {
    rate_hz: u64,
    /// Where the last buffer that went in begins, and its time stamp.
    at: u64,
    stamp: Option<gst::ClockTime>,
    /// Input frames since `since`, at their own rate.
    went_in: u64,
    since: u64,
    came_out: u64,
    is_new: bool,
    /// The segment that the time stamps belong to.
    segment: Option<gst::Event>,
}

impl Passage {
    fn enter(&mut self, buffer: &mut gst::BufferRef) {
        if self.is_new {
            // After new caps or a new segment the filter is empty.
            (self.since, self.went_in, self.is_new) = (self.came_out, 0, false);
        }
        self.at = self.since + self.went_in * RATE_HZ / self.rate_hz.max(1);
        self.stamp = buffer.pts();
        let counted = self.went_in as u128 * 1_000_000_000 / u128::from(self.rate_hz.max(1));
        buffer.set_pts(gst::ClockTime::from_nseconds(counted as u64));
        buffer.unset_flags(gst::BufferFlags::DISCONT);
        self.went_in += (buffer.size() / FRAME_BYTES) as u64;
    }

    fn leave(&mut self, buffer: &mut gst::BufferRef) {
        let nanoseconds = |frames: u64| gst::ClockTime::from_nseconds(frames * 1_000_000_000 / RATE_HZ);
        // The filter holds some frames back, so what comes out is a little older than what went in last.
        let pts = self.stamp.map(|stamp| {
            if self.came_out < self.at {
                stamp.saturating_sub(nanoseconds(self.at - self.came_out))
            } else {
                stamp + nanoseconds(self.came_out - self.at)
            }
        });
        let frames = (buffer.size() / FRAME_BYTES) as u64;
        buffer.set_pts(pts);
        buffer.set_duration(nanoseconds(frames));
        self.came_out += frames;
    }
}

/// Makes a resampler, whose output must be stereo at [`RATE_HZ`], blind to time stamps.
pub fn bypass(resampler: &gst::Element) -> Result<()> {
    let pad =
        |name| resampler.static_pad(name).ok_or_else(|| Error::internal("the resampler has no such pad"));
    let passage = Arc::new(Mutex::new(Passage::default()));
    let entering = passage.clone();
    let mask = gst::PadProbeType::BUFFER | gst::PadProbeType::EVENT_DOWNSTREAM;
    pad("sink")?.add_probe(mask, move |_, info| {
        let mut passage = entering.lock().unwrap_or_else(PoisonError::into_inner);
        match &mut info.data {
            Some(gst::PadProbeData::Buffer(buffer)) => passage.enter(buffer.make_mut()),
            Some(gst::PadProbeData::Event(event)) => match event.view() {
                gst::EventView::Caps(caps) => {
                    let rate = caps.caps().structure(0).and_then(|s| s.get::<i32>("rate").ok());
                    passage.rate_hz = rate.map_or(RATE_HZ, |rate| rate.max(1) as u64);
                    passage.is_new = true;
                }
                gst::EventView::Segment(segment) => {
                    let open = gst::FormattedSegment::<gst::ClockTime>::new();
                    let open = gst::event::Segment::builder(&open).seqnum(segment.seqnum()).build();
                    passage.segment = Some(std::mem::replace(event, open));
                    passage.is_new = true;
                }
                _ => {}
            },
            _ => {}
        }
        gst::PadProbeReturn::Ok
    });
    pad("src")?.add_probe(mask, move |_, info| {
        let mut passage = passage.lock().unwrap_or_else(PoisonError::into_inner);
        match &mut info.data {
            Some(gst::PadProbeData::Buffer(buffer)) => passage.leave(buffer.make_mut()),
            Some(gst::PadProbeData::Event(event)) if event.type_() == gst::EventType::Segment => {
                if let Some(segment) = &passage.segment {
                    *event = segment.clone();
                }
            }
            _ => {}
        }
        gst::PadProbeReturn::Ok
    });
    Ok(())
}
