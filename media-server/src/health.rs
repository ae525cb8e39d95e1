//! Is the process alive, is it ready, and its numbers.

use axum::Json;
use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::{StatusCode, header};
use serde::Serialize;

use crate::app::App;
use crate::problem::Problem;

/// `/healthz`, `/readyz`, `/metrics`.
pub fn routes() -> Router<App> {
    Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
}

/// What readiness is made of.
#[derive(Serialize)]
struct Readiness {
    store: bool,
    redis: bool,
    keys: bool,
    search: bool,
}

/// 200 where this server should get requests, else 503; the body says which part is missing.
async fn ready(State(app): State<App>) -> Response {
    let limit = std::time::Duration::from_secs(3);
    let (store, redis) = tokio::join!(
        tokio::time::timeout(limit, app.store.probe()),
        tokio::time::timeout(limit, app.queue.ping()),
    );
    let readiness = Readiness {
        store: matches!(store, Ok(Ok(()))),
        redis: matches!(redis, Ok(Ok(()))),
        keys: app.authority.age().as_secs() <= 5,
        search: app.search.caught_up(),
    };
    let all = readiness.store && readiness.redis && readiness.keys && readiness.search;
    let status = if all { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, [(header::CACHE_CONTROL, "no-store")], Json(readiness)).into_response()
}

async fn metrics(State(app): State<App>) -> Result<Response, Problem> {
    let text = app.metrics.render().map_err(Problem::internal)?;
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    Ok(([(header::CONTENT_TYPE, kind)], text).into_response())
}
