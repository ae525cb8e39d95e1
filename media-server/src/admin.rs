//! The operators' listener: metrics, and the health checks once more. It asks for no key, so it has
//! an address of its own.

use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use chalkstream_config::AdminListen;
use http::header;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::error::Error;
use crate::health::{self, Health};
use crate::http::{ConnectionLimits, accept_loop};
use crate::problem::Problem;

/// Limits of operators' connections.
const LIMITS: ConnectionLimits =
    ConnectionLimits { connections: 64, connections_per_address: 0, header_timeout: Duration::from_secs(10) };

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

    /// Serves `routes` until `shutdown`.
    pub async fn serve(&self, routes: Router, shutdown: CancellationToken) {
        match &self.0 {
            Some(listener) => accept_loop(listener, routes, LIMITS, shutdown).await,
            None => shutdown.cancelled().await,
        }
    }
}

/// `/metrics`, and the routes of [`health`].
pub fn routes(health: Health) -> Router {
    let not_found = || async { Problem::not_found() };
    health::routes().route("/metrics", get(metrics)).fallback(not_found).with_state(health)
}

async fn metrics(State(health): State<Health>) -> Result<Response, Problem> {
    let text = health.render_metrics().await.map_err(Problem::internal)?;
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    Ok(([(header::CONTENT_TYPE, kind)], text).into_response())
}
