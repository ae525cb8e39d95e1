//! Requests to stop, as tokens. SIGTERM lets what runs end; SIGINT, and a second signal of either
//! kind, do not wait for it.

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// Requests to this process to stop.
#[derive(Clone, Default)]
pub struct StopSignals {
    /// The first signal.
    pub stop: CancellationToken,
    /// The signal not to wait for what runs.
    pub now: CancellationToken,
}

/// A token that is cancelled on SIGINT or SIGTERM.
pub fn stop() -> std::io::Result<CancellationToken> {
    watch().map(|signals| signals.stop)
}

/// Watches for SIGINT and SIGTERM.
pub fn watch() -> std::io::Result<StopSignals> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let signals = StopSignals::default();
    let watched = signals.clone();
    tokio::spawn(async move {
        let may_wait = tokio::select! {
            _ = interrupt.recv() => false,
            _ = terminate.recv() => true,
        };
        watched.stop.cancel();
        if may_wait {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
        }
        watched.now.cancel();
    });
    Ok(signals)
}
