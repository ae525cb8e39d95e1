//! `chalkstream jobs`, `retry`, `cancel` and `delete`

use clap::Args;
use reqwest::Method;
use serde_json::{Value, json};

use super::{Client, Common};
use crate::exit::Outcome;
use crate::output;

/// Which jobs.
#[derive(Args)]
pub struct Jobs {
    /// Only those that failed for good.
    #[arg(long)]
    failed: bool,
    #[command(flatten)]
    client: Client,
}

/// One recording.
#[derive(Args)]
pub struct One {
    /// The recording's id.
    id: String,
    #[command(flatten)]
    client: Client,
}

/// Lists jobs.
pub async fn list(common: &Common, command: Jobs) -> Outcome {
    let path = if command.failed { "/v1/jobs?failed=true" } else { "/v1/jobs" };
    let found = command.client.api(common)?.get(path).await?;
    if common.json {
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
pub async fn retry(common: &Common, command: One) -> Outcome {
    act(common, command, Method::POST, "/retry", "queued again").await
}

/// Stops the work.
pub async fn cancel(common: &Common, command: One) -> Outcome {
    act(common, command, Method::POST, "/cancel", "cancelled").await
}

/// Removes everything.
pub async fn delete(common: &Common, command: One) -> Outcome {
    act(common, command, Method::DELETE, "", "deleted").await
}

async fn act(common: &Common, command: One, method: Method, action: &str, done: &str) -> Outcome {
    let api = command.client.api(common)?;
    let answer = api.json(api.request(method, &format!("/v1/recordings/{}{action}", command.id))).await?;
    if common.json {
        output::json(&if answer.is_null() { json!({ "id": command.id, "done": done }) } else { answer });
    } else {
        output::line(&format!("{} is {done}", command.id));
    }
    Ok(())
}
