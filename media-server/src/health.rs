//! Liveness and readiness, and the numbers that are read with the metrics.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::Router;
use axum::extract::{FromRef, State};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use chalkstream_store::{Authority, Queue, Store, authority};
use http::{StatusCode, header};
use serde::Serialize;

use crate::corrections::Corrections;
use crate::delivery::Delivery;
use crate::manifests::Manifests;
use crate::metrics::Metrics;
use crate::recordings::Lists;
use crate::search::Search;
use crate::transcripts::Transcripts;

/// Time limit for a service to respond to the readiness check, and for the queue's numbers.
const MAX_WAIT: Duration = Duration::from_secs(3);

/// Checks the services behind this server, and renders its metrics.
#[derive(Clone)]
pub struct Health {
    /// Object storage.
    pub store: Store,
    /// The job queue.
    pub queue: Queue,
    /// Tenants, keys and revocations.
    pub authority: Authority,
    /// The search index.
    pub search: Search,
    /// Manifests in memory.
    pub manifests: Manifests,
    /// Lists of recordings in memory.
    pub lists: Lists,
    /// Transcripts in memory.
    pub transcripts: Transcripts,
    pub corrections: Corrections,
    /// Playlists, indexes and inventories in memory.
    pub delivery: Delivery,
    /// The server's metrics.
    pub metrics: Arc<Metrics>,
}

/// `/healthz`, `/readyz`.
pub fn routes<S>() -> Router<S>
where
    S: Clone + Send + Sync + 'static,
    Health: FromRef<S>,
{
    Router::new().route("/healthz", get(|| async { "ok\n" })).route("/readyz", get(ready))
}

/// The parts that must work before this server gets requests, and whether search does.
#[derive(Serialize)]
struct Readiness {
    store: bool,
    redis: bool,
    keys: bool,
    /// A new index takes long to fill, and nothing else needs it. Until then search answers 503.
    search: bool,
}

/// 200 if this server should get requests, else 503; the body says which part is missing.
async fn ready(State(health): State<Health>) -> Response {
    let (store, redis) = tokio::join!(
        tokio::time::timeout(MAX_WAIT, health.store.probe()),
        tokio::time::timeout(MAX_WAIT, health.queue.ping()),
    );
    let readiness = Readiness {
        store: matches!(store, Ok(Ok(()))),
        redis: matches!(redis, Ok(Ok(()))),
        keys: health.authority.age() <= authority::MAX_AGE,
        search: health.search.caught_up(),
    };
    let all = readiness.store && readiness.redis && readiness.keys;
    let status = if all { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, [(header::CACHE_CONTROL, "no-store")], Json(readiness)).into_response()
}

impl Health {
    /// The metrics as text, with the numbers of the queue, of caches and of revocations as they are
    /// now.
    pub async fn render_metrics(&self) -> Result<String, std::fmt::Error> {
        let queue = async { tokio::try_join!(self.queue.workers(), self.queue.stats()) };
        let queue = tokio::time::timeout(MAX_WAIT, queue).await.ok().and_then(Result::ok);
        let metrics = &self.metrics;
        let revocations = self.authority.all_revocations_count();
        metrics.revocations.set(i64::try_from(revocations).unwrap_or(i64::MAX));
        metrics.keys_age_seconds.set(self.authority.age().as_secs_f64());
        metrics.set_cache("manifests", self.manifests.stats());
        metrics.set_cache("lists", self.lists.stats());
        metrics.set_cache("transcripts", self.transcripts.stats());
        metrics.set_cache("corrections", self.corrections.stats());
        for (cache, stats) in self.delivery.cache_stats() {
            metrics.set_cache(cache, stats);
        }
        metrics.render(queue.as_ref().map(|(workers, stats)| (workers.as_slice(), *stats)))
    }
}
