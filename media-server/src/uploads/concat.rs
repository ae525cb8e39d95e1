//! tus concatenation: a client sends the parts of a file in parallel, and then asks for the file.
//!
//! A part is a partial upload that never becomes a recording. Once it is complete, its bytes are an
//! object of their own. The final upload is like any other, but its bytes come from those objects.
//! So every server can resume it after a crash, and its hash is computed like any other.

use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use chalkstream_store::{Store, layout};
use futures_util::{Stream, StreamExt, TryStreamExt, stream};
use http::StatusCode;

use super::discard::discard;
use super::finish::{finish, finish_complete};
use super::ingest::Ingest;
use super::problems::gone;
use super::receive::{StopSignal, stand_still};
use super::service::Uploads;
use super::state::{self, Concat, PartialRef, Upload};
use crate::clock::now_ms;
use crate::problem::Problem;

/// How long a client waits for its file. After that it gets a response anyway: the parts are
/// durable, and housekeeping joins them.
const WAIT: Duration = Duration::from_secs(20);

/// Returns the parts of a final upload, complete and readable.
///
/// # Errors
/// 400 if one is no partial upload, is not complete, or belongs to another file already; 410 if one
/// has expired.
pub async fn partials(uploads: &Uploads, tenant: &str, ids: &[String]) -> Result<Vec<PartialRef>, Problem> {
    let mut pieces = Vec::with_capacity(ids.len());
    for (at, id) in ids.iter().enumerate() {
        let refuse =
            |why: &str| Problem::invalid("upload_concat", format!("Part {} of the list {why}.", at + 1));
        let mut upload = match uploads.read_open(tenant, id).await {
            Err(problem) if problem.status() == StatusCode::NOT_FOUND => {
                return Err(refuse("does not exist"));
            }
            upload => upload?,
        };
        if !upload.is_partial() {
            return Err(refuse("is not a partial upload"));
        }
        if !upload.is_complete() {
            return Err(refuse("is not complete"));
        }
        if !upload.is_settled() {
            upload = stand_still(uploads, tenant, id).await?;
        }
        if is_needed(uploads, &upload).await? {
            return Err(refuse("is in another upload already"));
        }
        pieces.push(PartialRef { id: upload.id, size_bytes: upload.size_bytes });
    }
    Ok(pieces)
}

/// True if a final upload still needs the bytes of this part.
pub async fn is_needed(uploads: &Uploads, upload: &Upload) -> Result<bool, Problem> {
    let Some(Concat::Partial { final_upload: Some(id), .. }) = &upload.concat else { return Ok(false) };
    let made = state::read(&uploads.store, &upload.tenant, id).await?;
    Ok(made.is_some_and(|made| made.finished.is_none()))
}

/// Reserves the parts for this final upload.
pub async fn reserve(uploads: &Uploads, upload: &Upload) -> Result<(), Problem> {
    for piece in upload.pieces() {
        let mut partial = uploads.read_open(&upload.tenant, &piece.id).await?;
        partial.concat = Some(Concat::Partial { stored: true, final_upload: Some(upload.id.clone()) });
        partial.expires_at_ms = now_ms() + uploads.limits.ttl_ms;
        state::write(&uploads.store, &partial).await?;
    }
    Ok(())
}

/// Starts to join the file, and waits a while for it.
///
/// # Errors
/// If the file can never be joined.
pub async fn start(uploads: &Uploads, upload: Upload) -> Result<Upload, Problem> {
    let (tenant, id) = (upload.tenant.clone(), upload.id.clone());
    let making = uploads.tasks.spawn({
        let uploads = uploads.clone();
        async move { join(&uploads, &tenant, &id).await }
    });
    match tokio::time::timeout(WAIT, making).await {
        Ok(made) => match made.map_err(Problem::internal)? {
            Err(problem) if problem.status() == StatusCode::GONE => return Err(problem),
            Err(problem) => tracing::warn!(upload_id = upload.id, error = ?problem, "joining postponed"),
            Ok(()) => {}
        },
        Err(_) => tracing::info!(upload_id = upload.id, "joining continues in the background"),
    }
    Ok(state::read(&uploads.store, &upload.tenant, &upload.id).await?.unwrap_or(upload))
}

/// Joins the file from where an earlier attempt ended, and removes its parts.
///
/// # Errors
/// If storage is away, or another request takes the upload: try again later.
pub async fn join(uploads: &Uploads, tenant: &str, id: &str) -> Result<(), Problem> {
    let _permit = uploads.patches.acquire().await.map_err(Problem::internal)?;
    let held = uploads.locks.take(tenant, id).await?;
    let mut upload = state::read(&uploads.store, tenant, id).await?.ok_or_else(gone)?;
    if upload.is_complete() {
        finish_complete(uploads, &mut upload).await?;
    } else {
        let stopping = StopSignal::new(uploads, &held);
        let body = Body::from_stream(bytes_of(uploads.store.clone(), &upload));
        let mut ingest = Ingest::resume(uploads, &mut upload).await?;
        let end = ingest.take(body, &stopping.token).await?;
        if !ingest.is_full() {
            tracing::debug!(tenant_id = tenant, upload_id = id, ?end, "parts not read to their end");
            return Err(Problem::unavailable("The parts cannot be read at the moment; try again shortly."));
        }
        let (sha256, content) = ingest.complete().await?;
        finish(uploads, &mut upload, sha256, content).await?;
    }
    for piece in upload.pieces() {
        if let Some(partial) = state::read(&uploads.store, tenant, &piece.id).await?
            && partial.is_partial()
        {
            discard(uploads, &partial).await?;
        }
    }
    Ok(())
}

/// Streams the bytes of all parts, from the upload's offset on.
fn bytes_of(
    store: Store,
    upload: &Upload,
) -> impl Stream<Item = Result<Bytes, chalkstream_store::Error>> + Send + use<> {
    let mut skipped = upload.offset();
    let mut ranges = Vec::new();
    for piece in upload.pieces() {
        let from = skipped.min(piece.size_bytes);
        skipped -= from;
        if from < piece.size_bytes {
            let key = layout::upload_partial_key(&upload.tenant, &piece.id);
            ranges.push((key, from..piece.size_bytes));
        }
    }
    stream::iter(ranges)
        .then(move |(key, range)| {
            let store = store.clone();
            async move { Ok(store.read(&key, Some(range)).await?.stream) }
        })
        .try_flatten()
}
