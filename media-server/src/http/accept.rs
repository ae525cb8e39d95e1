//! The accept loop. `axum::serve` sets no time limit on a request's headers, so one slow client
//! could hold a connection for ever.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use super::stall::Stall;

/// How long open requests may take once shutdown has started.
const MAX_DRAIN: Duration = Duration::from_secs(10);

/// Serves connections until `shutdown`, then lets the open requests end.
///
/// At `max_connections` no further ones are accepted: they wait in the kernel's queue.
pub async fn accept_loop(
    listener: &TcpListener,
    app: Router,
    max_connections: u32,
    header_timeout: Duration,
    shutdown: CancellationToken,
) {
    // Only HTTP/1.1: a proxy in front speaks HTTP/2 to browsers. Detecting the version here would
    // wait for a first byte without a time limit.
    let mut server = http1::Builder::new();
    server.timer(TokioTimer::new()).header_read_timeout(header_timeout).max_buf_size(64 * 1024);
    let graceful = GracefulShutdown::new();
    let permits = Arc::new(Semaphore::new(max_connections.max(1) as usize));
    let service = TowerToHyperService::new(app);

    loop {
        let permit = tokio::select! {
            () = shutdown.cancelled() => break,
            permit = Arc::clone(&permits).acquire_owned() => match permit { Ok(permit) => permit, Err(_) => break },
        };
        let stream = tokio::select! {
            () = shutdown.cancelled() => break,
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => stream,
                Err(error) => {
                    // Out of file descriptors, or the client is gone already. Neither is a reason
                    // to stop.
                    tracing::warn!(%error, "connection not accepted");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    continue;
                }
            },
        };
        let _ = stream.set_nodelay(true);
        let connection = server.serve_connection(TokioIo::new(Stall::new(stream)), service.clone());
        let connection = graceful.watch(connection);
        tokio::spawn(async move {
            // Resets and timeouts are the client's business; a request's own failure is logged
            // where it happens.
            let _ = connection.await;
            drop(permit);
        });
    }
    if tokio::time::timeout(MAX_DRAIN, graceful.shutdown()).await.is_err() {
        tracing::warn!(after_s = MAX_DRAIN.as_secs(), "open requests cut off");
    }
}
