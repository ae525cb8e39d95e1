//! The S3 client: how it is set up for each vendor, which failures pass, and the one retry there
//! is.

use std::future::Future;
use std::path::Path;
use std::time::{Duration, Instant};

use aws_config::default_provider::credentials::DefaultCredentialsChain;
use aws_sdk_s3::Client;
use aws_sdk_s3::config::retry::RetryConfig;
use aws_sdk_s3::config::timeout::TimeoutConfig;
use aws_sdk_s3::config::{
    BehaviorVersion, Builder, Credentials, Region, RequestChecksumCalculation, ResponseChecksumValidation,
    SharedCredentialsProvider, SharedHttpClient, StalledStreamProtectionConfig,
};
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_smithy_http_client::tls::{self, TlsContext, TrustStore};
use chalkstream_config::{S3, S3Flavor};

use crate::{Error, Kind, Result, jitter};

/// Ceilings of the waits between tries, in ms.
const WAIT_BASE_MS: u64 = 100;
const WAIT_CAP_MS: u64 = 5_000;
/// Beginning of each certificate in a PEM file.
const CERTIFICATE: &[u8] = b"-----BEGIN CERTIFICATE-----";

/// A client for the configured server; nothing is sent yet.
pub(super) async fn client(settings: &S3) -> Result<Client> {
    for (value, name) in [(settings.bucket.as_str(), "bucket"), (settings.region.as_str(), "region")] {
        if value.is_empty() {
            return Err(Error::invalid(format!("store.s3.{name} is not set")));
        }
    }
    let limit = Duration::from_millis(settings.request_timeout_ms.max(1));
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(limit.min(Duration::from_secs(5)))
        .operation_attempt_timeout(limit)
        .build();
    // Amazon's own checksums break Ceph, Google's, R2 and others; and most others are reached by
    // path, not by a host name for each bucket.
    let amazon = settings.flavor == S3Flavor::Aws && settings.endpoint.is_empty();
    let mut builder = Builder::new()
        .behavior_version(BehaviorVersion::v2026_01_12())
        .region(Region::new(settings.region.clone()))
        .credentials_provider(credentials(settings).await)
        // Ours below is the only retry: two stacked ones multiply.
        .retry_config(RetryConfig::disabled())
        .timeout_config(timeouts)
        // A body that stalls is ended and resumed by the reader, which knows whether anyone waits
        // for it.
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
        .force_path_style(!amazon)
        .request_checksum_calculation(if amazon {
            RequestChecksumCalculation::WhenSupported
        } else {
            RequestChecksumCalculation::WhenRequired
        })
        // A presigned URL must need no header.
        .response_checksum_validation(ResponseChecksumValidation::WhenRequired);
    if !settings.endpoint.is_empty() {
        builder = builder.endpoint_url(&settings.endpoint);
    }
    if !settings.ca_path.as_os_str().is_empty() {
        builder = builder.http_client(trusting(&settings.ca_path)?);
    }
    Ok(Client::from_conf(builder.build()))
}

/// The keys of the settings. Without them, those of the environment, of a profile, of a web
/// identity, or of the role of the container or machine; the last ones are renewed in time.
async fn credentials(settings: &S3) -> SharedCredentialsProvider {
    if settings.access_key_id.is_empty() {
        let chain = DefaultCredentialsChain::builder().region(Region::new(settings.region.clone()));
        return SharedCredentialsProvider::new(chain.build().await);
    }
    let token = settings.session_token.expose();
    let token = Some(token.to_owned()).filter(|token| !token.is_empty());
    let secret = settings.secret_access_key.expose();
    SharedCredentialsProvider::new(Credentials::new(&settings.access_key_id, secret, token, None, "settings"))
}

/// A client that trusts the authorities of a PEM file, and no others.
fn trusting(ca: &Path) -> Result<SharedHttpClient> {
    let pem =
        std::fs::read(ca).map_err(|e| Error::invalid("store.s3.ca_path cannot be read").with_source(e))?;
    // The library would find out at the first request, and panic.
    if !pem.windows(CERTIFICATE.len()).any(|window| window == CERTIFICATE) {
        return Err(Error::invalid("store.s3.ca_path has no certificate"));
    }
    let trusted = TrustStore::empty().with_pem_certificate(pem);
    let context = TlsContext::builder().with_trust_store(trusted).build();
    let context = context.map_err(|e| Error::invalid("store.s3.ca_path cannot be used").with_source(e))?;
    let provider = tls::Provider::Rustls(tls::rustls_provider::CryptoMode::AwsLc);
    Ok(aws_smithy_http_client::Builder::new().tls_provider(provider).tls_context(context).build_https())
}

/// Tries until it succeeds, fails for good, or `limit` has passed.
pub(super) async fn retry<T, F>(limit: Duration, mut call: impl FnMut() -> F) -> Result<T>
where
    F: Future<Output = Result<T>>,
{
    let start = Instant::now();
    for attempt in 1u32.. {
        match call().await {
            Err(error) if error.is_transient() => {
                let wait = jitter::wait(attempt, WAIT_BASE_MS, WAIT_CAP_MS);
                if start.elapsed() + wait >= limit {
                    return Err(error);
                }
                tracing::debug!(
                    attempt,
                    wait_ms = wait.as_millis() as u64,
                    "object storage is away, trying again"
                );
                tokio::time::sleep(wait).await;
            }
            answered => return answered,
        }
    }
    Err(Error::unavailable("object storage does not answer"))
}

/// Error of a failed request. Text of the server goes into the source, for the log.
pub(super) fn from_sdk<E>(error: SdkError<E>) -> Error
where
    E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
{
    let (status, code) = match &error {
        SdkError::ServiceError(answer) => {
            (answer.raw().status().as_u16(), answer.err().code().unwrap_or_default().to_string())
        }
        SdkError::ResponseError(answer) => (answer.raw().status().as_u16(), String::new()),
        SdkError::TimeoutError(_) | SdkError::DispatchFailure(_) => (503, String::new()),
        _ => (0, String::new()),
    };
    let (kind, message) = classify(status, &code);
    Error::new(kind, message).with_source(ShortError(short(&error, status, &code)))
}

/// Kind of a failure by its HTTP status and the server's code.
pub(super) fn classify(status: u16, code: &str) -> (Kind, &'static str) {
    match (status, code) {
        (_, "NoSuchBucket") => (Kind::Internal, "the bucket does not exist"),
        (_, "NoSuchKey" | "NoSuchUpload" | "NotFound") => (Kind::NotFound, "no such object"),
        (_, "SlowDown" | "RequestTimeout" | "InternalError" | "ServiceUnavailable" | "Throttling") => {
            (Kind::Unavailable, "object storage is overloaded")
        }
        (_, "InvalidPart" | "InvalidPartOrder" | "EntityTooSmall") => {
            (Kind::InvalidInput, "the parts do not make an object")
        }
        (_, "InvalidRange") => (Kind::InvalidInput, "the range lies outside the object"),
        (501, _) | (_, "NotImplemented") => (Kind::Internal, "object storage has no such request"),
        (404, _) => (Kind::NotFound, "no such object"),
        (416, _) => (Kind::InvalidInput, "the range lies outside the object"),
        (409 | 412, _) => (Kind::Conflict, "the object changed meanwhile"),
        (408 | 429 | 500.., _) => (Kind::Unavailable, "object storage does not answer"),
        // Answered, but not to the end: cut off on the way.
        (200..=299, _) => (Kind::Unavailable, "object storage broke off its answer"),
        (401 | 403, _) => (Kind::Internal, "object storage refused access"),
        _ => (Kind::Internal, "object storage refused a request"),
    }
}

/// A line about a failed request that holds no header and no URL: those may carry signatures.
#[derive(Debug)]
struct ShortError(String);

impl std::fmt::Display for ShortError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ShortError {}

fn short<E>(error: &SdkError<E>, status: u16, code: &str) -> String {
    match error {
        SdkError::TimeoutError(_) => "timed out".into(),
        SdkError::DispatchFailure(failure) if failure.is_timeout() => "timed out".into(),
        SdkError::DispatchFailure(failure) if failure.is_io() => "connection failed".into(),
        SdkError::DispatchFailure(_) => "not sent".into(),
        SdkError::ConstructionFailure(_) => "not a request".into(),
        _ => format!("status {status} {code}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_passes_is_retried_and_nothing_else() {
        for (status, code) in
            [(500, ""), (503, "SlowDown"), (429, ""), (408, ""), (400, "RequestTimeout"), (200, "")]
        {
            assert_eq!(classify(status, code).0, Kind::Unavailable, "{status} {code}");
        }
        assert_eq!(classify(404, "").0, Kind::NotFound);
        // A missing bucket is a setting's mistake: read as "no such object" it would look like an
        // empty store.
        assert_eq!(classify(404, "NoSuchBucket").0, Kind::Internal);
        assert_eq!(classify(501, "NotImplemented").0, Kind::Internal);
        assert_eq!(classify(403, "AccessDenied").0, Kind::Internal);
        assert_eq!(classify(416, "InvalidRange").0, Kind::InvalidInput);
    }

    #[tokio::test]
    async fn a_retry_ends_within_its_limit() {
        let start = Instant::now();
        let tries = std::cell::Cell::new(0);
        let answer: Result<()> = retry(Duration::from_millis(50), || {
            tries.set(tries.get() + 1);
            async { Err(Error::unavailable("x")) }
        })
        .await;
        assert_eq!(answer.unwrap_err().kind, Kind::Unavailable);
        assert!(tries.get() >= 1 && start.elapsed() < Duration::from_secs(1));
        let once = std::cell::Cell::new(0);
        let answer: Result<()> = retry(Duration::from_secs(5), || {
            once.set(once.get() + 1);
            async { Err(Error::invalid("x")) }
        })
        .await;
        assert_eq!((answer.unwrap_err().kind, once.get()), (Kind::InvalidInput, 1));
    }
}
