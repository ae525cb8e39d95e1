//! `chalkstream model fetch NAME`

use std::path::PathBuf;

use chalkstream_pipeline::{ErrorKind, model};
use clap::Subcommand;
use serde_json::json;

use crate::args::GlobalArgs;
use crate::exit::{CommandError, CommandResult};
use crate::settings_source;
use crate::ui::output;
use crate::ui::progress::{ProgressDisplay, ProgressUnit};

/// Subcommands of `model`.
#[derive(Subcommand)]
pub enum ModelCommand {
    /// Download a model and check its pinned hash.
    Fetch {
        /// Name: base, tiny.en, …
        name: String,
        /// Folder [default: speech.model_path].
        #[arg(long, value_name = "DIR")]
        to: Option<PathBuf>,
    },
}

/// Runs the command.
pub async fn run(global: &GlobalArgs, command: ModelCommand) -> CommandResult {
    let ModelCommand::Fetch { name, to } = command;
    let settings = settings_source::load_given(global)?;
    let folder = to.unwrap_or_else(|| chalkstream_workers::models(&settings));
    // Fetching reads and converts large files, so it must not block the runtime's threads.
    let fetched = tokio::task::spawn_blocking(move || {
        let display = ProgressDisplay::new();
        let report = |p: model::FetchProgress<'_>| {
            display.update(p.task, ProgressUnit::Bytes, p.done_bytes, p.total_bytes)
        };
        let installed = model::fetch(&name, &folder, &report)?;
        let voices = model::fetch_voices(&folder, &report);
        Ok((installed, voices, model::fetch_meaning(&folder, &report)))
    });
    let fetched: Result<_, chalkstream_pipeline::Error> =
        fetched.await.map_err(|error| CommandError::failed("model", error.to_string()))?;
    let (installed, voices, meaning) = fetched.map_err(|error| match error.kind {
        ErrorKind::Dependency => CommandError::dependency(error.code, error.message),
        _ => CommandError::failed(error.code, format!("{:#}", anyhow::Error::from(error))),
    })?;
    if let Err(error) = &voices {
        output::note(&format!("Transcripts will not say who speaks: {}", error.message));
    }
    if let Err(error) = &meaning {
        output::note(&format!("Lessons will be found by their words alone: {}", error.message));
    }
    if global.json {
        let meaning = meaning.is_ok().then_some(&installed.meaning);
        let voices = voices.is_ok().then_some(&installed.voices);
        let (model, vad) = (&installed.model, &installed.vad);
        output::json(&json!({
            "name": installed.name, "model": model, "vad": vad, "voices": voices, "meaning": meaning,
        }));
    } else {
        output::line(&installed.model.display().to_string());
    }
    Ok(())
}
