//! One rendition's encoder: takes frames on our thread, and writes segments on its own.

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_app as gst_app;
use gstreamer_video as gst_video;

use super::frame::Frame;
use super::grid::Grid;
use super::preset;
use super::writer::{OutputKind, RenditionWriter};
use crate::context::StepContext;
use crate::error::{Error, Result};
use crate::gst::{RunningPipeline, STALL_DEADLINE, X264Pipeline, i420_buffer};
use crate::ladder::RenditionPlan;
use crate::media::Rational;
use crate::report::VideoRenditionReport;

/// Most frames that wait for an encoder.
const MAX_QUEUED_FRAMES: u64 = 3;
/// Most encoded frames that wait for the writer.
const MAX_ENCODED_FRAMES: u32 = 4;

/// Presentation time of the first frame, in ns: 1000 hours.
///
/// `x264enc` lets no frame begin earlier, because decode times must not be negative, and moves
/// those that do. But it takes keyframe requests by a clock that moves only when its first frame
/// has come out. Frames from this time on are never moved, so one clock serves from first to last.
const FIRST_PTS_NS: u64 = 1000 * 3_600 * 1_000_000_000;

/// A frame shared by the buffers that present it.
#[derive(Clone)]
struct SharedFrame(Arc<Frame>);

impl AsRef<[u8]> for SharedFrame {
    fn as_ref(&self) -> &[u8] {
        self.0.as_ref().as_ref()
    }
}

/// A running encoder.
pub struct Encoder {
    /// Full-rate frames to one of this rendition.
    pub step: u64,
    grid: Grid,
    pipeline: RunningPipeline,
    source: gst_app::AppSrc,
    /// The encoder's source pad, which takes requests for keyframes.
    requests: gst::Pad,
    shared: Arc<EncoderShared>,
    pushed: u64,
}

/// State that the encoder's thread and ours share.
struct EncoderShared {
    state: Mutex<EncoderState>,
    /// Signalled when a frame leaves the queue, and on failure.
    moved: Condvar,
}

struct EncoderState {
    writer: Option<RenditionWriter>,
    error: Option<Error>,
}

impl Encoder {
    /// Starts an encoder of a rendition; [`threads`] recommends a number of threads.
    pub fn start(
        plan: &RenditionPlan,
        grid: Grid,
        step: u64,
        output: OutputKind,
        threads: usize,
        ctx: &StepContext,
    ) -> Result<Self> {
        let writer = RenditionWriter::new(plan, grid, step, output, ctx)?;
        let settings = preset::x264_settings(plan, threads);
        // Far beyond the grid's interval: keyframes come on request only.
        let key_int_max = match output {
            OutputKind::Iframes => 1,
            _ => (plan.frame_rate.as_f64() * 10.0).ceil() as u32 + 10,
        };
        let properties = [
            ("speed-preset", settings.base.as_str()),
            // Rate and buffer also bound constant quality.
            ("pass", if plan.quality.is_some() { "qual" } else { "cbr" }),
            ("quantizer", &plan.quality.unwrap_or(21).to_string()),
            ("bitrate", &(preset::bitrate_bps(plan) / 1000).max(1).to_string()),
            ("vbv-buf-capacity", &plan.vbv_ms.to_string()),
            ("key-int-max", &key_int_max.to_string()),
            ("threads", &threads.to_string()),
            ("aud", "false"),
            ("option-string", &settings.options),
        ];
        let size = (plan.width, plan.height);
        let X264Pipeline { source, encoder, sink, pipeline } =
            X264Pipeline::new(size, plan.frame_rate, &plan.profile, &properties)?;
        sink.set_max_buffers(MAX_ENCODED_FRAMES);
        let shared = Arc::new(EncoderShared {
            state: Mutex::new(EncoderState { writer: Some(writer), error: None }),
            moved: Condvar::new(),
        });
        let (rate, out) = (plan.frame_rate, shared.clone());
        sink.set_callbacks(
            gst_app::AppSinkCallbacks::builder()
                .new_sample(move |sink| {
                    let sample = sink.pull_sample().map_err(|_| gst::FlowError::Eos)?;
                    out.write_sample(&sample, rate).map_err(|()| gst::FlowError::Error)?;
                    Ok(gst::FlowSuccess::Ok)
                })
                .build(),
        );
        let requests =
            encoder.static_pad("src").ok_or_else(|| Error::internal("the encoder has no source pad"))?;
        // Wakes a producer that waits for room in the queue.
        if let Some(pad) = source.static_pad("src") {
            let left = shared.clone();
            pad.add_probe(gst::PadProbeType::BUFFER, move |_, _| {
                left.moved.notify_all();
                gst::PadProbeReturn::Ok
            });
        }
        pipeline.start(gst::State::Playing)?;
        Ok(Self { step, grid, pipeline, source, requests, shared, pushed: 0 })
    }

    /// Wraps a frame so that it can be pushed any number of times without a copy.
    pub fn wrap_frame(frame: &Arc<Frame>) -> Result<gst::Buffer> {
        i420_buffer(SharedFrame(frame.clone()), frame.size())
    }

    /// Encodes a wrapped frame as number `full` of the full rate; waits while the encoder is
    /// behind.
    pub fn push(&mut self, frame: &gst::Buffer, full: u64, ctx: &StepContext) -> Result<()> {
        let time = |full| gst::ClockTime::from_nseconds(FIRST_PTS_NS + self.grid.time_ns(full));
        let (pts, next) = (time(full), time(full + self.step));
        self.wait_for_room(ctx)?;
        if self.grid.is_keyframe(full) {
            self.request_keyframe(pts)?;
        }
        let mut buffer = frame.copy();
        {
            let buffer = buffer.make_mut();
            buffer.set_pts(pts);
            buffer.set_duration(next - pts);
        }
        self.source.push_buffer(buffer).map_err(|_| self.failure())?;
        self.pushed += 1;
        Ok(())
    }

    /// Asks for a keyframe at this time, before that frame is pushed. A request without a time
    /// would apply to the next frame to go in, and get lost until an earlier keyframe has come out.
    fn request_keyframe(&self, pts: gst::ClockTime) -> Result<()> {
        let request = gst_video::UpstreamForceKeyUnitEvent::builder().running_time(pts).build();
        if self.requests.send_event(request) { Ok(()) } else { Err(self.failure()) }
    }

    fn wait_for_room(&self, ctx: &StepContext) -> Result<()> {
        let started = Instant::now();
        while self.source.current_level_buffers() >= MAX_QUEUED_FRAMES {
            ctx.check_cancelled()?;
            let state = self.shared.lock();
            if state.error.is_some() {
                drop(state);
                return Err(self.failure());
            }
            if let Some(error) = self.pipeline.error() {
                return Err(error);
            }
            // A frame may leave the queue between the check and the wait, so the wait is short.
            let waited = self.shared.moved.wait_timeout(state, Duration::from_millis(10));
            drop(waited.unwrap_or_else(PoisonError::into_inner));
            if started.elapsed() > STALL_DEADLINE {
                return Err(self.pipeline.error().unwrap_or_else(|| Error::internal("an encoder froze")));
            }
        }
        Ok(())
    }

    fn failure(&self) -> Error {
        let found = self.shared.lock().error.take();
        found.or_else(|| self.pipeline.error()).unwrap_or_else(|| Error::internal("an encoder stopped"))
    }

    /// Signals that no frame follows.
    pub fn end(&self) -> Result<()> {
        self.source.end_of_stream().map(|_| ()).map_err(|_| self.failure())
    }

    /// Waits for the last segment and writes the playlists. Also returns the starts of the
    /// segments, in full-rate frames.
    pub fn finish(
        self,
        ctx: &StepContext,
    ) -> Result<(VideoRenditionReport, Option<VideoRenditionReport>, Vec<u64>)> {
        self.finish_at(None, ctx)
    }

    /// As [`Encoder::finish`]. The last keyframe of an I-frame playlist lasts until `end_ns`, if
    /// that is given.
    pub fn finish_at(
        self,
        end_ns: Option<u64>,
        ctx: &StepContext,
    ) -> Result<(VideoRenditionReport, Option<VideoRenditionReport>, Vec<u64>)> {
        let mut idle = Instant::now();
        let mut level = self.source.current_level_buffers();
        loop {
            ctx.check_cancelled()?;
            match self.pipeline.wait_for_end(Duration::from_millis(100)) {
                Ok(true) => break,
                Ok(false) => {}
                Err(error) => return Err(self.shared.lock().error.take().unwrap_or(error)),
            }
            let now = self.source.current_level_buffers();
            if now != level {
                (level, idle) = (now, Instant::now());
            }
            if idle.elapsed() > STALL_DEADLINE {
                return Err(Error::internal("an encoder froze"));
            }
        }
        let mut state = self.shared.lock();
        if let Some(error) = state.error.take() {
            return Err(error);
        }
        let mut writer = state.writer.take().ok_or_else(|| Error::internal("an encoder ended twice"))?;
        drop(state);
        writer.flush()?;
        let starts = writer.starts();
        let (report, iframes) = writer.finish(self.pushed, end_ns)?;
        Ok((report, iframes, starts))
    }
}

impl EncoderShared {
    fn lock(&self) -> std::sync::MutexGuard<'_, EncoderState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes an encoded frame, on the encoder's thread.
    fn write_sample(&self, sample: &gst::Sample, rate: Rational) -> Result<(), ()> {
        let mut state = self.lock();
        let state = &mut *state;
        let Some(writer) = state.writer.as_mut() else { return Err(()) };
        match write(writer, sample, rate) {
            Ok(()) => Ok(()),
            Err(error) => {
                state.error.get_or_insert(error);
                self.moved.notify_all();
                Err(())
            }
        }
    }
}

fn write(writer: &mut RenditionWriter, sample: &gst::Sample, rate: Rational) -> Result<()> {
    let unexpected = || Error::internal("the encoder gave something odd");
    let buffer = sample.buffer().ok_or_else(unexpected)?;
    let since_ns =
        buffer.pts().ok_or_else(unexpected)?.nseconds().checked_sub(FIRST_PTS_NS).ok_or_else(unexpected)?;
    let frame = (since_ns as f64 * f64::from(rate.num) / (f64::from(rate.den) * 1e9)).round() as u64;
    if let Some(s) = sample.caps().and_then(|c| c.structure(0))
        && let Ok(config) = s.get::<gst::Buffer>("codec_data")
    {
        let map = config.map_readable().map_err(|_| unexpected())?;
        writer.configure(&map)?;
    }
    let map = buffer.map_readable().map_err(|_| unexpected())?;
    writer.push(map.to_vec(), frame, !buffer.flags().contains(gst::BufferFlags::DELTA_UNIT))
}

/// Returns the number of threads for an encoder.
///
/// With one thread, the largest rendition waits for its turn among the others on few cores, and
/// they wait for it; the smallest keeps up in any case. Every further thread takes memory. That
/// must not depend on the machine: more cores make more lessons at once instead.
pub fn threads(plan: &RenditionPlan) -> usize {
    let cores = std::thread::available_parallelism().map_or(2, usize::from);
    if plan.width * plan.height < 200_000 { 1 } else { cores.min(2) }
}
