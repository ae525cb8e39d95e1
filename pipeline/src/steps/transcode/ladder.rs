//! The ladder being made: decoded pictures in, each scaled once for each rendition that shows it.

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

/// All renditions at work.
pub struct LadderEncoder {
    grid: Grid,
    rungs: Vec<RungEncoder>,
    trickplay: Option<Trickplay>,
    probe: QualityProbe,
    upright: FrameNormalizer,
    current: Option<DecodedBuffer>,
    next: u64,
}

/// What was made.
pub struct EncodedLadder {
    /// The renditions, largest first.
    pub renditions: Vec<VideoRenditionReport>,
    /// The keyframes of the smallest.
    pub iframes: Option<VideoRenditionReport>,
    /// One picture a second.
    pub trickplay: Option<VideoRenditionReport>,
    /// What is known of the renditions.
    pub measured: Vec<MeasuredRendition>,
}

/// One rendition: its scaler, its encoder, and the held source picture at its size.
struct RungEncoder {
    scaler: Scaler,
    encoder: Encoder,
    scaled: Option<(Arc<Frame>, gst::Buffer)>,
}

impl LadderEncoder {
    /// Starts an encoder for each rendition, of so many `threads`. The smallest also gives the I-frame rendition, where
    /// one is wanted.
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
        let (probe, upright) =
            (QualityProbe::new(&sizes), FrameNormalizer::new(video, (largest.width, largest.height)));
        Ok(Self { grid, rungs, trickplay, probe, upright, current: None, next: 0 })
    }

    /// The next source picture. The one held until now is shown up to the new one's first frame.
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
            // The decoder can use the memory of a large frame again before the next one.
            self.ensure_scaled(0)?;
            self.current = None;
        }
        Ok(())
    }

    /// Whether there is a frame to encode, at its own size or at the largest rendition's.
    fn has_frame(&self) -> bool {
        self.current.is_some() || self.rungs.first().is_some_and(|rung| rung.scaled.is_some())
    }

    /// Encodes the held picture for all frames before `until`.
    fn encode_until(&mut self, until: u64, ctx: &StepContext) -> Result<()> {
        if !self.has_frame() {
            return Ok(());
        }
        while self.next < until {
            ctx.check_cancelled()?;
            let wanted: Vec<bool> =
                self.rungs.iter().map(|r| self.next.is_multiple_of(r.encoder.step)).collect();
            for (index, wanted) in wanted.into_iter().enumerate() {
                if wanted {
                    self.ensure_scaled(index)?;
                    let rung = &mut self.rungs[index];
                    if let Some((_, buffer)) = &rung.scaled {
                        rung.encoder.push(buffer, self.next, ctx)?;
                    }
                }
            }
            if self.next.is_multiple_of(self.grid.slowest_step) {
                // All renditions have the held picture now.
                let time_ns = self.grid.time_ns(self.next);
                self.feed_trickplay(time_ns, ctx)?;
                self.measure(time_ns)?;
            }
            self.next += 1;
        }
        Ok(())
    }

    /// Measures now and then how much more each rendition shows than the next smaller one.
    fn measure(&mut self, time_ns: u64) -> Result<()> {
        if self.rungs.len() < 2 || !self.probe.is_due(time_ns) {
            return Ok(());
        }
        let frames: Vec<&Frame> =
            self.rungs.iter().filter_map(|r| r.scaled.as_ref().map(|(frame, _)| frame.as_ref())).collect();
        self.probe.measure(time_ns, &frames)
    }

    /// Gives the held picture to the trick-play rendition for all its frames up to a time.
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

    /// Makes sure that a rendition has the held picture: scaled from the next larger one, so each step reads few
    /// samples.
    fn ensure_scaled(&mut self, index: usize) -> Result<()> {
        if self.rungs[index].scaled.is_some() {
            return Ok(());
        }
        let frame = if index == 0 {
            let current = self.current.as_ref().ok_or_else(|| Error::internal("no frame is held"))?;
            self.upright.frame(current)?
        } else {
            self.ensure_scaled(index - 1)?;
            let (larger, rest) = self.rungs.split_at_mut(index);
            match &larger[index - 1].scaled {
                Some((frame, _)) => rest[0].scaler.scale(&frame.planes())?,
                None => return Err(Error::internal("a picture was not scaled")),
            }
        };
        let frame = Arc::new(frame);
        let buffer = Encoder::wrap_frame(&frame)?;
        self.rungs[index].scaled = Some((frame, buffer));
        Ok(())
    }

    /// Shows the held picture until the end, closes every rendition, and checks that they agree.
    pub fn finish(mut self, end_ns: i64, ctx: &StepContext) -> Result<EncodedLadder> {
        // The last picture is seen even where an edit leaves less than half a frame of it. Ends are known to the ms.
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
