//! Cleaning up uploads: expired ones are removed, and those cut off between the last byte and the
//! acknowledgement are finished.

use std::pin::pin;

use chalkstream_store::layout;
use chalkstream_store::objects::list_all;
use futures_util::TryStreamExt;

use super::discard::{discard, forget};
use super::finish::finish_complete;
use super::service::Uploads;
use super::state::Upload;
use super::{concat, state};
use crate::clock::now_ms;
use crate::problem::Problem;

/// A final upload whose joining made no progress for this long is resumed.
const JOIN_IDLE_MS: u64 = 120_000;

/// Log and continue: one object that cannot be cleaned up must not keep the others. An unavailable
/// store ends the pass.
///
/// # Errors
/// If storage is away.
pub fn log_and_continue(result: Result<(), Problem>, id: &str) -> Result<(), Problem> {
    match result {
        Err(problem) if !problem.is_transient() => {
            tracing::warn!(id, error = ?problem, "clean-up failed");
            Ok(())
        }
        result => result,
    }
}

/// One pass over a tenant's uploads.
///
/// # Errors
/// If storage is away.
pub async fn clean_up(uploads: &Uploads, tenant: &str) -> Result<(), Problem> {
    let ttl_ms = uploads.limits.ttl_ms;
    let prefix = layout::uploads_prefix(tenant);
    let mut objects = pin!(list_all(&uploads.store, &prefix));
    // The state of an upload is listed right before its bytes.
    let mut open = String::new();
    while let Some(object) = objects.try_next().await? {
        let name = object.key.rsplit('/').next().unwrap_or_default();
        let Some((id, kind)) = name.split_once('.') else { continue };
        match kind {
            "json" => {
                open = id.to_owned();
                log_and_continue(one(uploads, tenant, id).await, id)?;
            }
            // Its id contains its age, so nothing has to be read.
            "done" if created_ms(id) + 2 * ttl_ms < now_ms() => {
                log_and_continue(forget(uploads, tenant, id).await, id)?;
            }
            "tail" | "upload" if open != id && created_ms(id) + ttl_ms < now_ms() => {
                uploads.store.delete(&object.key).await?;
            }
            _ => {}
        }
    }
    Ok(())
}

async fn one(uploads: &Uploads, tenant: &str, id: &str) -> Result<(), Problem> {
    let ttl_ms = uploads.limits.ttl_ms;
    let due = |upload: &Upload| {
        let expired = upload.expires_at_ms < now_ms();
        // Each part that is written extends the expiry.
        let idle = upload.is_final() && upload.expires_at_ms + JOIN_IDLE_MS < now_ms() + ttl_ms;
        expired || idle || upload.is_complete() && (upload.finished.is_some() || !upload.is_settled())
    };
    match state::read(&uploads.store, tenant, id).await? {
        Some(upload) if due(&upload) => {}
        _ => return Ok(()),
    }
    // A request that is writing to it right now goes first.
    let Some(held) = uploads.locks.try_take(tenant, id) else { return Ok(()) };
    match state::read(&uploads.store, tenant, id).await? {
        // It was acknowledged, and a late writer restored its open state.
        Some(upload) if upload.finished.is_some() => discard(uploads, &upload).await,
        Some(upload) if upload.is_settled() => {
            if due(&upload) && !concat::is_needed(uploads, &upload).await? {
                discard(uploads, &upload).await?;
            }
            Ok(())
        }
        Some(mut upload) if upload.is_complete() => match finish_complete(uploads, &mut upload).await {
            Ok(_) => Ok(()),
            Err(problem) if problem.status() == http::StatusCode::GONE => discard(uploads, &upload).await,
            Err(problem) => Err(problem),
        },
        Some(upload) if due(&upload) && upload.is_final() && upload.expires_at_ms >= now_ms() => {
            drop(held);
            concat::join(uploads, tenant, id).await
        }
        Some(upload) if due(&upload) => discard(uploads, &upload).await,
        _ => Ok(()),
    }
}

/// When an id was created, in ms since 1970, as a UUID v7 contains it.
fn created_ms(id: &str) -> u64 {
    let made = uuid::Uuid::try_parse(id).ok().and_then(|id| id.get_timestamp());
    made.map_or(u64::MAX / 2, |at| {
        let (seconds, nanos) = at.to_unix();
        seconds * 1000 + u64::from(nanos) / 1_000_000
    })
}
