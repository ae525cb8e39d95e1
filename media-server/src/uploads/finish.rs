//! From the last durable byte to the acknowledgement: first source and manifest, then the job.
//!
//! Any server can repeat every step after a crash between two of them.

use bytes::Bytes;
use chalkstream_formats::hex;
use chalkstream_store::{
    Blame, EventKind, Failure, JobSpec, Kind, Manifest, ObjectFacts, SourceFacts, State, Store, Submission,
    delete_prefix, deletion, layout, listing, read_manifest, submit, write_manifest,
};
use futures_util::StreamExt;
use serde_json::json;
use sha2::{Digest, Sha256};

use super::ingest::Ingest;
use super::problems::gone;
use super::service::Uploads;
use super::state::{self, Concat, Upload, UploadOutcome};
use crate::events::announce;
use crate::problem::Problem;

/// Finishes an upload whose bytes are all durable, if the request that brought the last one did
/// not.
///
/// # Errors
/// As for [`finish`]; 409 if the last bytes have changed and must be sent again.
pub async fn finish_complete(uploads: &Uploads, upload: &mut Upload) -> Result<(), Problem> {
    if upload.complete && (upload.size_bytes == 0 || !upload.parts.is_empty()) {
        return finish(uploads, upload, None, None).await;
    }
    let (sha256, content) = Ingest::resume(uploads, upload).await?.complete().await?;
    finish(uploads, upload, sha256, content).await
}

/// Finishes a complete upload: it becomes a recording, or a readable part of a file. `sha256` and
/// `content` are given if they are known.
///
/// # Errors
/// If storage is away: try again, nothing is lost. 410 if the recording was deleted, or if storage
/// dropped the parts.
pub async fn finish(
    uploads: &Uploads,
    upload: &mut Upload,
    sha256: Option<String>,
    content: Option<Bytes>,
) -> Result<(), Problem> {
    if upload.is_settled() {
        return Ok(());
    }
    if let Some(Concat::Partial { final_upload, .. }) = &upload.concat {
        let stored = Concat::Partial { stored: true, final_upload: final_upload.clone() };
        if upload.size_bytes > 0 {
            assemble(&uploads.store, upload, content).await?;
        }
        upload.concat = Some(stored);
        state::write(&uploads.store, upload).await?;
        return Ok(uploads.store.delete(&layout::upload_tail_key(&upload.tenant, &upload.id)).await?);
    }
    if upload.size_bytes == 0 {
        refuse_empty(uploads, upload).await?;
        return settle_own(uploads, upload).await;
    }
    match read_manifest(&uploads.store, &upload.tenant, &upload.id).await?.map(|manifest| manifest.state) {
        Some(State::Deleted) => return Err(gone()),
        // Deleted longer ago than any request lasts, but a server may have been asleep.
        None if deletion::read(&uploads.store, &upload.tenant, &upload.id).await?.is_some() => {
            return Err(gone());
        }
        None | Some(State::AwaitingUpload | State::Queued) => {}
        // A worker had it already, and may have removed its source.
        Some(_) => {
            return settle_own(uploads, upload).await;
        }
    }
    assemble(&uploads.store, upload, content).await?;
    let sha256 = match sha256 {
        Some(sha256) => sha256,
        None => hash_object(&uploads.store, &upload.source_key()).await?,
    };
    let (store, tenant) = (&uploads.store, upload.tenant.as_str());
    if let Some(value) = content_value(upload, &sha256)
        && let Some(recording) = submit::find_duplicate(store, tenant, &value, &upload.id).await?
    {
        return settle_as(uploads, upload, recording).await;
    }
    let manifest = queued_manifest(uploads, upload, &sha256).await?;
    write_manifest(store, &manifest).await?;
    match submit::submit(store, &uploads.queue, &JobSpec::for_recording(&manifest)).await? {
        Submission::Queued => {}
        // Two servers finished the same file at once: the queue knows which one was first.
        Submission::Duplicate { recording } => return settle_as(uploads, upload, recording).await,
        Submission::Deferred(error) => {
            tracing::warn!(tenant_id = tenant, recording_id = upload.id, %error, "recording not queued yet");
        }
    }
    announce(&uploads.events, tenant, &upload.id, EventKind::State, json!({ "state": "queued" })).await;
    settle_own(uploads, upload).await
}

/// The manifest of a recording while its upload goes on.
pub fn awaiting_manifest(upload: &Upload) -> Manifest {
    let mut manifest = Manifest::new(&upload.tenant, &upload.id);
    manifest.title = upload.title.clone();
    manifest.uploader = upload.uploader.clone();
    manifest.due_at_ms = upload.due_at_ms;
    manifest.vocabulary = upload.vocabulary.clone();
    if let Some(at) =
        i64::try_from(upload.created_at_ms).ok().and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok())
    {
        manifest.created_at = at;
    }
    manifest
}

/// Acknowledges an upload that became a recording of its own.
async fn settle_own(uploads: &Uploads, upload: &mut Upload) -> Result<(), Problem> {
    let recording = upload.id.clone();
    settle(uploads, upload, UploadOutcome { recording, existing: false }).await
}

/// Acknowledges an upload whose file was here already as `recording`, and removes its own objects.
///
/// # Errors
/// 410 if that recording was deleted meanwhile: the client must not take it for its own.
async fn settle_as(uploads: &Uploads, upload: &mut Upload, recording: String) -> Result<(), Problem> {
    delete_prefix(&uploads.store, &layout::recording_prefix(&upload.tenant, &upload.id)).await?;
    listing::remove(&uploads.store, &upload.tenant, &upload.id).await?;
    submit::clear(&uploads.store, &upload.tenant, &upload.id).await?;
    let outcome = UploadOutcome { recording: recording.clone(), existing: true };
    settle(uploads, upload, outcome).await?;
    if submit::is_gone(&uploads.store, &upload.tenant, &recording).await? { Err(gone()) } else { Ok(()) }
}

async fn settle(uploads: &Uploads, upload: &mut Upload, finished: UploadOutcome) -> Result<(), Problem> {
    upload.finished = Some(finished);
    state::write(&uploads.store, upload).await?;
    uploads.counters.finished.inc();
    Ok(())
}

/// Assembles the source object from its parts. It may be done already.
async fn assemble(store: &Store, upload: &Upload, content: Option<Bytes>) -> Result<(), Problem> {
    let key = upload.source_key();
    if upload.parts.is_empty() {
        let content = match content {
            Some(content) => content,
            None => match store.get(&layout::upload_tail_key(&upload.tenant, &upload.id)).await {
                Ok(tail) => tail,
                Err(error) if error.kind == Kind::NotFound => return check_assembled(store, upload).await,
                Err(error) => return Err(error.into()),
            },
        };
        let length = usize::try_from(upload.size_bytes).unwrap_or(usize::MAX);
        if content.len() < length {
            return Err(Problem::internal("an upload's tail is too short"));
        }
        return Ok(store.put(&key, content.slice(..length)).await?);
    }
    let multipart = upload.multipart.as_deref().unwrap_or_default();
    match store.complete_multipart(&key, multipart, &upload.parts).await {
        Ok(()) => Ok(()),
        // An earlier attempt assembled it, and died before it could record that.
        Err(error) if matches!(error.kind, Kind::NotFound | Kind::InvalidInput) => {
            check_assembled(store, upload).await
        }
        Err(error) => Err(error.into()),
    }
}

/// Checks that an earlier attempt assembled the source.
async fn check_assembled(store: &Store, upload: &Upload) -> Result<(), Problem> {
    match store.head(&upload.source_key()).await {
        Ok(size_bytes) if size_bytes == upload.size_bytes => Ok(()),
        Err(error) if error.kind != Kind::NotFound => Err(error.into()),
        _ => Err(gone()),
    }
}

/// Reads the finished object, for the rare upload whose running hash could not be resumed.
async fn hash_object(store: &Store, key: &str) -> Result<String, Problem> {
    let mut body = store.read(key, None).await?.stream;
    let mut hash = Sha256::new();
    while let Some(chunk) = body.next().await {
        hash.update(&chunk?);
    }
    Ok(hex::encode(&hash.finalize()))
}

/// The deduplication value: the same bytes from the same uploader. Never across uploaders; the key
/// already contains the tenant. `None` if the uploader is unknown: two people may have sent the
/// same file, and neither's deletion may take the other's recording.
fn content_value(upload: &Upload, sha256: &str) -> Option<String> {
    (!upload.uploader.is_empty()).then(|| format!("content:{sha256}:{}", upload.uploader))
}

/// The manifest of a recording whose source is stored and whose job is about to be queued.
pub(super) async fn queued_manifest(
    uploads: &Uploads,
    upload: &Upload,
    sha256: &str,
) -> Result<Manifest, Problem> {
    let mut manifest = match read_manifest(&uploads.store, &upload.tenant, &upload.id).await? {
        Some(manifest) if manifest.state == State::Deleted => return Err(gone()),
        Some(manifest) => manifest,
        None => awaiting_manifest(upload),
    };
    let key = layout::source_relative(&upload.filename);
    let facts = ObjectFacts { size_bytes: upload.size_bytes, sha256: sha256.into() };
    manifest.objects.insert(key.clone(), facts);
    manifest.source = Some(SourceFacts {
        key,
        filename: upload.filename.clone(),
        size_bytes: upload.size_bytes,
        sha256: Some(sha256.into()),
    });
    manifest.dedupe = content_value(upload, sha256);
    if manifest.state == State::AwaitingUpload {
        manifest.state = State::Queued;
        manifest.fence += 1;
    }
    Ok(manifest)
}

/// Records an empty file as failed: a worker could do nothing with it.
async fn refuse_empty(uploads: &Uploads, upload: &Upload) -> Result<(), Problem> {
    let mut manifest = awaiting_manifest(upload);
    manifest.fence = 1;
    manifest.state = State::Failed;
    manifest.failure = Some(Failure {
        code: "empty_file".into(),
        message: "The file is empty.".into(),
        step: "upload".into(),
        blame: Blame::Input,
    });
    write_manifest(&uploads.store, &manifest).await?;
    announce(
        &uploads.events,
        &upload.tenant,
        &upload.id,
        EventKind::State,
        json!({ "state": "failed", "code": "empty_file" }),
    )
    .await;
    Ok(())
}
