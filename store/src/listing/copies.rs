//! Copies of the newest entries of a list, in one object: a server that starts reads it instead of
//! a page of entries. Only a cache: an entry that has changed is read itself.

use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream};
use serde::{Deserialize, Serialize};

use super::entry::{ListEntry, page, read, states};
use crate::{Error, Kind, Manifest, Result, State, Store, layout};

/// Entries that are copied: a longest page.
const MAX_COPIES: usize = 200;
/// Entries read at once.
const READS: usize = 16;

/// A copy of an entry.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Copy {
    /// Size and tag of the entry it was made from: of any other one it says nothing.
    pub version: (u64, u64),
    /// The entry.
    pub summary: Manifest,
}

impl ListEntry {
    /// Size and tag of its object.
    pub fn version(&self) -> (u64, u64) {
        (self.object.size_bytes, self.object.tag)
    }
}

/// Reads the copies of a state's list; none if there are none.
///
/// # Errors
/// If storage does not answer.
pub async fn read_copies(store: &Store, tenant: &str, state: State) -> Result<Vec<Copy>> {
    match store.get(&layout::list_copies_key(tenant, state.as_str())).await {
        Ok(body) => Ok(serde_json::from_slice(&body).unwrap_or_default()),
        Err(error) if error.kind == Kind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

/// Copies the newest entries of a state's list.
///
/// # Errors
/// If storage does not answer.
pub async fn copy_newest(store: &Store, tenant: &str, state: State) -> Result<()> {
    let entries = page(store, tenant, state, None, MAX_COPIES).await?;
    let reads = stream::iter(entries).map(|entry| async move {
        Ok::<_, Error>(read(store, &entry).await?.map(|summary| Copy { version: entry.version(), summary }))
    });
    let copies: Vec<Option<Copy>> = reads.buffered(READS).try_collect().await?;
    let copies: Vec<Copy> = copies.into_iter().flatten().collect();
    let body = serde_json::to_vec(&copies)
        .map_err(|e| Error::internal("copies of a list cannot be written as json").with_source(e))?;
    let key = layout::list_copies_key(tenant, state.as_str());
    store.put(&key, Bytes::from(body)).await?;
    // A recording that was deleted meanwhile must not live on here. Its entry goes first, so either
    // it is missed now, or its deletion finds these copies.
    let now = page(store, tenant, state, None, MAX_COPIES).await?;
    let is_listed = |copy: &Copy| now.iter().any(|entry| entry.recording == copy.summary.recording);
    if copies.iter().all(is_listed) { Ok(()) } else { store.delete(&key).await }
}

/// Removes the copies among which is one of a deleted recording.
///
/// # Errors
/// If storage does not answer.
pub async fn remove_copies(store: &Store, tenant: &str, recording: &str) -> Result<()> {
    let removals = states().map(|state| async move {
        let copies = read_copies(store, tenant, state).await?;
        if copies.iter().any(|copy| copy.summary.recording == recording) {
            store.delete(&layout::list_copies_key(tenant, state.as_str())).await?;
        }
        Ok(())
    });
    futures_util::future::try_join_all(removals).await.map(drop)
}
