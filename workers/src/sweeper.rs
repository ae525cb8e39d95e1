//! Each minute: leases that ended, recordings without a job, books that nobody wrote; each hour, what only grows. Any
//! number of workers may sweep at the same time; everything here is harmless twice.

use std::time::{Duration, Instant};

use chalkstream_store::{JobView, Queue, Result, Store, forget_old_revocations, rebuild};
use tokio_util::sync::CancellationToken;

use crate::books::Books;

/// Time between two sweeps.
const EVERY: Duration = Duration::from_secs(60);
/// Time to the next one after a sweep that could not be made.
const AGAIN: Duration = Duration::from_secs(5);
/// Time between two removals of what only grows.
const TIDY_EVERY: Duration = Duration::from_secs(3_600);

/// Sweeps at once and then each minute.
pub async fn run(queue: Queue, books: Books, grace_ms: u64, stop: CancellationToken) {
    let mut tidied: Option<Instant> = None;
    loop {
        let wait = match sweep(&queue, &books, grace_ms).await {
            Ok(()) => EVERY,
            Err(error) => {
                tracing::warn!(%error, kind = error.kind.as_str(), "could not sweep");
                AGAIN
            }
        };
        if tidied.is_none_or(|at| at.elapsed() > TIDY_EVERY) {
            tidied = Some(Instant::now());
            if let Err(error) = tidy(&books.store).await {
                tracing::warn!(%error, kind = error.kind.as_str(), "could not tidy storage");
            }
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(wait) => {}
        }
    }
}

async fn sweep(queue: &Queue, books: &Books, grace_ms: u64) -> Result<()> {
    for job in queue.sweep(grace_ms).await? {
        tracing::warn!(recording = job.recording, "recording {} failed: its worker was lost", job.recording);
        write(books, &job).await?;
    }
    let rebuilt = rebuild::pending(&books.store, queue).await?;
    for (_, recording) in &rebuilt.enqueued {
        tracing::info!(recording, "recording {recording} is queued again");
    }
    for job in &rebuilt.unrecorded {
        write(books, job).await?;
    }
    Ok(())
}

/// Writes a job's books. One that cannot be written must not keep the others from theirs.
async fn write(books: &Books, job: &JobView) -> Result<()> {
    match books.write(job).await {
        Err(error) if !error.is_transient() => {
            let kind = error.kind.as_str();
            tracing::warn!(recording = job.recording, kind, %error, "the manifest of recording {} cannot be written", job.recording);
            Ok(())
        }
        written => written,
    }
}

async fn tidy(store: &Store) -> Result<()> {
    let leftovers = store.sweep_leftovers().await?;
    let revocations = forget_old_revocations(store).await?;
    tracing::debug!(leftovers, revocations, "storage is tidy");
    Ok(())
}
