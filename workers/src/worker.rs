//! The loop: lease a step, run it, hand its result in, write the books.

use std::sync::Arc;
use std::time::{Duration, Instant};

use chalkstream_config::Settings;
use chalkstream_store::{EventKind, Events, JobView, Kind, Lease, Outcome, Queue, RetryPolicy, Store, open};
use serde_json::json;
use tokio::sync::{Semaphore, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::attempt::{Attempt, Made};
use crate::books::Books;
use crate::failure::{Cause, StepFailure};
use crate::lease::{Heart, Held, Standing};
use crate::runner::protocol::Probe;
use crate::runner::{Progress, Runner};
use crate::scratch::Scratch;
use crate::{Error, planner, sweeper};

/// Time between two progress events of one step.
const TELL_EVERY: Duration = Duration::from_secs(2);
/// Time between two tries to hand a result in while Redis is away.
const HAND_IN_EVERY: Duration = Duration::from_millis(500);
/// How long running steps may take to be given back when the worker stops.
const STOP_WITHIN: Duration = Duration::from_secs(6);

/// What every slot works with.
pub struct Worker {
    /// Settings.
    pub settings: Settings,
    /// The recordings.
    pub store: Store,
    /// Starts children.
    pub runner: Runner,
    /// The jobs.
    pub queue: Queue,
    books: Books,
    heart: Arc<Heart>,
    name: String,
}

/// Works until `shutdown`. Running steps are then stopped and given back, so another worker can have them at once.
///
/// # Errors
/// Where the worker cannot start: wrong settings, no scratch folder, no sandbox.
pub async fn run(settings: Settings, shutdown: CancellationToken) -> Result<(), Error> {
    let store = open(&settings.store).await?;
    let policy = RetryPolicy { attempts: settings.worker.attempts, ..RetryPolicy::default() };
    let queue = Queue::connect_lazy(&settings.redis)?.with_policy(policy);
    let books = Books { store: store.clone(), events: Events::connect(&settings.redis)? };
    let scratch = Scratch::new(&settings.worker.scratch_path)?;
    let runner = Runner::new(&settings.worker, scratch.path());
    runner.prepare().await.map_err(|failure| Error::Media(failure.detail))?;
    sandboxed(&runner, &settings).await?;
    let heart = Heart::start(&settings)?;

    let tasks = TaskTracker::new();
    tasks.spawn(sweeper::run(queue.clone(), books.clone(), settings.worker.lease_ms / 2, shutdown.clone()));
    let slots = crate::slots(&settings.worker);
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let name = format!("{}-{}", host.trim(), std::process::id());
    tracing::info!(slots, worker = name, "worker {name} takes {slots} steps at once");
    let worker = Arc::new(Worker { settings, store, runner, queue, books, heart, name });
    // One place more for what makes a lesson watchable: it never waits behind hours of the rest.
    tokio::join!(
        worker.take_steps(slots, None, &tasks, &shutdown),
        worker.take_steps(1, Some(planner::STAGE_1), &tasks, &shutdown),
    );
    tasks.close();
    if tokio::time::timeout(STOP_WITHIN, tasks.wait()).await.is_err() {
        tracing::warn!("some steps were not given back in time; their leases will end");
    }
    drop(scratch);
    Ok(())
}

/// Refuses to start where a child could open a socket.
async fn sandboxed(runner: &Runner, settings: &Settings) -> Result<(), Error> {
    let told = match runner.probe(Probe::Socket).await {
        Err(failure) if failure.cause == Cause::Sandbox => return Ok(()),
        Err(failure) => failure.detail,
        Ok(_) => "a child can open an internet socket".into(),
    };
    if settings.worker.allow_unsandboxed {
        tracing::warn!(reason = told, "children run without a sandbox, as the settings allow");
        return Ok(());
    }
    Err(Error::Sandbox(told))
}

impl Worker {
    /// Leases steps while there is a free slot; none whose priority is above `highest`.
    async fn take_steps(
        self: &Arc<Self>,
        slots: usize,
        highest: Option<i64>,
        tasks: &TaskTracker,
        shutdown: &CancellationToken,
    ) {
        let free = Arc::new(Semaphore::new(slots));
        let poll = Duration::from_millis(self.settings.worker.poll_ms);
        let mut away = false;
        while !shutdown.is_cancelled() {
            let slot = tokio::select! {
                () = shutdown.cancelled() => return,
                slot = Arc::clone(&free).acquire_owned() => slot,
            };
            let given = Instant::now();
            // Not cancelled half-way: the queue may have given a step to an asker who is gone.
            let lease_ms = self.settings.worker.lease_ms;
            let leased = self.queue.lease_up_to(&self.name, lease_ms, highest).await;
            let idle = match leased {
                Ok(Some(lease)) => {
                    let (worker, shutdown) = (Arc::clone(self), shutdown.clone());
                    tasks.spawn(async move {
                        worker.step(lease, given, shutdown).await;
                        drop(slot);
                    });
                    away = false;
                    continue;
                }
                Ok(None) => {
                    away = false;
                    poll
                }
                Err(error) => {
                    // Once, not four times a second.
                    if !std::mem::replace(&mut away, true) {
                        tracing::warn!(%error, "the queue does not answer; asking again");
                    }
                    poll.max(Duration::from_millis(500))
                }
            };
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = tokio::time::sleep(idle) => {}
            }
        }
    }

    /// One leased step, to its end.
    async fn step(&self, lease: Lease, given: Instant, shutdown: CancellationToken) {
        let (progress, seen) = watch::channel(Progress::default());
        let held = self.heart.keep(&lease, given, seen.clone()).await;
        let cancel = CancellationToken::new();
        let attempt =
            Attempt { worker: self, lease: &lease, held: &held, cancel: cancel.clone(), progress }.run();
        tokio::pin!(attempt);
        let told = self.tell_progress(&lease, seen);
        tokio::pin!(told);
        let mut ended = false;
        let result = loop {
            tokio::select! {
                biased;
                result = &mut attempt => break result,
                _ = held.over(), if !ended => {
                    ended = true;
                    cancel.cancel();
                }
                () = shutdown.cancelled(), if !ended => {
                    ended = true;
                    cancel.cancel();
                }
                () = &mut told => {}
            }
        };
        match result {
            Ok(made) => self.hand_in(&lease, &held, made, &shutdown).await,
            Err(failure) if ended || failure.cause == Cause::Cancelled => {
                self.give_up(&lease, &held, &shutdown).await;
            }
            Err(failure) => self.report(&lease, &held, &failure).await,
        }
    }

    /// Tells those who watch, while the step runs.
    async fn tell_progress(&self, lease: &Lease, mut seen: watch::Receiver<Progress>) {
        while seen.changed().await.is_ok() {
            let now = *seen.borrow_and_update();
            let data = json!({ "step": lease.step, "done_ms": now.done_ms, "total_ms": now.total_ms });
            let told =
                self.books.events.publish(&lease.tenant, &lease.recording, EventKind::Progress, data).await;
            if let Err(error) = told {
                tracing::debug!(%error, "progress was not told");
            }
            tokio::time::sleep(TELL_EVERY).await;
        }
        // The attempt has its own end.
        std::future::pending::<()>().await;
    }

    /// Hands a result in, for as long as Redis is away and the lease has not been given to another.
    async fn hand_in(&self, lease: &Lease, held: &Held, made: Made, shutdown: &CancellationToken) {
        let Ok(value) = serde_json::to_value(&made.result) else {
            return self.report(lease, held, &StepFailure::ours("a result is not JSON")).await;
        };
        loop {
            match self.queue.complete(lease, value.clone(), &made.more).await {
                Ok(job) => {
                    tracing::info!(
                        recording = lease.recording,
                        step = lease.step,
                        attempt = lease.attempt,
                        "step {} of recording {} is done",
                        lease.step,
                        lease.recording
                    );
                    return self.record(&job).await;
                }
                Err(error) if error.kind == Kind::Lost => return self.give_up(lease, held, shutdown).await,
                Err(error) if !error.is_transient() => {
                    tracing::error!(recording = lease.recording, step = lease.step, %error, "a result was not taken");
                    return self.report(lease, held, &StepFailure::ours(error)).await;
                }
                // Whether it was accepted is not known: what was written stays for the sweep at the job's end.
                Err(_) if shutdown.is_cancelled() => return,
                Err(_) => tokio::time::sleep(HAND_IN_EVERY).await,
            }
        }
    }

    /// Ends an attempt whose lease is over, or that a stopping worker leaves to another.
    async fn give_up(&self, lease: &Lease, held: &Held, shutdown: &CancellationToken) {
        let standing = held.standing();
        let why = match standing {
            Standing::Cancelled => "its job is over",
            Standing::Held(_) if shutdown.is_cancelled() => {
                if let Err(error) = self.queue.release(lease).await {
                    tracing::warn!(%error, "a step could not be given back; its lease will end");
                }
                "the worker stops"
            }
            Standing::Held(_) | Standing::Lost => "its lease is lost",
        };
        tracing::info!(
            recording = lease.recording,
            step = lease.step,
            "gave up step {} of recording {}: {why}",
            lease.step,
            lease.recording
        );
        // First nobody is sent there any more, then it is gone.
        if standing != Standing::Cancelled
            && let Ok(Some(job)) = self.queue.job(&lease.tenant, &lease.recording).await
        {
            self.record(&job).await;
        }
        if let Err(error) = self.books.discard(&lease.tenant, &lease.recording, lease.fence).await {
            tracing::warn!(recording = lease.recording, %error, "what a lost attempt wrote was not removed");
        }
    }

    /// Reports a failed attempt. This is the one place where it is logged.
    async fn report(&self, lease: &Lease, held: &Held, failure: &StepFailure) {
        tracing::warn!(
            recording = lease.recording,
            step = lease.step,
            attempt = lease.attempt,
            code = failure.code,
            cause = ?failure.cause,
            detail = failure.detail,
            "step {} of recording {} failed: {}",
            lease.step,
            lease.recording,
            failure.message
        );
        let told = failure.told();
        loop {
            match self.queue.fail(lease, &told).await {
                Ok(outcome) => {
                    if let Outcome::Retry { after_ms } = outcome.outcome {
                        tracing::info!(
                            recording = lease.recording,
                            step = lease.step,
                            after_ms,
                            "will be tried again"
                        );
                    }
                    self.record(&outcome.job).await;
                    if let Err(error) = self.books.discard(&lease.tenant, &lease.recording, lease.fence).await
                    {
                        tracing::debug!(%error, "what a failed attempt wrote was not removed");
                    }
                    return;
                }
                Err(error) if error.is_transient() && matches!(held.standing(), Standing::Held(_)) => {
                    tokio::time::sleep(HAND_IN_EVERY).await;
                }
                // Lost meanwhile: whoever has it now tells.
                Err(error) => return tracing::debug!(%error, "a failure was not taken"),
            }
        }
    }

    /// Writes the books of a job.
    pub async fn record(&self, job: &JobView) {
        if let Err(error) = self.books.write(job).await {
            // The next step's record holds this one too, and the sweeper writes a last one that is missing.
            tracing::warn!(recording = job.recording, %error, "the manifest of recording {} was not written", job.recording);
        }
    }
}
