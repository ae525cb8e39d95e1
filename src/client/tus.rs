//! A resumable upload (tus 1.0): after any failure it continues at the offset that the server
//! reports.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures_util::stream;
use reqwest::{Method, RequestBuilder, Response, StatusCode};
use tokio::io::{AsyncReadExt, AsyncSeekExt};

use crate::client::api::{Api, expect_success, unreachable};
use crate::exit::{CommandError, CommandResult};
use crate::ui::progress::{ProgressDisplay, ProgressUnit};

/// Bytes read and sent at once.
const BLOCK_BYTES: usize = 256 << 10;
/// A request that transfers no byte for this long is aborted and resumed.
const STALL_TIMEOUT: Duration = Duration::from_secs(90);
/// Retrying stops after this long without progress.
const MAX_RETRY_TIME: Duration = Duration::from_secs(600);
/// Longest delay between two tries.
const MAX_RETRY_DELAY: Duration = Duration::from_secs(20);

/// A file to upload, with its metadata.
pub struct UploadRequest<'a> {
    /// The file.
    pub file: &'a Path,
    /// Title.
    pub title: Option<&'a str>,
    /// The person who uploads.
    pub uploader: Option<&'a str>,
    /// The time it is needed at (RFC 3339).
    pub due_at: Option<&'a str>,
    /// Words and names that may be said in it.
    pub vocabulary: Option<&'a str>,
}

/// Uploads a file and returns the recording's id.
pub async fn upload(
    api: &Api,
    upload: &UploadRequest<'_>,
    display: &ProgressDisplay,
) -> CommandResult<String> {
    let name = upload.file.display();
    let facts = tokio::fs::metadata(upload.file)
        .await
        .map_err(|error| CommandError::usage(format!("{name} cannot be read: {error}")))?;
    if !facts.is_file() {
        return Err(CommandError::usage(format!("{name} is not a file")));
    }
    let size_bytes = facts.len();
    display.update("upload", ProgressUnit::Bytes, 0, size_bytes);

    let mut retries = RetryBudget::new();
    let created = loop {
        match create(api, upload, &facts).send().await {
            Ok(response) if is_transient(response.status()) => retries.wait("the server is busy").await?,
            Ok(response) => break expect_success(response).await?,
            Err(error) => retries.wait(&format!("{:#}", anyhow::Error::from(error.without_url()))).await?,
        }
    };
    let mut recording = header(&created, "chalkstream-recording").unwrap_or_default();
    // The bytes and the key only go to the server that was asked, whatever host `Location` names.
    let location = header(&created, "location")
        .map(|location| match location.split_once("/v1/uploads/") {
            Some((_, id)) => format!("/v1/uploads/{id}"),
            None => location,
        })
        .filter(|location| location.starts_with("/v1/uploads/"))
        .ok_or_else(|| CommandError::failed("upload", "the server's response has no upload address"))?;

    let mut offset = 0;
    let mut known = header(&created, "upload-offset").and_then(|text| text.parse().ok());
    while offset < size_bytes || known.is_none() {
        let at = match known.take() {
            Some(at) => at,
            None => match head(api, &location).await {
                Ok(Some(response)) => {
                    recording = header(&response, "chalkstream-recording").unwrap_or(recording);
                    header(&response, "upload-offset").and_then(|text| text.parse().ok()).unwrap_or(0)
                }
                Ok(None) => {
                    retries.wait("the server is busy").await?;
                    continue;
                }
                Err(failure) => return Err(failure),
            },
        };
        if at > offset {
            retries.reset();
        }
        offset = at;
        display.update("upload", ProgressUnit::Bytes, offset, size_bytes);
        if offset >= size_bytes {
            break;
        }
        match send(api, &location, upload.file, offset, size_bytes, display).await? {
            PatchOutcome::Accepted(response) => {
                recording = header(&response, "chalkstream-recording").unwrap_or(recording);
                known = header(&response, "upload-offset").and_then(|text| text.parse().ok());
            }
            PatchOutcome::Interrupted(reason) => retries.wait(&reason).await?,
        }
    }
    Ok(recording)
}

/// The outcome of one PATCH request.
enum PatchOutcome {
    /// The server took every byte.
    Accepted(Response),
    /// The request broke off; the server knows the offset.
    Interrupted(String),
}

fn create(api: &Api, upload: &UploadRequest<'_>, facts: &std::fs::Metadata) -> RequestBuilder {
    let file_name = upload.file.file_name().unwrap_or_default().to_string_lossy();
    let mut metadata = format!("filename {}", STANDARD.encode(file_name.as_bytes()));
    let title = upload.title.unwrap_or(&file_name);
    let named = [
        ("title", Some(title)),
        ("uploader", upload.uploader),
        ("due_at", upload.due_at),
        ("vocabulary", upload.vocabulary),
    ];
    for (name, value) in named {
        if let Some(value) = value {
            metadata += &format!(",{name} {}", STANDARD.encode(value));
        }
    }
    api.request(Method::POST, "/v1/uploads")
        .timeout(Duration::from_secs(60))
        .header("Tus-Resumable", "1.0.0")
        .header("Upload-Length", facts.len())
        .header("Upload-Metadata", metadata)
        .header("Idempotency-Key", idempotency_key(upload, facts))
}

/// Derives a key from the file and its metadata: a second run of the command resumes the first
/// one's upload.
fn idempotency_key(upload: &UploadRequest<'_>, facts: &std::fs::Metadata) -> String {
    use std::os::unix::fs::MetadataExt;
    let title = upload.title.unwrap_or_default();
    let uploader = upload.uploader.unwrap_or_default();
    let parts = [facts.dev(), facts.ino(), facts.len(), facts.mtime() as u64, facts.mtime_nsec() as u64];
    let text = format!("{parts:?} {:?} {title:?} {uploader:?}", upload.file.file_name());
    uuid::Uuid::new_v5(&uuid::Uuid::NAMESPACE_OID, text.as_bytes()).hyphenated().to_string()
}

/// Asks for the upload's offset. `None` if the server should be asked again.
async fn head(api: &Api, location: &str) -> CommandResult<Option<Response>> {
    let request = api.request(Method::HEAD, location).header("Tus-Resumable", "1.0.0");
    match request.timeout(Duration::from_secs(60)).send().await {
        Ok(response) if is_transient(response.status()) => Ok(None),
        Ok(response) => expect_success(response).await.map(Some),
        Err(_) => Ok(None),
    }
}

async fn send(
    api: &Api,
    location: &str,
    file: &Path,
    offset: u64,
    size_bytes: u64,
    display: &ProgressDisplay,
) -> CommandResult<PatchOutcome> {
    let mut file = tokio::fs::File::open(file).await?;
    file.seek(std::io::SeekFrom::Start(offset)).await?;
    let sent = Arc::new(AtomicU64::new(offset));
    let counted = Arc::clone(&sent);
    let body = stream::try_unfold((file, counted), |(mut file, counted)| async move {
        let mut block = vec![0; BLOCK_BYTES];
        let n = file.read(&mut block).await?;
        block.truncate(n);
        counted.fetch_add(n as u64, Ordering::Relaxed);
        Ok::<_, std::io::Error>((n > 0).then_some((block, (file, counted))))
    });
    let request = api
        .upload(Method::PATCH, location)
        .header("Tus-Resumable", "1.0.0")
        .header("Upload-Offset", offset)
        .header("Content-Length", size_bytes - offset)
        .header("Content-Type", "application/offset+octet-stream")
        .body(reqwest::Body::wrap_stream(body))
        .send();
    tokio::pin!(request);
    let mut ticks = tokio::time::interval(Duration::from_millis(200));
    let mut last = (offset, Instant::now());
    loop {
        tokio::select! {
            response = &mut request => {
                return match response {
                    // The server has another offset, is busy with this upload, or failed: ask for
                    // the offset.
                    Ok(response) if is_transient(response.status()) => Ok(PatchOutcome::Interrupted(format!("the server responded with {}", response.status()))),
                    Ok(response) => Ok(PatchOutcome::Accepted(expect_success(response).await?)),
                    Err(error) if error.is_builder() => Err(unreachable(error)),
                    Err(error) => Ok(PatchOutcome::Interrupted(format!("{:#}", anyhow::Error::from(error.without_url())))),
                };
            }
            _ = ticks.tick() => {
                let now = sent.load(Ordering::Relaxed);
                display.update("upload", ProgressUnit::Bytes, now, size_bytes);
                if now != last.0 {
                    last = (now, Instant::now());
                } else if last.1.elapsed() > STALL_TIMEOUT {
                    return Ok(PatchOutcome::Interrupted("the connection stalled".into()));
                }
            }
        }
    }
}

/// Whether the upload can continue after this response.
fn is_transient(status: StatusCode) -> bool {
    status.is_server_error()
        || matches!(
            status,
            StatusCode::CONFLICT
                | StatusCode::LOCKED
                | StatusCode::TOO_MANY_REQUESTS
                | StatusCode::REQUEST_TIMEOUT
        )
}

fn header(response: &Response, name: &str) -> Option<String> {
    Some(response.headers().get(name)?.to_str().ok()?.to_owned())
}

/// Waits longer before each retry, and gives up after too long without progress.
struct RetryBudget {
    last_progress: Instant,
    delay: Duration,
}

impl RetryBudget {
    fn new() -> Self {
        Self { last_progress: Instant::now(), delay: Duration::from_millis(250) }
    }

    fn reset(&mut self) {
        *self = Self::new();
    }

    async fn wait(&mut self, reason: &str) -> CommandResult {
        if self.last_progress.elapsed() > MAX_RETRY_TIME {
            return Err(CommandError::failed(
                "unreachable",
                format!("the upload makes no progress: {reason}"),
            ));
        }
        tracing::debug!(reason, "upload interrupted, retry scheduled");
        tokio::time::sleep(self.delay).await;
        self.delay = (self.delay * 2).min(MAX_RETRY_DELAY);
        Ok(())
    }
}
