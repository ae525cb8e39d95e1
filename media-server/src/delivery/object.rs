//! One immutable object as an HTTP response: conditions, single ranges, streamed as it is read.

use std::ops::Range;

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use chalkstream_store::Error;
use futures_util::StreamExt;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};

use super::conditional::{RangeDecision, decide};
use super::object_ref::ObjectRef;
use super::service::Delivery;
use crate::problem::Problem;

/// The caches that may store a copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CachePolicy {
    /// The viewer, for a year. The bytes are the same for all viewers, so a cache that asks
    /// `/authorize` may share them (`server.shared_cache`).
    Immutable,
    /// The viewer alone, who asks each time whether it has changed.
    Private,
}

/// The representation (RFC 9110) of a response, before it is known which part of it is sent.
pub struct Representation {
    /// Strong entity tag, with its quotes.
    pub etag: String,
    /// Complete size, in bytes.
    pub size_bytes: u64,
    /// Content type.
    pub content_type: &'static str,
    /// The caches that may store a copy.
    pub cache: CachePolicy,
}

/// Responds with an object that the caller has checked the viewer may see.
///
/// # Errors
/// If storage cannot be read.
pub async fn object_response(
    delivery: &Delivery,
    object: ObjectRef,
    method: &Method,
    request: &HeaderMap,
    cache: CachePolicy,
) -> Result<Response, Problem> {
    let representation = Representation {
        // A strong entity tag, because equal hashes are equal bytes.
        etag: format!("\"{}\"", object.hash),
        size_bytes: object.size_bytes,
        content_type: content_type(&object.key),
        cache,
    };
    respond(delivery, representation, method, request, |range| async move {
        let body = object.open(&delivery.store, range).await?;
        Ok(Body::from_stream(body.stream.map(log_error)))
    })
    .await
}

/// Responds with a text that was made of an object with this key.
///
/// # Errors
/// If the requested range begins beyond the end.
pub async fn text_response(
    delivery: &Delivery,
    (key, etag, text): (&str, String, Bytes),
    method: &Method,
    request: &HeaderMap,
) -> Result<Response, Problem> {
    let representation = Representation {
        etag,
        size_bytes: text.len() as u64,
        content_type: content_type(key),
        cache: CachePolicy::Private,
    };
    respond(delivery, representation, method, request, |range| async move {
        let all = 0..text.len() as u64;
        let range = range.unwrap_or(all);
        Ok(Body::from(text.slice(range.start as usize..range.end as usize)))
    })
    .await
}

/// Logs a failure in the middle of a response, when its status can no longer change.
pub fn log_error(chunk: Result<Bytes, Error>) -> Result<Bytes, Error> {
    chunk.inspect_err(|error| tracing::warn!(%error, "response body cut off"))
}

/// Responds by conditions and single ranges. `open` returns the bytes of a range, or all; it is not
/// called if no bytes are sent.
///
/// # Errors
/// If `open` fails, or the range begins beyond the end.
pub async fn respond<F: Future<Output = Result<Body, Problem>>>(
    delivery: &Delivery,
    representation: Representation,
    method: &Method,
    request: &HeaderMap,
    open: impl FnOnce(Option<Range<u64>>) -> F,
) -> Result<Response, Problem> {
    let Representation { etag, size_bytes, content_type, cache } = representation;
    let (status, range) = match decide(request, &etag, size_bytes) {
        RangeDecision::NotModified => (StatusCode::NOT_MODIFIED, None),
        RangeDecision::Unsatisfiable => {
            let problem = Problem::new(
                StatusCode::RANGE_NOT_SATISFIABLE,
                "range_not_satisfiable",
                "The requested range begins beyond the end.",
            );
            return Err(problem.with_header(header::CONTENT_RANGE, value(format!("bytes */{size_bytes}"))?));
        }
        RangeDecision::Complete => (StatusCode::OK, None),
        RangeDecision::Partial(range) => (StatusCode::PARTIAL_CONTENT, Some(range)),
    };
    let length = range.as_ref().map_or(size_bytes, |range| range.end - range.start);
    let body = if *method == Method::HEAD || status == StatusCode::NOT_MODIFIED {
        Body::empty()
    } else {
        let body = open(range.clone()).await?;
        delivery.delivered_bytes.inc_by(length);
        body
    };
    let mut response = (status, body).into_response();
    let headers = response.headers_mut();
    headers.insert(header::ETAG, value(etag)?);
    headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    headers.insert(
        header::CACHE_CONTROL,
        HeaderValue::from_static(match cache {
            CachePolicy::Immutable if delivery.has_shared_cache => "public, max-age=31536000, immutable",
            CachePolicy::Immutable => "private, max-age=31536000, immutable",
            CachePolicy::Private => "private, no-cache",
        }),
    );
    if status != StatusCode::NOT_MODIFIED {
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
        // Set explicitly: a HEAD response has no body to derive it from.
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    }
    if let Some(range) = range {
        let text = format!("bytes {}-{}/{size_bytes}", range.start, range.end - 1);
        headers.insert(header::CONTENT_RANGE, value(text)?);
    }
    Ok(response)
}

fn value(text: String) -> Result<HeaderValue, Problem> {
    HeaderValue::try_from(text).map_err(Problem::internal)
}

/// The content type of an object by its key.
pub fn content_type(key: &str) -> &'static str {
    match key.rsplit_once('.').map_or("", |(_, extension)| extension) {
        "m3u8" => "application/vnd.apple.mpegurl",
        "m4s" => "video/iso.segment",
        "mp4" if key.starts_with("hls/audio/") || key.ends_with("/audio/init.mp4") => "audio/mp4",
        "mp4" => "video/mp4",
        "vtt" => "text/vtt; charset=utf-8",
        "srt" => "application/x-subrip; charset=utf-8",
        "txt" => "text/plain; charset=utf-8",
        "json" => "application/json",
        "jpg" => "image/jpeg",
        "png" => "image/png",
        "webp" => "image/webp",
        _ => "application/octet-stream",
    }
}
