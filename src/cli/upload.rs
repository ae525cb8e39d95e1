//! `chalkstream upload FILE`

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use reqwest::Method;
use serde_json::{Value, json};

use super::{Client, Common};
use crate::api::{self, Api};
use crate::exit::{Failure, Outcome};
use crate::progress::{Shown, Unit};
use crate::{output, tus};

/// How often a recording's state is asked for.
const ASK_EVERY: Duration = Duration::from_millis(500);
/// How long a server that does not answer is asked again.
const PATIENCE: Duration = Duration::from_secs(120);

/// Upload a recording.
#[derive(Args)]
pub struct Upload {
    /// The recording.
    file: PathBuf,
    /// Its title; the file's name where nothing is said.
    #[arg(long)]
    title: Option<String>,
    /// Who uploads it (the platform's own id).
    #[arg(long)]
    uploader: Option<String>,
    /// When someone needs it (RFC 3339).
    #[arg(long, value_name = "TIME")]
    due_at: Option<String>,
    /// Wait until it is ready, and show each step.
    #[arg(long)]
    wait: bool,
    #[command(flatten)]
    client: Client,
}

/// Runs the command.
pub async fn run(common: &Common, command: Upload) -> Outcome {
    let api = command.client.api(common)?;
    let shown = Shown::new();
    let asked = tus::Asked {
        file: &command.file,
        title: command.title.as_deref(),
        uploader: command.uploader.as_deref(),
        due_at: command.due_at.as_deref(),
    };
    let id = tus::upload(&api, &asked, &shown).await?;
    shown.end("upload", "done");

    let state = match command.wait {
        true => follow(&api, &id, &shown).await?,
        false => api.get(&format!("/v1/recordings/{id}")).await?,
    };
    let link = api
        .json(api.request(Method::POST, "/v1/links").json(&json!({ "recording": id, "viewer": "operator" })))
        .await
        .unwrap_or_default();
    if common.json {
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

/// Shows each step until nothing more happens by itself.
async fn follow(api: &Api, id: &str, shown: &Shown) -> Outcome<Value> {
    let mut ticks = tokio::time::interval(ASK_EVERY);
    let mut last_answer = std::time::Instant::now();
    let mut told: Vec<(String, String)> = Vec::new();
    loop {
        ticks.tick().await;
        let asked = api.request(Method::GET, &format!("/v1/recordings/{id}")).send().await;
        let refused = asked.as_ref().is_ok_and(|answer| answer.status().is_client_error());
        let read = async {
            let answer = api::expect(asked.map_err(api::unreachable)?).await?;
            answer.json::<Value>().await.map_err(api::unreachable)
        };
        let recording = match read.await {
            Ok(recording) => recording,
            Err(failure) if refused || last_answer.elapsed() > PATIENCE => return Err(failure),
            // A server that restarts loses nothing.
            Err(_) => continue,
        };
        last_answer = std::time::Instant::now();
        for step in recording["steps"].as_array().into_iter().flatten() {
            show(step, &mut told, shown);
        }
        let failure = &recording["failure"];
        match recording["state"].as_str().unwrap_or_default() {
            "ready" => return Ok(recording),
            "failed" => {
                let text = |name: &str| failure[name].as_str().unwrap_or("failed").to_owned();
                return Err(match failure["fault"].as_str() {
                    Some("input") => Failure::input(text("code"), text("message")),
                    Some("dependency") => Failure::dependency(text("code"), text("message")),
                    _ => Failure::failed(text("code"), text("message")),
                });
            }
            state @ ("cancelled" | "deleted") => {
                return Err(Failure::failed(state, format!("The recording was {state}.")));
            }
            _ => {}
        }
    }
}

/// Shows one step, and its end once.
fn show(step: &Value, told: &mut Vec<(String, String)>, shown: &Shown) {
    let name = step["name"].as_str().unwrap_or_default().to_owned();
    let state = step["state"].as_str().unwrap_or_default();
    let number = |field: &str| step[field].as_u64().unwrap_or_default();
    if state == "leased" {
        shown.at(&name, Unit::Media, number("done_ms"), number("total_ms"));
    }
    let over = matches!(state, "done" | "failed" | "cancelled");
    let entry = (name, state.to_owned());
    if over && !told.contains(&entry) {
        match step["failure"]["message"].as_str().filter(|_| state == "failed") {
            Some(message) => shown.end(&entry.0, &format!("failed ({message})")),
            None => shown.end(&entry.0, state),
        }
        told.push(entry);
    }
}
