//! Poster, storyboard and a rendition of stills, from the keyframes alone; a drawn waveform where there is no picture.

mod encode;
mod frames;
mod poster;
mod rendition;
mod storyboard;
#[cfg(test)]
mod tests;
mod waveform;

use serde::{Deserialize, Serialize};

use crate::context::StepContext;
use crate::error::{Error, Result};
use crate::media::held_until;
use crate::report::VideoRenditionReport;
use crate::source::Source;

/// What the step is asked.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct StillsRequest {
    /// What the file is.
    pub media: crate::media::MediaInfo,
    /// Limits the picture is held to.
    pub limits: crate::limits::Limits,
}

/// Path of the poster, as announced.
const POSTER_PATH: &str = "stills/poster.jpg";

/// Runs the step.
pub fn run(request: &StillsRequest, source: Source, ctx: &StepContext) -> Result<StillsReport> {
    let media = &request.media;
    let Some(video) = &media.video else {
        let picture = waveform::draw(&waveform::levels(source, request, ctx)?);
        return report(&picture, None, None, ctx);
    };
    let interval_ms = storyboard::interval_ms(media.duration_ms);
    let mut best = poster::Best::default();
    let mut sheets = storyboard::Sheets::new(video, interval_ms, media.duration_ms);
    let sound_ms = media.audio.as_ref().map_or(0, |track| track.end_ms);
    let end_ms = held_until(video.end_ms, sound_ms.min(request.limits.max_duration_ms));
    let mut stills = rendition::Rendition::new(video, end_ms, ctx)?;
    let often_ms = interval_ms.min(rendition::SEGMENT_MS);
    frames::keyframes(source, request, often_ms, ctx, |time_ms, frame| {
        ctx.progress(time_ms, media.duration_ms);
        sheets.add(time_ms, &frame, ctx)?;
        stills.show(time_ms, &frame, ctx)?;
        best.offer(frame);
        Ok(())
    })?;
    let poster = best
        .into_inner()
        .ok_or_else(|| Error::input("decode_failed", "The picture of this recording can't be played."))?;
    let storyboard = sheets.finish(ctx)?;
    let stills = stills.finish(ctx)?;
    ctx.progress(media.duration_ms, media.duration_ms);
    report(&poster, Some(storyboard), stills, ctx)
}

fn report(
    poster: &image::RgbImage,
    storyboard: Option<Storyboard>,
    rendition: Option<VideoRenditionReport>,
    ctx: &StepContext,
) -> Result<StillsReport> {
    let (bytes, width, height) = encode::fitted_jpeg(poster, encode::POSTER_BYTES)?;
    ctx.write(POSTER_PATH, &bytes)?;
    Ok(StillsReport {
        poster: POSTER_PATH.to_owned(),
        width,
        height,
        storyboard,
        rendition,
        placeholder: encode::placeholder(poster)?,
    })
}

/// The storyboard: sheets of small pictures for the seek bar.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Storyboard {
    /// Path of the WebVTT file that says which tile shows when.
    pub vtt: String,
    /// Paths of the sheets.
    pub sheets: Vec<String>,
    /// Width of one tile, in pixels.
    pub tile_width: u32,
    /// Height of one tile, in pixels.
    pub tile_height: u32,
    /// Time between tiles, in ms.
    pub interval_ms: u64,
}

/// What was made.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StillsReport {
    /// Path of the poster.
    pub poster: String,
    /// Its width, in pixels.
    pub width: u32,
    /// Its height, in pixels.
    pub height: u32,
    /// The storyboard, where there is a picture.
    pub storyboard: Option<Storyboard>,
    /// The rendition of one still a segment, where there is a picture.
    #[serde(default)]
    pub rendition: Option<VideoRenditionReport>,
    /// A tiny blurred picture as a `data:` URI.
    pub placeholder: String,
}
