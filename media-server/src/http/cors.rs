//! Which sites' pages may use the server. This is not a library's layer, because a tus client also
//! asks by OPTIONS what the server supports, and that is no preflight.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};

const METHODS: &str = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS";
/// Headers that our own page and tus clients send. A preflight may ask for others.
const REQUEST_HEADERS: &str = "authorization, content-type, range, if-range, if-match, if-none-match, last-event-id, \
    idempotency-key, tus-resumable, upload-length, upload-metadata, upload-offset, upload-concat, \
    upload-defer-length, upload-checksum, x-http-method-override, x-requested-with, x-request-id, traceparent, \
    tracestate, baggage, sentry-trace";
const EXPOSED: &str = "content-length, content-range, etag, location, retry-after, tus-resumable, tus-version, \
    tus-extension, tus-max-size, upload-offset, upload-length, upload-defer-length, upload-expires, upload-metadata, \
    upload-concat, chalkstream-recording, chalkstream-existing";
/// Limit of the header names that a preflight may ask for.
const MAX_ASKED_BYTES: usize = 2048;

/// Responds to preflights, and names the allowed origin in every response. Credentials are never
/// allowed, because there are none.
pub async fn cors(State(origins): State<Arc<[String]>>, request: Request, next: Next) -> Response {
    let origin = allowed(&origins, request.headers());
    let preflight = request.method() == Method::OPTIONS
        && request.headers().contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
    let request_headers = request_headers(request.headers());
    let mut response =
        if preflight { StatusCode::NO_CONTENT.into_response() } else { next.run(request).await };
    let headers = response.headers_mut();
    headers.append(header::VARY, HeaderValue::from_static("origin"));
    let Some(origin) = origin else { return response };
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    if preflight {
        headers.append(header::VARY, HeaderValue::from_static("access-control-request-headers"));
        headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, request_headers);
    }
    let mut set = |name: HeaderName, value: &'static str| {
        headers.insert(name, HeaderValue::from_static(value));
    };
    if preflight {
        set(header::ACCESS_CONTROL_ALLOW_METHODS, METHODS);
        set(header::ACCESS_CONTROL_MAX_AGE, "86400");
    } else {
        set(header::ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED);
    }
    response
}

/// The headers that a page may send: ours, and those that it asks for. Pages add headers of their
/// tracing and error reporting to every request. None of them grants a right: only `Authorization`
/// does.
fn request_headers(headers: &HeaderMap) -> HeaderValue {
    let asked = headers
        .get_all(header::ACCESS_CONTROL_REQUEST_HEADERS)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse::<HeaderName>().ok());
    let mut all = REQUEST_HEADERS.to_owned();
    for name in asked {
        let listed = all.split(", ").any(|known| known == name.as_str());
        if !listed && all.len() + name.as_str().len() <= REQUEST_HEADERS.len() + MAX_ASKED_BYTES {
            all.push_str(", ");
            all.push_str(name.as_str());
        }
    }
    HeaderValue::try_from(all).unwrap_or(HeaderValue::from_static(REQUEST_HEADERS))
}

fn allowed(origins: &[String], headers: &HeaderMap) -> Option<HeaderValue> {
    if origins.iter().any(|origin| origin == "*") {
        return Some(HeaderValue::from_static("*"));
    }
    let origin = headers.get(header::ORIGIN)?;
    let text = origin.to_str().ok()?;
    origins.iter().any(|allowed| allowed == text).then(|| origin.clone())
}
