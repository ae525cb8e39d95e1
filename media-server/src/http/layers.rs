//! Applied to every request: the request log, the metrics, and headers that no route may forget.

use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::body::Body;
use axum::extract::{FromRequestParts, MatchedPath, RawPathParams, Request, State};
use axum::middleware::{self, Next};
use axum::response::Response;
use chalkstream_store::layout;
use http::{HeaderName, HeaderValue, header};
use http_body_util::BodyExt;
use tower_http::compression::CompressionLayer;

use super::compress::TextOnly;
use super::cors::cors;
use crate::metrics::Metrics;
use crate::permits::RequestPermit;
use crate::problem::{Problem, ProblemRecord};
use crate::reason::Reason;

/// Puts the layers around the routes. `origins` are the sites that may use the server.
pub fn apply(routes: Router, metrics: Arc<Metrics>, origins: Arc<[String]>) -> Router {
    routes
        .fallback(|| async { Problem::not_found().because(Reason::NoRoute) })
        .method_not_allowed_fallback(|| async {
            Problem::new(
                http::StatusCode::METHOD_NOT_ALLOWED,
                "method_not_allowed",
                "This address does not support that method.",
            )
        })
        .layer(CompressionLayer::new().compress_when(TextOnly))
        .layer(middleware::from_fn_with_state(origins, cors))
        .layer(middleware::from_fn(crate::uploads::add_version))
        .layer(middleware::from_fn_with_state(metrics, observe))
}

/// Logs each request, and each refusal with its reason. Logs the matched route, never the path: a
/// path may hold a token.
async fn observe(State(metrics): State<Arc<Metrics>>, request: Request, next: Next) -> Response {
    let started = Instant::now();
    let (mut request, recording) = recording_of(request).await;
    let route = request
        .extensions()
        .get::<MatchedPath>()
        .map_or_else(|| "none".to_owned(), |matched| matched.as_str().to_owned());
    let method = match request.method().as_str() {
        known @ ("GET" | "HEAD" | "POST" | "PATCH" | "DELETE" | "OPTIONS" | "PUT") => known,
        _ => "other",
    }
    .to_owned();
    let permit = RequestPermit::default();
    request.extensions_mut().insert(permit.clone());
    let mut response = next.run(request).await;
    if permit.is_taken() {
        // Held until the last byte is sent: a slow reader still counts.
        let hold = move |error| {
            let _held = &permit;
            error
        };
        response = response.map(|body| Body::new(body.map_err(hold)));
    }
    if let Some(problem) = response.extensions().get::<ProblemRecord>() {
        problem.log(response.status(), &route, recording.as_deref());
    }

    let headers = response.headers_mut();
    // A session's address is a token: it must not be sent to any other site.
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    // Titles and names are private. A response that may be cached says so itself.
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("private, no-store"));
    headers
        .entry(HeaderName::from_static("cross-origin-resource-policy"))
        .or_insert(HeaderValue::from_static("cross-origin"));

    let status = response.status().as_u16();
    let elapsed = started.elapsed();
    metrics.observe(&route, &method, status, elapsed);
    let elapsed_ms = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX);
    tracing::debug!(route, method, status, elapsed_ms, "request finished");
    response
}

/// Returns the recording or upload that the address names, if its id is one: any other text in an
/// address may be a token.
async fn recording_of(request: Request) -> (Request, Option<String>) {
    let (mut parts, body) = request.into_parts();
    let params = RawPathParams::from_request_parts(&mut parts, &()).await.ok();
    let id = params.as_ref().and_then(|params| {
        let named =
            |(name, id): &(&str, &str)| matches!(*name, "recording" | "id") && layout::valid_recording(id);
        params.iter().find(named).map(|(_, id)| id.to_owned())
    });
    (Request::from_parts(parts, body), id)
}
