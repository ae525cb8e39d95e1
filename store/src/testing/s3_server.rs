//! A real S3 API on a free port, in this process, that fails, hangs up or breaks off on request.

use std::convert::Infallible;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use chalkstream_config as config;
use futures_util::StreamExt;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, StreamBody, combinators::UnsyncBoxBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use s3s::service::{S3Service, S3ServiceBuilder};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::{
    self,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};

use super::private_ca::PrivateCa;

const KEY: &str = "test-key";
const SECRET: &str = "test-secret";
const BUCKET: &str = "lessons";

type Failure = Box<dyn std::error::Error + Send + Sync>;
type Body = UnsyncBoxBody<Bytes, Failure>;

/// What the next requests meet.
#[derive(Default)]
pub(crate) struct Trouble {
    /// So many are answered with 503.
    pub(crate) refuse: AtomicU32,
    /// So many are taken and never answered: the connection is closed.
    pub(crate) hang_up: AtomicU32,
    /// So many bodies that have bytes break off after half of them.
    pub(crate) break_off: AtomicU32,
    /// `DeleteObjects` is answered with 501, as by Google.
    pub(crate) no_batches: AtomicBool,
    /// Requests seen.
    pub(crate) seen: AtomicU32,
    /// The session token of the last request.
    pub(crate) token: Mutex<Option<String>>,
}

pub(crate) struct S3Server {
    _folder: tempfile::TempDir,
    endpoint: String,
    pub(crate) trouble: Arc<Trouble>,
    accepting: tokio::task::JoinHandle<()>,
}

impl S3Server {
    pub(crate) async fn start() -> Self {
        Self::serve(None).await
    }

    /// The same behind TLS, with a certificate of this authority.
    pub(crate) async fn start_with_tls(ca: &PrivateCa) -> Self {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let chain = CertificateDer::pem_file_iter(ca.cert_path()).unwrap().collect::<Result<_, _>>();
        let key = PrivateKeyDer::from_pem_file(ca.key_path()).unwrap();
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(chain.unwrap(), key);
        Self::serve(Some(TlsAcceptor::from(Arc::new(config.unwrap())))).await
    }

    async fn serve(tls: Option<TlsAcceptor>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join(BUCKET)).unwrap();
        let mut builder = S3ServiceBuilder::new(s3s_fs::FileSystem::new(folder.path()).unwrap());
        builder.set_auth(s3s::auth::SimpleAuth::from_single(KEY, SECRET));
        let service = builder.build();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let scheme = if tls.is_some() { "https" } else { "http" };
        let endpoint = format!("{scheme}://{}", listener.local_addr().unwrap());
        let trouble = Arc::new(Trouble::default());
        let troubled = trouble.clone();
        let accepting = tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let (service, trouble, tls) = (service.clone(), troubled.clone(), tls.clone());
                tokio::spawn(async move {
                    let serve = service_fn(move |request| answer(service.clone(), trouble.clone(), request));
                    let connection = hyper_util::server::conn::auto::Builder::new(TokioExecutor::new());
                    let Some(tls) = tls else {
                        let _ = connection.serve_connection(TokioIo::new(socket), serve).await;
                        return;
                    };
                    // A client that does not trust us leaves here.
                    if let Ok(socket) = tls.accept(socket).await {
                        let _ = connection.serve_connection(TokioIo::new(socket), serve).await;
                    }
                });
            }
        });
        Self { _folder: folder, endpoint, trouble, accepting }
    }

    /// Id and secret of the one key that it knows.
    pub(crate) fn keys() -> (&'static str, &'static str) {
        (KEY, SECRET)
    }

    pub(crate) fn settings(&self) -> config::S3 {
        config::S3 {
            endpoint: self.endpoint.clone(),
            bucket: BUCKET.into(),
            access_key_id: KEY.into(),
            secret_access_key: config::Secret::new(SECRET),
            part_bytes: 5 << 20,
            request_timeout_ms: 10_000,
            retry_for_ms: 10_000,
            ..config::S3::default()
        }
    }
}

impl Drop for S3Server {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// Takes one off a count; false where there is none.
fn take(count: &AtomicU32) -> bool {
    count.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1)).is_ok()
}

async fn answer(
    service: S3Service,
    trouble: Arc<Trouble>,
    request: Request<Incoming>,
) -> Result<Response<Body>, Failure> {
    trouble.seen.fetch_add(1, Ordering::SeqCst);
    let token = request.headers().get("x-amz-security-token").and_then(|token| token.to_str().ok());
    *trouble.token.lock().unwrap() = token.map(str::to_owned);
    if take(&trouble.hang_up) {
        return Err("hung up".into());
    }
    if take(&trouble.refuse) {
        return refusal(StatusCode::SERVICE_UNAVAILABLE, "SlowDown");
    }
    let is_batch =
        request.uri().query().is_some_and(|query| query.split('&').any(|q| q.starts_with("delete")));
    if is_batch && trouble.no_batches.load(Ordering::SeqCst) {
        return refusal(StatusCode::NOT_IMPLEMENTED, "NotImplemented");
    }
    let answer = service.call(request.map(s3s::Body::from)).await.map_err(|e| format!("{e:?}"))?;
    let length: u64 = answer
        .headers()
        .get("content-length")
        .and_then(|length| length.to_str().ok()?.parse().ok())
        .unwrap_or_default();
    if length < 2 || !take(&trouble.break_off) {
        return Ok(answer.map(|body| body.map_err(|e| -> Failure { e.to_string().into() }).boxed_unsync()));
    }
    Ok(answer.map(|body| half(body, length / 2)))
}

fn refusal(status: StatusCode, code: &str) -> Result<Response<Body>, Failure> {
    let body = Full::new(Bytes::from(format!("<Error><Code>{code}</Code></Error>")));
    let body = body.map_err(|never: Infallible| match never {}).boxed_unsync();
    Ok(Response::builder().status(status).body(body)?)
}

/// The first bytes of a body, and then the end of its connection.
fn half(body: s3s::Body, keep: u64) -> Body {
    let frames = futures_util::stream::unfold((body, keep, false), |(mut body, keep, over)| async move {
        if over {
            return None;
        }
        match body.next().await {
            Some(Ok(bytes)) if keep > 0 => {
                let bytes = bytes.slice(..bytes.len().min(keep as usize));
                let keep = keep - bytes.len() as u64;
                Some((Ok(Frame::data(bytes)), (body, keep, false)))
            }
            _ => Some((Err::<Frame<Bytes>, Failure>("broke off".into()), (body, 0, true))),
        }
    });
    BodyExt::boxed_unsync(StreamBody::new(frames))
}
