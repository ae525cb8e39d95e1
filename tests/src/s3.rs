//! An S3 API of the test's own, over a folder, that can be made to fail.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use s3s::auth::SimpleAuth;
use s3s::service::S3ServiceBuilder;
use tokio::sync::watch;

/// The bucket.
pub const BUCKET: &str = "lessons";
/// Requests that remove a few keys, such as a recording's entries in lists, are never held.
const FEW_KEYS_BYTES: u64 = 1_200;
/// The access key.
pub const ACCESS_KEY: &str = "test-access-key";
/// The secret key.
pub const SECRET_KEY: &str = "test-secret-key";

/// A running S3 API.
pub struct S3 {
    /// Base URL.
    pub endpoint: String,
    root: PathBuf,
    failing: Arc<AtomicBool>,
    refused: Arc<AtomicU64>,
    held: watch::Sender<bool>,
    task: tokio::task::JoinHandle<()>,
}

/// The answer of S3 to a request about a multipart upload that is completed or aborted.
fn no_such_upload() -> http::Response<s3s::Body> {
    let body = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>NoSuchUpload</Code></Error>";
    let mut answer = http::Response::new(s3s::Body::from(body.to_owned()));
    *answer.status_mut() = http::StatusCode::NOT_FOUND;
    answer.headers_mut().insert("content-type", http::HeaderValue::from_static("application/xml"));
    answer
}

impl S3 {
    /// Starts one with its objects in `root`.
    pub async fn start(root: &Path) -> Self {
        std::fs::create_dir_all(root.join(BUCKET)).unwrap();
        let mut builder = S3ServiceBuilder::new(s3s_fs::FileSystem::new(root).unwrap());
        builder.set_auth(SimpleAuth::from_single(ACCESS_KEY, SECRET_KEY));
        let s3 = builder.build();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let (failing, refused) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let (fails, counts) = (failing.clone(), refused.clone());
        let (held, is_held) = watch::channel(false);
        let task = tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let (s3, fails, counts, is_held) =
                    (s3.clone(), fails.clone(), counts.clone(), is_held.clone());
                let service = service_fn(move |request: http::Request<Incoming>| {
                    let (s3, fail, mut is_held) =
                        (s3.clone(), fails.load(Ordering::Relaxed), is_held.clone());
                    if fail {
                        counts.fetch_add(1, Ordering::Relaxed);
                    }
                    async move {
                        if fail {
                            let mut answer = http::Response::new(s3s::Body::empty());
                            *answer.status_mut() = http::StatusCode::INTERNAL_SERVER_ERROR;
                            return Ok(answer);
                        }
                        let length = request.headers().get("content-length");
                        let length = length.and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
                        let is_delete = request.uri().query().is_some_and(|query| query.contains("delete"));
                        if is_delete && length.is_some_and(|length| length > FEW_KEYS_BYTES) {
                            let _ = is_held.wait_for(|held| !held).await;
                        }
                        let is_upload = request.uri().query().is_some_and(|query| query.contains("uploadId"));
                        let call = async move { s3.call(request.map(s3s::Body::from)).await };
                        if !is_upload {
                            return call.await;
                        }
                        // A task of its own: S3 completes an upload also if its client is gone.
                        let answer = tokio::spawn(call).await.expect("the S3 API panicked")?;
                        // `s3s-fs` answers 403 to a multipart upload that is over.
                        let is_over = answer.status() == http::StatusCode::FORBIDDEN;
                        Ok(if is_over { no_such_upload() } else { answer })
                    }
                });
                tokio::spawn(async move {
                    let connections = Builder::new(TokioExecutor::new());
                    let _ = connections.serve_connection(TokioIo::new(socket), service).await;
                });
            }
        });
        Self { endpoint, root: root.to_owned(), failing, refused, held, task }
    }

    /// Makes every request answer 500, or stops that.
    pub fn fail(&self, failing: bool) {
        self.failing.store(failing, Ordering::Relaxed);
    }

    /// Lets no `DeleteObjects` request of many keys through, or all of them again.
    pub fn hold_deletes(&self, held: bool) {
        self.held.send_replace(held);
    }

    /// How many requests were answered with 500.
    pub fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    /// The folder that holds the bucket's objects.
    pub fn bucket(&self) -> PathBuf {
        self.root.join(BUCKET)
    }
}

impl Drop for S3 {
    fn drop(&mut self) {
        self.task.abort();
    }
}
