//! `chalkstream doctor`

use clap::Args;
use serde_json::json;

use crate::args::GlobalArgs;
use crate::exit::{CommandError, CommandResult};
use crate::settings_source;
use crate::ui::output;

/// How thoroughly.
#[derive(Args)]
pub struct DoctorArgs {
    /// Look only: nothing tries to leave the sandbox, which takes seconds and gigabytes. For health checks.
    #[arg(long)]
    quick: bool,
}

/// One thing that was looked at.
struct Check {
    name: &'static str,
    /// What was found, or what is wrong and how to put it right.
    told: Result<String, String>,
    /// Whether anything runs without it.
    needed: bool,
}

/// Runs the command.
pub async fn run(global: &GlobalArgs, command: &DoctorArgs) -> CommandResult {
    let settings = settings_source::load_for_command(global)?;
    let mut checks = vec![redis_server()];
    #[cfg(feature = "worker")]
    checks.extend(of_worker::checks(&settings, command.quick).await);
    checks.push(storage(&settings).await);

    let list: Vec<_> = checks
        .iter()
        .map(|check| {
            let (ok, told) = match &check.told {
                Ok(told) => (true, told),
                Err(told) => (false, told),
            };
            json!({ "check": check.name, "ok": ok, "needed": check.needed, "told": told })
        })
        .collect();
    if global.json {
        output::json(&json!({ "checks": list }));
    } else {
        for check in &checks {
            let (mark, told) = match &check.told {
                Ok(told) => ("ok", told),
                Err(told) if check.needed => ("missing", told),
                Err(told) => ("without", told),
            };
            output::line(&format!("{mark:<8} {}: {told}", check.name));
        }
    }
    match checks.iter().any(|check| check.needed && check.told.is_err()) {
        true if global.json => Err(CommandError::silent(4)),
        true => Err(CommandError::dependency("doctor", "something that is needed is missing")),
        false => Ok(()),
    }
}

fn redis_server() -> Check {
    let told = match settings_source::find_program("redis-server") {
        Some(path) => Ok(path.display().to_string()),
        None => Err("not installed; `up` needs it: apt-get install redis-server".into()),
    };
    Check { name: "redis-server", told, needed: false }
}

async fn storage(settings: &chalkstream_config::Settings) -> Check {
    // Asking must not make the folder.
    if settings.store.kind == chalkstream_config::StoreKind::Fs && !settings.store.path.exists() {
        let told = Ok(format!("{} will be made", settings.store.path.display()));
        return Check { name: "storage", told, needed: true };
    }
    let asked = async { chalkstream_store::open(&settings.store).await?.probe().await };
    let told = match asked.await {
        Ok(()) => Ok("answers".to_owned()),
        Err(error) => Err(error.to_string()),
    };
    Check { name: "storage", told, needed: true }
}

#[cfg(feature = "worker")]
mod of_worker {
    use chalkstream_config::Settings;
    use chalkstream_pipeline::model;
    use chalkstream_workers::Cause;
    use chalkstream_workers::runner::Runner;
    use chalkstream_workers::runner::protocol::Probe;

    use super::Check;

    /// More than any step may take.
    const BOMB_BYTES: u64 = 4 << 30;

    pub async fn checks(settings: &Settings, quick: bool) -> Vec<Check> {
        let mut checks = vec![speech(settings)];
        let scratch = match tempfile::tempdir() {
            Ok(scratch) => scratch,
            Err(error) => {
                checks.push(Check { name: "scratch", told: Err(error.to_string()), needed: true });
                return checks;
            }
        };
        let runner = Runner::new(&settings.worker, scratch.path());
        let told = match runner.prepare().await {
            Ok(()) => Ok("starts, its registry is ready".into()),
            Err(failure) => Err(format!("does not start: {}", failure.detail)),
        };
        checks.push(Check { name: "gstreamer", told, needed: true });
        if quick {
            return checks;
        }
        let attempts = [
            ("sandbox: internet socket", Probe::Socket, Cause::Sandbox, "the child is killed"),
            ("sandbox: 4 GB of memory", Probe::Memory(BOMB_BYTES), Cause::Memory, "the child is stopped"),
            ("sandbox: 4 GB shared", Probe::SharedMemory(BOMB_BYTES), Cause::Memory, "the child is stopped"),
            ("sandbox: other programs", Probe::Execute, Cause::Reported, "refused"),
            ("sandbox: unix sockets", Probe::Connect, Cause::Reported, "refused"),
        ];
        for (name, probe, expected, good) in attempts {
            let told = match runner.probe(probe).await {
                Ok(_) => Err("nothing stops it; see worker.allow_unsandboxed".into()),
                Err(failure) if failure.cause == expected => Ok(good.to_owned()),
                Err(failure) => Err(format!("{failure} ({})", failure.detail)),
            };
            checks.push(Check { name, told, needed: !settings.worker.allow_unsandboxed });
        }
        checks
    }

    fn speech(settings: &Settings) -> Check {
        let told = match model::locate(&settings.speech.model, &chalkstream_workers::models(settings)) {
            Ok(installed) => Ok(installed.model.display().to_string()),
            Err(error) => Err(error.message),
        };
        Check { name: "speech model", told, needed: false }
    }
}
