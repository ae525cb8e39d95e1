//! The requests of tus on an upload that exists.

use axum::body::Body;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, Method, StatusCode};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use super::answers::answer;
use super::concat;
use super::create::check_size;
use super::discard::discard;
use super::finish::{finish, finish_whole};
use super::ingest::{Ended, Ingest, fence, gone, wrong_offset};
use super::lock::{Held, locked};
use super::protocol::{self, UPLOAD_LENGTH, UPLOAD_OFFSET};
use super::state::{self, Upload};
use crate::app::{App, AppState};
use crate::auth::ApiCaller;
use crate::problem::{Problem, ProblemBody};
use crate::recordings::now_ms;

/// Where an upload stands: `Upload-Offset` counts durable bytes only, and a PATCH from there is
/// accepted. A PATCH that is still running ends: a client that asks where to go on has lost its
/// connection.
#[utoipa::path(head, path = "/v1/uploads/{id}", tag = "uploads", params(("id" = String, Path)),
    responses((status = 200, description = "Upload-Offset, Upload-Length, Upload-Metadata, Upload-Concat"), (status = 404, description = "No such upload"),
        (status = 410, description = "The upload expired"), (status = 423, description = "Storage has not taken the last bytes yet; ask again")))]
pub async fn head(
    State(app): State<App>,
    caller: ApiCaller,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    protocol::check_version(&headers)?;
    let mut upload = read_open(&app, &caller.tenant, &id).await?;
    if !upload.is_settled() && (upload.is_whole() || !upload.is_final()) {
        upload = stand_still(&app, &caller.tenant, &id).await?;
    }
    answer(StatusCode::OK, &upload)
}

/// Ends what writes to an upload, so that its offset stays until its client goes on. One whose
/// bytes are all durable is finished: a client that sees them all there takes it for done.
///
/// # Errors
/// 423 where a writer's storage does not answer in time; as for [`finish`].
pub async fn stand_still(app: &AppState, tenant: &str, id: &str) -> Result<Upload, Problem> {
    let _held = app.locks.take_to_read(tenant, id).await?;
    let mut upload = read_open(app, tenant, id).await?;
    if upload.is_settled() {
        return Ok(upload);
    }
    if upload.is_whole() {
        finish_whole(app, &mut upload).await?;
    } else {
        fence(&app.store, &mut upload).await?;
    }
    Ok(upload)
}

/// Send bytes from `Upload-Offset` on. `Upload-Length` says how many there are where that was
/// deferred.
#[utoipa::path(patch, path = "/v1/uploads/{id}", tag = "uploads", params(("id" = String, Path)),
    request_body(content = Vec<u8>, content_type = "application/offset+octet-stream"),
    responses((status = 204, description = "Upload-Offset; with the last byte Chalkstream-Recording, and Chalkstream-Existing where the same file was here already"),
        (status = 403, body = ProblemBody), (status = 404, body = ProblemBody), (status = 409, body = ProblemBody), (status = 410, body = ProblemBody),
        (status = 413, body = ProblemBody), (status = 415, body = ProblemBody), (status = 423, body = ProblemBody), (status = 503, body = ProblemBody)))]
pub async fn patch(
    State(app): State<App>,
    caller: ApiCaller,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    protocol::check_version(&headers)?;
    protocol::check_content_type(&headers)?;
    let offset = protocol::number(&headers, &UPLOAD_OFFSET)?
        .ok_or_else(|| Problem::invalid("upload_offset", "Upload-Offset is needed."))?;
    let sent = Sent { offset, length: protocol::number(&headers, &UPLOAD_LENGTH)? };
    // Of its own: when the line breaks, the request's future is dropped, and the bytes that came must be kept.
    let work = tokio::spawn(receive(app.clone(), caller.tenant, id, sent, body));
    answer(StatusCode::NO_CONTENT, &work.await.map_err(Problem::internal)??)
}

/// The request that `X-HTTP-Method-Override` names, for networks that let only GET and POST
/// through.
#[utoipa::path(post, path = "/v1/uploads/{id}", tag = "uploads", params(("id" = String, Path)),
    request_body(content = Vec<u8>, content_type = "application/offset+octet-stream"),
    responses((status = 204, description = "As PATCH or DELETE, whichever X-HTTP-Method-Override names"),
        (status = 200, description = "As HEAD"), (status = 405, body = ProblemBody)))]
pub async fn overridden(
    state: State<App>,
    caller: ApiCaller,
    id: Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    match protocol::overridden(&headers) {
        Some(Method::PATCH) => patch(state, caller, id, headers, body).await,
        Some(Method::HEAD) => head(state, caller, id, headers).await,
        Some(Method::DELETE) => terminate(state, caller, id, headers).await,
        _ => Err(Problem::new(
            StatusCode::METHOD_NOT_ALLOWED,
            "method_not_allowed",
            "A POST to an upload needs X-HTTP-Method-Override: PATCH, HEAD or DELETE.",
        )),
    }
}

/// What a request says of the bytes it brings.
pub struct Sent {
    /// Where they belong.
    pub offset: u64,
    /// Length of the file, where it was deferred.
    pub length: Option<u64>,
}

/// Takes the bytes of one request.
///
/// # Errors
/// 403, 409, 410, 413 or 423 as tus has it; 503 where storage is away or too many uploads run.
pub async fn receive(
    app: App,
    tenant: String,
    id: String,
    sent: Sent,
    body: Body,
) -> Result<Upload, Problem> {
    // The place first: who gets none must not have stopped the one that writes.
    let _place = app.patches.try_acquire().map_err(|_| {
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, "busy", "Too many uploads at once; try again shortly.")
            .retry_after_s(3)
    })?;
    let arrived = read_open(&app, &tenant, &id).await?;
    if arrived.is_final() {
        return Err(Problem::new(
            StatusCode::FORBIDDEN,
            "upload_final",
            "This upload is made of others; it takes no bytes of its own.",
        ));
    }
    let held = app.locks.take(&tenant, &id).await?;
    let mut upload = read_open(&app, &tenant, &id).await?;
    // A client was given the offset while this request waited: it is the older one, wherever it got
    // its turn.
    if upload.fence != arrived.fence {
        return Err(locked());
    }
    if sent.offset != upload.offset() && !upload.is_repeated(sent.offset) {
        return Err(wrong_offset(&upload));
    }
    if let Some(length) = sent.length {
        set_length(&app, &mut upload, length).await?;
    }
    if upload.is_settled() {
        return Ok(upload);
    }
    if upload.is_whole() {
        finish_whole(&app, &mut upload).await?;
        return Ok(upload);
    }
    let stopping = Stopping::new(&app, &held);
    let mut ingest = Ingest::resume(&app, &mut upload).await?;
    ingest.begin(sent.offset)?;
    if ingest.take(body, &stopping.token).await? == Ended::TooLong {
        // Whose bytes these are cannot be told: the part that was not durable yet is forgotten.
        return Err(Problem::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "too_many_bytes",
            "More bytes came than Upload-Length says.",
        ));
    }
    if ingest.is_full() {
        let (sha256, content) = ingest.complete().await?;
        finish(&app, &mut upload, sha256, content).await?;
    }
    Ok(upload)
}

/// The length that a client gives later; the same one again is fine.
async fn set_length(app: &AppState, upload: &mut Upload, length: u64) -> Result<(), Problem> {
    if !upload.length_deferred && upload.size_bytes == length {
        return Ok(());
    }
    check_size(app, length)?;
    if !upload.length_deferred || length < upload.offset() {
        return Err(Problem::invalid("upload_length", "Upload-Length is not that of this upload."));
    }
    upload.size_bytes = length;
    upload.length_deferred = false;
    state::write(&app.store, upload).await
}

/// Ends a writer when another request wants the upload, or the server stops.
pub struct Stopping {
    /// Cancelled then.
    pub token: CancellationToken,
    _forward: AbortOnDropHandle<()>,
}

impl Stopping {
    /// Listens for both.
    pub fn new(app: &AppState, held: &Held) -> Self {
        let token = app.shutdown.child_token();
        let (stop, wanted) = (token.clone(), held.stop.clone());
        let forward = tokio::spawn(async move {
            wanted.cancelled().await;
            stop.cancel();
        });
        Self { token, _forward: AbortOnDropHandle::new(forward) }
    }
}

/// Drop an upload that is not finished.
#[utoipa::path(delete, path = "/v1/uploads/{id}", tag = "uploads", params(("id" = String, Path)),
    responses((status = 204, description = "Gone"), (status = 404, body = ProblemBody), (status = 409, body = ProblemBody)))]
pub async fn terminate(
    State(app): State<App>,
    caller: ApiCaller,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    protocol::check_version(&headers)?;
    let _held = app.locks.take(&caller.tenant, &id).await?;
    let upload = read_open(&app, &caller.tenant, &id).await?;
    if upload.is_partial() && concat::is_needed(&app, &upload).await? {
        // It goes with the rest once they are joined.
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    if upload.is_whole() && !upload.is_partial() {
        return Err(Problem::new(
            StatusCode::CONFLICT,
            "upload_finished",
            "This upload is finished; delete the recording instead.",
        ));
    }
    discard(&app, &upload).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// An upload that has not expired.
///
/// # Errors
/// 404 where there is none, 410 where it expired.
pub async fn read_open(app: &AppState, tenant: &str, id: &str) -> Result<Upload, Problem> {
    let upload = state::read(&app.store, tenant, id).await?.ok_or_else(Problem::not_found)?;
    if !upload.is_whole() && upload.expires_at_ms < now_ms() {
        return Err(gone());
    }
    Ok(upload)
}
