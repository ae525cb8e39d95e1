//! Which pages of other sites may use the server. Our own, because tus also asks by OPTIONS what the server can do,
//! and that is not a preflight.

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};

use crate::app::App;

const METHODS: &str = "GET, HEAD, POST, PATCH, DELETE, OPTIONS";
const REQUEST_HEADERS: &str = "authorization, content-type, range, if-range, if-none-match, last-event-id, \
    idempotency-key, tus-resumable, upload-length, upload-metadata, upload-offset, x-http-method-override, \
    x-requested-with, traceparent";
const EXPOSED: &str = "content-length, content-range, etag, location, retry-after, tus-resumable, tus-version, \
    tus-extension, tus-max-size, upload-offset, upload-length, upload-expires, upload-metadata, \
    chalkstream-recording, chalkstream-existing";

/// Answers preflights and names the allowed origin on every answer. Credentials are never allowed: there are none.
pub async fn cors(State(app): State<App>, request: Request, next: Next) -> Response {
    let origin = allowed(&app.settings.server.cors_origins, request.headers());
    let preflight = request.method() == Method::OPTIONS
        && request.headers().contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
    let mut response =
        if preflight { StatusCode::NO_CONTENT.into_response() } else { next.run(request).await };
    let headers = response.headers_mut();
    headers.append(header::VARY, HeaderValue::from_static("origin"));
    let Some(origin) = origin else { return response };
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    let mut set = |name: HeaderName, value: &'static str| {
        headers.insert(name, HeaderValue::from_static(value));
    };
    if preflight {
        set(header::ACCESS_CONTROL_ALLOW_METHODS, METHODS);
        set(header::ACCESS_CONTROL_ALLOW_HEADERS, REQUEST_HEADERS);
        set(header::ACCESS_CONTROL_MAX_AGE, "86400");
    } else {
        set(header::ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED);
    }
    response
}

fn allowed(origins: &[String], headers: &HeaderMap) -> Option<HeaderValue> {
    if origins.iter().any(|origin| origin == "*") {
        return Some(HeaderValue::from_static("*"));
    }
    let origin = headers.get(header::ORIGIN)?;
    let text = origin.to_str().ok()?;
    origins.iter().any(|allowed| allowed == text).then(|| origin.clone())
}
