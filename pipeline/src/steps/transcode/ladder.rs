//! Makes the ladder: takes decoded frames, and scales each once for every rendition that displays
//! it.

use std::sync::Arc;

use gstreamer as gst;
use gstreamer_video as gst_video;

use super::encoder::Encoder;
use super::frame::{Frame, Scaler};
use super::grid::Grid;
use super::quality_probe::QualityProbe;
use super::trickplay::Trickplay;
use super::upright::FrameNormalizer;
use super::writer::OutputKind;
use crate::context::StepContext;
use crate::error::{Error, Result};
use crate::gst::{DecodedBuffer, is_large};
use crate::ladder::{Ladder, MeasuredRendition, RenditionPlan};
use crate::media::VideoTrack;
use crate::report::VideoRenditionReport;

/// The encoders of all renditions.
pub struct LadderEncoder {
    grid: Grid,
    rungs: Vec<RungEncoder>,
    trickplay: Option<Trickplay>,
    probe: QualityProbe,
    normalizer: FrameNormalizer,
    current: Option<DecodedBuffer>,
    next: u64,
}

/// The ladder as made.
pub struct EncodedLadder {
    /// The renditions, largest first.
    pub renditions: Vec<VideoRenditionReport>,
    /// The keyframes of the smallest.
    pub iframes: Option<VideoRenditionReport>,
    /// One small frame a second.
    pub trickplay: Option<VideoRenditionReport>,
    /// Measurements of the renditions.
    pub measured: Vec<MeasuredRendition>,
}

/// One rendition: its scaler, its encoder, and the current source frame at its size.
struct RungEncoder {
    scaler: Scaler,
    encoder: Encoder,
    scaled: Option<(Arc<Frame>, gst::Buffer)>,
}

impl LadderEncoder {
    /// Starts an encoder for each rendition, with as many threads as `threads` returns. The
    /// smallest also gives the I-frame rendition, if that is wanted.
    pub fn start(
        ladder: &Ladder,
        video: &VideoTrack,
        iframes: bool,
        trickplay: bool,
        threads: impl Fn(&RenditionPlan) -> usize,
        ctx: &StepContext,
    ) -> Result<Self> {
        let [largest, ..] = &*ladder.renditions else {
            return Err(Error::internal("the ladder has no rendition"));
        };
        let smallest = ladder.renditions.last().unwrap_or(largest);
        let grid = Grid {
            rate: ladder.full_rate,
            slowest_step: ladder.slowest_step.max(1),
            interval_ms: ladder.keyframe_interval_ms,
        };
        let trickplay = if trickplay { Some(Trickplay::start(smallest, ctx)?) } else { None };
        let mut rungs = Vec::new();
        for (index, plan) in ladder.renditions.iter().enumerate() {
            let last = index + 1 == ladder.renditions.len();
            let output = if iframes && last { OutputKind::SegmentsAndIframes } else { OutputKind::Segments };
            let step = plan.step_of(grid.rate);
            rungs.push(RungEncoder {
                scaler: Scaler::new(plan.width, plan.height),
                encoder: Encoder::start(plan, grid, step, output, threads(plan), ctx)?,
                scaled: None,
            });
        }
        let sizes: Vec<_> = ladder.renditions.iter().map(|r| (r.width, r.height)).collect();
        let (probe, normalizer) =
            (QualityProbe::new(&sizes), FrameNormalizer::new(video, (largest.width, largest.height)));
        Ok(Self { grid, rungs, trickplay, probe, normalizer, current: None, next: 0 })
    }

    /// Takes the next source frame. The one before is displayed until the first grid frame of the
    /// new one.
    pub fn push(&mut self, decoded: DecodedBuffer, ctx: &StepContext) -> Result<()> {
        self.encode_until(self.grid.first_frame_at(decoded.time_ns), ctx)?;
        if self.current.as_ref().is_some_and(|current| current.caps != decoded.caps) {
            self.probe.source_changed();
        }
        let pixels = gst_video::VideoInfo::from_caps(&decoded.caps)
            .map_or(0, |info| u64::from(info.width()) * u64::from(info.height()));
        self.current = Some(decoded);
        for rung in &mut self.rungs {
            rung.scaled = None;
        }
        if is_large(pixels) {
            // Frees the memory of a large frame for the decoder before the next one.
            self.ensure_scaled(0)?;
            self.current = None;
        }
        Ok(())
    }

    /// Whether there is a frame to encode, in its own size or the largest rendition's.
    fn has_frame(&self) -> bool {
        self.current.is_some() || self.rungs.first().is_some_and(|rung| rung.scaled.is_some())
    }

    /// Encodes the current frame for all grid frames before `until`.
    fn encode_until(&mut self, until: u64, ctx: &StepContext) -> Result<()> {
        if !self.has_frame() {
            return Ok(());
        }
        while self.next < until {
            ctx.check_cancelled()?;
            let is_due: Vec<bool> =
                self.rungs.iter().map(|r| self.next.is_multiple_of(r.encoder.step)).collect();
            for (index, is_due) in is_due.into_iter().enumerate() {
                if is_due {
                    self.ensure_scaled(index)?;
                    let rung = &mut self.rungs[index];
                    if let Some((_, buffer)) = &rung.scaled {
                        rung.encoder.push(buffer, self.next, ctx)?;
                    }
                }
            }
            if self.next.is_multiple_of(self.grid.slowest_step) {
                // All renditions have the current frame now.
                let time_ns = self.grid.time_ns(self.next);
                self.feed_trickplay(time_ns, ctx)?;
                self.measure(time_ns)?;
            }
            self.next += 1;
        }
        Ok(())
    }

    /// Compares neighbouring renditions, if that is due.
    fn measure(&mut self, time_ns: u64) -> Result<()> {
        if self.rungs.len() < 2 || !self.probe.is_due(time_ns) {
            return Ok(());
        }
        let frames: Vec<&Frame> =
            self.rungs.iter().filter_map(|r| r.scaled.as_ref().map(|(frame, _)| frame.as_ref())).collect();
        self.probe.measure(time_ns, &frames)
    }

    /// Passes the current frame to the trick-play rendition for all its frames up to a time.
    fn feed_trickplay(&mut self, time_ns: u64, ctx: &StepContext) -> Result<()> {
        let smallest = self.rungs.len() - 1;
        if !self.has_frame() || !self.trickplay.as_ref().is_some_and(|t| t.is_due(time_ns)) {
            return Ok(());
        }
        self.ensure_scaled(smallest)?;
        if let (Some(trickplay), Some((frame, _))) = (&mut self.trickplay, &self.rungs[smallest].scaled) {
            trickplay.push(frame, time_ns, ctx)?;
        }
        Ok(())
    }

    /// Ensures that a rendition has the current frame. It is scaled from the next larger one, so
    /// each step reads few samples.
    fn ensure_scaled(&mut self, index: usize) -> Result<()> {
        if self.rungs[index].scaled.is_some() {
            return Ok(());
        }
        let frame = if index == 0 {
            let current =
                self.current.as_ref().ok_or_else(|| Error::internal("there is no current frame"))?;
            self.normalizer.frame(current)?
        } else {
            self.ensure_scaled(index - 1)?;
            let (larger, rest) = self.rungs.split_at_mut(index);
            match &larger[index - 1].scaled {
                Some((frame, _)) => rest[0].scaler.scale(&frame.planes())?,
                None => return Err(Error::internal("a frame was not scaled")),
            }
        };
        let frame = Arc::new(frame);
        let buffer = Encoder::wrap_frame(&frame)?;
        self.rungs[index].scaled = Some((frame, buffer));
        Ok(())
    }

    /// Encodes the current frame until the end, closes every rendition, and checks that they agree.
    pub fn finish(mut self, end_ns: i64, ctx: &StepContext) -> Result<EncodedLadder> {
        // The last frame is displayed even if an edit leaves less than half of its time. Ends are
        // known to the ms.
        let last = self.next + u64::from((self.grid.time_ns(self.next) as i64) < end_ns - 1_000_000);
        let frames = self.grid.frames_until(end_ns).max(last);
        self.encode_until(frames, ctx)?;
        let end = self.grid.time_ns(frames);
        self.feed_trickplay(end.saturating_sub(1), ctx)?;
        for rung in &self.rungs {
            rung.encoder.end()?;
        }
        let (mut reports, mut iframes, mut starts) = (Vec::new(), None, None::<Vec<u64>>);
        for rung in self.rungs {
            let (report, own_iframes, own_starts) = rung.encoder.finish(ctx)?;
            if starts.as_ref().is_some_and(|starts| *starts != own_starts) {
                return Err(Error::internal("the renditions' segments do not start together")
                    .with_source(report.name));
            }
            starts = Some(own_starts);
            reports.push(report);
            iframes = own_iframes.or(iframes);
        }
        let trickplay = self.trickplay.map(|t| t.finish(end, ctx)).transpose()?;
        let details = self.probe.decibels().into_iter().chain([None]);
        let measured = reports
            .iter()
            .zip(details)
            .map(|(report, detail_db)| MeasuredRendition {
                name: report.name.clone(),
                frame_rate: report.frame_rate,
                average_bandwidth_bps: report.average_bandwidth_bps,
                detail_db,
            })
            .collect();
        Ok(EncodedLadder { renditions: reports, iframes, trickplay, measured })
    }
}
