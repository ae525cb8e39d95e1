//! Which renditions a picture gets: a pure plan.

use serde::{Deserialize, Serialize};

use crate::media::Rational;

/// The renditions of one recording.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ladder {
    /// Time between forced keyframes, in ms; a segment is two of them.
    pub keyframe_interval_ms: u64,
    /// The renditions, largest first.
    pub renditions: Vec<RenditionPlan>,
}

/// One rendition to make.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RenditionPlan {
    /// Its name.
    pub name: String,
    /// Width, in pixels, even.
    pub width: u32,
    /// Height, in pixels, even.
    pub height: u32,
    /// Frames per second.
    pub frame_rate: Rational,
    /// H.264 profile: `main` or `high`.
    pub profile: String,
    /// Mean bits per second of the picture.
    pub bitrate_bps: u64,
    /// Size of the rate control's buffer, in ms of `bitrate_bps`.
    pub vbv_ms: u32,
    /// x264 preset.
    pub preset: String,
}
