//! The tus requests on an existing upload.

use axum::body::Body;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, Method, StatusCode};

use super::concat;
use super::discard::discard;
use super::protocol::{self, UPLOAD_LENGTH, UPLOAD_OFFSET};
use super::receive::{PatchHeaders, receive, stand_still};
use super::responses::response;
use super::service::Uploads;
use crate::access::ApiCaller;
use crate::problem::{Problem, ProblemBody};

/// Get the offset of an upload.
///
/// `Upload-Offset` counts durable bytes only, and a PATCH from there is accepted. A PATCH that is
/// still running is stopped, because a client that asks for the offset has lost its connection. An
/// upload whose bytes are all durable is finished first.
#[utoipa::path(
    head, path = "/v1/uploads/{id}", tag = "uploads", params(("id" = String, Path)),
    responses(
        (status = 200,
            description = "Upload-Offset, Upload-Length, Upload-Metadata, Upload-Concat"),
        (status = 404, description = "No such upload"),
        (status = 410, description = "The upload expired"),
        (status = 423, description = "The last bytes are not stored yet; try again"),
    ),
)]
pub async fn head(
    State(uploads): State<Uploads>,
    caller: ApiCaller,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    protocol::check_version(&headers)?;
    let mut upload = uploads.read_open(&caller.tenant, &id).await?;
    if !upload.is_settled() && (upload.is_complete() || !upload.is_final()) {
        upload = stand_still(&uploads, &caller.tenant, &id).await?;
    }
    response(StatusCode::OK, &upload)
}

/// Send bytes from `Upload-Offset` on.
///
/// `Upload-Length` states the length if it was deferred. Another offset than that of HEAD is
/// refused with 409 and the right one. A newer PATCH on the same upload stops the older one, which
/// gets 423. 503 means that too many uploads run at once; try again shortly.
#[utoipa::path(
    patch, path = "/v1/uploads/{id}", tag = "uploads", params(("id" = String, Path)),
    request_body(content = Vec<u8>, content_type = "application/offset+octet-stream"),
    responses(
        (status = 204,
            description = "Upload-Offset; with the last byte Chalkstream-Recording, and Chalkstream-Existing if the same file was here already"),
        (status = 403, body = ProblemBody),
        (status = 404, body = ProblemBody),
        (status = 409, body = ProblemBody),
        (status = 410, body = ProblemBody),
        (status = 413, body = ProblemBody),
        (status = 415, body = ProblemBody),
        (status = 423, body = ProblemBody),
        (status = 503, body = ProblemBody),
    ),
)]
pub async fn patch(
    State(uploads): State<Uploads>,
    caller: ApiCaller,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    protocol::check_version(&headers)?;
    protocol::check_content_type(&headers)?;
    let offset = protocol::number(&headers, &UPLOAD_OFFSET)?
        .ok_or_else(|| Problem::invalid("upload_offset", "Upload-Offset is missing."))?;
    let sent = PatchHeaders { offset, length: protocol::number(&headers, &UPLOAD_LENGTH)? };
    // A task of its own: if the connection breaks, the request's future is dropped, and the bytes
    // that arrived must be kept.
    let work = tokio::spawn(receive(uploads.clone(), caller.tenant, id, sent, body));
    response(StatusCode::NO_CONTENT, &work.await.map_err(Problem::internal)??)
}

/// Send the request that `X-HTTP-Method-Override` names, for networks that allow only GET and POST.
#[utoipa::path(
    post, path = "/v1/uploads/{id}", tag = "uploads", params(("id" = String, Path)),
    request_body(content = Vec<u8>, content_type = "application/offset+octet-stream"),
    responses(
        (status = 204, description = "As PATCH or DELETE, whichever X-HTTP-Method-Override names"),
        (status = 200, description = "As HEAD"),
        (status = 405, body = ProblemBody),
    ),
)]
pub async fn overridden(
    state: State<Uploads>,
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

/// Delete an upload that is not finished.
///
/// A finished one is refused with 409: delete its recording instead. A part that a final upload
/// still needs stays until the file is joined.
#[utoipa::path(
    delete, path = "/v1/uploads/{id}", tag = "uploads", params(("id" = String, Path)),
    responses(
        (status = 204, description = "Deleted"),
        (status = 404, body = ProblemBody),
        (status = 409, body = ProblemBody),
    ),
)]
pub async fn terminate(
    State(uploads): State<Uploads>,
    caller: ApiCaller,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    protocol::check_version(&headers)?;
    let _held = uploads.locks.take(&caller.tenant, &id).await?;
    let upload = uploads.read_open(&caller.tenant, &id).await?;
    if upload.is_partial() && concat::is_needed(&uploads, &upload).await? {
        // It is removed with the others once they are joined.
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    if upload.is_complete() && !upload.is_partial() {
        return Err(Problem::new(
            StatusCode::CONFLICT,
            "upload_finished",
            "This upload is finished; delete the recording instead.",
        ));
    }
    discard(&uploads, &upload).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}
