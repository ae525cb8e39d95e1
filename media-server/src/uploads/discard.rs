//! Removing uploads that never finished, and the records of finished ones.

use chalkstream_store::{Kind, State, Store, delete_prefix, layout, listing, read_manifest};

use super::service::Uploads;
use super::state::{self, Upload};
use crate::problem::Problem;

/// Removes everything of an upload that never became a recording. It does not touch a recording.
///
/// # Errors
/// If storage is away.
pub async fn discard(uploads: &Uploads, upload: &Upload) -> Result<(), Problem> {
    if upload.finished.is_none() {
        let manifest = read_manifest(&uploads.store, &upload.tenant, &upload.id).await?;
        abort_parts(uploads, upload).await?;
        remove_partial(uploads, upload).await?;
        if manifest.is_none_or(|manifest| manifest.state == State::AwaitingUpload) {
            delete_prefix(&uploads.store, &layout::recording_prefix(&upload.tenant, &upload.id)).await?;
            listing::remove(&uploads.store, &upload.tenant, &upload.id).await?;
        }
        unbind_keys(uploads, upload).await?;
    }
    state::remove_open(&uploads.store, &upload.tenant, &upload.id).await
}

/// Removes an upload in any state: its bytes, its state and its `Idempotency-Key`. Its recording
/// stays.
///
/// # Errors
/// If storage or Redis is away.
pub async fn forget(uploads: &Uploads, tenant: &str, id: &str) -> Result<(), Problem> {
    match state::read(&uploads.store, tenant, id).await {
        Ok(Some(upload)) => {
            if upload.finished.is_none() {
                abort_parts(uploads, &upload).await?;
                remove_partial(uploads, &upload).await?;
            }
            for value in upload.bound_values() {
                uploads.queue.unclaim(tenant, &value, id).await?;
            }
            unbind_keys(uploads, &upload).await?;
        }
        Ok(None) => {}
        Err(problem) if problem.is_transient() => return Err(problem),
        Err(problem) => {
            tracing::warn!(tenant_id = tenant, upload_id = id, error = ?problem, "unreadable upload state removed");
        }
    }
    state::remove_open(&uploads.store, tenant, id).await?;
    Ok(uploads.store.delete(&layout::upload_done_key(tenant, id)).await?)
}

/// Removes the object of a deduplication value, unless it stands for a newer recording by now.
///
/// # Errors
/// If storage is away.
pub async fn unbind_object(store: &Store, key: &str, id: &str) -> Result<(), Problem> {
    match store.get(key).await {
        Ok(bound) if bound == id.as_bytes() => Ok(store.delete(key).await?),
        Err(error) if error.kind != Kind::NotFound => Err(error.into()),
        _ => Ok(()),
    }
}

async fn unbind_keys(uploads: &Uploads, upload: &Upload) -> Result<(), Problem> {
    for value in upload.bound_values() {
        unbind_object(&uploads.store, &layout::dedupe_key(&upload.tenant, &value), &upload.id).await?;
    }
    Ok(())
}

/// The object of a partial upload is useless without it.
async fn remove_partial(uploads: &Uploads, upload: &Upload) -> Result<(), Problem> {
    if upload.is_partial() { Ok(uploads.store.delete(&upload.source_key()).await?) } else { Ok(()) }
}

async fn abort_parts(uploads: &Uploads, upload: &Upload) -> Result<(), Problem> {
    match &upload.multipart {
        Some(multipart) => Ok(uploads.store.abort_multipart(&upload.source_key(), multipart).await?),
        None => Ok(()),
    }
}
