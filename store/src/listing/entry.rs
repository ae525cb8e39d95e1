//! One recording's entry, and pages of entries.

use std::borrow::Cow;

use bytes::Bytes;
use futures_util::{Stream, TryStreamExt};
use serde_json::Value;

use crate::objects::list_all_of;
use crate::recording::{NewestObjects, newest, read_newest};
use crate::{Error, Kind, Listed, Manifest, Result, State, Store, layout};

/// How often an entry is written again because its manifest changed meanwhile.
const MAX_ROUNDS: usize = 5;

/// One recording in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListEntry {
    /// The recording.
    pub recording: String,
    /// Its object.
    pub object: Listed,
}

/// The states that have a list: all but deleted.
pub fn states() -> impl Iterator<Item = State> {
    State::ALL.into_iter().filter(|state| *state != State::Deleted)
}

/// The short fields of a manifest: what a list shows, and what search reads. It is as long for six
/// hours as for six minutes.
pub fn summary(manifest: &Manifest) -> Manifest {
    let mut summary = Manifest::new(&manifest.tenant, &manifest.recording);
    let Manifest { objects: _, dedupe: _, steps, .. } = manifest;
    summary.steps = steps
        .iter()
        .map(|(name, step)| {
            let mut short = step.clone();
            (short.input, short.result) = (Value::Null, None);
            (short.needs, short.requires) = (Vec::new(), Vec::new());
            (name.clone(), short)
        })
        .collect();
    Manifest {
        fence: manifest.fence,
        title: manifest.title.clone(),
        uploader: manifest.uploader.clone(),
        created_at: manifest.created_at,
        due_at_ms: manifest.due_at_ms,
        state: manifest.state,
        playable_with: manifest.playable_with.clone(),
        failure: manifest.failure.clone(),
        source: manifest.source.clone(),
        media: manifest.media.clone(),
        revision: manifest.revision.clone(),
        files: manifest.files.clone(),
        failed_optional: manifest.failed_optional.clone(),
        warnings: manifest.warnings.clone(),
        source_declined: manifest.source_declined.clone(),
        ..summary
    }
}

/// At most `limit` recordings of a tenant in one state, newest first, older than `after`.
///
/// # Errors
/// If storage does not answer.
pub async fn page(
    store: &Store,
    tenant: &str,
    state: State,
    after: Option<&str>,
    limit: usize,
) -> Result<Vec<ListEntry>> {
    let after = after.map(|recording| layout::list_key(tenant, state.as_str(), recording));
    let listed = store.list(&layout::list_prefix(tenant, state.as_str()), after.as_deref(), limit).await?;
    let entry =
        |object: Listed| Some(ListEntry { recording: layout::listed_recording(&object.key)?, object });
    Ok(listed.into_iter().filter_map(entry).collect())
}

/// All recordings of a tenant in one state, newest first.
pub fn all<'a>(store: &'a Store, tenant: &str, state: State) -> impl Stream<Item = Result<ListEntry>> + 'a {
    let prefix = layout::list_prefix(tenant, state.as_str());
    list_all_of(store, prefix).try_filter_map(|object| async move {
        let recording = layout::listed_recording(&object.key);
        Ok(recording.map(|recording| ListEntry { recording, object }))
    })
}

/// Reads an entry; `None` if the recording has left that list.
///
/// # Errors
/// If storage does not answer, or the entry is corrupt.
pub async fn read(store: &Store, entry: &ListEntry) -> Result<Option<Manifest>> {
    match store.get(&entry.object.key).await {
        Ok(body) => serde_json::from_slice(&body)
            .map(Some)
            .map_err(|e| Error::corrupt("an entry of a list cannot be read").with_source(e)),
        Err(error) if error.kind == Kind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Makes the lists agree with a recording's manifest. Two writers at once, and twice, are fine.
///
/// # Errors
/// If storage does not answer.
pub async fn repair(store: &Store, tenant: &str, recording: &str) -> Result<()> {
    layout::check_ids(tenant, recording)?;
    update(store, tenant, recording, None).await
}

/// Lists a recording as one that may have corrections, before the first one is written.
///
/// # Errors
/// If storage does not answer.
pub async fn expect_corrections(store: &Store, tenant: &str, recording: &str) -> Result<()> {
    match read_newest(store, tenant, recording).await? {
        Some((_, manifest)) => write(store, &manifest, true).await,
        None => Ok(()),
    }
}

/// The same as [`repair`] for a caller that has just listed and has the newest manifest.
pub(crate) async fn update(
    store: &Store,
    tenant: &str,
    recording: &str,
    mut known: Option<(NewestObjects, Cow<'_, Manifest>)>,
) -> Result<()> {
    let has_corrections = |newest: &NewestObjects| !newest.corrections.is_empty();
    for _ in 0..MAX_ROUNDS {
        let (listed, manifest) = match known.take() {
            Some(known) => known,
            None => match read_newest(store, tenant, recording).await {
                Ok(Some((listed, manifest))) => (listed, Cow::Owned(manifest)),
                Ok(None) => return remove(store, tenant, recording).await,
                // Nothing is known of it, so what was listed stays.
                Err(error) if error.kind == Kind::Corrupt => return Ok(()),
                Err(error) => return Err(error),
            },
        };
        write(store, &manifest, has_corrections(&listed)).await?;
        // Another one may have written since, and its entry before this one.
        let is_same = |now: &NewestObjects| {
            now.manifest == listed.manifest && has_corrections(now) == has_corrections(&listed)
        };
        if newest(store, tenant, recording).await?.as_ref().is_some_and(is_same) {
            return Ok(());
        }
    }
    Err(Error::unavailable("the manifest changes faster than it can be listed"))
}

/// Removes a recording from all lists.
///
/// # Errors
/// If storage does not answer.
pub async fn remove(store: &Store, tenant: &str, recording: &str) -> Result<()> {
    store.delete_many(&keys(tenant, recording, |_| true)).await
}

pub(super) async fn write(store: &Store, manifest: &Manifest, may_have_corrections: bool) -> Result<()> {
    let (tenant, recording, state) = (&manifest.tenant, &manifest.recording, manifest.state);
    if state == State::Deleted {
        return remove(store, tenant, recording).await;
    }
    // The new one first: a recording is never in no list.
    let key = layout::list_key(tenant, state.as_str(), recording);
    store.put(&key, Bytes::from(body(manifest, may_have_corrections)?)).await?;
    store.delete_many(&keys(tenant, recording, |other| other != state)).await
}

pub(super) fn body(manifest: &Manifest, may_have_corrections: bool) -> Result<Vec<u8>> {
    serde_json::to_vec(&Manifest { may_have_corrections, ..summary(manifest) })
        .map_err(|e| Error::internal("an entry of a list cannot be written as json").with_source(e))
}

fn keys(tenant: &str, recording: &str, is_wanted: impl Fn(State) -> bool) -> Vec<String> {
    let wanted = states().filter(|state| is_wanted(*state));
    wanted.map(|state| layout::list_key(tenant, state.as_str(), recording)).collect()
}
