//! Changes of a tenant's index: what a commit sends, and in which order.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use super::super::engine::Error;
use super::client::{Client, Effort, existing};
use super::pending::{Change, Changes, fill};
use super::schema;

/// Recordings whose old passages are removed by one request.
const MAX_RECORDINGS: usize = 200;
/// Tries of a removal. It fails where another server changes the same documents at the same time.
const MAX_TRIES: usize = 8;
/// Pause between two of them.
const TRY_PAUSE: Duration = Duration::from_millis(50);

/// Makes a tenant's index, if there is none.
pub fn create(client: &Client, alias: &str) -> Result<(), Error> {
    if existing(client.send(Method::GET, &format!("_alias/{alias}"), &Value::Null, Effort::Read))?.is_some() {
        return Ok(());
    }
    let path = format!("{alias}_1");
    match make(client, &path, &schema::index(alias, true)) {
        // A cluster without the plug-in has no field for vectors.
        Err(Error::Refused { .. }) => make(client, &path, &schema::index(alias, false)),
        done => done,
    }
}

/// Makes an index. Another server may have made it meanwhile.
pub fn make(client: &Client, path: &str, index: &Value) -> Result<(), Error> {
    match client.send(Method::PUT, path, index, Effort::Write) {
        Err(Error::Refused { kind, .. }) if kind == "resource_already_exists_exception" => Ok(()),
        done => done.map(drop),
    }
}

/// Sends passages. They are not found before their lesson is written.
pub fn send(client: &Client, alias: &str, bodies: Vec<Vec<u8>>) -> Result<(), Error> {
    // Without the flag, a missing index would be made with any fields.
    let path =
        format!("{alias}/_bulk?require_alias=true&filter_path=errors,items.*.status,items.*.error.type");
    bodies.into_iter().try_for_each(|body| client.bulk(&path, body))
}

/// Applies the changes of a tenant: new passages, then the end of old ones, then the lessons
/// themselves. A change that is cut off is repeated, because its lesson's document is the last.
pub fn apply(client: &Client, alias: &str, changes: Changes) -> Result<(), Error> {
    send(client, alias, changes.bodies)?;
    // What is not visible would not be removed.
    if !refresh(client, alias)? {
        return Ok(());
    }
    let mut lessons = Vec::new();
    let (mut stale, mut removed) = (Vec::new(), Vec::new());
    for (recording, change) in changes.recordings {
        match change {
            Change::Removed => removed.push(recording),
            Change::Replaced { tag, lesson } => {
                stale.push(json!({ "bool": {
                    "filter": { "term": { "recording": recording } },
                    "must_not": [{ "term": { "tag": tag } }, { "term": { "kind": "lesson" } }],
                } }));
                fill(&mut lessons, [lesson]);
            }
        }
    }
    for some in removed.chunks(MAX_RECORDINGS) {
        delete(client, alias, &json!({ "terms": { "recording": some } }))?;
    }
    for some in stale.chunks(MAX_RECORDINGS) {
        delete(client, alias, &json!({ "bool": { "should": some, "minimum_should_match": 1 } }))?;
    }
    send(client, alias, lessons)?;
    refresh(client, alias).map(drop)
}

/// Makes all changes visible. False if there is no index.
fn refresh(client: &Client, alias: &str) -> Result<bool, Error> {
    let done = client.send(Method::POST, &format!("{alias}/_refresh"), &Value::Null, Effort::Write);
    Ok(existing(done)?.is_some())
}

fn delete(client: &Client, alias: &str, query: &Value) -> Result<(), Error> {
    let path = format!("{alias}/_delete_by_query?conflicts=proceed");
    for _ in 0..MAX_TRIES {
        let done = client.send(Method::POST, &path, &json!({ "query": query }), Effort::Write)?;
        let has_failed = done["failures"].as_array().is_none_or(|failures| !failures.is_empty());
        if !has_failed && done["version_conflicts"] == 0 {
            return Ok(());
        }
        std::thread::sleep(TRY_PAUSE);
        refresh(client, alias)?;
    }
    Err(Error::Unavailable("documents not removed".into()))
}

/// Merges what has removed documents. Returns how many of them it took off the disk, and how many
/// are left: the cluster keeps those of the last minute.
pub fn purge(client: &Client, alias: &str) -> Result<(u64, u64), Error> {
    let before = removed(client, alias)?;
    if before == 0 {
        return Ok((0, 0));
    }
    let path = format!("{alias}/_forcemerge?only_expunge_deletes=true&flush=true");
    let done = existing(client.send(Method::POST, &path, &Value::Null, Effort::Merge))?;
    complete(&done.unwrap_or_default())?;
    let after = removed(client, alias)?;
    Ok((before.saturating_sub(after), after))
}

/// Removed documents that are still on a disk, in all copies of an index.
pub fn removed(client: &Client, alias: &str) -> Result<u64, Error> {
    let stats = client.send(Method::GET, &format!("{alias}/_stats/docs"), &Value::Null, Effort::Read);
    let Some(stats) = existing(stats)? else { return Ok(0) };
    complete(&stats)?;
    let deleted = stats["_all"]["total"]["docs"]["deleted"].as_u64();
    deleted.ok_or_else(|| Error::Unavailable("no statistics".into()))
}

/// Fails unless all shards have answered.
pub fn complete(answer: &Value) -> Result<(), Error> {
    let is_partial = answer["_shards"]["failed"].as_u64().is_some_and(|failed| failed > 0);
    match is_partial || answer["timed_out"] == Value::Bool(true) {
        true => Err(Error::Unavailable("some shards did not answer".into())),
        false => Ok(()),
    }
}
