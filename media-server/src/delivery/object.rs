//! One immutable object as an HTTP answer: conditions, single ranges, streamed as it is read.

use std::ops::Range;

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use chalkstream_store::{ObjectFacts, layout};
use futures_util::StreamExt;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};

use super::conditional::{Answer, decide};
use super::joined::gone;
use crate::app::AppState;
use crate::problem::Problem;

/// Who may keep a copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    /// The same bytes for all who may see it: a year. A CDN that checks sessions may share it.
    Immutable,
    /// The viewer alone.
    Private,
}

/// What is answered, before it is known which part of it.
pub struct Answered {
    /// Strong entity tag, with its quotes.
    pub etag: String,
    /// Size of the whole, in bytes.
    pub size_bytes: u64,
    /// Content type.
    pub content_type: &'static str,
    /// Who may keep a copy.
    pub keep: Keep,
}

/// Answers with an object of a recording that the caller has found the asker may see.
///
/// # Errors
/// Where the storage does not give it.
pub async fn object_response(
    app: &AppState,
    place: (&str, &str, &str),
    facts: &ObjectFacts,
    method: &Method,
    request: &HeaderMap,
    keep: Keep,
) -> Result<Response, Problem> {
    let (tenant, recording, key) = place;
    let size_bytes = facts.size_bytes;
    let answered = Answered { etag: etag(facts), size_bytes, content_type: content_type(key), keep };
    respond(app, answered, method, request, |range| async move {
        let length = range.as_ref().map_or(size_bytes, |range| range.end - range.start);
        let body = app.store.read(&layout::object_key(tenant, recording, key), range).await.map_err(gone)?;
        if body.size_bytes != length {
            return Err(Problem::internal("an object is not as long as its manifest says"));
        }
        Ok(Body::from_stream(
            body.stream.map(|chunk| {
                chunk.inspect_err(|error| tracing::warn!(%error, "an answer broke off: {error}"))
            }),
        ))
    })
    .await
}

/// Answers by conditions and single ranges. `open` gives the bytes of a range, or all; it is not asked where none are
/// sent.
///
/// # Errors
/// Where `open` fails, or the range lies behind the end.
pub async fn respond<F: Future<Output = Result<Body, Problem>>>(
    app: &AppState,
    answered: Answered,
    method: &Method,
    request: &HeaderMap,
    open: impl FnOnce(Option<Range<u64>>) -> F,
) -> Result<Response, Problem> {
    let Answered { etag, size_bytes, content_type, keep } = answered;
    let (status, range) = match decide(request, &etag, size_bytes) {
        Answer::NotModified => (StatusCode::NOT_MODIFIED, None),
        Answer::Unsatisfiable => {
            let problem = Problem::new(
                StatusCode::RANGE_NOT_SATISFIABLE,
                "range_not_satisfiable",
                "The range asked for lies behind the end.",
            );
            return Err(problem.with_header(header::CONTENT_RANGE, value(format!("bytes */{size_bytes}"))?));
        }
        Answer::Whole => (StatusCode::OK, None),
        Answer::Part(range) => (StatusCode::PARTIAL_CONTENT, Some(range)),
    };
    let length = range.as_ref().map_or(size_bytes, |range| range.end - range.start);
    let body = if *method == Method::HEAD || status == StatusCode::NOT_MODIFIED {
        Body::empty()
    } else {
        let body = open(range.clone()).await?;
        app.metrics.delivered_bytes.inc_by(length);
        body
    };
    let mut response = (status, body).into_response();
    let headers = response.headers_mut();
    headers.insert(header::ETAG, value(etag)?);
    headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    headers.insert(
        header::CACHE_CONTROL,
        HeaderValue::from_static(match keep {
            Keep::Immutable => "public, max-age=31536000, immutable",
            Keep::Private => "private, no-cache",
        }),
    );
    if status != StatusCode::NOT_MODIFIED {
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
        // By hand: a HEAD answer has no body to take it from.
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    }
    if let Some(range) = range {
        let text = format!("bytes {}-{}/{size_bytes}", range.start, range.end - 1);
        headers.insert(header::CONTENT_RANGE, value(text)?);
    }
    Ok(response)
}

/// Strong: the content's own hash.
fn etag(facts: &ObjectFacts) -> String {
    format!("\"{}\"", facts.sha256.get(..32).unwrap_or(&facts.sha256))
}

fn value(text: String) -> Result<HeaderValue, Problem> {
    HeaderValue::try_from(text).map_err(Problem::internal)
}

/// The content type of an object, by its key.
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
