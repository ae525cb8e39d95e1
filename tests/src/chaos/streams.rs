//! Watches a recording to its end, as a viewer's player fetches it.

use reqwest::{Method, StatusCode, Url};
use serde_json::json;

use super::api::{Answer, Api};
use crate::playlist::uris;

/// Fetches every playlist and segment that a new link leads to; returns the number of segments.
///
/// # Errors
/// If something is missing or empty.
pub async fn watch(api: &Api, recording: &str) -> Result<usize, String> {
    let link = json!({ "recording": recording, "viewer": "coach-1" });
    let link = api.ask(Method::POST, "/v1/links", |request| request.json(&link)).await?;
    let master = link.body["master_url"].as_str().ok_or_else(|| format!("no link: {}", link.body))?;
    let master = Url::parse(master).map_err(|error| error.to_string())?;
    let mut segments = 0;
    for playlist in uris(&text(&get(api, &master).await?)) {
        let playlist = master.join(&playlist).map_err(|error| error.to_string())?;
        let mut parts = uris(&text(&get(api, &playlist).await?));
        parts.dedup();
        for part in parts {
            let part = playlist.join(&part).map_err(|error| error.to_string())?;
            if get(api, &part).await?.bytes.is_empty() {
                return Err(format!("a viewer gets nothing for {}", name(&part)));
            }
            segments += 1;
        }
    }
    if segments == 0 { Err("a viewer gets a stream without segments".to_owned()) } else { Ok(segments) }
}

async fn get(api: &Api, url: &Url) -> Result<Answer, String> {
    let answer = api.ask(Method::GET, url.path(), |request| request).await?;
    match answer.status {
        StatusCode::OK => Ok(answer),
        status => Err(format!("a viewer gets {status} for {}", name(url))),
    }
}

fn text(answer: &Answer) -> String {
    String::from_utf8_lossy(&answer.bytes).into_owned()
}

/// The end of a URL, without the token in it.
fn name(url: &Url) -> String {
    let parts: Vec<&str> = url.path().rsplit('/').take(3).collect();
    parts.into_iter().rev().collect::<Vec<_>>().join("/")
}
