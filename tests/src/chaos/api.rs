//! A platform's client that goes on through every fault: it asks again, and asks the other server.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use reqwest::{Method, RequestBuilder, Response, StatusCode};
use serde_json::Value;
use tokio::time::sleep;

/// Time limit of one request.
const MAX_REQUEST: Duration = Duration::from_secs(15);
/// Wait between two tries.
const RETRY_INTERVAL: Duration = Duration::from_millis(300);
/// How long one call goes on.
const MAX_CALL: Duration = Duration::from_secs(240);

/// A client of both servers.
pub struct Api {
    http: reqwest::Client,
    urls: Vec<String>,
    key: String,
    /// The server that is asked first.
    first: usize,
    statuses: Statuses,
}

/// Answers that asked a client to try again, by their status. Clients share one.
pub type Statuses = Arc<Mutex<BTreeMap<u16, usize>>>;

/// A definite answer: no error of a server or a line.
pub struct Answer {
    /// Its status.
    pub status: StatusCode,
    /// Its headers.
    pub headers: reqwest::header::HeaderMap,
    /// Its body as JSON; null if it is none.
    pub body: Value,
    /// Its body.
    pub bytes: Bytes,
}

impl Answer {
    /// The text of a header; empty if it is missing.
    pub fn header(&self, name: &str) -> String {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned()
    }
}

/// What became of an upload.
pub enum Uploaded {
    /// It was acknowledged as this recording; true if that was there before.
    As(String, bool),
    /// It was deleted before it was complete.
    Abandoned(String),
    /// It was refused, with this answer.
    Refused(String),
}

impl Api {
    /// A client with a tenant's key.
    pub fn new(urls: Vec<String>, key: &str, first: usize, statuses: Statuses) -> Self {
        let http = reqwest::Client::builder().timeout(MAX_REQUEST).pool_max_idle_per_host(0).build().unwrap();
        Self { http, urls, key: key.to_owned(), first, statuses }
    }

    /// Asks until there is a definite answer.
    ///
    /// # Errors
    /// If there is none for minutes.
    pub async fn ask(
        &self,
        method: Method,
        path: &str,
        with: impl Fn(RequestBuilder) -> RequestBuilder,
    ) -> Result<Answer, String> {
        let deadline = tokio::time::Instant::now() + MAX_CALL;
        let mut last = String::new();
        for turn in self.first.. {
            if tokio::time::Instant::now() > deadline {
                break;
            }
            let url = format!("{}{path}", self.urls[turn % self.urls.len()]);
            let request = with(self.http.request(method.clone(), url).bearer_auth(&self.key));
            match request.send().await {
                Ok(response) if is_definite(response.status()) => match read(response).await {
                    Ok(answer) => return Ok(answer),
                    Err(error) => last = error.to_string(),
                },
                Ok(response) => {
                    self.count(response.status());
                    last = format!("{} {}", response.status(), response.text().await.unwrap_or_default());
                }
                Err(error) => last = error.to_string(),
            }
            sleep(RETRY_INTERVAL).await;
        }
        Err(format!("{method} {path}: no answer within {MAX_CALL:?}, the last: {last}"))
    }

    /// Uploads a file in pieces, from the durable offset on after each fault.
    ///
    /// # Errors
    /// If there is no definite answer for minutes.
    pub async fn upload(&self, upload: &Upload<'_>) -> Result<Uploaded, String> {
        let size = upload.bytes.len();
        let metadata = format!(
            "filename {},title {},uploader {}",
            STANDARD.encode(format!("{}.mp4", upload.name)),
            STANDARD.encode(upload.name),
            STANDARD.encode(upload.uploader)
        );
        let created = self
            .ask(Method::POST, "/v1/uploads", |request| {
                tus(request)
                    .header("Upload-Length", size)
                    .header("Upload-Metadata", &metadata)
                    .header("Idempotency-Key", upload.idempotency)
            })
            .await?;
        if !created.status.is_success() {
            return Ok(refused("POST", &created));
        }
        let path = created.header("location");
        let deadline = tokio::time::Instant::now() + MAX_CALL;
        while tokio::time::Instant::now() < deadline {
            let head = self.ask(Method::HEAD, &path, tus).await?;
            if !head.status.is_success() {
                return Ok(refused("HEAD", &head));
            }
            let offset: usize = head.header("upload-offset").parse().unwrap_or_default();
            if offset == size {
                return Ok(acknowledged(&head));
            }
            if upload.is_abandoned && offset > 0 {
                let recording = created.header("chalkstream-recording");
                return self.abandon(&path, &recording, offset, &upload.bytes[offset..]).await;
            }
            let end = size.min(offset + upload.piece_bytes);
            let piece = upload.bytes[offset..end].to_vec();
            // One try: whatever becomes of it, the offset says how to go on.
            let url = format!("{}{path}", self.urls[self.first % self.urls.len()]);
            let request = tus(self.http.patch(url).bearer_auth(&self.key))
                .header("Upload-Offset", offset)
                .header("Content-Type", "application/offset+octet-stream")
                .body(piece);
            match request.send().await {
                Ok(response) if response.status() == StatusCode::NO_CONTENT => {
                    if let Ok(answer) = read(response).await
                        && answer.header("upload-offset") == size.to_string()
                    {
                        return Ok(acknowledged(&answer));
                    }
                }
                answer => {
                    if let Ok(answer) = answer {
                        self.count(answer.status());
                    }
                    sleep(RETRY_INTERVAL).await;
                }
            }
        }
        Err(format!("the upload of {} did not end within {MAX_CALL:?}", upload.name))
    }

    /// Deletes the recording of an upload that is not complete, and sends the `rest` all the same.
    async fn abandon(
        &self,
        path: &str,
        recording: &str,
        offset: usize,
        rest: &[u8],
    ) -> Result<Uploaded, String> {
        let deleted = self.ask(Method::DELETE, &format!("/v1/recordings/{recording}"), |r| r).await?;
        if deleted.status != StatusCode::ACCEPTED {
            return Ok(refused("DELETE", &deleted));
        }
        let sent = self.ask(Method::PATCH, path, |request| {
            tus(request)
                .header("Upload-Offset", offset)
                .header("Content-Type", "application/offset+octet-stream")
                .body(rest.to_vec())
        });
        // 204 with a lower offset says that the writer was stopped.
        if sent.await?.header("upload-offset") == (offset + rest.len()).to_string() {
            return Err(format!("{recording} was acknowledged after it was deleted"));
        }
        let deadline = tokio::time::Instant::now() + MAX_CALL;
        while tokio::time::Instant::now() < deadline {
            let head = self.ask(Method::HEAD, path, tus).await?;
            if head.status == StatusCode::GONE || head.status == StatusCode::NOT_FOUND {
                return Ok(Uploaded::Abandoned(recording.to_owned()));
            }
            sleep(RETRY_INTERVAL).await;
        }
        Err(format!("the upload of deleted {recording} stays"))
    }

    fn count(&self, status: StatusCode) {
        let mut statuses = self.statuses.lock().unwrap_or_else(PoisonError::into_inner);
        *statuses.entry(status.as_u16()).or_default() += 1;
    }
}

/// A file to upload.
pub struct Upload<'a> {
    /// Its title.
    pub name: &'a str,
    /// Its uploader.
    pub uploader: &'a str,
    /// The same value twice is the same upload.
    pub idempotency: &'a str,
    /// The file.
    pub bytes: &'a [u8],
    /// Bytes of one request.
    pub piece_bytes: usize,
    /// Whether it is deleted before it is complete.
    pub is_abandoned: bool,
}

fn acknowledged(answer: &Answer) -> Uploaded {
    Uploaded::As(answer.header("chalkstream-recording"), answer.header("chalkstream-existing") == "true")
}

fn refused(method: &str, answer: &Answer) -> Uploaded {
    Uploaded::Refused(format!("{method}: {} {}", answer.status, answer.body))
}

fn tus(request: RequestBuilder) -> RequestBuilder {
    request.header("Tus-Resumable", "1.0.0")
}

/// Whether an answer is more than "not now".
fn is_definite(status: StatusCode) -> bool {
    !status.is_server_error() && status != StatusCode::LOCKED && status != StatusCode::TOO_MANY_REQUESTS
}

async fn read(response: Response) -> reqwest::Result<Answer> {
    let (status, headers) = (response.status(), response.headers().clone());
    let bytes = response.bytes().await?;
    Ok(Answer { status, headers, body: serde_json::from_slice(&bytes).unwrap_or_default(), bytes })
}
