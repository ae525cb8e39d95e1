//! Creating an upload: once per file, however often the request comes.

use std::future::ready;

use axum::body::{Body, HttpBody};
use axum::extract::State;
use axum::response::Response;
use chalkstream_store::objects::list_all;
use chalkstream_store::{Blame, Kind, State as RecordingState, layout, read_manifest, write_manifest};
use futures_util::{StreamExt, TryStreamExt, stream};
use http::{HeaderMap, StatusCode};

use super::concat;
use super::discard::discard;
use super::finish::{awaiting_manifest, finish};
use super::protocol::{self, ConcatHeader, UploadMetadata};
use super::receive::{PatchHeaders, receive};
use super::responses::{created, created_before};
use super::service::{UploadLimits, Uploads};
use super::state::{self, Concat, Upload};
use crate::access::ApiCaller;
use crate::clock::now_ms;
use crate::problem::{Problem, ProblemBody};

/// Records of open uploads that are read at once.
const READS: usize = 16;

/// Create an upload.
///
/// `Upload-Length` (or `Upload-Defer-Length: 1`) and `Upload-Metadata` (filename, title, uploader,
/// due_at, vocabulary) describe it. `vocabulary` has words and names that may be said, with commas
/// between them, as `PUT /v1/vocabulary` takes them. Names of `/v1/names` become `[name]` in all of
/// it but the uploader, which is an id. The same `Idempotency-Key` twice gives the
/// same upload; a key that was used for another file is refused with 422. A body of the type
/// `application/offset+octet-stream` is its first bytes. `Upload-Concat: partial` creates one part
/// of a file, and `Upload-Concat: final;` with the addresses of such parts joins them. A file above
/// the size limit is refused with 413, and a tenant with too many open uploads with 429.
#[utoipa::path(
    post, path = "/v1/uploads", tag = "uploads",
    responses(
        (status = 201,
            description = "Location of the upload, as a path; Chalkstream-Recording is the recording it makes"),
        (status = 200, description = "An earlier request with this Idempotency-Key made a recording"),
        (status = 400, body = ProblemBody),
        (status = 401, body = ProblemBody),
        (status = 410, body = ProblemBody),
        (status = 412, body = ProblemBody),
        (status = 413, body = ProblemBody),
        (status = 422, body = ProblemBody),
        (status = 429, body = ProblemBody),
        (status = 503, body = ProblemBody),
    ),
)]
pub async fn create(
    State(uploads): State<Uploads>,
    caller: ApiCaller,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    protocol::check_version(&headers)?;
    let metadata = protocol::metadata(&headers)?;
    let sent_filename = metadata.filename.clone();
    let metadata = match metadata.raw {
        // Nothing is written before the names are out.
        Some(_) => uploads.names.redacted(&caller.tenant, metadata, UploadMetadata::redacted).await?,
        None => metadata,
    };
    let (length, role) = match protocol::concat(&headers)? {
        Some(ConcatHeader::Final { ids, text }) => {
            // The first response was lost, and the parts may be gone already.
            if let Some(earlier) = made_before(&uploads, &caller.tenant, &state::concat_value(&ids)).await? {
                return created_before(&uploads, &earlier);
            }
            let partials = concat::partials(&uploads, &caller.tenant, &ids).await?;
            let size_bytes = partials.iter().map(|piece| piece.size_bytes).sum();
            (Some(size_bytes), Some(Concat::Final { partials, header: text }))
        }
        Some(ConcatHeader::Partial) => {
            let role = Concat::Partial { stored: false, final_upload: None };
            (protocol::length(&headers)?, Some(role))
        }
        None => (protocol::length(&headers)?, None),
    };
    let size_bytes = length.unwrap_or(uploads.limits.max_upload_bytes);
    uploads.check_size(size_bytes)?;
    let ttl_ms = uploads.limits.ttl_ms;
    let mut upload =
        Upload::new(&caller.tenant, size_bytes, uploads.store.min_part_bytes(), metadata, now_ms(), ttl_ms);
    upload.length_deferred = length.is_none();
    upload.concat = role;
    // Clients send the same headers with every part, so the key belongs to the file.
    let key = if upload.is_partial() { None } else { idempotency_key(&headers)? };
    if let Some(key) = &key
        && let Some(earlier) = made_before(&uploads, &caller.tenant, key).await?
    {
        check_same_metadata(&earlier, &upload, &sent_filename)?;
        return again(uploads, earlier, &headers, body).await;
    }
    // Its parts were counted already. It must not fail because they use up the limit.
    if !upload.is_final() {
        check_open_uploads(&uploads, &upload).await?;
    }

    upload.idempotency = key;
    // Of two requests at once, the one that Redis saw first creates the upload. Without Redis the
    // record in storage decides.
    for value in upload.bound_values() {
        if let Ok(winner) = uploads.queue.claim(&caller.tenant, &value, &upload.id).await
            && winner != upload.id
        {
            // If the other upload never appears, its request died or it expired: this one takes its
            // place.
            if let Some(earlier) = wait_for(&uploads, &caller.tenant, &winner).await? {
                check_same_metadata(&earlier, &upload, &sent_filename)?;
                return again(uploads, earlier, &headers, body).await;
            }
        }
    }
    if upload.is_final() {
        concat::reserve(&uploads, &upload).await?;
    }
    state::write(&uploads.store, &upload).await?;
    for value in upload.bound_values() {
        uploads.store.put(&layout::dedupe_key(&caller.tenant, &value), upload.id.clone().into()).await?;
    }
    if upload.size_bytes == 0 {
        finish(&uploads, &mut upload, None, None).await?;
    } else if !upload.is_partial() {
        write_manifest(&uploads.store, &awaiting_manifest(&upload)).await?;
    }
    if upload.is_final() {
        upload = concat::start(&uploads, upload).await?;
    }
    created(&uploads, &first_bytes(&uploads, upload, &headers, body).await?)
}

/// Responds to a repeated request. Its bytes are stored if the upload has none.
async fn again(
    uploads: Uploads,
    earlier: Upload,
    headers: &HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    created_before(&uploads, &first_bytes(&uploads, earlier, headers, body).await?)
}

/// Stores the bytes that came with the request. If that fails the upload still exists, and its
/// offset says where to resume.
async fn first_bytes(
    uploads: &Uploads,
    upload: Upload,
    headers: &HeaderMap,
    body: Body,
) -> Result<Upload, Problem> {
    let wanted = upload.offset() == 0 && !upload.is_settled() && !upload.is_final();
    if !wanted || !protocol::has_bytes(headers) || body.is_end_stream() {
        return Ok(upload);
    }
    let (tenant, id) = (upload.tenant.clone(), upload.id.clone());
    let received =
        tokio::spawn(receive(uploads.clone(), tenant, id, PatchHeaders { offset: 0, length: None }, body));
    match received.await.map_err(Problem::internal)? {
        Ok(upload) => Ok(upload),
        Err(problem) if problem.status() == StatusCode::PAYLOAD_TOO_LARGE => {
            discard(uploads, &upload).await?;
            Err(problem)
        }
        Err(_) => uploads.read_open(&upload.tenant, &upload.id).await,
    }
}

async fn check_open_uploads(uploads: &Uploads, upload: &Upload) -> Result<(), Problem> {
    let UploadLimits { max_open_uploads, max_open_uploads_per_uploader, .. } = uploads.limits;
    let prefix = layout::uploads_prefix(&upload.tenant);
    let open: Vec<String> = list_all(&uploads.store, &prefix)
        .try_filter(|object| ready(object.key.ends_with(".json")))
        .take(max_open_uploads as usize)
        .map_ok(|object| object.key)
        .try_collect()
        .await?;
    if open.len() >= max_open_uploads as usize {
        return Err(too_many_uploads(format!("At most {max_open_uploads} uploads can be open at once.")));
    }
    // Records are read only where they can matter. Unknown uploaders count for the tenant only.
    let limit = max_open_uploads_per_uploader as usize;
    if upload.uploader.is_empty() || open.len() < limit {
        return Ok(());
    }
    let records = stream::iter(open.into_iter().map(|key| async move {
        match uploads.store.get(&key).await {
            // One that cannot be read may be anyone's.
            Ok(body) => Ok(serde_json::from_slice::<Upload>(&body)
                .map_or(true, |other| other.uploader == upload.uploader)),
            // It ended meanwhile.
            Err(error) if error.kind == Kind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }));
    let of_uploader: Vec<bool> = records
        .buffer_unordered(READS)
        .try_filter(|is_counted| ready(*is_counted))
        .take(limit)
        .try_collect()
        .await?;
    if of_uploader.len() >= limit {
        return Err(too_many_uploads(format!(
            "At most {limit} uploads of one uploader can be open at once."
        )));
    }
    Ok(())
}

fn too_many_uploads(sentence: String) -> Problem {
    Problem::new(StatusCode::TOO_MANY_REQUESTS, "too_many_uploads", sentence).retry_after_s(30)
}

fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let Some(value) = headers.get("idempotency-key") else { return Ok(None) };
    match value.to_str() {
        Ok(text) if (1..=255).contains(&text.len()) => Ok(Some(format!("key:{text}"))),
        _ => Err(Problem::invalid("idempotency_key", "An Idempotency-Key has 1 to 255 visible characters.")),
    }
}

/// Returns the upload that an earlier request with the same key created, unless it is void.
async fn made_before(uploads: &Uploads, tenant: &str, key: &str) -> Result<Option<Upload>, Problem> {
    let id = match uploads.store.get(&layout::dedupe_key(tenant, key)).await {
        Ok(body) => String::from_utf8(body.to_vec()).map_err(Problem::internal)?,
        Err(error) if error.kind == Kind::NotFound => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    match state::read(&uploads.store, tenant, &id).await? {
        Some(upload) if stands(uploads, &upload).await? => Ok(Some(upload)),
        _ => Ok(None),
    }
}

/// Whether a second request with the same key gets this upload.
///
/// An upload that expired would block the same file for days, and so would a recording that is
/// gone, was cancelled or failed. A recording that failed by its own fault would fail again.
async fn stands(uploads: &Uploads, upload: &Upload) -> Result<bool, Problem> {
    let Some(finished) = &upload.finished else {
        return Ok(upload.is_complete() || upload.expires_at_ms >= now_ms());
    };
    let manifest = read_manifest(&uploads.store, &upload.tenant, &finished.recording).await?;
    Ok(manifest.is_some_and(|manifest| match manifest.state {
        RecordingState::Deleted | RecordingState::Cancelled => false,
        RecordingState::Failed => manifest.failure.is_some_and(|failure| failure.blame == Blame::Input),
        _ => true,
    }))
}

/// Refuses a key that is reused for another file: that file would be lost, or one uploader would
/// get another's recording. The earlier file may have its name from before there was a list of
/// names.
fn check_same_metadata(earlier: &Upload, asked: &Upload, sent_filename: &str) -> Result<(), Problem> {
    let same_name = earlier.filename == asked.filename || earlier.filename == sent_filename;
    let same_list = earlier.concat.is_some() && earlier.concat == asked.concat;
    let same_size = asked.length_deferred || earlier.size_bytes == asked.size_bytes;
    if same_list || same_size && same_name && earlier.uploader == asked.uploader {
        return Ok(());
    }
    Err(Problem::new(
        StatusCode::UNPROCESSABLE_ENTITY,
        "idempotency_key_reused",
        "This Idempotency-Key was used for another file or by another uploader; take a new one.",
    ))
}

/// Waits for the state that the other request is about to write.
async fn wait_for(uploads: &Uploads, tenant: &str, id: &str) -> Result<Option<Upload>, Problem> {
    for _ in 0..20 {
        if let Some(upload) = state::read(&uploads.store, tenant, id).await? {
            return Ok(stands(uploads, &upload).await?.then_some(upload));
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    Ok(None)
}
