//! `chalkstream process FILE --out DIR`

use std::path::PathBuf;

use chalkstream_store::Blame;
use chalkstream_store::failure;
use chalkstream_workers::StepFailure;
use chalkstream_workers::process::{ProcessError, ProcessEvent, process};
use clap::Args;

use crate::args::GlobalArgs;
use crate::exit::{CommandError, CommandResult};
use crate::ui::output;
use crate::ui::progress::{ProgressDisplay, ProgressUnit};
use crate::{logs, settings_source, signals};

/// Arguments of `process`.
#[derive(Args)]
pub struct ProcessArgs {
    /// File to process.
    file: PathBuf,
    /// Folder to create.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

/// Runs the command.
pub async fn run(global: &GlobalArgs, command: &ProcessArgs) -> CommandResult {
    let mut settings = settings_source::load_given(global)?;
    // The command itself reports failures next to its progress bars, so info lines would only
    // disturb.
    if std::env::var_os("CHALKSTREAM__LOG__LEVEL").is_none() && settings.log.level == "info" {
        settings.log.level = "warn".into();
    }
    logs::init(&settings.log);
    let display = ProgressDisplay::new();
    let report = |event: ProcessEvent| match event {
        ProcessEvent::Started(step) => display.update(&step, ProgressUnit::MediaMs, 0, 0),
        ProcessEvent::Progress(step, progress) => {
            display.update(&step, ProgressUnit::MediaMs, progress.done_ms, progress.total_ms)
        }
        ProcessEvent::Done(step, _) => display.finish(&step, "done"),
        ProcessEvent::Skipped(step, failure) => {
            display.finish(&step, &format!("failed ({})", failure.message))
        }
    };
    let stop = signals::stop()?;
    let recording =
        process(&settings, &command.file, &command.out, stop, &report).await.map_err(to_command_error)?;
    for warning in recording["warnings"].as_array().into_iter().flatten() {
        output::note(warning["message"].as_str().unwrap_or_default());
    }
    if global.json {
        output::json(&recording);
    } else {
        output::line(&command.out.join("hls/master.m3u8").display().to_string());
    }
    // The video is complete, but the exit code still says that a dependency was missing for the
    // rest.
    let mut failed = recording["failed_optional"].as_array().into_iter().flatten();
    let missing = failed.find(|f| failure::is_missing_dependency(f["code"].as_str().unwrap_or_default()));
    match missing {
        Some(failed) if !global.json => Err(CommandError::dependency(
            failed["code"].as_str().unwrap_or_default(),
            failed["message"].as_str().unwrap_or_default(),
        )),
        Some(_) => Err(CommandError::silent(4)),
        None => Ok(()),
    }
}

fn to_command_error(error: ProcessError) -> CommandError {
    match error {
        ProcessError::Usage(message) => CommandError::usage(message),
        ProcessError::Step { step, failure } => from_step(&step, &failure),
    }
}

fn from_step(step: &str, failure: &StepFailure) -> CommandError {
    if failure.blame(step) == Blame::Input {
        return CommandError::input(&failure.code, &failure.message);
    }
    if failure.is_missing_here(step) {
        return CommandError::dependency(&failure.code, &failure.message);
    }
    output::note(&format!("{step}: {}", failure.detail));
    CommandError::failed(&failure.code, &failure.message)
}
