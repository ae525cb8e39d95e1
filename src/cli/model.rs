//! `chalkstream model fetch NAME`

use std::path::PathBuf;

use chalkstream_pipeline::{ErrorKind, model};
use clap::Subcommand;
use serde_json::json;

use super::Common;
use crate::exit::{Failure, Outcome};
use crate::progress::{Shown, Unit};
use crate::{output, place};

/// Speech models.
#[derive(Subcommand)]
pub enum Model {
    /// Fetch a model, checked against its pinned hash.
    Fetch {
        /// `tiny.en`, `base`, …
        name: String,
        /// Where to; the settings' folder where nothing is said.
        #[arg(long, value_name = "DIR")]
        to: Option<PathBuf>,
    },
}

/// Runs the command.
pub async fn run(common: &Common, command: Model) -> Outcome {
    let Model::Fetch { name, to } = command;
    let settings = place::given(common)?;
    let folder = to.unwrap_or_else(|| chalkstream_workers::models(&settings));
    // It reads and converts large files: not on the runtime's own threads.
    let fetched = tokio::task::spawn_blocking(move || {
        let shown = Shown::new();
        let tell = |p: model::Progress<'_>| shown.at(p.what, Unit::Bytes, p.done_bytes, p.total_bytes);
        model::fetch(&name, &folder, &tell)
    });
    let installed = fetched.await.map_err(|error| Failure::failed("model", error.to_string()))?;
    let installed = installed.map_err(|error| match error.kind {
        ErrorKind::Dependency => Failure::dependency(error.code, error.message),
        _ => Failure::failed(error.code, format!("{:#}", anyhow::Error::from(error))),
    })?;
    if common.json {
        output::json(&json!({ "name": installed.name, "model": installed.model, "vad": installed.vad }));
    } else {
        output::line(&installed.model.display().to_string());
    }
    Ok(())
}
