//! Waiting out an outage: what a step has made so far is worth more than the minutes for which
//! storage or Redis is away.

use std::future::Future;
use std::time::{Duration, Instant};

use crate::failure::{Cause, StepFailure};

/// First wait between two tries; it doubles.
const MIN_WAIT: Duration = Duration::from_millis(100);
/// Longest wait between two tries.
const MAX_WAIT: Duration = Duration::from_secs(5);

/// Makes a call until it succeeds or fails by something else than an outage, at most for `limit`.
/// The caller drops the future when its lease is over.
pub async fn wait_out<T, F>(limit: Duration, mut call: impl FnMut() -> F) -> Result<T, StepFailure>
where
    F: Future<Output = Result<T, StepFailure>>,
{
    let start = Instant::now();
    let mut wait = MIN_WAIT;
    let mut has_waited = false;
    loop {
        match call().await {
            Err(failure) if failure.cause == Cause::Storage && start.elapsed() < limit => {
                if !std::mem::replace(&mut has_waited, true) {
                    tracing::warn!(error = failure.detail, "storage is away, step waits");
                }
                tokio::time::sleep(wait).await;
                wait = (2 * wait).min(MAX_WAIT);
            }
            answered => {
                if has_waited && answered.is_ok() {
                    tracing::info!(
                        elapsed_ms = start.elapsed().as_millis() as u64,
                        "storage is back, step goes on"
                    );
                }
                return answered;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    /// A call that fails by `cause` for the first times.
    async fn calls(limit: Duration, cause: Cause, failures: u32) -> (Result<u32, StepFailure>, u32) {
        let calls = AtomicU32::new(0);
        let call = || async {
            let number = calls.fetch_add(1, Ordering::Relaxed);
            if number < failures { Err(StepFailure::new(cause, "away")) } else { Ok(number) }
        };
        let answered = wait_out(limit, call).await;
        (answered, calls.load(Ordering::Relaxed))
    }

    #[tokio::test]
    async fn an_outage_is_waited_out_within_its_limit() {
        let (answered, _) = calls(Duration::from_secs(60), Cause::Storage, 3).await;
        assert_eq!(answered.unwrap(), 3);
        let (answered, made) = calls(Duration::from_millis(1), Cause::Storage, 9).await;
        assert_eq!(answered.unwrap_err().cause, Cause::Storage);
        assert!(made < 9);
    }

    #[tokio::test]
    async fn another_failure_is_reported_at_once() {
        let (answered, made) = calls(Duration::from_secs(60), Cause::Ours, 1).await;
        assert_eq!((answered.unwrap_err().cause, made), (Cause::Ours, 1));
    }
}
