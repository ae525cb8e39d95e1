//! Holds receipts of deletions to the truth.

use std::path::Path;
use std::time::Duration;

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::api::Api;
use super::client::{Acknowledged, End};
use super::fleet::tenant_name;
use super::storage::listing;
use super::violation::Violation;

/// A sweep, the lease of a server that died, and some. One limit for all that were deleted.
pub const MAX_EMPTYING: Duration = Duration::from_secs(180);

/// Checks the receipt of a deleted recording, which is there by `deadline`, and that no address has
/// it.
pub async fn check(api: &Api, recording: &Acknowledged, deadline: Instant) -> Vec<Violation> {
    let problems = problems(api, recording, deadline).await.unwrap_or_else(|problem| vec![problem]);
    problems.into_iter().map(|what| Violation::about(&recording.recording, what)).collect()
}

async fn problems(api: &Api, recording: &Acknowledged, deadline: Instant) -> Result<Vec<String>, String> {
    let id = &recording.recording;
    let receipt = emptied(api, id, deadline).await?;
    let mut problems = Vec::new();
    let removed = &receipt["removed"];
    let folders = removed["folders"].as_object().cloned().unwrap_or_default();
    for field in ["objects", "size_bytes"] {
        let sum: u64 = folders.values().filter_map(|amount| amount[field].as_u64()).sum();
        if removed[field].as_u64() != Some(sum) {
            problems.push(format!("its receipt's {field} are not those of its folders: {receipt}"));
        }
    }
    if recording.is_complete && removed["source_sha256"] != recording.sha256.as_str() {
        problems.push(format!("its receipt has another hash for the uploaded file: {receipt}"));
    }
    let source = &folders.get("source").cloned().unwrap_or_default();
    if recording.is_complete && (source["objects"] != 1 || source["size_bytes"] != recording.size_bytes) {
        problems.push(format!("its receipt does not count the uploaded file: {receipt}"));
    }
    let read = api.ask(Method::GET, &format!("/v1/recordings/{id}"), |request| request).await?;
    let link = json!({ "recording": id, "viewer": "coach-1" });
    let linked = api.ask(Method::POST, "/v1/links", |request| request.json(&link)).await?;
    for status in [read.status, linked.status] {
        if status != StatusCode::GONE && status != StatusCode::NOT_FOUND {
            problems.push(format!("deleted, and still answered with {status}"));
        }
    }
    Ok(problems)
}

/// The receipt, once everything is removed.
async fn emptied(api: &Api, id: &str, deadline: Instant) -> Result<Value, String> {
    loop {
        let answer = api.ask(Method::GET, &format!("/v1/deletions/{id}"), |request| request).await?;
        if answer.body["emptied_at"].is_string() {
            return Ok(answer.body);
        }
        if Instant::now() > deadline {
            return Err(format!("not emptied within {MAX_EMPTYING:?}: {} {}", answer.status, answer.body));
        }
        sleep(Duration::from_millis(500)).await;
    }
}

/// Deletes a recording that nothing changes any more: its receipt has to be exact.
pub async fn delete_exactly(
    api: &Api,
    objects: &Path,
    recording: &mut Acknowledged,
    deadline: Instant,
) -> Vec<Violation> {
    let folder = objects.join(tenant_name(recording.tenant)).join(&recording.recording);
    let (count, bytes, hash) = listing(&folder);
    recording.end = End::Deleted;
    let path = format!("/v1/recordings/{}", recording.recording);
    let receipt = async {
        api.ask(Method::DELETE, &path, |request| request).await?;
        emptied(api, &recording.recording, deadline).await
    };
    let problem = match receipt.await {
        Ok(receipt) => {
            let removed = &receipt["removed"];
            let is_true = removed["objects"] == count
                && removed["size_bytes"] == bytes
                && removed["listing_sha256"] == hash.as_str()
                && removed["late"]["objects"] == 0;
            (!is_true).then(|| format!("{count} objects of {bytes} bytes ({hash}) were there: {receipt}"))
        }
        Err(problem) => Some(problem),
    };
    problem.map(|what| Violation::about(&recording.recording, what)).into_iter().collect()
}
