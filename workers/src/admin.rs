//! The worker's only listener, for operators: its health and its metrics. No key is asked for.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use chalkstream_config::AdminListen;
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use serde::Serialize;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;

use crate::Error;
use crate::admission::Admission;
use crate::health::{HealthState, WorkerHealth};
use crate::metrics::{WorkerMetrics, WorkerState};

/// Most connections at once.
const MAX_CONNECTIONS: usize = 16;
/// Longest time for a request and its response.
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(10);

/// The listener; none if the settings have no address for it.
pub struct Admin(Option<TcpListener>);

impl Admin {
    /// Binds the address.
    ///
    /// # Errors
    /// If it is taken.
    pub async fn bind(listen: AdminListen) -> Result<Self, Error> {
        let Some(address) = listen.0 else { return Ok(Self(None)) };
        let bound = async {
            let listener = TcpListener::bind(address).await?;
            tracing::info!(address = %listener.local_addr()?, "listening for operators");
            Ok(Self(Some(listener)))
        };
        bound.await.map_err(|source| Error::Listen { address, source })
    }

    /// Serves until the handle is dropped.
    pub fn serve(
        self,
        health: Arc<WorkerHealth>,
        admission: Arc<Admission>,
        metrics: Arc<WorkerMetrics>,
    ) -> AbortOnDropHandle<()> {
        let routes = routes(Observed { health, admission, metrics });
        AbortOnDropHandle::new(tokio::spawn(async move {
            if let Some(listener) = self.0 {
                accept_loop(&listener, routes).await;
            }
        }))
    }
}

/// Serves one request per connection, each within a time limit.
async fn accept_loop(listener: &TcpListener, routes: Router) {
    let mut server = http1::Builder::new();
    server.keep_alive(false);
    let service = TowerToHyperService::new(routes);
    let permits = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    while let Ok(permit) = Arc::clone(&permits).acquire_owned().await {
        match listener.accept().await {
            Ok((stream, _)) => {
                let connection = server.serve_connection(TokioIo::new(stream), service.clone());
                tokio::spawn(async move {
                    // Resets and timeouts are the client's business.
                    let _ = tokio::time::timeout(CONNECTION_TIMEOUT, connection).await;
                    drop(permit);
                });
            }
            Err(error) => {
                // Out of file descriptors, or the client is gone already.
                tracing::warn!(%error, "connection not accepted");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

#[derive(Clone)]
struct Observed {
    health: Arc<WorkerHealth>,
    admission: Arc<Admission>,
    metrics: Arc<WorkerMetrics>,
}

/// `/healthz`, `/metrics`.
fn routes(observed: Observed) -> Router {
    Router::new().route("/healthz", get(healthz)).route("/metrics", get(render)).with_state(observed)
}

/// Health as operators read it.
#[derive(Serialize)]
struct HealthReport {
    /// `working` or `paused`.
    state: &'static str,
    /// Code of the failure that paused it.
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<String>,
    /// When its machine is checked next, in ms from now.
    #[serde(skip_serializing_if = "Option::is_none")]
    check_in_ms: Option<u64>,
    /// Whether the last check failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    check_failed: Option<bool>,
    /// Steps that run; those of a paused worker go on.
    steps_running: i64,
}

/// Always 200: to restart a paused worker cures nothing.
async fn healthz(State(observed): State<Observed>) -> Json<HealthReport> {
    let steps_running = observed.metrics.steps_running();
    Json(match observed.health.state() {
        HealthState::Working => HealthReport {
            state: "working",
            code: None,
            check_in_ms: None,
            check_failed: None,
            steps_running,
        },
        HealthState::Paused { until, code, check_failed } => HealthReport {
            state: "paused",
            code: Some(code),
            check_in_ms: Some(until.saturating_duration_since(Instant::now()).as_millis() as u64),
            check_failed: Some(check_failed),
            steps_running,
        },
    })
}

async fn render(State(observed): State<Observed>) -> Response {
    let now = WorkerState {
        is_paused: observed.health.state() != HealthState::Working,
        planned_memory_bytes: observed.admission.planned_memory_bytes(),
        free_disk_bytes: observed.admission.free_disk_bytes(),
    };
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    match observed.metrics.render(&now) {
        Ok(text) => ([("content-type", kind)], text).into_response(),
        Err(error) => {
            tracing::error!(%error, "metrics were not rendered");
            axum::http::StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::net::SocketAddr;

    use chalkstream_store::Pause;
    use serde_json::Value;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;

    use super::*;
    use crate::admission::Capacity;

    async fn fetch(address: SocketAddr, path: &str) -> String {
        let mut connection = TcpStream::connect(address).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nHost: worker\r\nConnection: close\r\n\r\n");
        connection.write_all(request.as_bytes()).await.unwrap();
        let mut response = String::new();
        connection.read_to_string(&mut response).await.unwrap();
        assert!(response.starts_with("HTTP/1.1 200"), "{response}");
        response.split_once("\r\n\r\n").unwrap().1.to_owned()
    }

    #[tokio::test]
    async fn a_paused_worker_says_why() {
        let capacity = Capacity { slots: Some(2), cores: 2, memory_bytes: 8 << 30 };
        let scratch = tempfile::tempdir().unwrap();
        let admission = Admission::new(&chalkstream_config::Worker::default(), capacity, scratch.path());
        let metrics = Arc::new(WorkerMetrics::new(capacity));
        let health = Arc::new(WorkerHealth::new(Arc::clone(&metrics)));
        let admin = Admin::bind(AdminListen(Some(SocketAddr::from(([127, 0, 0, 1], 0))))).await.unwrap();
        let address = admin.0.as_ref().unwrap().local_addr().unwrap();
        let _serving = admin.serve(Arc::clone(&health), admission, metrics);
        let report = || async { serde_json::from_str::<Value>(&fetch(address, "/healthz").await).unwrap() };
        assert_eq!(report().await, serde_json::json!({ "state": "working", "steps_running": 0 }));
        health.pause(&Pause { for_ms: 60_000, code: "disk_full".into() });
        let paused = report().await;
        assert_eq!((&paused["state"], &paused["code"]), (&"paused".into(), &"disk_full".into()));
        let metrics = fetch(address, "/metrics").await;
        assert!(!metrics.contains("chalkstream_worker_scratch_free_bytes 0\n"), "{metrics}");
        for line in
            ["chalkstream_worker_paused 1\n", "chalkstream_worker_pauses_total{code=\"disk_full\"} 1\n"]
        {
            assert!(metrics.contains(line), "{line} in {metrics}");
        }
    }
}
