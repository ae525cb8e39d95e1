//! `chalkstream jobs`, `retry`, `cancel` and `delete`

use clap::Args;
use reqwest::Method;
use serde_json::{Value, json};

use super::server_args::ServerArgs;
use crate::args::GlobalArgs;
use crate::exit::CommandResult;
use crate::ui::output;

/// Which jobs.
#[derive(Args)]
pub struct JobsArgs {
    /// Only those that failed for good.
    #[arg(long)]
    failed: bool,
    #[command(flatten)]
    server: ServerArgs,
}

/// One recording.
#[derive(Args)]
pub struct RecordingArgs {
    /// The recording's id.
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

/// Tries again.
pub async fn retry(global: &GlobalArgs, command: RecordingArgs) -> CommandResult {
    act(global, command, Method::POST, "/retry", "queued again").await
}

/// Stops the work.
pub async fn cancel(global: &GlobalArgs, command: RecordingArgs) -> CommandResult {
    act(global, command, Method::POST, "/cancel", "cancelled").await
}

/// Removes everything.
pub async fn delete(global: &GlobalArgs, command: RecordingArgs) -> CommandResult {
    act(global, command, Method::DELETE, "", "deleted").await
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
        output::json(&if response.is_null() { json!({ "id": command.id, "done": done }) } else { response });
    } else {
        output::line(&format!("{} is {done}", command.id));
    }
    Ok(())
}
