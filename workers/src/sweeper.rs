//! Each minute: leases that ended, recordings without a job, books that nobody wrote. Any number of workers may
//! sweep at the same time; everything here is harmless twice.

use std::time::Duration;

use chalkstream_store::{Queue, Result, rebuild};
use tokio_util::sync::CancellationToken;

use crate::books::Books;

/// Time between two sweeps.
const EVERY: Duration = Duration::from_secs(60);
/// Time to the next one after a sweep that could not be made.
const AGAIN: Duration = Duration::from_secs(5);

/// Sweeps at once and then each minute.
pub async fn run(queue: Queue, books: Books, grace_ms: u64, stop: CancellationToken) {
    loop {
        let wait = match sweep(&queue, &books, grace_ms).await {
            Ok(()) => EVERY,
            Err(error) => {
                tracing::warn!(%error, kind = error.kind.as_str(), "could not sweep");
                AGAIN
            }
        };
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(wait) => {}
        }
    }
}

async fn sweep(queue: &Queue, books: &Books, grace_ms: u64) -> Result<()> {
    for job in queue.sweep(grace_ms).await? {
        tracing::warn!(recording = job.recording, "recording {} failed: its worker was lost", job.recording);
        books.write(&job).await?;
    }
    let rebuilt = rebuild::pending(&books.store, queue).await?;
    for (_, recording) in &rebuilt.enqueued {
        tracing::info!(recording, "recording {recording} is queued again");
    }
    for job in &rebuilt.unrecorded {
        books.write(job).await?;
    }
    Ok(())
}
