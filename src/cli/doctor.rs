//! `chalkstream doctor`

use chalkstream_config::{Settings, StoreKind};
use clap::Args;
use serde_json::json;

use crate::args::GlobalArgs;
use crate::exit::{CommandError, CommandResult};
use crate::settings_source;
use crate::ui::output;

/// Arguments of `doctor`.
#[derive(Args)]
pub struct DoctorArgs {
    /// Skip the sandbox checks, which take seconds and gigabytes of memory; for health checks.
    #[arg(long)]
    quick: bool,
}

/// The result of one check.
struct Check {
    name: &'static str,
    /// The tool that was found, or the missing one and how to get it.
    detail: Result<String, String>,
    /// Whether nothing works without it.
    needed: bool,
}

/// Runs the command.
pub async fn run(global: &GlobalArgs, command: &DoctorArgs) -> CommandResult {
    let settings = settings_source::load_for_command(global)?;
    let mut checks = vec![redis_server()];
    #[cfg(feature = "worker")]
    checks.extend(worker_checks(&settings, command.quick).await);
    #[cfg(not(feature = "worker"))]
    let _ = command.quick;
    checks.push(meaning_model(&settings));
    checks.push(storage(&settings).await);
    checks.push(eviction(&settings).await);
    #[cfg(feature = "server")]
    checks.extend(search_cluster(&settings).await);

    if global.json {
        let list: Vec<_> = checks.iter().map(to_json).collect();
        output::json(&json!({ "checks": list }));
    } else {
        for check in &checks {
            let (Ok(detail) | Err(detail)) = &check.detail;
            output::line(&format!("{:<8} {}: {detail}", label(check), check.name));
        }
    }
    match checks.iter().any(|check| check.needed && check.detail.is_err()) {
        true if global.json => Err(CommandError::silent(4)),
        true => Err(CommandError::dependency("doctor", "a needed dependency is missing")),
        false => Ok(()),
    }
}

fn label(check: &Check) -> &'static str {
    match &check.detail {
        Ok(_) => "ok",
        Err(_) if check.needed => "missing",
        Err(_) => "optional",
    }
}

fn to_json(check: &Check) -> serde_json::Value {
    let (Ok(detail) | Err(detail)) = &check.detail;
    let ok = check.detail.is_ok();
    json!({ "check": check.name, "ok": ok, "needed": check.needed, "detail": detail })
}

fn redis_server() -> Check {
    let detail = match settings_source::find_program("redis-server") {
        Some(path) => Ok(path.display().to_string()),
        None => Err("not installed; `up` needs it: apt-get install redis-server".into()),
    };
    Check { name: "redis-server", detail, needed: false }
}

/// A worker embeds passages with it, a server queries.
fn meaning_model(settings: &Settings) -> Check {
    let path = settings.speech.models_folder().join(chalkstream_meaning::MODEL_FILE);
    let detail = match chalkstream_meaning::Model::open(&path) {
        Ok(_) => Ok(path.display().to_string()),
        Err(error) => Err(format!(
            "{}: {error}; lessons are found by their words alone; run: chalkstream model fetch {}",
            path.display(),
            settings.speech.model
        )),
    };
    Check { name: "model of meaning", detail, needed: false }
}

async fn storage(settings: &Settings) -> Check {
    // The probe would create the folder.
    if settings.store.kind == StoreKind::Fs && !settings.store.path.exists() {
        let detail = Ok(format!("{} will be created", settings.store.path.display()));
        return Check { name: "storage", detail, needed: true };
    }
    let probe = async { chalkstream_store::open(&settings.store).await?.probe().await };
    let detail = match probe.await {
        Ok(()) => Ok("responds".to_owned()),
        Err(error) => Err(error.to_string()),
    };
    Check { name: "storage", detail, needed: true }
}

/// The cluster that servers share, if they do.
#[cfg(feature = "server")]
async fn search_cluster(settings: &Settings) -> Option<Check> {
    use chalkstream_config::SearchEngineKind;
    use chalkstream_media_server::search::OpenSearch;

    if settings.search.engine != SearchEngineKind::OpenSearch {
        return None;
    }
    let detail = match OpenSearch::probe(&settings.search.opensearch).await {
        Ok((version, true)) => Ok(format!("responds, version {version}")),
        Ok((version, false)) => Ok(format!(
            "responds, version {version}, without the plug-in opensearch-knn: lessons are found by their words alone"
        )),
        Err(error) => Err(error.to_string()),
    };
    Some(Check { name: "search cluster", detail, needed: true })
}

/// Jobs live in Redis until they are over: it must not evict them. A Redis that does not answer is
/// none of this check's business, since `up` starts one of its own.
async fn eviction(settings: &Settings) -> Check {
    let policy = async { chalkstream_store::Queue::connect(&settings.redis).await?.eviction_policy().await };
    let detail = match policy.await {
        Ok(Some(policy)) if policy != "noeviction" => {
            Err(format!("is {policy} and loses jobs; set it to noeviction"))
        }
        Ok(Some(policy)) => Ok(policy),
        Ok(None) | Err(_) => Ok("redis does not say".into()),
    };
    Check { name: "redis maxmemory-policy", detail, needed: false }
}

#[cfg(feature = "worker")]
async fn worker_checks(settings: &Settings, quick: bool) -> Vec<Check> {
    use chalkstream_workers::Cause;
    use chalkstream_workers::runner::Runner;
    use chalkstream_workers::runner::protocol::Probe;

    /// More memory than any step may take.
    const TOO_MUCH_BYTES: u64 = 4 << 30;

    let mut checks = vec![speech_model(settings), capacity(settings), scratch_disk(settings, quick)];
    let scratch = match tempfile::tempdir() {
        Ok(scratch) => scratch,
        Err(error) => {
            checks.push(Check { name: "scratch", detail: Err(error.to_string()), needed: true });
            return checks;
        }
    };
    let runner = Runner::new(&settings.worker, scratch.path());
    let detail = match runner.prepare().await {
        Ok(()) => Ok("starts, its registry is ready".into()),
        Err(failure) => Err(format!("does not start: {}", failure.detail)),
    };
    checks.push(Check { name: "gstreamer", detail, needed: true });
    if quick {
        return checks;
    }
    let probes = [
        ("sandbox: internet socket", Probe::Socket, Cause::Sandbox, "the child is killed"),
        ("sandbox: 4 GB of memory", Probe::Memory(TOO_MUCH_BYTES), Cause::Memory, "the child is stopped"),
        ("sandbox: 4 GB shared", Probe::SharedMemory(TOO_MUCH_BYTES), Cause::Memory, "the child is stopped"),
        ("sandbox: other programs", Probe::Execute, Cause::Reported, "refused"),
        ("sandbox: unix sockets", Probe::Connect, Cause::Reported, "refused"),
    ];
    for (name, probe, expected, success) in probes {
        let detail = match runner.probe(probe).await {
            Ok(_) => Err("nothing stops it; see worker.allow_unsandboxed".into()),
            Err(failure) if failure.cause == expected => Ok(success.to_owned()),
            Err(failure) => Err(format!("{failure} ({})", failure.detail)),
        };
        checks.push(Check { name, detail, needed: !settings.worker.allow_unsandboxed });
    }
    checks
}

/// How many steps a worker here runs at once, by the same figures as the worker itself.
#[cfg(feature = "worker")]
fn capacity(settings: &Settings) -> Check {
    let capacity = chalkstream_workers::Capacity::new(&settings.worker);
    let steps = capacity.long_steps();
    let of = format!("{} cores and {} MiB of memory", capacity.cores, capacity.memory_bytes >> 20);
    let detail = match capacity.is_short_of_memory() {
        false => Ok(format!("{steps}, and one short step, on {of}")),
        true => Err(format!("{steps}, and one short step, on {of}: more memory would allow more")),
    };
    Check { name: "steps at once", detail, needed: false }
}

/// A worker leases nothing while its scratch disk is nearly full. A health check stays green: what
/// runs goes on.
#[cfg(feature = "worker")]
fn scratch_disk(settings: &Settings, quick: bool) -> Check {
    let folder = std::path::absolute(&settings.worker.scratch_path);
    let folder = folder.unwrap_or_else(|_| settings.worker.scratch_path.clone());
    // The worker makes it.
    let existing = folder.ancestors().find(|folder| folder.is_dir()).unwrap_or(&folder);
    let detail = match chalkstream_workers::check_disk(existing) {
        Ok(()) => Ok(format!("{} has room", existing.display())),
        Err(failure) => Err(format!("{}; a worker takes no step", failure.detail)),
    };
    Check { name: "scratch disk", detail, needed: !quick }
}

#[cfg(feature = "worker")]
fn speech_model(settings: &Settings) -> Check {
    use chalkstream_pipeline::model;
    let folder = chalkstream_workers::models(settings);
    let detail = match model::locate(&settings.speech.model, &folder) {
        Ok(installed) if !model::is_voice_encoder(&installed.voices) => Err(format!(
            "{} transcribes, but the voice encoder is missing or damaged, so nothing says who speaks; run: \
             chalkstream model fetch {}",
            installed.model.display(),
            installed.name
        )),
        Ok(installed) => Ok(installed.model.display().to_string()),
        Err(error) => Err(error.message),
    };
    Check { name: "speech model", detail, needed: false }
}
