//! Renews leases from a thread of its own, which no amount of work can starve.

use std::sync::Arc;
use std::time::{Duration, Instant};

use chalkstream_config::Settings;
use chalkstream_store::{Heartbeat, Lease, Queue};
use futures_util::future::BoxFuture;
use tokio::sync::{mpsc, watch};

use crate::failure::{Cause, StepFailure};
use crate::runner::Progress;

/// Longest time between two heartbeats: a cancelled step learns of it with the next one.
const MAX_INTERVAL: Duration = Duration::from_secs(1);

/// Status of a lease, by the queue's last answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LeaseStatus {
    /// Renewed: held for the lease's duration from this moment.
    Held(Instant),
    /// The job was cancelled.
    Cancelled,
    /// The step was given to another worker, or the job is gone.
    Lost,
}

/// Guards writes against a lost lease.
pub trait LeaseGuard: Send + Sync {
    /// Returns when the lease is known to be held; an error if it is over. A worker that slept past
    /// its lease waits here for the queue's word before it writes anything more.
    fn ensure_held(&self) -> BoxFuture<'_, Result<(), StepFailure>>;
}

/// One lease, renewed until this is dropped.
pub struct LeaseHandle {
    status: watch::Receiver<LeaseStatus>,
    lease_for: Duration,
    /// Dropped with this, which ends the renewal.
    _alive: watch::Sender<()>,
}

struct Renewal {
    lease: Lease,
    progress: watch::Receiver<Progress>,
    status: watch::Sender<LeaseStatus>,
    alive: watch::Receiver<()>,
}

/// The thread that renews leases.
pub struct LeaseRenewer {
    renewals: mpsc::Sender<Renewal>,
    lease_ms: u64,
}

impl LeaseRenewer {
    /// Starts the thread, with Redis connections of its own.
    pub fn start(settings: &Settings) -> std::io::Result<Arc<Self>> {
        let (renewals, waiting) = mpsc::channel(64);
        let (redis, lease_ms) = (settings.redis.clone(), settings.worker.lease_ms);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        std::thread::Builder::new().name("heartbeat".into()).spawn(move || {
            // A connection's own task runs on the runtime that made it, so it is made here.
            runtime.block_on(async move {
                match Queue::connect_lazy(&redis) {
                    Ok(queue) => renew_all(waiting, &queue, lease_ms).await,
                    Err(error) => tracing::error!(%error, "heartbeats cannot be sent"),
                }
            });
        })?;
        Ok(Arc::new(Self { renewals, lease_ms }))
    }

    /// Renews a lease that was given at `given`, reporting `progress` to the queue.
    pub async fn keep_alive(
        &self,
        lease: &Lease,
        given: Instant,
        progress: watch::Receiver<Progress>,
    ) -> LeaseHandle {
        tracing::debug!(
            recording_id = lease.recording,
            tenant_id = lease.tenant,
            step = lease.step,
            attempt = lease.attempt,
            fence = lease.fence,
            "step started"
        );
        let (status, seen) = watch::channel(LeaseStatus::Held(given));
        let (alive, watched) = watch::channel(());
        let renewal = Renewal { lease: lease.clone(), progress, status, alive: watched };
        // Without the thread, the sender of the status is gone and the lease counts as lost.
        drop(self.renewals.send(renewal).await);
        LeaseHandle { status: seen, lease_for: Duration::from_millis(self.lease_ms), _alive: alive }
    }
}

async fn renew_all(mut waiting: mpsc::Receiver<Renewal>, queue: &Queue, lease_ms: u64) {
    while let Some(renewal) = waiting.recv().await {
        tokio::spawn(renewal.renew(queue.clone(), lease_ms));
    }
}

impl Renewal {
    fn set(&self, status: LeaseStatus) {
        self.status.send_replace(status);
    }

    async fn renew(mut self, queue: Queue, lease_ms: u64) {
        let interval = Duration::from_millis((lease_ms / 3).max(50)).min(MAX_INTERVAL);
        let mut ticks = tokio::time::interval(interval);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = ticks.tick() => {}
                _ = self.alive.changed() => return,
            }
            let asked = Instant::now();
            let progress = *self.progress.borrow();
            let progress = Some(progress).filter(|progress| progress.total_ms > 0);
            match queue.heartbeat(&self.lease, lease_ms, progress).await {
                // From the request on, because the queue may have answered late.
                Ok(Heartbeat::Continue) => self.set(LeaseStatus::Held(asked)),
                Ok(Heartbeat::Cancelled) => return self.set(LeaseStatus::Cancelled),
                Ok(Heartbeat::Lost) => return self.set(LeaseStatus::Lost),
                // Redis is away, and gives the step to no other worker meanwhile.
                Err(error) => tracing::debug!(%error, "heartbeat was not answered"),
            }
        }
    }
}

impl LeaseHandle {
    /// The status by the queue's last answer.
    pub fn status(&self) -> LeaseStatus {
        *self.status.borrow()
    }

    /// Waits until the lease is over: cancelled or lost.
    pub async fn ended(&self) -> LeaseStatus {
        let mut status = self.status.clone();
        loop {
            let now = *status.borrow_and_update();
            if !matches!(now, LeaseStatus::Held(_)) {
                return now;
            }
            if status.changed().await.is_err() {
                return LeaseStatus::Lost;
            }
        }
    }
}

impl LeaseGuard for LeaseHandle {
    fn ensure_held(&self) -> BoxFuture<'_, Result<(), StepFailure>> {
        Box::pin(async move {
            let mut status = self.status.clone();
            loop {
                match *status.borrow_and_update() {
                    LeaseStatus::Held(since) if since.elapsed() < self.lease_for => return Ok(()),
                    // The worker slept, or Redis is away: write nothing until the queue has
                    // answered.
                    LeaseStatus::Held(_) => {}
                    LeaseStatus::Cancelled | LeaseStatus::Lost => {
                        return Err(StepFailure::new(Cause::Cancelled, "the lease is over"));
                    }
                }
                if status.changed().await.is_err() {
                    return Err(StepFailure::new(Cause::Cancelled, "the lease is no longer kept"));
                }
            }
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn held(first: LeaseStatus, lease_for: Duration) -> (watch::Sender<LeaseStatus>, LeaseHandle) {
        let (status, seen) = watch::channel(first);
        let (alive, _) = watch::channel(());
        (status, LeaseHandle { status: seen, lease_for, _alive: alive })
    }

    #[tokio::test]
    async fn a_fresh_lease_holds_without_asking() {
        let (_status, held) = held(LeaseStatus::Held(Instant::now()), Duration::from_secs(60));
        held.ensure_held().await.unwrap();
    }

    #[tokio::test]
    async fn a_worker_that_slept_past_its_lease_waits_for_the_queues_word() {
        let long_ago = Instant::now() - Duration::from_secs(61);
        let (status, held) = held(LeaseStatus::Held(long_ago), Duration::from_secs(60));
        let asked = held.ensure_held();
        tokio::pin!(asked);
        assert!(futures_util::poll!(&mut asked).is_pending(), "nothing is written on an old lease");
        status.send_replace(LeaseStatus::Lost);
        assert_eq!(asked.await.unwrap_err().cause, Cause::Cancelled);
        assert_eq!(held.ended().await, LeaseStatus::Lost);
    }

    #[tokio::test]
    async fn a_lease_that_is_renewed_after_all_holds() {
        let long_ago = Instant::now() - Duration::from_secs(61);
        let (status, held) = held(LeaseStatus::Held(long_ago), Duration::from_secs(60));
        let asked = held.ensure_held();
        tokio::pin!(asked);
        assert!(futures_util::poll!(&mut asked).is_pending());
        status.send_replace(LeaseStatus::Held(Instant::now()));
        asked.await.unwrap();
    }
}
