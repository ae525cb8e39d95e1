//! Takes removed words off the disk: soon where that is cheap, and always within half an hour.

use std::time::{Duration, Instant};

use super::engine::Error;
use super::index::Index;

/// Shortest and longest time between two purges. A deletion counts on the longest.
const MIN_PAUSE: Duration = Duration::from_secs(1);
const MAX_PAUSE: Duration = Duration::from_secs(30 * 60);
/// A purge is followed by a pause of so many times its length, so it takes little of the machine.
const PAUSE_FACTOR: u32 = 20;

/// Purges the index after removals. Never returns.
pub(super) async fn run(index: Index) {
    loop {
        let started = Instant::now();
        match purge(&index).await {
            Ok(0) => {}
            Ok(segments) => {
                let elapsed_ms = started.elapsed().as_millis() as u64;
                tracing::debug!(segments, elapsed_ms, "removed words purged from the search index");
            }
            Err(error) => tracing::warn!(%error, "search index not purged"),
        }
        let pause = (started.elapsed() * PAUSE_FACTOR).clamp(MIN_PAUSE, MAX_PAUSE);
        tokio::time::sleep(pause).await;
        // A purge that a query or a merge kept from removing a file is repeated without a new
        // removal.
        let _ = tokio::time::timeout(MAX_PAUSE - pause, index.removed()).await;
    }
}

async fn purge(index: &Index) -> Result<usize, Error> {
    let index = index.clone();
    tokio::task::spawn_blocking(move || index.engine().purge()).await.map_err(std::io::Error::other)?
}
