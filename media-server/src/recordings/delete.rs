//! Deleting: the work stops, a tombstone says so, and every object goes, also those a worker writes a moment later.

use axum::extract::{Path, State};
use bytes::Bytes;
use chalkstream_store::{
    EventKind, Kind, Manifest, State as RecordingState, layout, pending, read_manifest, write_manifest,
};
use http::StatusCode;
use serde_json::json;

use super::cache::now_ms;
use crate::app::{App, AppState};
use crate::auth::ApiCaller;
use crate::problem::{Problem, ProblemBody};
use crate::uploads;

/// How long after a deletion late writes are still swept: longer than any step may run on after it was stopped.
const SWEPT_FOR_MS: u64 = 3600 * 1000;

/// Delete a recording with everything made of it.
#[utoipa::path(delete, path = "/v1/recordings/{id}", tag = "recordings", params(("id" = String, Path)),
    responses((status = 204, description = "Gone; its sessions end within two seconds"), (status = 404, body = ProblemBody)))]
pub async fn delete(
    State(app): State<App>,
    caller: ApiCaller,
    Path(id): Path<String>,
) -> Result<StatusCode, Problem> {
    if !layout::valid_recording(&id) {
        return Err(Problem::not_found());
    }
    // An upload that goes on would bring it back: its writer is stopped, and nothing of it is left to go on with.
    let _held = app.locks.take(&caller.tenant, &id).await?;
    let manifest = read_manifest(&app.store, &caller.tenant, &id).await?.ok_or_else(Problem::not_found)?;
    let job = app.queue.cancel(&caller.tenant, &id).await?;
    let fence = job.map_or(0, |job| job.fence).max(manifest.fence) + 1;
    let mut tombstone = Manifest::new(&caller.tenant, &id);
    tombstone.created_at = manifest.created_at;
    tombstone.fence = fence;
    tombstone.state = RecordingState::Deleted;
    // The note that there is something to sweep comes before anything is gone.
    app.store.put(&layout::deleted_key(&caller.tenant, &id), Bytes::from(now_ms().to_string())).await?;
    write_manifest(&app.store, &tombstone).await?;
    pending::clear(&app.store, &caller.tenant, &id).await?;
    uploads::forget(&app, &caller.tenant, &id).await?;
    if let Some(value) = &manifest.dedupe {
        uploads::unbind(&app, &caller.tenant, value, &id).await?;
    }
    remove_objects(&app, &caller.tenant, &id).await?;
    app.queue.forget(&caller.tenant, &id).await?;
    app.announce(&caller.tenant, &id, EventKind::Deleted, json!({})).await;
    Ok(StatusCode::NO_CONTENT)
}

/// Sweeps what was written after a recording was deleted.
///
/// # Errors
/// Where storage is away.
pub async fn sweep(app: &AppState, tenant: &str) -> Result<(), Problem> {
    for marker in app.store.list(&layout::deleted_prefix(tenant), None, 1000).await? {
        let Some(recording) = marker.key.rsplit('/').next().filter(|id| layout::valid_recording(id)) else {
            continue;
        };
        uploads::left_alone(sweep_one(app, tenant, recording, &marker.key).await, recording)?;
    }
    Ok(())
}

async fn sweep_one(app: &AppState, tenant: &str, recording: &str, marker: &str) -> Result<(), Problem> {
    remove_objects(app, tenant, recording).await?;
    let deleted_at = match app.store.get(marker).await {
        // Another server was here just before.
        Err(error) if error.kind == Kind::NotFound => return Ok(()),
        deleted_at => deleted_at?,
    };
    let deleted_at = std::str::from_utf8(&deleted_at).ok().and_then(|ms| ms.parse::<u64>().ok());
    if deleted_at.unwrap_or(0) + SWEPT_FOR_MS < now_ms() {
        app.store.delete(marker).await?;
    }
    Ok(())
}

/// Removes all of a recording but its newest manifest, the tombstone.
async fn remove_objects(app: &AppState, tenant: &str, recording: &str) -> Result<(), Problem> {
    let manifests = layout::manifest_prefix(tenant, recording);
    let mut tombstones = Vec::new();
    let mut after: Option<String> = None;
    loop {
        let page =
            app.store.list(&layout::recording_prefix(tenant, recording), after.as_deref(), 1000).await?;
        for object in &page {
            if object.key.starts_with(&manifests) {
                tombstones.push(object.key.clone());
            } else {
                app.store.delete(&object.key).await?;
            }
        }
        match page.last() {
            Some(last) if page.len() == 1000 => after = Some(last.key.clone()),
            _ => break,
        }
    }
    // In order of fences: the last one is the tombstone.
    tombstones.pop();
    for key in tombstones {
        app.store.delete(&key).await?;
    }
    Ok(())
}
