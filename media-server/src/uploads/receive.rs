//! Receiving the bytes of an upload, one request at a time.

use axum::body::Body;
use http::StatusCode;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use super::finish::{finish, finish_complete};
use super::ingest::{BodyEnd, Ingest, fence};
use super::lock::UploadGuard;
use super::problems::{locked, wrong_offset};
use super::service::Uploads;
use super::state::{self, Upload};
use crate::problem::Problem;

/// The headers that describe a request's bytes.
pub struct PatchHeaders {
    /// Where the bytes belong.
    pub offset: u64,
    /// Length of the file, if it was deferred.
    pub length: Option<u64>,
}

/// Receives the bytes of one request.
///
/// # Errors
/// 403, 409, 410, 413 or 423 as tus defines them; 503 if storage is away or too many uploads run.
pub async fn receive(
    uploads: Uploads,
    tenant: String,
    id: String,
    sent: PatchHeaders,
    body: Body,
) -> Result<Upload, Problem> {
    // Take the permit first: a request rejected as busy must not have interrupted the current
    // writer.
    let busy = || {
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, "busy", "Too many uploads at once; try again shortly.")
            .retry_after_s(3)
    };
    // 503 for the tenant's own limit too: tus clients repeat it, unlike 429.
    let _tenant_permit = uploads.tenant_patches.take(&tenant, None).map_err(|_| busy())?;
    let _permit = uploads.patches.try_acquire().map_err(|_| busy())?;
    let arrived = uploads.read_open(&tenant, &id).await?;
    if arrived.is_final() {
        return Err(Problem::new(
            StatusCode::FORBIDDEN,
            "upload_final",
            "This upload is joined from others; it accepts no bytes of its own.",
        ));
    }
    let held = uploads.locks.take(&tenant, &id).await?;
    let mut upload = uploads.read_open(&tenant, &id).await?;
    // A client got the offset while this request waited. So this request is older, whenever its
    // turn came.
    if upload.fence != arrived.fence {
        return Err(locked());
    }
    if sent.offset != upload.offset() && !upload.is_repeated(sent.offset) {
        return Err(wrong_offset(&upload));
    }
    if let Some(length) = sent.length {
        set_length(&uploads, &mut upload, length).await?;
    }
    if upload.is_settled() {
        return Ok(upload);
    }
    if upload.is_complete() {
        finish_complete(&uploads, &mut upload).await?;
        return Ok(upload);
    }
    let stopping = StopSignal::new(&uploads, &held);
    let mut ingest = Ingest::resume(&uploads, &mut upload).await?;
    ingest.begin(sent.offset)?;
    if ingest.take(body, &stopping.token).await? == BodyEnd::TooLong {
        // It is unknown which of these bytes are wrong, so those that were not durable yet are
        // dropped.
        return Err(Problem::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "too_many_bytes",
            "The request has more bytes than Upload-Length states.",
        ));
    }
    if ingest.is_full() {
        let (sha256, content) = ingest.complete().await?;
        finish(&uploads, &mut upload, sha256, content).await?;
    }
    Ok(upload)
}

/// Sets a deferred length. The same length again is fine.
async fn set_length(uploads: &Uploads, upload: &mut Upload, length: u64) -> Result<(), Problem> {
    if !upload.length_deferred && upload.size_bytes == length {
        return Ok(());
    }
    uploads.check_size(length)?;
    if !upload.length_deferred || length < upload.offset() {
        return Err(Problem::invalid("upload_length", "Upload-Length differs from that of this upload."));
    }
    upload.size_bytes = length;
    upload.length_deferred = false;
    state::write(&uploads.store, upload).await
}

/// Ends a writer when another request wants the upload, or the server stops.
pub struct StopSignal {
    /// Cancelled in either case.
    pub token: CancellationToken,
    _forward: AbortOnDropHandle<()>,
}

impl StopSignal {
    /// Watches for both.
    pub fn new(uploads: &Uploads, held: &UploadGuard) -> Self {
        let token = uploads.shutdown.child_token();
        let (stop, wanted) = (token.clone(), held.stop.clone());
        let forward = tokio::spawn(async move {
            wanted.cancelled().await;
            stop.cancel();
        });
        Self { token, _forward: AbortOnDropHandle::new(forward) }
    }
}

/// Stops the current writer, so that the offset stays until the client resumes. An upload whose
/// bytes are all durable is finished, because its client takes it for done.
///
/// # Errors
/// 423 if the writer does not stop in time; as for [`finish`].
pub async fn stand_still(uploads: &Uploads, tenant: &str, id: &str) -> Result<Upload, Problem> {
    let _held = uploads.locks.take_to_read(tenant, id).await?;
    let mut upload = uploads.read_open(tenant, id).await?;
    if upload.is_settled() {
        return Ok(upload);
    }
    if upload.is_complete() {
        finish_complete(uploads, &mut upload).await?;
    } else {
        fence(&uploads.store, &mut upload).await?;
    }
    Ok(upload)
}
