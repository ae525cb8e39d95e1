//! Reads the sizes of a track's frames while it is scanned, and those of a large file in samples
//! spread over it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, PoisonError};
use std::time::{Duration, Instant};

use gstreamer as gst;
use gstreamer::prelude::*;

use super::frame_headers::HeaderReader;
use super::frame_sizes::{FrameSize, FrameSizes};
use super::scanned_track::{ScannedTrack, SharedTracks};
use crate::context::StepContext;
use crate::error::Result;
use crate::gst::is_video;

/// Samples of a large file; a power of two.
const SAMPLES: u8 = 16;
/// Longest wait for one of them.
const MAX_SAMPLE_WAIT: Duration = Duration::from_millis(250);
/// Longest wait before the clock is read again.
const POLL_INTERVAL: Duration = Duration::from_millis(50);

/// Reads the sizes in a track's packets.
#[derive(Default)]
pub struct SizeReader {
    headers: Option<HeaderReader>,
    caps: Option<gst::Caps>,
    /// Whether the current sample gave its size.
    has_sample: bool,
}

impl SizeReader {
    /// Sets the demuxer's caps.
    pub fn set_caps(&mut self, caps: &gst::CapsRef) {
        match &mut self.headers {
            Some(headers) => headers.set_caps(caps),
            None => self.headers = HeaderReader::new(caps),
        }
        self.caps = Some(caps.to_owned());
    }

    /// Starts over, because packets from another position of the file follow.
    pub fn reset(&mut self) {
        self.headers = self.caps.as_deref().and_then(HeaderReader::new);
        self.has_sample = false;
    }

    /// Adds the sizes in a packet.
    pub fn add(&mut self, buffer: &gst::Buffer, sizes: &mut FrameSizes) {
        self.read(buffer, |at_ns, size| sizes.add(at_ns, size));
        if let Some(end) = buffer.pts().and_then(|pts| pts.checked_add(buffer.duration()?)) {
            sizes.extend_until(nanoseconds(end));
        }
    }

    fn read(&mut self, buffer: &gst::Buffer, mut on_size: impl FnMut(i64, FrameSize)) {
        if let Some(headers) = &mut self.headers {
            headers.read(buffer, |time, size| on_size(nanoseconds(time), size));
        }
    }
}

fn nanoseconds(time: gst::ClockTime) -> i64 {
    i64::try_from(time.nseconds()).unwrap_or(i64::MAX)
}

/// Reads the sizes of samples spread over a file.
#[derive(Default)]
pub struct SizeSampler {
    is_active: AtomicBool,
    has_new_size: Condvar,
}

impl SizeSampler {
    /// Whether packets come from samples. Those give sizes, but no times.
    pub fn is_active(&self) -> bool {
        self.is_active.load(Ordering::Relaxed)
    }

    /// Adds the size in a packet of a sample, if it is the first there.
    pub fn add(&self, reader: &mut SizeReader, buffer: &gst::Buffer, sizes: &mut FrameSizes) {
        if reader.has_sample {
            return;
        }
        let mut first = None;
        reader.read(buffer, |at_ns, size| first = first.or(Some((at_ns, size))));
        if let Some((at_ns, size)) = first {
            reader.has_sample = true;
            sizes.add_sample(at_ns, size);
            self.has_new_size.notify_all();
        }
    }

    /// Seeks to samples spread over a recording of this length, until `is_over`.
    pub fn sample(
        &self,
        demux: &gst::Element,
        tracks: &SharedTracks,
        declared_ns: u64,
        is_over: &dyn Fn() -> bool,
        ctx: &StepContext,
    ) -> Result<()> {
        let lock = || tracks.lock().unwrap_or_else(PoisonError::into_inner);
        let count = |tracks: &[ScannedTrack]| -> usize { tracks.iter().map(|track| track.sizes.len()).sum() };
        let is_video = |pad: &gst::Pad| pad.current_caps().is_some_and(|caps| is_video(&caps));
        let pad = demux.src_pads().into_iter().find(is_video);
        let Some(pad) = pad.filter(|_| count(&lock()) > 0) else { return Ok(()) };
        self.is_active.store(true, Ordering::Relaxed);
        // In bit-reversed order, each sample is as far as possible from those before.
        let shift = u8::BITS - SAMPLES.trailing_zeros();
        for sample in (1..SAMPLES).map(|sample| sample.reverse_bits() >> shift) {
            let before = count(&lock());
            let at = gst::ClockTime::from_nseconds(declared_ns / u64::from(SAMPLES) * u64::from(sample));
            let flags = gst::SeekFlags::FLUSH | gst::SeekFlags::KEY_UNIT;
            let (set, none) = (gst::SeekType::Set, gst::SeekType::None);
            if !pad.send_event(gst::event::Seek::new(1.0, flags, set, at, none, gst::ClockTime::NONE)) {
                break;
            }
            let start = Instant::now();
            let mut tracks = lock();
            while count(&tracks) == before && start.elapsed() < MAX_SAMPLE_WAIT {
                ctx.check_cancelled()?;
                if is_over() {
                    return Ok(());
                }
                let woken = self.has_new_size.wait_timeout(tracks, POLL_INTERVAL);
                tracks = woken.unwrap_or_else(PoisonError::into_inner).0;
            }
        }
        Ok(())
    }
}
