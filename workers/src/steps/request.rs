//! Parts that the requests of several kinds of steps share.

use std::path::PathBuf;

use chalkstream_config::Settings;
use chalkstream_formats::names::NameList;
use chalkstream_formats::vocabulary::Vocabulary;
use chalkstream_pipeline::limits::Limits;
use chalkstream_pipeline::model;
use chalkstream_pipeline::step::Step;
use serde::Deserialize;
use serde_json::Value;

use super::result::Results;
use crate::failure::StepFailure;

/// Ingredients of a request.
pub struct RequestContext<'a> {
    /// The planned step.
    pub input: &'a Value,
    /// The results of the steps that it needs.
    pub results: &'a Results,
    /// The settings of this worker.
    pub settings: &'a Settings,
    /// The tenant's list of names, for a step that removes them.
    pub names: Option<NameList>,
    /// Words and names that may be said, for a step that recognises them: the recording's, then
    /// the tenant's.
    pub vocabulary: Vec<Vocabulary>,
}

/// The step as it was planned.
pub fn planned(ctx: &RequestContext<'_>) -> Result<Step, StepFailure> {
    Step::deserialize(ctx.input).map_err(StepFailure::ours)
}

/// The limits of a file.
pub fn limits(settings: &Settings) -> Limits {
    Limits {
        max_pixels: settings.media.max_pixels,
        max_duration_ms: settings.media.max_duration_ms,
        max_tracks: settings.media.max_tracks,
    }
}

/// The folder of the speech models.
pub fn models(settings: &Settings) -> PathBuf {
    settings.speech.models_folder()
}

/// The voice activity model of this worker; `None` if it is not installed.
pub fn vad_model(settings: &Settings) -> Option<PathBuf> {
    let path = models(settings).join(model::VAD_FILE);
    path.is_file().then_some(path)
}
