//! `chalkstream upload FILE`

use std::path::PathBuf;
use std::time::Duration;

use chalkstream_store::failure;
use clap::Args;
use reqwest::Method;
use serde_json::{Value, json};

use super::server_args::ServerArgs;
use crate::args::GlobalArgs;
use crate::client::api::{self, Api};
use crate::client::tus;
use crate::exit::{CommandError, CommandResult};
use crate::ui::output;
use crate::ui::progress::{ProgressDisplay, ProgressUnit};

/// How often the recording's state is polled.
const POLL_INTERVAL: Duration = Duration::from_millis(500);
/// How long polling continues while the server does not respond.
const MAX_SILENCE: Duration = Duration::from_secs(120);

/// Arguments of `upload`.
#[derive(Args)]
pub struct UploadArgs {
    /// File to upload.
    file: PathBuf,
    /// Title [default: the file's name].
    #[arg(long)]
    title: Option<String>,
    /// Id of the uploader on the platform [default: none].
    #[arg(long)]
    uploader: Option<String>,
    /// Time it is needed at, in RFC 3339; earlier ones are processed first [default: none].
    #[arg(long, value_name = "TIME")]
    due_at: Option<String>,
    /// Words and names that may be said in it, with commas between them [default: none].
    #[arg(long, value_name = "TERMS")]
    vocabulary: Option<String>,
    /// Wait until it is ready, and display each step.
    #[arg(long)]
    wait: bool,
    #[command(flatten)]
    server: ServerArgs,
}

/// Runs the command.
pub async fn run(global: &GlobalArgs, command: UploadArgs) -> CommandResult {
    let api = command.server.api(global)?;
    let display = ProgressDisplay::new();
    let request = tus::UploadRequest {
        file: &command.file,
        title: command.title.as_deref(),
        uploader: command.uploader.as_deref(),
        due_at: command.due_at.as_deref(),
        vocabulary: command.vocabulary.as_deref(),
    };
    let id = tus::upload(&api, &request, &display).await?;
    display.finish("upload", "done");

    let state = match command.wait {
        true => follow(&api, &id, &display).await?,
        false => api.get(&format!("/v1/recordings/{id}")).await?,
    };
    let link = api
        .json(api.request(Method::POST, "/v1/links").json(&json!({ "recording": id, "viewer": "operator" })))
        .await
        .unwrap_or_default();
    if global.json {
        output::json(&json!({
            "id": id, "state": state["state"], "watch": link["url"], "master": link["master_url"],
            "expires_at": link["expires_at"], "recording": state,
        }));
    } else {
        output::line(&id);
        if let Some(url) = link["url"].as_str() {
            output::line(url);
        }
    }
    Ok(())
}

/// Displays each step until the recording reaches a final state.
async fn follow(api: &Api, id: &str, display: &ProgressDisplay) -> CommandResult<Value> {
    let mut ticks = tokio::time::interval(POLL_INTERVAL);
    let mut last_response = std::time::Instant::now();
    let mut reported: Vec<(String, String)> = Vec::new();
    loop {
        ticks.tick().await;
        let response = api.request(Method::GET, &format!("/v1/recordings/{id}")).send().await;
        let is_refused = response.as_ref().is_ok_and(|response| response.status().is_client_error());
        let read = async {
            let response = api::expect_success(response.map_err(api::unreachable)?).await?;
            response.json::<Value>().await.map_err(api::unreachable)
        };
        let recording = match read.await {
            Ok(recording) => recording,
            Err(failure) if is_refused || last_response.elapsed() > MAX_SILENCE => return Err(failure),
            // The server may be restarting; nothing is lost.
            Err(_) => continue,
        };
        last_response = std::time::Instant::now();
        for step in recording["steps"].as_array().into_iter().flatten() {
            show_step(step, &mut reported, display);
        }
        let failure = &recording["failure"];
        match recording["state"].as_str().unwrap_or_default() {
            "ready" => return Ok(recording),
            "failed" => {
                let text = |name: &str| failure[name].as_str().unwrap_or("failed").to_owned();
                let (code, message) = (text("code"), text("message"));
                return Err(match failure["blame"].as_str() {
                    Some("input") => CommandError::input(code, message),
                    _ if failure::is_missing_dependency(&code) => CommandError::dependency(code, message),
                    _ => CommandError::failed(code, message),
                });
            }
            state @ ("cancelled" | "deleted") => {
                return Err(CommandError::failed(state, format!("The recording was {state}.")));
            }
            _ => {}
        }
    }
}

/// Displays one step, and reports its end once.
fn show_step(step: &Value, reported: &mut Vec<(String, String)>, display: &ProgressDisplay) {
    let name = step["name"].as_str().unwrap_or_default().to_owned();
    let state = step["state"].as_str().unwrap_or_default();
    let number = |field: &str| step[field].as_u64().unwrap_or_default();
    if state == "leased" {
        display.update(&name, ProgressUnit::MediaMs, number("done_ms"), number("total_ms"));
    }
    let is_over = matches!(state, "done" | "failed" | "cancelled");
    let entry = (name, state.to_owned());
    if is_over && !reported.contains(&entry) {
        match step["failure"]["message"].as_str().filter(|_| state == "failed") {
            Some(message) => display.finish(&entry.0, &format!("failed ({message})")),
            None => display.finish(&entry.0, state),
        }
        reported.push(entry);
    }
}
