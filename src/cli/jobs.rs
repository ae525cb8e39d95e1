//! `chalkstream jobs`, `retry`, `cancel` and `delete`

use chalkstream_store::retry::{self, RetryFilter};
use chalkstream_store::{EventKind, Events, Manifest, Queue};
use clap::Args;
use reqwest::Method;
use serde_json::{Value, json};

use super::server_args::ServerArgs;
use crate::args::GlobalArgs;
use crate::exit::CommandResult;
use crate::settings_source;
use crate::ui::output;

/// Arguments of `jobs`.
#[derive(Args)]
pub struct JobsArgs {
    /// List only the jobs that failed and are not retried.
    #[arg(long)]
    failed: bool,
    #[command(flatten)]
    server: ServerArgs,
}

/// Arguments of commands on one recording.
#[derive(Args)]
pub struct RecordingArgs {
    /// Id of the recording.
    id: String,
    #[command(flatten)]
    server: ServerArgs,
}

/// Arguments of `retry`.
#[derive(Args)]
pub struct RetryArgs {
    /// Id of the recording.
    #[arg(required_unless_present = "all", conflicts_with = "all")]
    id: Option<String>,
    /// Retry every recording that failed, and failed optional steps of ready ones, in the storage
    /// and queue of the settings. Refused recordings are left alone unless `--code` names them.
    #[arg(long)]
    all: bool,
    /// Only those in which something failed with this code.
    #[arg(long, requires = "all", value_name = "CODE")]
    code: Option<String>,
    /// Only those of this tenant.
    #[arg(long, requires = "all", value_name = "TENANT")]
    tenant: Option<String>,
    #[command(flatten)]
    server: ServerArgs,
}

/// Lists jobs.
pub async fn list(global: &GlobalArgs, command: JobsArgs) -> CommandResult {
    let path = if command.failed { "/v1/jobs?failed=true" } else { "/v1/jobs" };
    let found = command.server.api(global)?.get(path).await?;
    if global.json {
        output::json(&found);
        return Ok(());
    }
    for job in found["jobs"].as_array().into_iter().flatten() {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let steps: Vec<_> = job["steps"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|step| format!("{}={}", text(&step["name"]), text(&step["state"])))
            .collect();
        let [code, message] = ["code", "message"].map(|field| text(&job["failure"][field]));
        // The code is last, so that the earlier columns keep their positions.
        let row = [text(&job["recording"]), text(&job["state"]), steps.join(" "), message, code];
        output::line(&row.join("\t"));
    }
    Ok(())
}

/// Retries one recording through the server, or all that failed.
pub async fn retry(global: &GlobalArgs, command: RetryArgs) -> CommandResult {
    match command.id {
        Some(id) => {
            let command = RecordingArgs { id, server: command.server };
            act(global, command, Method::POST, "/retry", "queued again").await
        }
        None => retry_all(global, RetryFilter { tenant: command.tenant, code: command.code }).await,
    }
}

/// Works on storage and queue themselves: an API key is one tenant's.
async fn retry_all(global: &GlobalArgs, filter: RetryFilter) -> CommandResult {
    let settings = settings_source::load_for_command(global)?;
    let store = chalkstream_store::open(&settings.store).await?;
    let queue = Queue::connect(&settings.redis).await?;
    let events = Events::connect(&settings.redis)?;
    let retried = retry::all(&store, &queue, &filter).await?;
    announce(&events, &retried).await;
    if global.json {
        let retried = retried.iter().map(|manifest| {
            json!({ "tenant": manifest.tenant, "recording": manifest.recording, "title": manifest.title })
        });
        output::json(&json!({ "retried": retried.collect::<Vec<_>>() }));
    } else {
        for manifest in &retried {
            output::line(&format!("{}\t{} is queued again", manifest.tenant, manifest.recording));
        }
        output::note(&format!("{} recordings queued again", retried.len()));
    }
    Ok(())
}

/// Publishes the new states. Lost events cost nothing: readers find the states in storage. So the
/// first failure ends it, and nothing waits for a Redis that is away.
async fn announce(events: &Events, retried: &[Manifest]) {
    for manifest in retried {
        let (tenant, recording) = (manifest.tenant.as_str(), manifest.recording.as_str());
        let data = json!({ "state": manifest.state.as_str() });
        if let Err(error) = events.publish(tenant, recording, EventKind::State, data).await {
            tracing::debug!(tenant_id = tenant, recording_id = recording, %error, "event not published");
            return;
        }
    }
}

/// Cancels a job.
pub async fn cancel(global: &GlobalArgs, command: RecordingArgs) -> CommandResult {
    act(global, command, Method::POST, "/cancel", "cancelled").await
}

/// Deletes a recording. The server goes on by itself; its answer is the receipt.
pub async fn delete(global: &GlobalArgs, command: RecordingArgs) -> CommandResult {
    let api = command.server.api(global)?;
    let path = format!("/v1/recordings/{}", command.id);
    let receipt = api.json(api.request(Method::DELETE, &path)).await?;
    if global.json {
        output::json(&receipt);
    } else {
        let erased_by = receipt["erased_by"].as_str().unwrap_or_default();
        output::line(&format!("{} is deleted, and erased by {erased_by}", command.id));
    }
    Ok(())
}

async fn act(
    global: &GlobalArgs,
    command: RecordingArgs,
    method: Method,
    action: &str,
    done: &str,
) -> CommandResult {
    let api = command.server.api(global)?;
    let response = api.json(api.request(method, &format!("/v1/recordings/{}{action}", command.id))).await?;
    if global.json {
        output::json(&response);
    } else {
        output::line(&format!("{} is {done}", command.id));
    }
    Ok(())
}
