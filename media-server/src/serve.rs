//! Running the server from its settings until shutdown.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use chalkstream_config::Settings;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::admin::{self, Admin};
use crate::app::App;
use crate::error::Error;
use crate::http::{ConnectionLimits, accept_loop, apply};
use crate::problem::Problem;

/// Limit of the wait for background work at shutdown.
const MAX_BACKGROUND: Duration = Duration::from_secs(5);

/// Serves on `settings.server.listen` until `shutdown`.
///
/// # Errors
/// If the address is taken, a setting is wrong, or storage cannot be read.
pub async fn serve(settings: Settings, shutdown: CancellationToken) -> Result<(), Error> {
    let address = settings.server.listen;
    let listener = TcpListener::bind(address).await.map_err(|source| Error::Listen { address, source })?;
    serve_on(listener, settings, shutdown).await
}

/// Serves on a bound listener, whose address is known before. `settings.server.listen` is not used.
///
/// Until keys and revocations are read, every request but `/healthz` gets 503.
///
/// # Errors
/// As for [`serve`].
pub async fn serve_on(
    listener: TcpListener,
    settings: Settings,
    shutdown: CancellationToken,
) -> Result<(), Error> {
    let address = settings.server.listen;
    let bound = listener.local_addr().map_err(|source| Error::Listen { address, source })?;
    tracing::info!(address = %bound, "listening");
    let limits = ConnectionLimits {
        connections: settings.server.max_connections,
        connections_per_address: settings.server.max_connections_per_address,
        header_timeout: Duration::from_millis(settings.server.header_timeout_ms.max(1)),
    };
    let admin = Admin::bind(settings.server.admin_listen).await?;

    let app = {
        let starting = shutdown.child_token();
        let waiting = accept_loop(&listener, not_ready(), limits, starting.clone());
        let admin_waiting = admin.serve(not_ready(), starting.clone());
        let start = async {
            let app = App::start(settings, bound, shutdown.clone()).await;
            starting.cancel();
            app
        };
        match tokio::join!(start, waiting, admin_waiting).0 {
            Err(Error::Stopped) => return Ok(()),
            app => app?,
        }
    };
    tracing::info!(address = %bound, "ready");
    tokio::join!(
        accept_loop(&listener, routes(&app), limits, shutdown.clone()),
        admin.serve(admin::routes(app.health.clone()), shutdown.clone()),
    );
    shutdown.cancel();
    app.tasks.close();
    if tokio::time::timeout(MAX_BACKGROUND, app.tasks.wait()).await.is_err() {
        tracing::warn!(after_s = MAX_BACKGROUND.as_secs(), "background work cut off");
    }
    tracing::info!("stopped");
    Ok(())
}

/// Every route, with its layers.
pub fn routes(app: &App) -> Router {
    let routes = Router::new()
        .merge(crate::openapi::routes())
        .merge(crate::health::routes())
        .merge(crate::playback::routes())
        .merge(crate::delivery::routes())
        .merge(crate::delivery::authorize_routes())
        .merge(crate::player::routes());
    let metrics = Arc::clone(&app.health.metrics);
    apply(routes.with_state(app.clone()), metrics, Arc::clone(&app.origins))
}

/// The routes before the keys are read.
fn not_ready() -> Router {
    Router::new()
        .route("/healthz", axum::routing::get(|| async { "ok\n" }))
        .fallback(|| async { Problem::unavailable("The server is starting; try again shortly.") })
        .layer(axum::middleware::from_fn(crate::uploads::add_version))
}
