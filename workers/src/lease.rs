//! Leases kept alive from a thread of their own, which no amount of work can starve.

use std::sync::Arc;
use std::time::{Duration, Instant};

use chalkstream_config::Settings;
use chalkstream_store::{Heartbeat, Lease, Progress as StoredProgress, Queue};
use futures_util::future::BoxFuture;
use tokio::sync::{mpsc, watch};

use crate::failure::{Cause, StepFailure};
use crate::runner::Progress;
use crate::sink::Holds;

/// Longest time between two heartbeats: a cancelled step hears of it with the next one.
const LONGEST_INTERVAL: Duration = Duration::from_secs(1);

/// Whether a lease holds, as far as the queue has said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It was renewed; good for a lease's length from this moment.
    Held(Instant),
    /// Nobody wants the work any more.
    Cancelled,
    /// The step was given to another worker, or the job is gone.
    Lost,
}

/// One lease, kept alive until this is dropped.
pub struct Held {
    standing: watch::Receiver<Standing>,
    lease_for: Duration,
    /// Dropped with this, which ends the beat.
    _alive: watch::Sender<()>,
}

struct Beat {
    lease: Lease,
    progress: watch::Receiver<Progress>,
    standing: watch::Sender<Standing>,
    alive: watch::Receiver<()>,
}

/// The thread that keeps leases alive.
pub struct Heart {
    beats: mpsc::Sender<Beat>,
    lease_ms: u64,
}

impl Heart {
    /// Starts the thread, with Redis connections of its own.
    pub fn start(settings: &Settings) -> std::io::Result<Arc<Self>> {
        let (beats, waiting) = mpsc::channel(64);
        let (redis, lease_ms) = (settings.redis.clone(), settings.worker.lease_ms);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        std::thread::Builder::new().name("heartbeat".into()).spawn(move || {
            // A connection's own task runs on the runtime that made it, so it is made here.
            runtime.block_on(async move {
                match Queue::connect_lazy(&redis) {
                    Ok(queue) => keep(waiting, &queue, lease_ms).await,
                    Err(error) => tracing::error!(%error, "no heartbeat is possible"),
                }
            });
        })?;
        Ok(Arc::new(Self { beats, lease_ms }))
    }

    /// Keeps a lease that was given at `given` alive, telling the queue of `progress`.
    pub async fn keep(&self, lease: &Lease, given: Instant, progress: watch::Receiver<Progress>) -> Held {
        let (standing, seen) = watch::channel(Standing::Held(given));
        let (alive, watched) = watch::channel(());
        let beat = Beat { lease: lease.clone(), progress, standing, alive: watched };
        // Without the thread, the standing's sender is gone and the lease counts as lost.
        drop(self.beats.send(beat).await);
        Held { standing: seen, lease_for: Duration::from_millis(self.lease_ms), _alive: alive }
    }
}

async fn keep(mut waiting: mpsc::Receiver<Beat>, queue: &Queue, lease_ms: u64) {
    while let Some(beat) = waiting.recv().await {
        tokio::spawn(beat.keep(queue.clone(), lease_ms));
    }
}

impl Beat {
    fn say(&self, standing: Standing) {
        self.standing.send_replace(standing);
    }

    async fn keep(mut self, queue: Queue, lease_ms: u64) {
        let interval = Duration::from_millis((lease_ms / 3).max(50)).min(LONGEST_INTERVAL);
        let mut ticks = tokio::time::interval(interval);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = ticks.tick() => {}
                _ = self.alive.changed() => return,
            }
            let asked = Instant::now();
            let progress = *self.progress.borrow();
            let told = (progress.total_ms > 0)
                .then_some(StoredProgress { done_ms: progress.done_ms, total_ms: progress.total_ms });
            match queue.heartbeat(&self.lease, lease_ms, told).await {
                // From the question on: the queue may have answered late.
                Ok(Heartbeat::Continue) => self.say(Standing::Held(asked)),
                Ok(Heartbeat::Cancelled) => return self.say(Standing::Cancelled),
                Ok(Heartbeat::Lost) => return self.say(Standing::Lost),
                // Redis is away, and gives the step to nobody else meanwhile.
                Err(error) => tracing::debug!(%error, "a heartbeat was not answered"),
            }
        }
    }
}

impl Held {
    /// What the queue has said last.
    pub fn standing(&self) -> Standing {
        *self.standing.borrow()
    }

    /// Answers when the lease is over: cancelled or lost.
    pub async fn over(&self) -> Standing {
        let mut standing = self.standing.clone();
        loop {
            let now = *standing.borrow_and_update();
            if !matches!(now, Standing::Held(_)) {
                return now;
            }
            if standing.changed().await.is_err() {
                return Standing::Lost;
            }
        }
    }
}

impl Holds for Held {
    fn holds(&self) -> BoxFuture<'_, Result<(), StepFailure>> {
        Box::pin(async move {
            let mut standing = self.standing.clone();
            loop {
                match *standing.borrow_and_update() {
                    Standing::Held(since) if since.elapsed() < self.lease_for => return Ok(()),
                    // We slept, or Redis is away: not another byte until it has answered.
                    Standing::Held(_) => {}
                    Standing::Cancelled | Standing::Lost => {
                        return Err(StepFailure::of(Cause::Cancelled, "the lease is over"));
                    }
                }
                if standing.changed().await.is_err() {
                    return Err(StepFailure::of(Cause::Cancelled, "the lease is no longer kept"));
                }
            }
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn held(first: Standing, lease_for: Duration) -> (watch::Sender<Standing>, Held) {
        let (standing, seen) = watch::channel(first);
        let (alive, _) = watch::channel(());
        (standing, Held { standing: seen, lease_for, _alive: alive })
    }

    #[tokio::test]
    async fn a_fresh_lease_holds_without_asking() {
        let (_standing, held) = held(Standing::Held(Instant::now()), Duration::from_secs(60));
        held.holds().await.unwrap();
    }

    #[tokio::test]
    async fn a_worker_that_slept_past_its_lease_waits_for_the_queues_word() {
        let long_ago = Instant::now() - Duration::from_secs(61);
        let (standing, held) = held(Standing::Held(long_ago), Duration::from_secs(60));
        let asked = held.holds();
        tokio::pin!(asked);
        assert!(futures_util::poll!(&mut asked).is_pending(), "nothing is written on an old lease");
        standing.send_replace(Standing::Lost);
        assert_eq!(asked.await.unwrap_err().cause, Cause::Cancelled);
        assert_eq!(held.over().await, Standing::Lost);
    }

    #[tokio::test]
    async fn a_lease_that_is_renewed_after_all_holds() {
        let long_ago = Instant::now() - Duration::from_secs(61);
        let (standing, held) = held(Standing::Held(long_ago), Duration::from_secs(60));
        let asked = held.holds();
        tokio::pin!(asked);
        assert!(futures_util::poll!(&mut asked).is_pending());
        standing.send_replace(Standing::Held(Instant::now()));
        asked.await.unwrap();
    }
}
