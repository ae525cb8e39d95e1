//! `chalkstream search QUERY`

use clap::Args;
use serde_json::Value;

use super::server_args::ServerArgs;
use crate::args::GlobalArgs;
use crate::exit::CommandResult;
use crate::ui::output;

/// Arguments of `search`.
#[derive(Args)]
pub struct SearchArgs {
    /// Words to search for.
    query: String,
    /// Id of the viewer that the links are for.
    #[arg(long, default_value = "operator")]
    viewer: String,
    /// Search only this recording [default: all].
    #[arg(long, value_name = "ID")]
    recording: Option<String>,
    /// Maximum number of results.
    #[arg(long, default_value_t = 10)]
    limit: u32,
    #[command(flatten)]
    server: ServerArgs,
}

/// Runs the command.
pub async fn run(global: &GlobalArgs, command: SearchArgs) -> CommandResult {
    let api = command.server.api(global)?;
    let limit = command.limit.to_string();
    let mut query = vec![("q", command.query.as_str()), ("viewer", &command.viewer), ("limit", &limit)];
    if let Some(recording) = &command.recording {
        query.push(("recording", recording));
    }
    let found = api.get_with_query("/v1/search", &query).await?;
    if global.json {
        output::json(&found);
        return Ok(());
    }
    print_all(&found["moments"]);
    if found["meaning"].as_array().is_some_and(|passages| !passages.is_empty()) {
        output::line("Similar in meaning:");
        print_all(&found["meaning"]);
    }
    Ok(())
}

/// Prints time, title, words and link of each result.
fn print_all(results: &Value) {
    for result in results.as_array().into_iter().flatten() {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let at_s = result["start_ms"].as_u64().unwrap_or_default() / 1000;
        output::line(&format!(
            "{}:{:02}  {}  {}",
            at_s / 60,
            at_s % 60,
            text(&result["title"]),
            text(&result["text"])
        ));
        output::line(&format!("      {}", text(&result["link"])));
    }
}
