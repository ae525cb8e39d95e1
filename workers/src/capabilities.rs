//! What this machine can do that others may not.

use chalkstream_config::Settings;
use chalkstream_pipeline::model;

use crate::steps::request::models;

/// The speech model of the settings is installed.
pub const SPEECH: &str = "speech";

/// The capabilities of this machine now: a model may be installed while the worker runs.
pub fn detect(settings: &Settings) -> Vec<&'static str> {
    let has_model = model::locate(&settings.speech.model, &models(settings)).is_ok();
    has_model.then_some(SPEECH).into_iter().collect()
}
