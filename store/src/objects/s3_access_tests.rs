//! Ways to a real S3 API: TLS of a private authority, and keys that no setting names.

use std::process::Stdio;

use bytes::Bytes;
use chalkstream_config::{S3, Secret};
use http::{Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;

use super::{Objects, S3Objects};
use crate::testing::{PrivateCa, S3Server};

/// Endpoint that the child of a test uses.
const ENDPOINT: &str = "CHALKSTREAM_TEST_S3_ENDPOINT";

async fn put_and_get(settings: &S3) -> crate::Result<()> {
    let store = S3Objects::open(settings).await?;
    store.put("t/key", Bytes::from_static(b"value")).await?;
    assert_eq!(store.get("t/key").await?, "value");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_private_authority_is_trusted_if_it_is_set_and_not_otherwise() {
    let ca = PrivateCa::new();
    let server = S3Server::start_with_tls(&ca).await;
    let settings = S3 { retry_for_ms: 100, ..server.settings() };
    put_and_get(&S3 { ca_path: ca.ca_path(), ..settings.clone() }).await.unwrap();
    assert!(put_and_get(&settings).await.is_err(), "nobody we trust has signed it");
    let other = S3 { ca_path: PrivateCa::new().ca_path(), ..settings.clone() };
    assert!(put_and_get(&other).await.is_err(), "another authority");
    for no_certificate in ["/nowhere/ca.pem".into(), ca.key_path()] {
        let settings = S3 { ca_path: no_certificate, ..settings.clone() };
        assert!(put_and_get(&settings).await.is_err());
    }
}

/// Uses storage in a process of its own, with the environment that is given: the test of this name
/// once more. Returns the session token that the server was sent.
async fn token_of_child(test: &str, environment: &[(&str, &str)]) -> Option<String> {
    let server = S3Server::start().await;
    let folder = tempfile::tempdir().unwrap();
    let mut child = tokio::process::Command::new(std::env::current_exe().unwrap());
    child.args(["--exact", "--nocapture", &format!("objects::s3_access_tests::{test}")]);
    child.env_clear().env("HOME", folder.path()).env(ENDPOINT, server.settings().endpoint);
    child.envs(environment.iter().copied()).stdin(Stdio::null()).kill_on_drop(true);
    let output = child.output().await.unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
    server.trouble.token.lock().unwrap().clone()
}

/// True in the child, which then has used storage without keys in its settings.
async fn is_child() -> bool {
    let Ok(endpoint) = std::env::var(ENDPOINT) else { return false };
    let template = S3Server::start().await.settings();
    let none = (String::new(), Secret::default());
    let settings = S3 { endpoint, access_key_id: none.0, secret_access_key: none.1, ..template };
    put_and_get(&settings).await.unwrap();
    true
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_and_a_session_token_come_from_the_environment() {
    if is_child().await {
        return;
    }
    let (id, secret) = S3Server::keys();
    let environment =
        [("AWS_ACCESS_KEY_ID", id), ("AWS_SECRET_ACCESS_KEY", secret), ("AWS_SESSION_TOKEN", "token-1")];
    let token = token_of_child("keys_and_a_session_token_come_from_the_environment", &environment).await;
    assert_eq!(token.as_deref(), Some("token-1"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_come_from_the_role_of_the_machine() {
    if is_child().await {
        return;
    }
    let metadata = MachineMetadata::start().await;
    let environment = [("AWS_EC2_METADATA_SERVICE_ENDPOINT", metadata.endpoint.as_str())];
    let token = token_of_child("keys_come_from_the_role_of_the_machine", &environment).await;
    assert_eq!(token.as_deref(), Some("token-of-role"));
}

/// What a cloud answers its machines at a link-local address: the keys of their role, to those
/// that have asked for a token first.
struct MachineMetadata {
    endpoint: String,
    accepting: tokio::task::JoinHandle<()>,
}

impl MachineMetadata {
    async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let accepting = tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let serve = service_fn(async |request| Ok::<_, std::convert::Infallible>(answer(&request)));
                tokio::spawn(
                    hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(socket), serve),
                );
            }
        });
        Self { endpoint, accepting }
    }
}

impl Drop for MachineMetadata {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

fn answer(request: &Request<Incoming>) -> Response<Full<Bytes>> {
    const ROLE: &str = "/latest/meta-data/iam/security-credentials/";
    let has_token = request.headers().get("x-aws-ec2-metadata-token").is_some_and(|token| token == "asked");
    let role = || {
        let (id, secret) = S3Server::keys();
        serde_json::json!({
            "Code": "Success", "Type": "AWS-HMAC", "LastUpdated": "2026-01-01T00:00:00Z",
            "AccessKeyId": id, "SecretAccessKey": secret, "Token": "token-of-role",
            "Expiration": (jiff::Timestamp::now() + jiff::Span::new().hours(6)).to_string(),
        })
        .to_string()
    };
    let body = match (request.method(), request.uri().path()) {
        (&Method::PUT, "/latest/api/token") => Some("asked".to_owned()),
        (&Method::GET, ROLE) if has_token => Some("worker".to_owned()),
        (&Method::GET, path) if has_token && path == format!("{ROLE}worker") => Some(role()),
        _ => None,
    };
    let status = if body.is_some() { StatusCode::OK } else { StatusCode::NOT_FOUND };
    let response = Response::builder().status(status).header("x-aws-ec2-metadata-token-ttl-seconds", "21600");
    response.body(Full::new(Bytes::from(body.unwrap_or_default()))).unwrap()
}
