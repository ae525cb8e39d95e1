//! Pending markers: a recording whose job is not over, told by storage alone, so that a loss of Redis loses none.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::queue::{JobSpec, Queue, Submitted};
use crate::{Error, Kind, Result, Store, layout};

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

/// Marks and submits. Where this answers [`Kind::Unavailable`] and Redis was the one away, the marker is written,
/// and the sweeper submits the job when Redis is back.
pub async fn submit(store: &Store, queue: &Queue, job: &JobSpec) -> Result<Submitted> {
    mark(store, job).await?;
    queue.submit(job).await
}
