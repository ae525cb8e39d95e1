//! The source as a rendition: an index that lets a server answer segments out of the uploaded file itself. No frame is
//! decoded and no byte of media is copied.

use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::sound::AudioReport;
use crate::source::Source;
use crate::step::StepContext;
use crate::transcode::RenditionReport;

/// What the step is asked.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PackageRequest {
    /// What the file is.
    pub media: crate::media::MediaInfo,
    /// Limits the file is held to.
    pub limits: crate::media::Limits,
    /// Longest segment, and so the longest distance of two keyframes, in ms.
    pub max_segment_ms: u64,
}

/// Runs the step.
pub fn run(_request: &PackageRequest, _source: Source, _ctx: &StepContext) -> Result<PackageReport> {
    Ok(PackageReport {
        video: None,
        audio: None,
        declined: Some(Declined { code: "not_yet".into(), message: "Not made yet.".into() }),
        duration_ms: 0,
    })
}

/// Why a source is not a rendition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Declined {
    /// Stable code.
    pub code: String,
    /// One plain sentence.
    pub message: String,
}

/// What was made, or why nothing was.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PackageReport {
    /// The picture: name `source`, playlist `source/video/index.m3u8`, its index in `index/video`.
    pub video: Option<RenditionReport>,
    /// The sound as it came, for the time until the normalised renditions are there: playlist
    /// `source/audio/index.m3u8`, its index in `index/audio`.
    pub audio: Option<AudioReport>,
    /// Why the picture is not used.
    pub declined: Option<Declined>,
    /// Length of the picture, in ms.
    pub duration_ms: u64,
}
