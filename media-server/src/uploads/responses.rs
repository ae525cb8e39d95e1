//! The tus and Chalkstream headers of responses about an upload.

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::{HeaderName, HeaderValue, StatusCode, header};
use serde_json::json;

use super::protocol::{
    self, EXISTING, RECORDING, TUS_RESUMABLE, UPLOAD_CONCAT, UPLOAD_DEFER_LENGTH, UPLOAD_EXPIRES,
    UPLOAD_LENGTH, UPLOAD_METADATA, UPLOAD_OFFSET,
};
use super::service::Uploads;
use super::state::{Concat, Upload, UploadOutcome};
use crate::clock::http_date;
use crate::problem::Problem;

/// Report the tus version, its extensions and the size limit of this server.
#[utoipa::path(
    options, path = "/v1/uploads", tag = "uploads",
    responses((status = 204, description = "Tus-Version, Tus-Extension, Tus-Max-Size")),
)]
pub async fn options(State(uploads): State<Uploads>) -> Response {
    let mut response = StatusCode::NO_CONTENT.into_response();
    let headers = response.headers_mut();
    headers.insert(HeaderName::from_static("tus-version"), HeaderValue::from_static(protocol::VERSION));
    headers.insert(HeaderName::from_static("tus-extension"), HeaderValue::from_static(protocol::EXTENSIONS));
    headers.insert(HeaderName::from_static("tus-max-size"), uploads.limits.max_upload_bytes.into());
    headers.insert(TUS_RESUMABLE, HeaderValue::from_static(protocol::VERSION));
    response
}

/// Adds the protocol's version to every response below `/v1/uploads`, refusals included, as tus
/// demands.
pub async fn add_version(request: Request, next: Next) -> Response {
    let path = request.uri().path();
    let ours = path.strip_prefix("/v1/uploads").is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    let mut response = next.run(request).await;
    if ours {
        response.headers_mut().insert(TUS_RESUMABLE, HeaderValue::from_static(protocol::VERSION));
    }
    response
}

/// The response for an upload that this request created.
pub fn created(uploads: &Uploads, upload: &Upload) -> Result<Response, Problem> {
    located(uploads, upload, StatusCode::CREATED)
}

/// The response for an upload that an earlier request created. If it is acknowledged, the body
/// names its recording.
pub fn created_before(uploads: &Uploads, upload: &Upload) -> Result<Response, Problem> {
    if upload.finished.is_none() || upload.size_bytes == 0 {
        return created(uploads, upload);
    }
    let mut response = located(uploads, upload, StatusCode::OK)?;
    *response.body_mut() =
        json!({ "recording": became(upload).recording, "existing": true }).to_string().into();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(EXISTING, HeaderValue::from_static("true"));
    Ok(response)
}

fn located(uploads: &Uploads, upload: &Upload, status: StatusCode) -> Result<Response, Problem> {
    let mut response = response(status, upload)?;
    // Only a path: behind a proxy that terminates TLS, only the client knows the rest of the
    // address.
    let location = format!("{}/v1/uploads/{}", uploads.public_url.path(), upload.id);
    response
        .headers_mut()
        .insert(header::LOCATION, HeaderValue::try_from(location).map_err(Problem::internal)?);
    Ok(response)
}

fn became(upload: &Upload) -> UploadOutcome {
    let own = || UploadOutcome { recording: upload.id.clone(), existing: false };
    upload.finished.clone().unwrap_or_else(own)
}

/// A response that describes an upload.
pub fn response(status: StatusCode, upload: &Upload) -> Result<Response, Problem> {
    let mut response = status.into_response();
    let headers = response.headers_mut();
    headers.insert(TUS_RESUMABLE, HeaderValue::from_static(protocol::VERSION));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    // The offset of a final upload would invite bytes. tus omits it until all parts are joined.
    if !upload.is_final() || upload.is_complete() {
        headers.insert(UPLOAD_OFFSET, upload.offset().into());
    }
    if upload.length_deferred {
        headers.insert(UPLOAD_DEFER_LENGTH, HeaderValue::from_static("1"));
    } else {
        headers.insert(UPLOAD_LENGTH, upload.size_bytes.into());
    }
    let text = |text: &str| HeaderValue::from_bytes(text.as_bytes()).map_err(Problem::internal);
    if let Some(metadata) = &upload.metadata {
        headers.insert(UPLOAD_METADATA, text(metadata)?);
    }
    match &upload.concat {
        Some(Concat::Partial { .. }) => {
            headers.insert(UPLOAD_CONCAT, HeaderValue::from_static("partial"));
        }
        Some(Concat::Final { header, .. }) => {
            headers.insert(UPLOAD_CONCAT, text(header)?);
        }
        None => {}
    }
    let became = became(upload);
    if !upload.is_partial() {
        headers.insert(RECORDING, text(&became.recording)?);
    }
    if became.existing {
        headers.insert(EXISTING, HeaderValue::from_static("true"));
    }
    if upload.finished.is_none()
        && let Some(date) = http_date(upload.expires_at_ms)
    {
        headers.insert(UPLOAD_EXPIRES, date);
    }
    Ok(response)
}
