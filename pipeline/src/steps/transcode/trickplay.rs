//! A rendition of one small frame a second, all keyframes: displayed while a viewer scrubs.

use std::sync::Arc;

use super::encoder::Encoder;
use super::frame::{Frame, Scaler};
use super::grid::Grid;
use super::writer::OutputKind;
use crate::context::StepContext;
use crate::error::Result;
use crate::ladder::RenditionPlan;
use crate::media::Rational;
use crate::report::VideoRenditionReport;

/// Time between frames.
const INTERVAL_NS: u64 = 1_000_000_000;
/// Longest side of a frame, in pixels.
const MAX_SIDE_PIXELS: u32 = 320;
/// Mean bits per second: about 8 kB a frame.
const BITRATE_BPS: u64 = 64_000;
/// Time that a single keyframe of busy video may take to fetch at the mean rate.
const VBV_MS: u32 = 3_000;

/// The rendition being made.
pub struct Trickplay {
    scaler: Scaler,
    encoder: Encoder,
    next: u64,
}

impl Trickplay {
    /// Starts the encoder; frames are scaled from those of the smallest rendition.
    pub fn start(smallest: &RenditionPlan, ctx: &StepContext) -> Result<Self> {
        let plan = plan(smallest);
        let grid = Grid { rate: plan.frame_rate, slowest_step: 1, interval_ms: INTERVAL_NS / 1_000_000 };
        let scaler = Scaler::new(plan.width, plan.height);
        let encoder = Encoder::start(&plan, grid, 1, OutputKind::Iframes, 1, ctx)?;
        Ok(Self { scaler, encoder, next: 0 })
    }

    /// Whether a frame at this time is needed.
    pub fn is_due(&self, time_ns: u64) -> bool {
        time_ns >= self.next * INTERVAL_NS
    }

    /// Encodes a frame of the smallest rendition for every second up to a time.
    pub fn push(&mut self, frame: &Frame, time_ns: u64, ctx: &StepContext) -> Result<()> {
        let small = Arc::new(self.scaler.scale(&frame.planes())?);
        let small = Encoder::wrap_frame(&small)?;
        while self.is_due(time_ns) {
            self.encoder.push(&small, self.next, ctx)?;
            self.next += 1;
        }
        Ok(())
    }

    /// Writes the rest; the last frame lasts until `end_ns`.
    pub fn finish(self, end_ns: u64, ctx: &StepContext) -> Result<VideoRenditionReport> {
        self.encoder.end()?;
        let (report, ..) = self.encoder.finish_at(Some(end_ns), ctx)?;
        Ok(report)
    }
}

/// Plans the trick-play rendition: the smallest one's shape, within the longest side.
fn plan(smallest: &RenditionPlan) -> RenditionPlan {
    let longer_side = smallest.width.max(smallest.height).max(1);
    let scale = (f64::from(MAX_SIDE_PIXELS) / f64::from(longer_side)).min(1.0);
    let even = |side: u32| ((f64::from(side) * scale / 2.0).round() as u32 * 2).max(2);
    RenditionPlan {
        name: "trickplay".into(),
        width: even(smallest.width),
        height: even(smallest.height),
        frame_rate: Rational::new(1, 1),
        profile: "main".into(),
        bitrate_bps: BITRATE_BPS,
        vbv_ms: VBV_MS,
        ..smallest.clone()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::ladder::defaults::default_settings;
    use crate::ladder::plan as ladder;
    use crate::media::VideoTrack;

    #[test]
    fn frames_are_small_even_and_keep_their_shape() {
        for (from, expected) in
            [((1920, 1080), (320, 180)), ((1080, 1920), (180, 320)), ((176, 144), (176, 144))]
        {
            let video = VideoTrack::for_tests(from.0, from.1);
            let ladder = ladder(&video, &default_settings().unwrap());
            let made = ladder.renditions.last().map(plan).map(|p| (p.width, p.height));
            assert_eq!(made, Some(expected));
        }
    }
}
