//! Decodes the video once and makes the ladder.

mod encoder;
pub(crate) mod frame;
mod grid;
mod ladder;
mod preset;
mod quality_probe;
pub(crate) mod rgb;
#[cfg(test)]
mod tests;
pub(crate) mod tone_mapping;
mod transpose;
mod trickplay;
pub(crate) mod upright;
mod writer;

use serde::{Deserialize, Serialize};

use crate::context::StepContext;
use crate::error::{Error, ErrorKind, Result};
use crate::gst::{MultiPartDecoder, TrackKind};
use crate::ladder::{DroppedRendition, RenditionPlan, redundant_renditions};
use crate::media::{Warning, is_short, last_frame_ns, padded_end_ms};
use crate::report::VideoRenditionReport;
use crate::source::Source;

/// The request of the step.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct TranscodeRequest {
    /// The file, as `inspect` found it.
    pub media: crate::media::MediaInfo,
    /// The renditions to make: the complete ladder, or a part of it on the complete ladder's grid.
    pub ladder: crate::ladder::Ladder,
    /// Whether the keyframes of the smallest rendition get a playlist of their own.
    pub iframes: bool,
    /// Whether to make a rendition of one small frame a second, for scrubbing.
    pub trickplay: bool,
    /// Limits that decoding is held to.
    pub limits: crate::limits::Limits,
}

/// Runs the step: decodes once, and makes all renditions at the same time.
pub fn run(request: &TranscodeRequest, source: Source, ctx: &StepContext) -> Result<TranscodeReport> {
    let video = request.media.video.as_ref().ok_or_else(|| {
        Error::input("no_playable_track", "There is no picture in the file that can be played.")
    })?;
    let tail = upright::frame_tail()?;
    let mut decoding =
        MultiPartDecoder::open(source, &request.media, TrackKind::Video, &request.limits, tail)?;
    let mut plan = clamp_vbv(&request.ladder, video.end_ms);
    let is_large = crate::gst::is_large(u64::from(video.width) * u64::from(video.height));
    if is_large {
        // Lookahead and threads of the encoders also keep frames. There is no memory for those next
        // to large decoded frames.
        plan.renditions.iter_mut().for_each(|rendition| rendition.preset = WITHOUT_LOOKAHEAD.to_owned());
    }
    let threads = |plan: &RenditionPlan| if is_large { 1 } else { encoder::threads(plan) };
    let mut ladder =
        ladder::LadderEncoder::start(&plan, video, request.iframes, request.trickplay, threads, ctx)?;
    decoding.start()?;

    let nominal_ns = last_frame_ns(video.frame_rate, video.variable_rate);
    let max_ns = request.limits.max_duration_ms.saturating_mul(1_000_000) as i64;
    let mut end_ns = None::<i64>;
    let mut last_ns = i64::MIN;
    while let Some(decoded) = decoding.next(ctx)? {
        if decoded.time_ns > max_ns {
            return Err(Error::new(
                ErrorKind::LimitExceeded,
                "too_long",
                "The recording is longer than is allowed.",
            ));
        }
        // Times of damaged files jump back; a frame out of order can no longer be displayed.
        if decoded.time_ns < last_ns {
            continue;
        }
        last_ns = decoded.time_ns;
        // ASF does not declare how long a frame lasts, and decoders guess too short a time.
        let min_ns = if video.variable_rate { 1 } else { nominal_ns };
        let duration_ns = decoded.duration_ns.filter(|&d| d > 0).map_or(nominal_ns, |d| d.max(min_ns));
        let until = decoded.time_ns.saturating_add(duration_ns as i64).min(max_ns);
        end_ns = Some(end_ns.map_or(until, |end| end.max(until)));
        ladder.push(decoded, ctx)?;
        ctx.report_progress((last_ns / 1_000_000).max(0) as u64, video.end_ms);
    }
    let Some(mut end_ns) = end_ns else {
        return Err(Error::input("decode_failed", "No picture in the file could be decoded."));
    };
    // A decoder guesses how long the last frame lasts; `inspect` read it from the packets.
    let declared_end_ns = video.end_ms as i64 * 1_000_000;
    if (last_ns..end_ns).contains(&declared_end_ns) {
        end_ns = declared_end_ns;
    }
    let mut warnings = Vec::new();
    let end_ms = (end_ns / 1_000_000).max(0) as u64;
    if is_short(end_ms, video.end_ms) {
        warnings.push(Warning::cut_short("picture", end_ms, video.end_ms));
    } else if let Some((lost, packets)) = decoding.lost_packets() {
        warnings.push(Warning::damaged("picture", lost, packets));
    } else if decoding.end_error().is_some() {
        warnings.push(Warning::new("damaged", "The picture is damaged near its end."));
    }
    drop(decoding);
    let audio_end_ms = request.media.audio.as_ref().map_or(0, |track| track.end_ms);
    let padded_end_ms = padded_end_ms(end_ms, audio_end_ms.min(request.limits.max_duration_ms));
    // In a truncated file the length of the audio is unknown.
    if padded_end_ms > end_ms && warnings.is_empty() {
        end_ns = padded_end_ms as i64 * 1_000_000;
    }
    let ladder::EncodedLadder { mut renditions, iframes, trickplay, measured } =
        ladder.finish(end_ns, ctx)?;
    let duration_ms = renditions.iter().map(|r| r.duration_ms).max().unwrap_or(0);
    let dropped = if request.ladder.drop_redundant { redundant_renditions(&measured) } else { Vec::new() };
    renditions.retain(|rendition| !dropped.iter().any(|d| d.name == rendition.name));
    ctx.report_progress(video.end_ms, video.end_ms);
    Ok(TranscodeReport { renditions, iframes, trickplay, dropped, duration_ms, warnings })
}

/// The preset of x264 that keeps the fewest frames.
const WITHOUT_LOOKAHEAD: &str = "superfast";

/// Shortens the rate control's buffers to the length of the clip, which could otherwise spend all
/// of a buffer at once.
fn clamp_vbv(ladder: &crate::ladder::Ladder, end_ms: u64) -> crate::ladder::Ladder {
    let mut ladder = ladder.clone();
    for rendition in &mut ladder.renditions {
        rendition.vbv_ms = rendition.vbv_ms.min((end_ms.min(60_000) as u32).max(100));
    }
    ladder
}

/// The ladder as made.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TranscodeReport {
    /// The renditions, largest first.
    pub renditions: Vec<VideoRenditionReport>,
    /// The I-frame rendition.
    pub iframes: Option<VideoRenditionReport>,
    /// The rendition of one small frame a second, for scrubbing.
    pub trickplay: Option<VideoRenditionReport>,
    /// Renditions that were made, measured and found redundant. They are not offered.
    #[serde(default)]
    pub dropped: Vec<DroppedRendition>,
    /// Length of the video, in ms.
    pub duration_ms: u64,
    /// Problems that did not stop the step.
    pub warnings: Vec<Warning>,
}
