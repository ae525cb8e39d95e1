//! The one path of a job into the queue: a marker in storage, then its deduplication value, then
//! the queue.
//!
//! A pending marker says that a recording's job is not over. Storage alone holds it, so a loss of
//! Redis loses no recording.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::queue::{JobSpec, Queue};
use crate::{Error, Kind, Result, State, Store, layout, read_manifest};

/// Content of a pending marker: the job as it was submitted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Pending {
    /// Version of this format: 1.
    pub version: u32,
    /// The job.
    pub job: JobSpec,
}

/// Outcome of a submission.
#[derive(Debug)]
pub enum Submission {
    /// The recording has a job.
    Queued,
    /// The marker is durable, so the upload may be acknowledged. The queue did not take the job;
    /// the sweeper submits it later.
    Deferred(Error),
    /// Another recording stands for the same value. No marker of this one is left.
    Duplicate {
        /// The other recording.
        recording: String,
    },
}

/// Marks a recording as pending. This comes before its upload is acknowledged.
///
/// # Errors
/// If storage does not take the marker.
pub async fn mark(store: &Store, job: &JobSpec) -> Result<()> {
    layout::check_ids(&job.tenant, &job.recording)?;
    let body = serde_json::to_vec(&Pending { version: 1, job: job.clone() })
        .map_err(|e| Error::internal("a pending marker cannot be written as json").with_source(e))?;
    store.put(&layout::pending_key(&job.tenant, &job.recording), Bytes::from(body)).await
}

/// Removes the marker: the recording reached a terminal state, and its manifest says so.
///
/// # Errors
/// If storage does not answer.
pub async fn clear(store: &Store, tenant: &str, recording: &str) -> Result<()> {
    layout::check_ids(tenant, recording)?;
    store.delete(&layout::pending_key(tenant, recording)).await
}

/// Reads the marker of a recording; `None` if it has none.
///
/// # Errors
/// If storage does not answer, or the marker is corrupt.
pub async fn read(store: &Store, tenant: &str, recording: &str) -> Result<Option<Pending>> {
    layout::check_ids(tenant, recording)?;
    match store.get(&layout::pending_key(tenant, recording)).await {
        Ok(body) => serde_json::from_slice(&body)
            .map(Some)
            .map_err(|e| Error::corrupt("a pending marker cannot be read").with_source(e)),
        Err(error) if error.kind == Kind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Marks a job as pending, remembers its deduplication value, and queues it.
///
/// Each part can be done again after a crash, by any process. A caller looks for an earlier
/// recording with [`find_duplicate`] first; the queue distinguishes two that submit at the same
/// time. The queue may still know a job of a deleted recording, which stands for nothing, so its
/// job is forgotten.
///
/// # Errors
/// If storage does not answer. Failures of the queue are [`Submission::Deferred`].
pub async fn submit(store: &Store, queue: &Queue, job: &JobSpec) -> Result<Submission> {
    mark(store, job).await?;
    remember(store, job, &job.recording).await?;
    let recording = loop {
        let recording = match queue.submit(job).await {
            Ok(submitted) => submitted.recording,
            Err(error) => return Ok(Submission::Deferred(error)),
        };
        if recording == job.recording {
            return Ok(Submission::Queued);
        }
        if !is_gone(store, &job.tenant, &recording).await? {
            break recording;
        }
        if let Err(error) = queue.forget(&job.tenant, &recording).await {
            return Ok(Submission::Deferred(error));
        }
    };
    remember(store, job, &recording).await?;
    clear(store, &job.tenant, &job.recording).await?;
    Ok(Submission::Duplicate { recording })
}

/// True if a recording was deleted, or never existed.
///
/// # Errors
/// If storage does not answer, or the manifest is corrupt.
pub async fn is_gone(store: &Store, tenant: &str, recording: &str) -> Result<bool> {
    let manifest = read_manifest(store, tenant, recording).await?;
    Ok(manifest.is_none_or(|manifest| manifest.state == State::Deleted))
}

async fn remember(store: &Store, job: &JobSpec, recording: &str) -> Result<()> {
    let Some(value) = &job.dedupe else { return Ok(()) };
    let key = layout::dedupe_key(&job.tenant, value);
    store.put(&key, Bytes::from(recording.to_owned())).await
}

/// Finds the recording that a deduplication value of a tenant stands for, from storage alone.
///
/// `None` if it stands for `recording` itself, or for one that failed, was cancelled or was
/// deleted.
///
/// # Errors
/// If storage does not answer, or a manifest is corrupt.
pub async fn find_duplicate(
    store: &Store,
    tenant: &str,
    value: &str,
    recording: &str,
) -> Result<Option<String>> {
    let other = match store.get(&layout::dedupe_key(tenant, value)).await {
        Ok(body) => String::from_utf8_lossy(&body).into_owned(),
        Err(error) if error.kind == Kind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    if other == recording || !layout::valid_recording(&other) {
        return Ok(None);
    }
    let state = read_manifest(store, tenant, &other).await?.map(|manifest| manifest.state);
    let is_usable =
        state.is_some_and(|state| !matches!(state, State::Failed | State::Cancelled | State::Deleted));
    Ok(is_usable.then_some(other))
}

#[cfg(test)]
mod tests;
