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

use super::addresses::AddressPermits;
use super::stall::Stall;

/// How long open requests may take once shutdown has started.
const MAX_DRAIN: Duration = Duration::from_secs(10);

/// Limits of a listener's connections.
#[derive(Clone, Copy, Debug)]
pub struct ConnectionLimits {
    /// Most at once. Further ones wait in the kernel's queue.
    pub connections: u32,
    /// Most of one address; 0 means any number. Further ones are closed.
    pub connections_per_address: u32,
    /// Longest time to send a request's headers.
    pub header_timeout: Duration,
}

/// Serves connections until `shutdown`, then lets the open requests end.
pub async fn accept_loop(
    listener: &TcpListener,
    app: Router,
    limits: ConnectionLimits,
    shutdown: CancellationToken,
) {
    // Only HTTP/1.1: a proxy in front speaks HTTP/2 to browsers. Detecting the version here would
    // wait for a first byte without a time limit.
    let mut server = http1::Builder::new();
    server.timer(TokioTimer::new()).header_read_timeout(limits.header_timeout).max_buf_size(64 * 1024);
    let graceful = GracefulShutdown::new();
    let permits = Arc::new(Semaphore::new(limits.connections.max(1) as usize));
    let addresses = AddressPermits::new(limits.connections_per_address);
    let service = TowerToHyperService::new(app);

    loop {
        let permit = tokio::select! {
            () = shutdown.cancelled() => break,
            permit = Arc::clone(&permits).acquire_owned() => match permit { Ok(permit) => permit, Err(_) => break },
        };
        let (stream, client) = tokio::select! {
            () = shutdown.cancelled() => break,
            accepted = listener.accept() => match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    // Out of file descriptors, or the client is gone already. Neither is a reason
                    // to stop.
                    tracing::warn!(%error, "connection not accepted");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    continue;
                }
            },
        };
        let Some(address_permit) = addresses.acquire(client.ip()) else {
            tracing::debug!("connection refused, its address has too many");
            continue;
        };
        let _ = stream.set_nodelay(true);
        let connection = server.serve_connection(TokioIo::new(Stall::new(stream)), service.clone());
        let connection = graceful.watch(connection);
        tokio::spawn(async move {
            // Resets and timeouts are the client's business; a request's own failure is logged
            // where it happens.
            let _ = connection.await;
            drop((permit, address_permit));
        });
    }
    if tokio::time::timeout(MAX_DRAIN, graceful.shutdown()).await.is_err() {
        tracing::warn!(after_s = MAX_DRAIN.as_secs(), "open requests cut off");
    }
}
