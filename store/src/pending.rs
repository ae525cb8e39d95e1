//! Pending markers: a recording whose job is not over, told by storage alone, so that a loss of Redis loses none.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::queue::{JobSpec, Queue, Submitted};
use crate::{Error, Kind, Result, State, Store, layout, read_manifest};

/// A marker's content: the job as it was asked for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Pending {
    /// Version of this format: 1.
    pub version: u32,
    /// The job.
    pub job: JobSpec,
}

/// Marks a recording as not over. To be done before its upload is acknowledged.
pub async fn mark(store: &Store, job: &JobSpec) -> Result<()> {
    layout::check_ids(&job.tenant, &job.recording)?;
    let body = serde_json::to_vec(&Pending { version: 1, job: job.clone() })
        .map_err(|e| Error::internal("a pending marker cannot be written as json").with_source(e))?;
    store.put(&layout::pending_key(&job.tenant, &job.recording), Bytes::from(body)).await
}

/// Removes the marker: the recording reached a terminal state, and its manifest says so.
pub async fn clear(store: &Store, tenant: &str, recording: &str) -> Result<()> {
    layout::check_ids(tenant, recording)?;
    store.delete(&layout::pending_key(tenant, recording)).await
}

/// The marker of a recording, where it has one.
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

/// Marks and submits; where the job's `dedupe` value already stands for another recording, answers that one and
/// leaves nothing of this.
///
/// Where this fails with [`Kind::Unavailable`] because Redis is away, the marker is written: the upload may be
/// acknowledged, and the sweeper submits the job when Redis is back.
pub async fn submit(store: &Store, queue: &Queue, job: &JobSpec) -> Result<Submitted> {
    if let Some(value) = &job.dedupe
        && let Some(existing) = same(store, &job.tenant, value).await?
        && existing != job.recording
    {
        return Ok(Submitted { recording: existing, created: false });
    }
    mark(store, job).await?;
    let submitted = queue.submit(job).await?;
    if submitted.recording != job.recording {
        clear(store, &job.tenant, &job.recording).await?;
    }
    if let Some(value) = &job.dedupe {
        // Redis decided between two at once; both then write down the same.
        let key = layout::dedupe_key(&job.tenant, value);
        store.put(&key, Bytes::from(submitted.recording.clone())).await?;
    }
    Ok(submitted)
}

/// The recording that a deduplication value of a tenant stands for, told by storage alone. One that failed, was
/// stopped or was removed stands for nothing.
pub async fn same(store: &Store, tenant: &str, value: &str) -> Result<Option<String>> {
    let recording = match store.get(&layout::dedupe_key(tenant, value)).await {
        Ok(body) => String::from_utf8_lossy(&body).into_owned(),
        Err(error) if error.kind == Kind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    if !layout::valid_recording(&recording) {
        return Err(Error::corrupt("a deduplication record cannot be read"));
    }
    let manifest = read_manifest(store, tenant, &recording).await?;
    let stands = match manifest.map(|manifest| manifest.state) {
        Some(state) => !matches!(state, State::Failed | State::Cancelled | State::Deleted),
        // Not written yet; or all of it was removed.
        None => read(store, tenant, &recording).await?.is_some(),
    };
    Ok(stands.then_some(recording))
}

#[cfg(test)]
mod tests;
