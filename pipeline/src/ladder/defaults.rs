//! The default ladder, for tests and the example. `config/default.toml` is the one place that
//! spells it; workers get it from the configuration.

use serde::Deserialize;

use super::{LadderSettings, Rung};

#[derive(Deserialize)]
struct Defaults {
    media: MediaDefaults,
}

#[derive(Deserialize)]
struct MediaDefaults {
    preset: String,
    quality: u32,
    drop_redundant: bool,
    ladder: Vec<Rung>,
}

/// Reads the default settings.
pub fn default_settings() -> Result<LadderSettings, toml::de::Error> {
    let defaults: Defaults = toml::from_str(include_str!("../../../config/default.toml"))?;
    let MediaDefaults { preset, quality, drop_redundant, ladder } = defaults.media;
    let quality = (quality > 0).then_some(quality);
    Ok(LadderSettings { preset, quality, drop_redundant, rungs: ladder })
}
