//! The HTTP API as a platform engineer would call it.

use std::path::Path;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::header::HeaderName;
use reqwest::{Method, RequestBuilder, Response, StatusCode};
use serde_json::{Value, json};

use crate::wait;

/// Base URL of a server's operators, from that of its viewers: the same port of another loopback
/// address, which nothing else takes.
pub fn admin_url(url: &str) -> String {
    url.replace("127.0.0.1", "127.0.0.2")
}

/// A client with an API key.
#[derive(Clone)]
pub struct Client {
    /// Base URL.
    pub url: String,
    /// Its API key.
    pub key: String,
    http: reqwest::Client,
}

impl Client {
    /// A client of the server at `url`.
    pub fn new(url: &str, key: &str) -> Self {
        let http = reqwest::Client::builder().timeout(Duration::from_secs(60)).build().unwrap();
        Self { url: url.to_owned(), key: key.to_owned(), http }
    }

    /// A request with the key.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, self.absolute(path)).bearer_auth(&self.key)
    }

    /// A GET as a viewer makes it, without a key.
    pub async fn open(&self, path: &str) -> Response {
        self.open_with(path, &[]).await
    }

    /// The same with headers.
    pub async fn open_with(&self, path: &str, headers: &[(HeaderName, &str)]) -> Response {
        let mut request = self.http.get(self.absolute(path));
        for (name, value) in headers {
            request = request.header(name, *value);
        }
        request.send().await.unwrap()
    }

    fn absolute(&self, path: &str) -> String {
        if path.starts_with("http") { path.to_owned() } else { format!("{}{path}", self.url) }
    }

    /// A GET that must answer JSON.
    pub async fn get(&self, path: &str) -> Value {
        let answer = self.request(Method::GET, path).send().await.unwrap();
        let status = answer.status();
        let text = answer.text().await.unwrap();
        assert!(status.is_success(), "GET {path}: {status} {text}");
        serde_json::from_str(&text).unwrap()
    }

    /// A POST of JSON that must succeed.
    pub async fn post(&self, path: &str, body: &Value) -> Value {
        let answer = self.request(Method::POST, path).json(body).send().await.unwrap();
        let status = answer.status();
        let text = answer.text().await.unwrap();
        assert!(status.is_success(), "POST {path}: {status} {text}");
        serde_json::from_str(&text).unwrap_or(Value::Null)
    }

    /// Creates a tus upload; returns the response.
    pub async fn create(&self, size_bytes: u64, name: &str, key: Option<&str>) -> Response {
        let name = STANDARD.encode(name);
        let metadata = format!("filename {name},title {name},uploader {}", STANDARD.encode("teacher"));
        let mut request = self
            .request(Method::POST, "/v1/uploads")
            .header("Tus-Resumable", "1.0.0")
            .header("Upload-Length", size_bytes)
            .header("Upload-Metadata", metadata);
        if let Some(key) = key {
            request = request.header("Idempotency-Key", key);
        }
        request.send().await.unwrap()
    }

    /// The durable offset of an upload.
    pub async fn offset(&self, location: &str) -> u64 {
        let head =
            self.request(Method::HEAD, location).header("Tus-Resumable", "1.0.0").send().await.unwrap();
        assert!(head.status().is_success(), "HEAD {location}: {}", head.status());
        head.headers()["upload-offset"].to_str().unwrap().parse().unwrap()
    }

    /// The server's metrics as text.
    pub async fn metrics(&self) -> String {
        self.open(&format!("{}/metrics", admin_url(&self.url))).await.text().await.unwrap()
    }

    /// How many bytes of uploads the server has received.
    pub async fn uploaded_bytes(&self) -> u64 {
        let text = self.metrics().await;
        let line = text.lines().find_map(|line| line.strip_prefix("chalkstream_uploaded_bytes_total "));
        line.and_then(|count| count.trim().parse().ok()).unwrap_or_else(|| panic!("no count in {text}"))
    }

    /// Sends bytes of an upload from `offset`.
    pub fn patch(&self, location: &str, offset: u64, bytes: impl Into<reqwest::Body>) -> RequestBuilder {
        self.request(Method::PATCH, location)
            .header("Tus-Resumable", "1.0.0")
            .header("Upload-Offset", offset)
            .header("Content-Type", "application/offset+octet-stream")
            .body(bytes)
    }

    /// Uploads a file in one go; returns the recording's id.
    pub async fn upload(&self, file: &Path) -> String {
        let bytes = std::fs::read(file).unwrap();
        let name = file.file_name().unwrap().to_string_lossy().into_owned();
        self.upload_bytes(&name, bytes).await
    }

    /// Uploads bytes in one go; returns the recording's id.
    pub async fn upload_bytes(&self, name: &str, bytes: Vec<u8>) -> String {
        let created = self.create(bytes.len() as u64, name, None).await;
        assert_eq!(created.status(), StatusCode::CREATED, "{}", created.text().await.unwrap());
        let location = created.headers()["location"].to_str().unwrap().to_owned();
        let recording = created.headers()["chalkstream-recording"].to_str().unwrap().to_owned();
        if !bytes.is_empty() {
            let answer = self.patch(&location, 0, bytes).send().await.unwrap();
            assert_eq!(answer.status(), StatusCode::NO_CONTENT, "{}", answer.text().await.unwrap());
        }
        recording
    }

    /// The recording as the API shows it.
    pub async fn recording(&self, id: &str) -> Value {
        self.get(&format!("/v1/recordings/{id}")).await
    }

    /// Waits until the recording's state is one of `states`; fails at once in a state that is final
    /// and not meant.
    pub async fn state(&self, id: &str, states: &[&str], limit: Duration) -> Value {
        let what = format!("recording {id} is {states:?}");
        wait::until(&what, limit, || async move {
            let recording = self.recording(id).await;
            let state = recording["state"].as_str().unwrap_or_default().to_owned();
            if states.contains(&state.as_str()) {
                return Some(recording);
            }
            assert!(!["ready", "failed", "cancelled", "deleted"].contains(&state.as_str()), "{recording}");
            None
        })
        .await
    }

    /// A link for a viewer: the page's URL and the stream's.
    pub async fn link(&self, recording: &str) -> Value {
        self.post("/v1/links", &json!({ "recording": recording, "viewer": "coach-1" })).await
    }

    /// The text behind a viewer's URL, which must answer 200.
    pub async fn text(&self, url: &str) -> String {
        let answer = self.open(url).await;
        assert_eq!(answer.status(), StatusCode::OK, "GET of a viewer's URL");
        answer.text().await.unwrap()
    }
}
