//! Makes poster, storyboard and a rendition of stills from keyframes alone; without video, a poster
//! of the waveform.

mod encode;
mod frames;
mod poster;
mod rendition;
mod request;
mod storyboard;
#[cfg(test)]
mod tests;
mod waveform;

use serde::{Deserialize, Serialize};

use crate::context::StepContext;
use crate::error::{Error, Result};
use crate::media::padded_end_ms;
use crate::report::VideoRenditionReport;
use crate::source::Source;

pub use request::StillsRequest;
pub use storyboard::Storyboard;

/// Path of the poster, as announced.
const POSTER_PATH: &str = "stills/poster.jpg";

/// Runs the step.
pub fn run(request: &StillsRequest, source: Source, ctx: &StepContext) -> Result<StillsReport> {
    let media = &request.media;
    let Some(video) = &media.video else {
        let poster = waveform::draw(&waveform::levels(source, request, ctx)?);
        return report(&poster, None, None, ctx);
    };
    let interval_ms = storyboard::interval_ms(media.duration_ms);
    let mut poster = poster::PosterPicker::default();
    let mut sheets = storyboard::StoryboardWriter::new(video, interval_ms, media.duration_ms);
    let audio_end_ms = media.audio.as_ref().map_or(0, |track| track.end_ms);
    let end_ms = padded_end_ms(video.end_ms, audio_end_ms.min(request.limits.max_duration_ms));
    let mut stills = rendition::StillsRendition::new(video, end_ms, ctx)?;
    let frame_interval_ms = interval_ms.min(rendition::SEGMENT_MS);
    frames::keyframes(source, request, frame_interval_ms, ctx, |time_ms, frame| {
        ctx.report_progress(time_ms, media.duration_ms);
        sheets.add_frame(time_ms, &frame, ctx)?;
        stills.add_frame(time_ms, &frame, ctx)?;
        poster.consider(frame);
        Ok(())
    })?;
    let poster = poster
        .into_best()
        .ok_or_else(|| Error::input("decode_failed", "The picture of this recording can't be played."))?;
    let storyboard = sheets.finish(ctx)?;
    let stills = stills.finish(ctx)?;
    ctx.report_progress(media.duration_ms, media.duration_ms);
    report(&poster, Some(storyboard), stills, ctx)
}

fn report(
    poster: &image::RgbImage,
    storyboard: Option<Storyboard>,
    rendition: Option<VideoRenditionReport>,
    ctx: &StepContext,
) -> Result<StillsReport> {
    let (bytes, width, height) = encode::fitted_jpeg(poster, encode::MAX_POSTER_BYTES)?;
    ctx.write_output(POSTER_PATH, &bytes)?;
    Ok(StillsReport {
        poster: POSTER_PATH.to_owned(),
        width,
        height,
        storyboard,
        rendition,
        placeholder: encode::placeholder(poster)?,
    })
}

/// The files made.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StillsReport {
    /// Path of the poster.
    pub poster: String,
    /// Its width, in pixels.
    pub width: u32,
    /// Its height, in pixels.
    pub height: u32,
    /// The storyboard; `None` without video.
    pub storyboard: Option<Storyboard>,
    /// The rendition of one still a segment; `None` without video.
    #[serde(default)]
    pub rendition: Option<VideoRenditionReport>,
    /// A tiny blurred image as a `data:` URI.
    pub placeholder: String,
}
