//! `chalkstream jobs`, `retry`, `cancel` and `delete`

use clap::Args;
use reqwest::Method;
use serde_json::Value;

use super::server_args::ServerArgs;
use crate::args::GlobalArgs;
use crate::exit::CommandResult;
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
        let why = text(&job["failure"]["message"]);
        output::line(&[text(&job["recording"]), text(&job["state"]), steps.join(" "), why].join("\t"));
    }
    Ok(())
}

/// Retries a job.
pub async fn retry(global: &GlobalArgs, command: RecordingArgs) -> CommandResult {
    act(global, command, Method::POST, "/retry", "queued again").await
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
