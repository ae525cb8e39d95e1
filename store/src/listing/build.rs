//! Makes a tenant's lists agree with its manifests: those of recordings that earlier builds wrote,
//! and what crashes left.

use std::collections::{BTreeMap, BTreeSet};
use std::pin::pin;

use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream};
use serde::{Deserialize, Serialize};

use super::copies::copy_newest;
use super::entry::{body, repair, states};
use crate::clock::now_ms;
use crate::objects::list_all;
use crate::recording::read_newest;
use crate::{Error, Kind, Result, State, Store, layout};

/// Recordings read at once.
const READS: usize = 16;

/// When all recordings of a tenant were last compared.
#[derive(Serialize, Deserialize)]
struct Built {
    at_ms: u64,
}

/// Findings of a comparison.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Verified {
    /// Recordings looked at.
    pub recordings: u64,
    /// Those whose entry was missing, old or one too many.
    pub repaired: u64,
}

/// When the lists of a tenant were last compared with all manifests, in ms since 1970. `None` if
/// they never were: then recordings are missing from them.
///
/// # Errors
/// If storage does not answer.
pub async fn built_at_ms(store: &Store, tenant: &str) -> Result<Option<u64>> {
    match store.get(&layout::lists_built_key(tenant)).await {
        Ok(body) => Ok(serde_json::from_slice::<Built>(&body).ok().map(|built| built.at_ms)),
        Err(error) if error.kind == Kind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Compares all recordings of a tenant with its lists and repairs these. Others may write
/// meanwhile.
///
/// # Errors
/// If storage does not answer: it can be started again.
pub async fn verify(store: &Store, tenant: &str) -> Result<Verified> {
    let mut folders: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for id in store.list_dirs(&layout::tenant_prefix(tenant)).await? {
        if layout::valid_recording(&id) {
            folders.entry(layout::list_folder(&id)).or_default().insert(id);
        }
    }
    for state in states() {
        for folder in store.list_dirs(&layout::list_prefix(tenant, state.as_str())).await? {
            folders.entry(folder + "/").or_default();
        }
    }
    let mut verified = Verified::default();
    for (folder, mut recordings) in folders {
        let mut entries = entries(store, tenant, &folder).await?;
        recordings.extend(entries.keys().cloned());
        verified.recordings += recordings.len() as u64;
        let compared = recordings.into_iter().map(|recording| {
            let listed = entries.remove(&recording).unwrap_or_default();
            (recording, listed)
        });
        let repairs = stream::iter(compared)
            .map(|(recording, listed)| one(store, tenant, recording, listed))
            .buffer_unordered(READS);
        verified.repaired +=
            repairs.try_fold(0, |sum, repaired| async move { Ok(sum + u64::from(repaired)) }).await?;
    }
    for state in states() {
        copy_newest(store, tenant, state).await?;
    }
    let built = serde_json::to_vec(&Built { at_ms: now_ms() })
        .map_err(|e| Error::internal("not json").with_source(e))?;
    store.put(&layout::lists_built_key(tenant), Bytes::from(built)).await?;
    Ok(verified)
}

/// State and size of each entry in a folder of all lists, by recording.
async fn entries(store: &Store, tenant: &str, folder: &str) -> Result<BTreeMap<String, Vec<(State, u64)>>> {
    let mut entries: BTreeMap<String, Vec<(State, u64)>> = BTreeMap::new();
    for state in states() {
        let prefix = format!("{}{folder}", layout::list_prefix(tenant, state.as_str()));
        let mut listed = pin!(list_all(store, &prefix));
        while let Some(object) = listed.try_next().await? {
            if let Some(recording) = layout::listed_recording(&object.key) {
                entries.entry(recording).or_default().push((state, object.size_bytes));
            }
        }
    }
    Ok(entries)
}

/// Compares one recording; true if it was repaired.
async fn one(store: &Store, tenant: &str, recording: String, listed: Vec<(State, u64)>) -> Result<bool> {
    let expected = match read_newest(store, tenant, &recording).await {
        Ok(Some((newest, manifest))) if manifest.state != State::Deleted => {
            let body = body(&manifest, !newest.corrections.is_empty())?;
            Some((manifest.state, body.len() as u64))
        }
        Ok(_) => None,
        Err(error) if error.kind == Kind::Corrupt => return Ok(false),
        Err(error) => return Err(error),
    };
    if listed.as_slice() == expected.as_slice() {
        return Ok(false);
    }
    repair(store, tenant, &recording).await?;
    Ok(true)
}
