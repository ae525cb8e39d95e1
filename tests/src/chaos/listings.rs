//! Holds lists of recordings to what became of each.

use std::collections::BTreeSet;
use std::time::Duration;

use reqwest::Method;
use tokio::time::{Instant, sleep};

use super::api::Api;
use super::client::{Acknowledged, End};
use super::violation::Violation;

/// Sweeps put right what a crash left in lists. One limit for all lists.
pub const MAX_LAG: Duration = Duration::from_secs(180);

/// Checks the lists of a tenant, by state and of all. They may be wrong until `deadline`.
pub async fn check(api: &Api, recordings: &[&Acknowledged], deadline: Instant) -> Vec<Violation> {
    let ids = |is_listed: fn(End) -> bool| -> BTreeSet<String> {
        let listed = recordings.iter().filter(|recording| is_listed(recording.end));
        listed.map(|recording| recording.recording.clone()).collect()
    };
    let lists = [
        ("?limit=200&state=ready", ids(|end| end == End::Ready)),
        ("?limit=200&state=cancelled", ids(|end| end == End::Cancelled)),
        ("?limit=200&state=failed", BTreeSet::new()),
        ("?limit=200", ids(|end| end != End::Deleted)),
    ];
    let mut violations = Vec::new();
    for (query, expected) in lists {
        let mut found = read(api, query).await;
        while found.as_ref() != Ok(&expected) && Instant::now() < deadline {
            sleep(Duration::from_secs(1)).await;
            found = read(api, query).await;
        }
        match found {
            Ok(found) => violations.extend(found.symmetric_difference(&expected).map(|recording| {
                let what = if expected.contains(recording) { "lacks it" } else { "has it" };
                Violation::about(recording, format!("the list {query} {what}"))
            })),
            Err(problem) => violations.push(Violation::general(problem)),
        }
    }
    violations
}

async fn read(api: &Api, query: &str) -> Result<BTreeSet<String>, String> {
    let answer = api.ask(Method::GET, &format!("/v1/recordings{query}"), |request| request).await?;
    let recordings = answer.body["recordings"].as_array();
    let recordings = recordings.ok_or_else(|| format!("a list answers {}", answer.status))?;
    Ok(recordings.iter().filter_map(|one| one["id"].as_str().map(str::to_owned)).collect())
}
