//! Decodes the picture once and makes the ladder.

use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::source::Source;
use crate::step::StepContext;

/// What the step is asked.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct TranscodeRequest {
    /// What the file is.
    pub media: crate::media::MediaInfo,
    /// What to make of it.
    pub ladder: crate::ladder::Ladder,
    /// Limits the picture is held to.
    pub limits: crate::media::Limits,
}

/// Runs the step.
pub fn run(_request: &TranscodeRequest, _source: Source, _ctx: &StepContext) -> Result<TranscodeReport> {
    Err(crate::Error::internal("not built yet"))
}

/// One video rendition as made and measured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RenditionReport {
    /// Its name.
    pub name: String,
    /// Width, in pixels.
    pub width: u32,
    /// Height, in pixels.
    pub height: u32,
    /// Frames per second.
    pub frame_rate: crate::media::Rational,
    /// RFC 6381 codec string.
    pub codecs: String,
    /// Measured peak over one segment, in bits per second.
    pub bandwidth_bps: u64,
    /// Measured mean, in bits per second.
    pub average_bandwidth_bps: u64,
    /// Path of its media playlist, as announced.
    pub playlist: String,
    /// Number of segments.
    pub segments: u32,
    /// Sum of the segments' durations, in ms.
    pub duration_ms: u64,
}

/// What was made.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TranscodeReport {
    /// The renditions, largest first.
    pub renditions: Vec<RenditionReport>,
    /// The I-frame rendition.
    pub iframes: Option<RenditionReport>,
    /// Length of the picture, in ms.
    pub duration_ms: u64,
    /// What was odd.
    pub warnings: Vec<crate::media::Warning>,
}
