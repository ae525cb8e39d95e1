//! `chalkstream worker`

use crate::args::GlobalArgs;
use crate::exit::{CommandError, CommandResult};
use crate::{logs, settings_source, signals};

/// Runs the command.
pub async fn run(global: &GlobalArgs) -> CommandResult {
    let settings = settings_source::load_given(global)?;
    logs::init(&settings.log);
    let signals = signals::watch()?;
    let shutdown = chalkstream_workers::Shutdown { drain: signals.stop, now: signals.now };
    chalkstream_workers::run(settings, shutdown).await.map_err(|error| match error {
        chalkstream_workers::Error::Sandbox(_) => {
            CommandError::dependency("sandbox_unavailable", error.to_string())
        }
        _ => CommandError::failed("worker", error.to_string()),
    })
}
