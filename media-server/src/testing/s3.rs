//! An S3 API of the test's own, whose deletions can be held up.

use std::path::Path;
use std::sync::{Arc, Mutex};

use chalkstream_config::{S3 as Settings, Secret};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use s3s::auth::SimpleAuth;
use s3s::service::S3ServiceBuilder;
use tokio::sync::watch;

const BUCKET: &str = "lessons";
const KEY: &str = "test-key";
const SECRET: &str = "test-secret";

/// Requests that remove a few keys, such as a recording's entries in lists, are never held.
const FEW_KEYS_BYTES: u64 = 1_200;

/// Paths and queries of requests.
type Requests = Arc<Mutex<Vec<String>>>;

/// An S3 API over a folder.
pub struct S3 {
    endpoint: String,
    held: watch::Sender<bool>,
    requests: Requests,
    task: tokio::task::JoinHandle<()>,
}

impl S3 {
    pub async fn start(folder: &Path) -> Self {
        std::fs::create_dir_all(folder.join(BUCKET)).unwrap();
        let mut builder = S3ServiceBuilder::new(s3s_fs::FileSystem::new(folder).unwrap());
        builder.set_auth(SimpleAuth::from_single(KEY, SECRET));
        let s3 = builder.build();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let (held, is_held) = watch::channel(false);
        let requests = Requests::default();
        let seen = Arc::clone(&requests);
        let task = tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let (s3, is_held, seen) = (s3.clone(), is_held.clone(), Arc::clone(&seen));
                let service = service_fn(move |request: http::Request<Incoming>| {
                    let (s3, mut is_held) = (s3.clone(), is_held.clone());
                    seen.lock().unwrap().push(request.uri().to_string());
                    async move {
                        let length = request.headers().get("content-length");
                        let length = length.and_then(|length| length.to_str().ok()?.parse().ok());
                        let is_delete = request.uri().query().is_some_and(|query| query.contains("delete"));
                        if is_delete && length.is_some_and(|length: u64| length > FEW_KEYS_BYTES) {
                            let _ = is_held.wait_for(|held| !held).await;
                        }
                        s3.call(request.map(s3s::Body::from)).await
                    }
                });
                tokio::spawn(async move {
                    let connections = Builder::new(TokioExecutor::new());
                    let _ = connections.serve_connection(TokioIo::new(socket), service).await;
                });
            }
        });
        Self { endpoint, held, requests, task }
    }

    /// Lets no `DeleteObjects` request of many keys through, or all of them again.
    pub fn hold_deletes(&self, held: bool) {
        self.held.send_replace(held);
    }

    /// Takes the paths and queries of the requests since the last call.
    pub fn take_requests(&self) -> Vec<String> {
        std::mem::take(&mut self.requests.lock().unwrap())
    }

    pub fn settings(&self) -> Settings {
        Settings {
            endpoint: self.endpoint.clone(),
            bucket: BUCKET.into(),
            access_key_id: KEY.into(),
            secret_access_key: Secret::new(SECRET),
            ..Settings::default()
        }
    }
}

impl Drop for S3 {
    fn drop(&mut self) {
        self.task.abort();
    }
}
