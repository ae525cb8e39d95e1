//! Sizes of a track's frames as the scan passes them, and of a large file in samples spread over
//! it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, PoisonError};
use std::time::{Duration, Instant};

use gstreamer as gst;
use gstreamer::prelude::*;

use super::headers::Headers;
use super::scanned::{Scanned, Tracks};
use super::sizes::{FrameSize, Sizes};
use crate::context::StepContext;
use crate::error::Result;
use crate::gst::is_video;

/// Places of a large file at which sizes are looked for; a power of two.
const SAMPLES: u8 = 16;
/// Longest wait for one of them.
const LONGEST_SAMPLE: Duration = Duration::from_millis(250);
/// How often the time that is left is looked at.
const LOOK: Duration = Duration::from_millis(50);

/// The sizes that a track's packets say.
#[derive(Default)]
pub struct SizeReader {
    headers: Option<Headers>,
    caps: Option<gst::Caps>,
    /// Whether the place that is being read gave its size.
    is_known: bool,
}

impl SizeReader {
    /// Takes the demuxer's caps.
    pub fn caps(&mut self, caps: &gst::CapsRef) {
        match &mut self.headers {
            Some(headers) => headers.caps(caps),
            None => self.headers = Headers::new(caps),
        }
        self.caps = Some(caps.to_owned());
    }

    /// Another place of the file follows.
    pub fn flushed(&mut self) {
        self.headers = self.caps.as_deref().and_then(Headers::new);
        self.is_known = false;
    }

    /// Takes a packet.
    pub fn packet(&mut self, buffer: &gst::Buffer, sizes: &mut Sizes) {
        self.read(buffer, |at_ns, size| sizes.add(at_ns, size));
        if let Some(end) = buffer.pts().and_then(|pts| pts.checked_add(buffer.duration()?)) {
            sizes.lasts_until(nanoseconds(end));
        }
    }

    fn read(&mut self, buffer: &gst::Buffer, mut take: impl FnMut(i64, FrameSize)) {
        if let Some(headers) = &mut self.headers {
            headers.packet(buffer, |time, size| take(nanoseconds(time), size));
        }
    }
}

fn nanoseconds(time: gst::ClockTime) -> i64 {
    i64::try_from(time.nseconds()).unwrap_or(i64::MAX)
}

/// The samples of one file.
#[derive(Default)]
pub struct Sampling {
    is_active: AtomicBool,
    found: Condvar,
}

impl Sampling {
    /// Whether packets come from samples: then they say sizes, and nothing of times.
    pub fn is_active(&self) -> bool {
        self.is_active.load(Ordering::Relaxed)
    }

    /// Takes a packet of a sample; the first frame there counts.
    pub fn packet(&self, reader: &mut SizeReader, buffer: &gst::Buffer, sizes: &mut Sizes) {
        if reader.is_known {
            return;
        }
        let mut first = None;
        reader.read(buffer, |at_ns, size| first = first.or(Some((at_ns, size))));
        if let Some((at_ns, size)) = first {
            reader.is_known = true;
            sizes.add_sample(at_ns, size);
            self.found.notify_all();
        }
    }

    /// Looks at places spread over a recording of this length, until `is_over`.
    pub fn sample(
        &self,
        demux: &gst::Element,
        tracks: &Tracks,
        claimed_ns: u64,
        is_over: &dyn Fn() -> bool,
        ctx: &StepContext,
    ) -> Result<()> {
        let lock = || tracks.lock().unwrap_or_else(PoisonError::into_inner);
        let known = |tracks: &[Scanned]| -> usize { tracks.iter().map(|track| track.sizes.len()).sum() };
        let is_video = |pad: &gst::Pad| pad.current_caps().is_some_and(|caps| is_video(&caps));
        let pad = demux.src_pads().into_iter().find(is_video);
        let Some(pad) = pad.filter(|_| known(&lock()) > 0) else { return Ok(()) };
        self.is_active.store(true, Ordering::Relaxed);
        // Each as far as can be from those before.
        for place in (1..SAMPLES).map(|place| place.reverse_bits() >> (u8::BITS - SAMPLES.trailing_zeros())) {
            let before = known(&lock());
            let at = gst::ClockTime::from_nseconds(claimed_ns / u64::from(SAMPLES) * u64::from(place));
            let flags = gst::SeekFlags::FLUSH | gst::SeekFlags::KEY_UNIT;
            let (set, none) = (gst::SeekType::Set, gst::SeekType::None);
            if !pad.send_event(gst::event::Seek::new(1.0, flags, set, at, none, gst::ClockTime::NONE)) {
                break;
            }
            let begun = Instant::now();
            let mut tracks = lock();
            while known(&tracks) == before && begun.elapsed() < LONGEST_SAMPLE {
                ctx.check_cancelled()?;
                if is_over() {
                    return Ok(());
                }
                tracks = self.found.wait_timeout(tracks, LOOK).unwrap_or_else(PoisonError::into_inner).0;
            }
        }
        Ok(())
    }
}
