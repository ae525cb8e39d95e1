//! A resumable upload (tus 1.0): whatever breaks, it goes on where the server says it is.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures_util::stream;
use reqwest::{Method, RequestBuilder, Response, StatusCode};
use tokio::io::{AsyncReadExt, AsyncSeekExt};

use crate::api::{Api, expect, unreachable};
use crate::exit::{Failure, Outcome};
use crate::progress::{Shown, Unit};

/// What is read and sent at once, in bytes.
const BLOCK_BYTES: usize = 256 << 10;
/// A request that moves no byte for this long is given up and resumed.
const STALL: Duration = Duration::from_secs(90);
/// Going on is tried for this long without a byte getting through.
const PATIENCE: Duration = Duration::from_secs(600);
/// Longest wait between two tries.
const LONGEST_WAIT: Duration = Duration::from_secs(20);

/// What to upload.
pub struct Asked<'a> {
    /// The file.
    pub file: &'a Path,
    /// Title.
    pub title: Option<&'a str>,
    /// Who uploads.
    pub uploader: Option<&'a str>,
    /// When it is needed (RFC 3339).
    pub due_at: Option<&'a str>,
}

/// Uploads a file; answers the recording's id.
pub async fn upload(api: &Api, asked: &Asked<'_>, shown: &Shown) -> Outcome<String> {
    let name = asked.file.display();
    let facts = tokio::fs::metadata(asked.file)
        .await
        .map_err(|error| Failure::usage(format!("{name} cannot be read: {error}")))?;
    if !facts.is_file() {
        return Err(Failure::usage(format!("{name} is not a file")));
    }
    let size_bytes = facts.len();
    shown.at("upload", Unit::Bytes, 0, size_bytes);

    let mut patience = Patience::new();
    let created = loop {
        match create(api, asked, &facts).send().await {
            Ok(answer) if passes(answer.status()) => patience.wait("the server is busy").await?,
            Ok(answer) => break expect(answer).await?,
            Err(error) => patience.wait(&format!("{:#}", anyhow::Error::from(error.without_url()))).await?,
        }
    };
    let mut recording = header(&created, "chalkstream-recording").unwrap_or_default();
    // Nothing is sent, least of all the key, to another place than the server asked.
    let location = header(&created, "location")
        .map(|location| match location.split_once("/v1/uploads/") {
            Some((_, id)) => format!("/v1/uploads/{id}"),
            None => location,
        })
        .filter(|location| location.starts_with("/v1/uploads/"))
        .ok_or_else(|| Failure::failed("upload", "the server did not say where to upload to"))?;

    let mut offset = 0;
    let mut known = header(&created, "upload-offset").and_then(|text| text.parse().ok());
    while offset < size_bytes || known.is_none() {
        let at = match known.take() {
            Some(at) => at,
            None => match head(api, &location).await {
                Ok(Some(answer)) => {
                    recording = header(&answer, "chalkstream-recording").unwrap_or(recording);
                    header(&answer, "upload-offset").and_then(|text| text.parse().ok()).unwrap_or(0)
                }
                Ok(None) => {
                    patience.wait("the server is busy").await?;
                    continue;
                }
                Err(failure) => return Err(failure),
            },
        };
        if at > offset {
            patience.renew();
        }
        offset = at;
        shown.at("upload", Unit::Bytes, offset, size_bytes);
        if offset >= size_bytes {
            break;
        }
        match send(api, &location, asked.file, offset, size_bytes, shown).await? {
            Sent::Through(answer) => {
                recording = header(&answer, "chalkstream-recording").unwrap_or(recording);
                known = header(&answer, "upload-offset").and_then(|text| text.parse().ok());
            }
            Sent::Cut(why) => patience.wait(&why).await?,
        }
    }
    Ok(recording)
}

/// What became of one request that sent bytes.
enum Sent {
    /// The server took all of it.
    Through(Response),
    /// It broke off; the server knows how far it came.
    Cut(String),
}

fn create(api: &Api, asked: &Asked<'_>, facts: &std::fs::Metadata) -> RequestBuilder {
    let file_name = asked.file.file_name().unwrap_or_default().to_string_lossy();
    let mut metadata = format!("filename {}", STANDARD.encode(file_name.as_bytes()));
    let title = asked.title.unwrap_or(&file_name);
    let named = [("title", Some(title)), ("uploader", asked.uploader), ("due_at", asked.due_at)];
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
        .header("Idempotency-Key", same_file(asked, facts))
}

/// The same for the same unchanged file: a second run of the command goes on with what the first one began.
fn same_file(asked: &Asked<'_>, facts: &std::fs::Metadata) -> String {
    use std::os::unix::fs::MetadataExt;
    let title = asked.title.unwrap_or_default();
    let uploader = asked.uploader.unwrap_or_default();
    let parts = [facts.dev(), facts.ino(), facts.len(), facts.mtime() as u64, facts.mtime_nsec() as u64];
    let text = format!("{parts:?} {:?} {title:?} {uploader:?}", asked.file.file_name());
    uuid::Uuid::new_v5(&uuid::Uuid::NAMESPACE_OID, text.as_bytes()).hyphenated().to_string()
}

/// Where the upload stands; nothing where the server should be asked again.
async fn head(api: &Api, location: &str) -> Outcome<Option<Response>> {
    let request = api.request(Method::HEAD, location).header("Tus-Resumable", "1.0.0");
    match request.timeout(Duration::from_secs(60)).send().await {
        Ok(answer) if passes(answer.status()) => Ok(None),
        Ok(answer) => expect(answer).await.map(Some),
        Err(_) => Ok(None),
    }
}

async fn send(
    api: &Api,
    location: &str,
    file: &Path,
    offset: u64,
    size_bytes: u64,
    shown: &Shown,
) -> Outcome<Sent> {
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
    let mut seen = (offset, Instant::now());
    loop {
        tokio::select! {
            answer = &mut request => {
                return match answer {
                    // The server has another offset, is busy with this upload, or stumbles: ask it.
                    Ok(answer) if passes(answer.status()) => Ok(Sent::Cut(format!("the server answered {}", answer.status()))),
                    Ok(answer) => Ok(Sent::Through(expect(answer).await?)),
                    Err(error) if error.is_builder() => Err(unreachable(error)),
                    Err(error) => Ok(Sent::Cut(format!("{:#}", anyhow::Error::from(error.without_url())))),
                };
            }
            _ = ticks.tick() => {
                let now = sent.load(Ordering::Relaxed);
                shown.at("upload", Unit::Bytes, now, size_bytes);
                if now != seen.0 {
                    seen = (now, Instant::now());
                } else if seen.1.elapsed() > STALL {
                    return Ok(Sent::Cut("nothing gets through".into()));
                }
            }
        }
    }
}

/// Answers after which the same upload can go on.
fn passes(status: StatusCode) -> bool {
    status.is_server_error()
        || matches!(
            status,
            StatusCode::CONFLICT
                | StatusCode::LOCKED
                | StatusCode::TOO_MANY_REQUESTS
                | StatusCode::REQUEST_TIMEOUT
        )
}

fn header(answer: &Response, name: &str) -> Option<String> {
    Some(answer.headers().get(name)?.to_str().ok()?.to_owned())
}

/// Waits longer each time, until nothing has got through for too long.
struct Patience {
    since: Instant,
    wait: Duration,
}

impl Patience {
    fn new() -> Self {
        Self { since: Instant::now(), wait: Duration::from_millis(250) }
    }

    fn renew(&mut self) {
        *self = Self::new();
    }

    async fn wait(&mut self, why: &str) -> Outcome {
        if self.since.elapsed() > PATIENCE {
            return Err(Failure::failed("unreachable", format!("the upload does not get on: {why}")));
        }
        tracing::debug!(why, "the upload is tried again");
        tokio::time::sleep(self.wait).await;
        self.wait = (self.wait * 2).min(LONGEST_WAIT);
        Ok(())
    }
}
