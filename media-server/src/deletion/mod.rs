//! Deleting recordings: the work stops, a tombstone says so, and every object goes, also those that
//! a worker writes a moment later.

use axum::extract::{FromRef, Path, State};
use bytes::Bytes;
use chalkstream_store::objects::{delete_where, list_all};
use chalkstream_store::{
    EventKind, Events, Kind, Manifest, Queue, State as RecordingState, Store, layout, read_manifest, submit,
    write_manifest,
};
use futures_util::TryStreamExt;
use http::StatusCode;
use serde_json::json;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::access::{Access, ApiCaller};
use crate::clock::now_ms;
use crate::events::announce;
use crate::problem::{Problem, ProblemBody};
use crate::uploads::{Uploads, forget, log_and_continue, unbind};

/// How long after a deletion late writes are swept: longer than any step may run on after it was
/// stopped.
const SWEEP_PERIOD_MS: u64 = 3600 * 1000;

/// Deletes recordings with everything made of them, their uploads included.
#[derive(Clone)]
pub struct Deletion {
    store: Store,
    queue: Queue,
    events: Events,
    uploads: Uploads,
}

/// `DELETE /v1/recordings/{id}`.
pub fn routes<S>() -> OpenApiRouter<S>
where
    S: Clone + Send + Sync + 'static,
    Access: FromRef<S>,
    Deletion: FromRef<S>,
{
    OpenApiRouter::new().routes(routes!(delete))
}

/// Delete a recording with everything made of it.
///
/// Its job stops, its upload is removed, and its sessions end within two
/// seconds. The same file can then be uploaded again as a new recording. 404 if there is no such
/// recording.
#[utoipa::path(
    delete, path = "/v1/recordings/{id}", tag = "recordings", params(("id" = String, Path)),
    responses(
        (status = 204, description = "Gone; its sessions end within two seconds"),
        (status = 404, body = ProblemBody),
    ),
)]
pub async fn delete(
    State(deletion): State<Deletion>,
    caller: ApiCaller,
    Path(id): Path<String>,
) -> Result<StatusCode, Problem> {
    if !layout::valid_recording(&id) {
        return Err(Problem::not_found());
    }
    deletion.delete(&caller.tenant, &id).await?;
    Ok(StatusCode::NO_CONTENT)
}

impl Deletion {
    /// Deletes from `store`.
    pub fn new(store: Store, queue: Queue, events: Events, uploads: Uploads) -> Self {
        Self { store, queue, events, uploads }
    }

    async fn delete(&self, tenant: &str, id: &str) -> Result<(), Problem> {
        // An upload that goes on would bring it back: stop its writer, and leave nothing to resume.
        let _held = self.uploads.take_over(tenant, id).await?;
        let manifest = read_manifest(&self.store, tenant, id).await?.ok_or_else(Problem::not_found)?;
        let job = self.queue.cancel(tenant, id).await?;
        let mut tombstone = Manifest::new(tenant, id);
        tombstone.created_at = manifest.created_at;
        tombstone.fence = job.map_or(0, |job| job.fence).max(manifest.fence) + 1;
        tombstone.state = RecordingState::Deleted;
        // The note that there is something to sweep comes before anything is gone.
        self.store.put(&layout::deleted_key(tenant, id), Bytes::from(now_ms().to_string())).await?;
        write_manifest(&self.store, &tombstone).await?;
        submit::clear(&self.store, tenant, id).await?;
        forget(&self.uploads, tenant, id).await?;
        if let Some(value) = &manifest.dedupe {
            unbind(&self.uploads, tenant, value, id).await?;
        }
        self.remove_objects(tenant, id).await?;
        self.queue.forget(tenant, id).await?;
        announce(&self.events, tenant, id, EventKind::Deleted, json!({})).await;
        Ok(())
    }

    /// Sweeps what was written after a recording was deleted.
    ///
    /// # Errors
    /// If storage is away.
    pub async fn sweep(&self, tenant: &str) -> Result<(), Problem> {
        for marker in self.store.list(&layout::deleted_prefix(tenant), None, 1000).await? {
            let name = marker.key.rsplit('/').next();
            let Some(recording) = name.filter(|id| layout::valid_recording(id)) else { continue };
            log_and_continue(self.sweep_one(tenant, recording, &marker.key).await, recording)?;
        }
        Ok(())
    }

    async fn sweep_one(&self, tenant: &str, recording: &str, marker: &str) -> Result<(), Problem> {
        self.remove_objects(tenant, recording).await?;
        let deleted_at = match self.store.get(marker).await {
            // Another server was here just before.
            Err(error) if error.kind == Kind::NotFound => return Ok(()),
            deleted_at => deleted_at?,
        };
        let deleted_at = std::str::from_utf8(&deleted_at).ok().and_then(|ms| ms.parse::<u64>().ok());
        if deleted_at.unwrap_or(0) + SWEEP_PERIOD_MS < now_ms() {
            self.store.delete(marker).await?;
        }
        Ok(())
    }

    /// Removes everything of a recording but its newest manifest, the tombstone.
    async fn remove_objects(&self, tenant: &str, recording: &str) -> Result<(), Problem> {
        let manifests = layout::manifest_prefix(tenant, recording);
        let prefix = layout::recording_prefix(tenant, recording);
        delete_where(&self.store, &prefix, |key| !key.starts_with(&manifests)).await?;
        let mut tombstones: Vec<_> = list_all(&self.store, &manifests).try_collect().await?;
        // In order of fences: the last one is the tombstone.
        tombstones.pop();
        for superseded in tombstones {
            self.store.delete(&superseded.key).await?;
        }
        Ok(())
    }
}
