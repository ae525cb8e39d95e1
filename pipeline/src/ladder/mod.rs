//! Plans which renditions a video gets. Pure.

#[cfg(test)]
pub mod defaults;
mod frame_rate;
mod redundant;
#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

use crate::media::{Rational, VideoTrack};

pub use frame_rate::{halved, output_rate};
pub use redundant::{DroppedRendition, MeasuredRendition, redundant_renditions};

/// Time between forced keyframes, in ms. A segment is two of them: 3.2 s are exactly 150 AAC frames
/// at 48 kHz.
pub const KEYFRAME_INTERVAL_MS: u64 = 1_600;

/// Buffer of the weak line's rate control, in ms: below one second, so that a segment's peak stays
/// near its mean.
const WEAK_LINE_VBV_MS: u32 = 900;
/// Buffer of the other renditions' rate control, in ms.
const VBV_MS: u32 = 2_000;

/// The renditions of one recording.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ladder {
    /// Time between forced keyframes, in ms; a segment is two of them.
    pub keyframe_interval_ms: u64,
    /// Frames per second of the complete ladder's fastest rendition. All times are counted in these
    /// frames.
    pub full_rate: Rational,
    /// Number of those frames that one frame of the complete ladder's slowest rendition lasts.
    pub slowest_step: u64,
    /// Whether renditions that add no visible detail are dropped once they are measured.
    #[serde(rename = "drop_needless")]
    pub drop_redundant: bool,
    /// The renditions, largest first.
    pub renditions: Vec<RenditionPlan>,
}

impl Ladder {
    /// A ladder of these renditions, largest first, on a grid of their own.
    pub fn new(renditions: Vec<RenditionPlan>) -> Self {
        let full_rate = renditions
            .iter()
            .map(|r| r.frame_rate)
            .max_by(|a, b| a.as_f64().total_cmp(&b.as_f64()))
            .unwrap_or(Rational::new(1, 1));
        let slowest_step = renditions.iter().map(|r| r.step_of(full_rate)).max().unwrap_or(1);
        Self {
            keyframe_interval_ms: KEYFRAME_INTERVAL_MS,
            full_rate,
            slowest_step,
            drop_redundant: false,
            renditions,
        }
    }

    /// Returns the `wanted` renditions on the complete ladder's grid: parts that are made
    /// separately have keyframes and segments at the same times.
    pub fn part(&self, wanted: impl Fn(&RenditionPlan) -> bool) -> Self {
        let renditions = self.renditions.iter().filter(|r| wanted(r)).cloned().collect();
        Self { renditions, ..self.clone() }
    }
}

/// One rendition to make.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RenditionPlan {
    /// Its name.
    pub name: String,
    /// Width in pixels, even.
    pub width: u32,
    /// Height in pixels, even.
    pub height: u32,
    /// Frames per second.
    pub frame_rate: Rational,
    /// H.264 profile: `main` or `high`.
    pub profile: String,
    /// Bits per second of the video: the mean, or with a `quality` the maximum.
    pub bitrate_bps: u64,
    /// x264's constant rate factor, 1 to 50; `None` if the rate is constant.
    pub quality: Option<u32>,
    /// Size of the rate control's buffer, in ms of `bitrate_bps`.
    pub vbv_ms: u32,
    /// `lesson`, or one of x264's presets.
    pub preset: String,
}

impl RenditionPlan {
    /// Number of frames of `full_rate` that one frame of this rendition lasts.
    pub fn step_of(&self, full_rate: Rational) -> u64 {
        (full_rate.as_f64() / self.frame_rate.as_f64()).round().max(1.0) as u64
    }
}

/// Added to the weak line's rate factor: it has few bits, and still video should need fewer.
const WEAK_LINE_EXTRA_FACTOR: u32 = 4;

/// Settings of the ladder of a video.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LadderSettings {
    /// Preset of all renditions: `lesson`, or one of x264's.
    pub preset: String,
    /// x264's constant rate factor, 1 to 50, and 4 more for the weak line; `None` if the rate is
    /// constant.
    pub quality: Option<u32>,
    /// Whether renditions that add no visible detail are dropped once they are measured.
    #[serde(rename = "drop_needless")]
    pub drop_redundant: bool,
    /// The rungs, in any order. The smallest is the weak line's.
    pub rungs: Vec<Rung>,
}

/// One rung: a box, and the rates of the rendition that fills it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rung {
    /// Its name, as in storage and playlists.
    pub name: String,
    /// Width of the box that landscape video is fitted into, in pixels.
    pub width: u32,
    /// Height of that box, in pixels.
    pub height: u32,
    /// Most frames per second.
    pub max_frame_rate: u32,
    /// Bits per second of the video: the mean, or at constant quality the maximum.
    pub bitrate_bps: u64,
}

/// Plans the ladder of a video. Each rung's box, turned for portrait video, is filled as far as the
/// video goes. A rung that displays no more than the one below it is left out, so nothing is ever
/// enlarged. One of the same size with all frames displays more than the weak line's.
pub fn plan(video: &VideoTrack, settings: &LadderSettings) -> Ladder {
    let mut rungs: Vec<&Rung> = settings.rungs.iter().collect();
    rungs.sort_by_key(|r| u64::from(r.width) * u64::from(r.height));
    let mut renditions: Vec<RenditionPlan> = Vec::new();
    let full = rungs
        .iter()
        .skip(1)
        .map(|r| r.max_frame_rate)
        .max()
        .unwrap_or_else(|| rungs.first().map_or(30, |r| r.max_frame_rate));
    let full = output_rate(video.frame_rate, full);
    for (index, rung) in rungs.iter().enumerate() {
        let (width, height) = fit(video, rung);
        let frame_rate = halved(full, rung.max_frame_rate);
        let adds_nothing = |r: &RenditionPlan| {
            r.width >= width && r.height >= height && r.frame_rate.as_f64() >= frame_rate.as_f64()
        };
        if renditions.iter().any(adds_nothing) {
            continue;
        }
        let weak = index == 0;
        // Of the same size as the one below, it has more frames.
        let min_bps = renditions.last().map_or(0, |below| below.bitrate_bps);
        renditions.push(RenditionPlan {
            name: rung.name.clone(),
            width,
            height,
            frame_rate,
            profile: if weak { "main" } else { "high" }.into(),
            bitrate_bps: if weak {
                rung.bitrate_bps
            } else {
                bitrate(rung, width, height, frame_rate).max(min_bps)
            },
            vbv_ms: if weak { WEAK_LINE_VBV_MS } else { VBV_MS },
            preset: settings.preset.clone(),
            quality: settings.quality.map(|q| if weak { (q + WEAK_LINE_EXTRA_FACTOR).min(50) } else { q }),
        });
    }
    renditions.reverse();
    Ladder { drop_redundant: settings.drop_redundant, ..Ladder::new(renditions) }
}

/// The video's size fitted into a rung's box: even, and never larger than the video.
fn fit(video: &VideoTrack, rung: &Rung) -> (u32, u32) {
    let (long, short) = (rung.width.max(rung.height), rung.width.min(rung.height));
    let (width, height) = if video.width >= video.height { (long, short) } else { (short, long) };
    let (from_width, from_height) = (f64::from(video.width.max(2)), f64::from(video.height.max(2)));
    let scale = (f64::from(width) / from_width).min(f64::from(height) / from_height).min(1.0);
    let even = |length: f64, max: u32| {
        let nearest = (length * scale / 2.0).round() as u32 * 2;
        nearest.clamp(2, max.max(2) & !1)
    };
    (even(from_width, width.min(video.width)), even(from_height, height.min(video.height)))
}

/// A rung's bitrate, reduced if the video fills only a part of its box or has few frames. The bits
/// needed grow more slowly than the number of pixels.
fn bitrate(rung: &Rung, width: u32, height: u32, frame_rate: Rational) -> u64 {
    let area = f64::from(width) * f64::from(height) / (f64::from(rung.width) * f64::from(rung.height));
    let frames = frame_rate.as_f64() / f64::from(rung.max_frame_rate.max(1));
    let share = area.clamp(0.05, 1.0).powf(0.75) * frames.clamp(0.1, 1.0).powf(0.5);
    ((rung.bitrate_bps as f64 * share / 1000.0).round() as u64 * 1000).max(100_000)
}
