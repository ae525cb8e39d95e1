//! `chalkstream process FILE --out DIR`

use std::path::PathBuf;

use chalkstream_pipeline::Fault;
use chalkstream_workers::StepFailure;
use chalkstream_workers::process::{ProcessError, Told, process};
use clap::Args;

use super::Common;
use crate::exit::{Failure, Outcome};
use crate::progress::{Shown, Unit};
use crate::{logs, output, place, signals};

/// One file into a folder.
#[derive(Args)]
pub struct Process {
    /// The recording.
    file: PathBuf,
    /// The folder to make.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

/// Runs the command.
pub async fn run(common: &Common, command: &Process) -> Outcome {
    let mut settings = place::given(common)?;
    // Someone who looks at bars is told of failures by the command itself.
    if std::env::var_os("CHALKSTREAM__LOG__LEVEL").is_none() && settings.log.level == "info" {
        settings.log.level = "warn".into();
    }
    logs::begin(&settings.log);
    let shown = Shown::new();
    let tell = |told: Told| match told {
        Told::Started(step) => shown.at(&step, Unit::Media, 0, 0),
        Told::Progress(step, progress) => shown.at(&step, Unit::Media, progress.done_ms, progress.total_ms),
        Told::Done(step, _) => shown.end(&step, "done"),
        Told::Skipped(step, failure) => shown.end(&step, &format!("failed ({})", failure.message)),
    };
    let stop = signals::stop()?;
    let recording = process(&settings, &command.file, &command.out, stop, &tell).await.map_err(failure)?;
    for warning in recording["warnings"].as_array().into_iter().flatten() {
        output::note(warning["message"].as_str().unwrap_or_default());
    }
    if common.json {
        output::json(&recording);
    } else {
        output::line(&command.out.join("hls/master.m3u8").display().to_string());
    }
    // The video is there; what is missing for the rest is still said by the exit code.
    let missing =
        recording["failed_optional"].as_array().into_iter().flatten().find(|f| f["fault"] == "dependency");
    match missing {
        Some(failed) if !common.json => Err(Failure::dependency(
            failed["code"].as_str().unwrap_or_default(),
            failed["message"].as_str().unwrap_or_default(),
        )),
        Some(_) => Err(Failure::silent(4)),
        None => Ok(()),
    }
}

fn failure(error: ProcessError) -> Failure {
    match error {
        ProcessError::Usage(message) => Failure::usage(message),
        ProcessError::Step { step, failure } => of_step(&step, &failure),
    }
}

fn of_step(step: &str, failure: &StepFailure) -> Failure {
    match failure.fault {
        Fault::Input => Failure::input(&failure.code, &failure.message),
        Fault::Dependency => Failure::dependency(&failure.code, &failure.message),
        Fault::Ours => {
            output::note(&format!("{step}: {}", failure.detail));
            Failure::failed(&failure.code, &failure.message)
        }
    }
}
