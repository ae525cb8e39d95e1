//! The ladder being made: decoded pictures in, each scaled once for each rendition that shows it.

use std::sync::Arc;

use gstreamer as gst;
use gstreamer_video as gst_video;

use super::encoder::Encoder;
use super::frame::{Picture, Scaler};
use super::grid::Grid;
use super::quality_probe::Detail;
use super::trickplay::Trickplay;
use super::upright::Upright;
use super::writer::Output;
use crate::context::StepContext;
use crate::error::{Error, Result};
use crate::gst::{Decoded, is_large};
use crate::ladder::{Ladder, Measured, RenditionPlan};
use crate::media::VideoTrack;
use crate::report::VideoRenditionReport;

/// All renditions at work.
pub struct Encoding {
    grid: Grid,
    rungs: Vec<Rung>,
    trickplay: Option<Trickplay>,
    detail: Detail,
    upright: Upright,
    held: Option<Decoded>,
    next: u64,
}

/// What was made.
pub struct Made {
    /// The renditions, largest first.
    pub renditions: Vec<VideoRenditionReport>,
    /// The keyframes of the smallest.
    pub iframes: Option<VideoRenditionReport>,
    /// One picture a second.
    pub trickplay: Option<VideoRenditionReport>,
    /// What is known of the renditions.
    pub measured: Vec<Measured>,
}

/// One rendition: its scaler, its encoder, and the held source picture at its size.
struct Rung {
    scaler: Scaler,
    encoder: Encoder,
    scaled: Option<(Arc<Picture>, gst::Buffer)>,
}

impl Encoding {
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
            slowest: ladder.slowest_step.max(1),
            interval_ms: ladder.keyframe_interval_ms,
        };
        let trickplay = if trickplay { Some(Trickplay::start(smallest, ctx)?) } else { None };
        let mut rungs = Vec::new();
        for (place, plan) in ladder.renditions.iter().enumerate() {
            let last = place + 1 == ladder.renditions.len();
            let output = if iframes && last { Output::SegmentsAndIframes } else { Output::Segments };
            let step = plan.step_of(grid.rate);
            rungs.push(Rung {
                scaler: Scaler::new(plan.width, plan.height),
                encoder: Encoder::start(plan, grid, step, output, threads(plan), ctx)?,
                scaled: None,
            });
        }
        let sizes: Vec<_> = ladder.renditions.iter().map(|r| (r.width, r.height)).collect();
        let (detail, upright) = (Detail::new(&sizes), Upright::new(video, (largest.width, largest.height)));
        Ok(Self { grid, rungs, trickplay, detail, upright, held: None, next: 0 })
    }

    /// The next source picture. The one held until now is shown up to the new one's first frame.
    pub fn show(&mut self, decoded: Decoded, ctx: &StepContext) -> Result<()> {
        self.emit(self.grid.first_shown(decoded.time_ns), ctx)?;
        if self.held.as_ref().is_some_and(|held| held.caps != decoded.caps) {
            self.detail.source_changed();
        }
        let pixels = gst_video::VideoInfo::from_caps(&decoded.caps)
            .map_or(0, |info| u64::from(info.width()) * u64::from(info.height()));
        self.held = Some(decoded);
        for rung in &mut self.rungs {
            rung.scaled = None;
        }
        if is_large(pixels) {
            // The decoder can use the memory of a large frame again before the next one.
            self.scaled(0)?;
            self.held = None;
        }
        Ok(())
    }

    /// Whether there is a frame to encode, at its own size or at the largest rendition's.
    fn has_frame(&self) -> bool {
        self.held.is_some() || self.rungs.first().is_some_and(|rung| rung.scaled.is_some())
    }

    /// Encodes the held picture for all frames before `until`.
    fn emit(&mut self, until: u64, ctx: &StepContext) -> Result<()> {
        if !self.has_frame() {
            return Ok(());
        }
        while self.next < until {
            ctx.check()?;
            let wanted: Vec<bool> =
                self.rungs.iter().map(|r| self.next.is_multiple_of(r.encoder.step)).collect();
            for (place, wanted) in wanted.into_iter().enumerate() {
                if wanted {
                    self.scaled(place)?;
                    let rung = &mut self.rungs[place];
                    if let Some((_, buffer)) = &rung.scaled {
                        rung.encoder.push(buffer, self.next, ctx)?;
                    }
                }
            }
            if self.next.is_multiple_of(self.grid.slowest) {
                // All renditions have the held picture now.
                let time_ns = self.grid.time_ns(self.next);
                self.scrub(time_ns, ctx)?;
                self.look(time_ns)?;
            }
            self.next += 1;
        }
        Ok(())
    }

    /// Measures now and then how much more each rendition shows than the next smaller one.
    fn look(&mut self, time_ns: u64) -> Result<()> {
        if self.rungs.len() < 2 || !self.detail.is_due(time_ns) {
            return Ok(());
        }
        let pictures: Vec<&Picture> = self
            .rungs
            .iter()
            .filter_map(|r| r.scaled.as_ref().map(|(picture, _)| picture.as_ref()))
            .collect();
        self.detail.look(time_ns, &pictures)
    }

    /// Gives the held picture to the trick-play rendition for all its frames up to a time.
    fn scrub(&mut self, time_ns: u64, ctx: &StepContext) -> Result<()> {
        let smallest = self.rungs.len() - 1;
        if !self.has_frame() || !self.trickplay.as_ref().is_some_and(|t| t.is_due(time_ns)) {
            return Ok(());
        }
        self.scaled(smallest)?;
        if let (Some(trickplay), Some((picture, _))) = (&mut self.trickplay, &self.rungs[smallest].scaled) {
            trickplay.show(picture, time_ns, ctx)?;
        }
        Ok(())
    }

    /// Makes sure that a rendition has the held picture: scaled from the next larger one, so each step reads few
    /// samples.
    fn scaled(&mut self, place: usize) -> Result<()> {
        if self.rungs[place].scaled.is_some() {
            return Ok(());
        }
        let picture = if place == 0 {
            let held = self.held.as_ref().ok_or_else(|| Error::internal("no frame is held"))?;
            self.upright.frame(held)?
        } else {
            self.scaled(place - 1)?;
            let (larger, rest) = self.rungs.split_at_mut(place);
            match &larger[place - 1].scaled {
                Some((picture, _)) => rest[0].scaler.scale(&picture.planes())?,
                None => return Err(Error::internal("a picture was not scaled")),
            }
        };
        let picture = Arc::new(picture);
        let buffer = Encoder::wrap(&picture)?;
        self.rungs[place].scaled = Some((picture, buffer));
        Ok(())
    }

    /// Shows the held picture until the end, closes every rendition, and checks that they agree.
    pub fn finish(mut self, end_ns: i64, ctx: &StepContext) -> Result<Made> {
        // The last picture is seen even where an edit leaves less than half a frame of it. Ends are known to the ms.
        let last = self.next + u64::from((self.grid.time_ns(self.next) as i64) < end_ns - 1_000_000);
        let frames = self.grid.frames_until(end_ns).max(last);
        self.emit(frames, ctx)?;
        let end = self.grid.time_ns(frames);
        self.scrub(end.saturating_sub(1), ctx)?;
        for rung in &self.rungs {
            rung.encoder.end()?;
        }
        let (mut reports, mut iframes, mut starts) = (Vec::new(), None, None::<Vec<u64>>);
        for rung in self.rungs {
            let (report, own_iframes, own_starts) = rung.encoder.finish(ctx)?;
            if starts.as_ref().is_some_and(|starts| *starts != own_starts) {
                return Err(
                    Error::internal("the renditions' segments do not start together").because(report.name)
                );
            }
            starts = Some(own_starts);
            reports.push(report);
            iframes = own_iframes.or(iframes);
        }
        let trickplay = self.trickplay.map(|t| t.finish(end, ctx)).transpose()?;
        let details = self.detail.decibels().into_iter().chain([None]);
        let measured = reports
            .iter()
            .zip(details)
            .map(|(report, detail_db)| Measured {
                name: report.name.clone(),
                frame_rate: report.frame_rate,
                average_bandwidth_bps: report.average_bandwidth_bps,
                detail_db,
            })
            .collect();
        Ok(Made { renditions: reports, iframes, trickplay, measured })
    }
}
