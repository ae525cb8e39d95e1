//! Poster and storyboard.

use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::source::Source;
use crate::step::StepContext;

/// What the step is asked.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct StillsRequest {
    /// What the file is.
    pub media: crate::media::MediaInfo,
    /// Limits the picture is held to.
    pub limits: crate::media::Limits,
}

/// Runs the step.
pub fn run(_request: &StillsRequest, _source: Source, _ctx: &StepContext) -> Result<StillsReport> {
    Err(crate::Error::internal("not built yet"))
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
    /// A tiny blurred picture as a `data:` URI.
    pub placeholder: String,
}
