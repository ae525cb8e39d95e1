//! The requests of tus.

use axum::body::Body;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use chalkstream_store::{Fault, Kind, State as RecordingState, layout, read_manifest, write_manifest};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use serde_json::json;

use super::discard::discard;
use super::finish::{awaiting_manifest, finish, finish_whole};
use super::ingest::{Ended, Ingest, gone, wrong_offset};
use super::protocol::{
    self, EXISTING, RECORDING, TUS_RESUMABLE, UPLOAD_EXPIRES, UPLOAD_LENGTH, UPLOAD_OFFSET,
};
use super::state::{self, Finished, Upload};
use crate::app::{App, AppState};
use crate::auth::ApiCaller;
use crate::problem::{Problem, ProblemBody};
use crate::recordings::now_ms;

/// What this server can do.
#[utoipa::path(options, path = "/v1/uploads", tag = "uploads", responses((status = 204, description = "Tus-Version, Tus-Extension, Tus-Max-Size")))]
pub async fn options(State(app): State<App>) -> Response {
    let mut response = StatusCode::NO_CONTENT.into_response();
    let headers = response.headers_mut();
    headers.insert(HeaderName::from_static("tus-version"), HeaderValue::from_static(protocol::VERSION));
    headers.insert(HeaderName::from_static("tus-extension"), HeaderValue::from_static(protocol::EXTENSIONS));
    headers.insert(HeaderName::from_static("tus-max-size"), app.settings.server.max_upload_bytes.into());
    headers.insert(TUS_RESUMABLE, HeaderValue::from_static(protocol::VERSION));
    response
}

/// Create an upload. `Upload-Length` and `Upload-Metadata` (filename, title, uploader, due_at) describe it; the same
/// `Idempotency-Key` twice gives the same upload.
#[utoipa::path(post, path = "/v1/uploads", tag = "uploads",
    responses((status = 201, description = "Location of the upload; Chalkstream-Recording is the recording it makes"),
        (status = 200, description = "The same Idempotency-Key made a recording already"),
        (status = 400, body = ProblemBody), (status = 401, body = ProblemBody), (status = 412, body = ProblemBody),
        (status = 413, body = ProblemBody), (status = 422, body = ProblemBody), (status = 429, body = ProblemBody)))]
pub async fn create(
    State(app): State<App>,
    caller: ApiCaller,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    protocol::check_version(&headers)?;
    let size_bytes = protocol::number(&headers, &UPLOAD_LENGTH)?.ok_or_else(|| {
        Problem::invalid("upload_length", "Upload-Length is needed; it cannot be given later.")
    })?;
    if size_bytes > app.settings.server.max_upload_bytes {
        return Err(Problem::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "upload_too_large",
            format!("An upload has at most {} bytes.", app.settings.server.max_upload_bytes),
        ));
    }
    let metadata = protocol::metadata(&headers)?;
    let mut upload = Upload::new(&caller.tenant, size_bytes, app.store.min_part_bytes(), metadata, now_ms());
    upload.traceparent = traceparent(&headers);
    let key = idempotency_key(&headers)?;
    if let Some(key) = &key
        && let Some(earlier) = created_before(&app, &caller.tenant, key).await?
    {
        must_be_same(&earlier, &upload)?;
        return created(&app, &earlier);
    }
    check_open_uploads(&app, &caller.tenant).await?;

    if let Some(key) = key {
        // Two requests at once: the one Redis saw first makes the upload. Without Redis the record in storage decides.
        if let Ok(winner) = app.queue.claim(&caller.tenant, &key, &upload.id).await
            && winner != upload.id
        {
            // Where nothing comes of it, the other request died, or its upload expired: this one takes its place.
            if let Some(earlier) = wait_for(&app, &caller.tenant, &winner).await? {
                must_be_same(&earlier, &upload)?;
                return created(&app, &earlier);
            }
        }
        upload.idempotency = Some(key);
    }
    state::write(&app.store, &upload).await?;
    if let Some(key) = &upload.idempotency {
        app.store.put(&layout::dedupe_key(&caller.tenant, key), upload.id.clone().into()).await?;
    }
    if size_bytes == 0 {
        finish(&app, &mut upload, None, None).await?;
    } else {
        write_manifest(&app.store, &awaiting_manifest(&upload)).await?;
    }
    created(&app, &upload)
}

/// Where an upload stands: `Upload-Offset` counts durable bytes only.
#[utoipa::path(head, path = "/v1/uploads/{id}", tag = "uploads", params(("id" = String, Path)),
    responses((status = 200, description = "Upload-Offset, Upload-Length"), (status = 404, description = "No such upload"), (status = 410, description = "The upload expired")))]
pub async fn head(
    State(app): State<App>,
    caller: ApiCaller,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    protocol::check_version(&headers)?;
    let mut upload = read_open(&app, &caller.tenant, &id).await?;
    // A client that sees all bytes there takes it for done: so it has to be.
    if upload.is_whole() && upload.finished.is_none() {
        let _held = app.locks.take(&caller.tenant, &id).await?;
        upload = read_open(&app, &caller.tenant, &id).await?;
        if upload.is_whole() && upload.finished.is_none() {
            finish_whole(&app, &mut upload).await?;
        }
    }
    answer(StatusCode::OK, &upload)
}

/// Send bytes from `Upload-Offset` on.
#[utoipa::path(patch, path = "/v1/uploads/{id}", tag = "uploads", params(("id" = String, Path)),
    request_body(content = Vec<u8>, content_type = "application/offset+octet-stream"),
    responses((status = 204, description = "Upload-Offset; with the last byte Chalkstream-Recording, and Chalkstream-Existing where the same file was here already"),
        (status = 404, body = ProblemBody), (status = 409, body = ProblemBody), (status = 410, body = ProblemBody), (status = 423, body = ProblemBody)))]
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
    // Of its own: when the line breaks, the request's future is dropped, and the bytes that came must be kept.
    let work = tokio::spawn(receive(app.clone(), caller.tenant, id, offset, body));
    work.await.map_err(Problem::internal)?
}

async fn receive(app: App, tenant: String, id: String, offset: u64, body: Body) -> Result<Response, Problem> {
    // The place first: who gets none must not have stopped the one that writes.
    let _place = app.patches.try_acquire().map_err(|_| {
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, "busy", "Too many uploads at once; try again shortly.")
            .retry_after_s(3)
    })?;
    let held = app.locks.take(&tenant, &id).await?;
    let mut upload = read_open(&app, &tenant, &id).await?;
    if offset != upload.offset() {
        return Err(wrong_offset(&upload));
    }
    if upload.finished.is_some() {
        return answer(StatusCode::NO_CONTENT, &upload);
    }
    if upload.is_whole() {
        finish_whole(&app, &mut upload).await?;
        return answer(StatusCode::NO_CONTENT, &upload);
    }
    let stop = app.shutdown.child_token();
    let _forward = {
        let (stop, wanted) = (stop.clone(), held.stop.clone());
        tokio_util::task::AbortOnDropHandle::new(tokio::spawn(async move {
            wanted.cancelled().await;
            stop.cancel();
        }))
    };
    let mut ingest = Ingest::resume(&app.store, &app.metrics, &mut upload).await?;
    if ingest.take(body, &stop).await? == Ended::TooLong {
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
    answer(StatusCode::NO_CONTENT, &upload)
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
    if upload.is_whole() {
        return Err(Problem::new(
            StatusCode::CONFLICT,
            "upload_finished",
            "This upload is finished; delete the recording instead.",
        ));
    }
    discard(&app, &upload).await?;
    let mut response = StatusCode::NO_CONTENT.into_response();
    response.headers_mut().insert(TUS_RESUMABLE, HeaderValue::from_static(protocol::VERSION));
    Ok(response)
}

async fn read_open(app: &AppState, tenant: &str, id: &str) -> Result<Upload, Problem> {
    let upload = state::read(&app.store, tenant, id).await?.ok_or_else(Problem::not_found)?;
    if !upload.is_whole() && upload.expires_at_ms < now_ms() {
        return Err(gone());
    }
    Ok(upload)
}

async fn check_open_uploads(app: &AppState, tenant: &str) -> Result<(), Problem> {
    let limit = app.settings.server.max_open_uploads as usize;
    let (mut open, mut after) = (0, None);
    loop {
        let page = app.store.list(&layout::uploads_prefix(tenant), after.as_deref(), 1000).await?;
        open += page.iter().filter(|object| object.key.ends_with(".json")).count();
        if open >= limit {
            return Err(Problem::new(
                StatusCode::TOO_MANY_REQUESTS,
                "too_many_uploads",
                format!("At most {limit} uploads can be open at once."),
            )
            .retry_after_s(30));
        }
        match page.last() {
            Some(last) if page.len() == 1000 => after = Some(last.key.clone()),
            _ => return Ok(()),
        }
    }
}

fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let Some(value) = headers.get("idempotency-key") else { return Ok(None) };
    match value.to_str() {
        Ok(text) if (1..=255).contains(&text.len()) => Ok(Some(format!("key:{text}"))),
        _ => Err(Problem::invalid("idempotency_key", "An Idempotency-Key has 1 to 255 visible characters.")),
    }
}

/// The upload an earlier request with the same key made, unless nothing came of it.
async fn created_before(app: &AppState, tenant: &str, key: &str) -> Result<Option<Upload>, Problem> {
    let id = match app.store.get(&layout::dedupe_key(tenant, key)).await {
        Ok(body) => String::from_utf8(body.to_vec()).map_err(Problem::internal)?,
        Err(error) if error.kind == Kind::NotFound => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    match state::read(&app.store, tenant, &id).await? {
        Some(upload) if stands(app, &upload).await? => Ok(Some(upload)),
        _ => Ok(None),
    }
}

/// Whether a second request with the same key is answered with this upload. One that expired, or whose recording is
/// gone, was stopped or failed, would bar the same file for days; one that failed by its own fault would fail again.
async fn stands(app: &AppState, upload: &Upload) -> Result<bool, Problem> {
    let Some(finished) = &upload.finished else {
        return Ok(upload.is_whole() || upload.expires_at_ms >= now_ms());
    };
    let manifest = read_manifest(&app.store, &upload.tenant, &finished.recording).await?;
    Ok(manifest.is_some_and(|manifest| match manifest.state {
        RecordingState::Deleted | RecordingState::Cancelled => false,
        RecordingState::Failed => manifest.failure.is_some_and(|failure| failure.fault == Fault::Input),
        _ => true,
    }))
}

/// A key that comes back with another file would lose that file, or give one uploader another one's recording.
fn must_be_same(earlier: &Upload, asked: &Upload) -> Result<(), Problem> {
    let of = |upload: &Upload| (upload.size_bytes, upload.uploader.clone(), upload.filename.clone());
    if of(earlier) == of(asked) {
        return Ok(());
    }
    Err(Problem::new(
        StatusCode::UNPROCESSABLE_ENTITY,
        "idempotency_key_reused",
        "This Idempotency-Key was used for another file or by another uploader; take a new one.",
    ))
}

/// The other request was first by a moment; its state is about to be written.
async fn wait_for(app: &AppState, tenant: &str, id: &str) -> Result<Option<Upload>, Problem> {
    for _ in 0..20 {
        if let Some(upload) = state::read(&app.store, tenant, id).await? {
            return Ok(stands(app, &upload).await?.then_some(upload));
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    Ok(None)
}

/// W3C trace context, if it has the form of one.
fn traceparent(headers: &HeaderMap) -> Option<String> {
    let text = headers.get("traceparent")?.to_str().ok()?;
    let plain = text.len() == 55 && text.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-');
    plain.then(|| text.to_owned())
}

fn created(app: &AppState, upload: &Upload) -> Result<Response, Problem> {
    let finished = upload.finished.is_some() && upload.size_bytes > 0;
    let status = if finished { StatusCode::OK } else { StatusCode::CREATED };
    let mut response = answer(status, upload)?;
    let location = format!("{}/v1/uploads/{}", app.public_url, upload.id);
    response
        .headers_mut()
        .insert(header::LOCATION, HeaderValue::try_from(location).map_err(Problem::internal)?);
    if finished {
        *response.body_mut() =
            json!({ "recording": became(upload).recording, "existing": true }).to_string().into();
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        response.headers_mut().insert(EXISTING, HeaderValue::from_static("true"));
    }
    Ok(response)
}

fn became(upload: &Upload) -> Finished {
    let own = || Finished { recording: upload.id.clone(), existing: false };
    upload.finished.clone().unwrap_or_else(own)
}

/// An answer about an upload, with all that tus and we say in headers.
fn answer(status: StatusCode, upload: &Upload) -> Result<Response, Problem> {
    let mut response = status.into_response();
    let headers = response.headers_mut();
    headers.insert(TUS_RESUMABLE, HeaderValue::from_static(protocol::VERSION));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(UPLOAD_OFFSET, upload.offset().into());
    headers.insert(UPLOAD_LENGTH, upload.size_bytes.into());
    let became = became(upload);
    headers.insert(RECORDING, HeaderValue::try_from(became.recording).map_err(Problem::internal)?);
    if became.existing {
        headers.insert(EXISTING, HeaderValue::from_static("true"));
    }
    if upload.finished.is_none()
        && let Some(date) = protocol::http_date(upload.expires_at_ms)
    {
        headers.insert(UPLOAD_EXPIRES, date);
    }
    Ok(response)
}
