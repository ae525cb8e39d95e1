//! The loop: lease a step, run it, hand its result in, update the manifest.

use std::sync::Arc;
use std::time::{Duration, Instant};

use chalkstream_config::Settings;
use chalkstream_pipeline::model;
use chalkstream_store::{
    EventKind, Events, Kind, Lease, LeaseOffer, LeaseRequest, Leases, MachineCheck, Outcome, Pause, Queue,
    RetryPolicy, open,
};
use serde_json::json;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::admin::Admin;
use crate::admission::{Admission, Ask, Capacity, Slot, StepPermit};
use crate::attempt::{Attempt, StepOutcome};
use crate::capabilities;
use crate::context::WorkerContext;
use crate::drain::{Drain, Shutdown};
use crate::failure::{Cause, StepFailure};
use crate::health::{Machine, WorkerHealth};
use crate::lease::{LeaseHandle, LeaseRenewer, LeaseStatus};
use crate::manifest::writer::ManifestWriter;
use crate::metrics::{AttemptEnd, WorkerMetrics};
use crate::runner::{Progress, Runner};
use crate::scratch::Scratch;
use crate::steps::StepKind;
use crate::steps::result::Results;
use crate::{Error, sandbox_check, sweeper};

/// Time between two progress events of one step.
const PROGRESS_INTERVAL: Duration = Duration::from_secs(2);
/// Time between two tries to hand a result in while Redis is away.
const HAND_IN_INTERVAL: Duration = Duration::from_millis(500);
/// How long steps may take to be handed back when the grace period is over.
const MAX_STOP: Duration = Duration::from_secs(6);

/// The slots of this process.
struct WorkerProcess {
    context: WorkerContext,
    renewer: Arc<LeaseRenewer>,
    name: String,
    health: Arc<WorkerHealth>,
    drain: Drain,
    metrics: Arc<WorkerMetrics>,
    /// Steps that run.
    steps: TaskTracker,
    /// Room for steps.
    admission: Arc<Admission>,
}

/// Works until `shutdown`. Running steps then have `worker.drain_ms` to end; what is left is
/// handed back, so another worker can have it at once.
///
/// # Errors
/// If the worker cannot start: wrong settings, no scratch folder, no sandbox.
pub async fn run(settings: Settings, shutdown: Shutdown) -> Result<(), Error> {
    let admin = Admin::bind(settings.worker.admin_listen).await?;
    let store = open(&settings.store).await?;
    let policy = RetryPolicy {
        attempts: settings.worker.attempts,
        losses: settings.worker.losses,
        ..RetryPolicy::default()
    };
    let queue = Queue::connect_lazy(&settings.redis)?.with_policy(policy);
    let manifests = ManifestWriter {
        store: store.clone(),
        queue: queue.clone(),
        events: Events::connect(&settings.redis)?,
    };
    let scratch = Scratch::new(&settings.worker.scratch_path)?;
    let runner = Runner::new(&settings.worker, scratch.path());
    runner.prepare().await.map_err(|failure| Error::Media(failure.detail))?;
    sandbox_check::check(&runner, &settings, &shutdown.drain).await?;
    let renewer = LeaseRenewer::start(&settings)?;

    let drain = Drain::new(shutdown, Duration::from_millis(settings.worker.drain_ms));
    let background = TaskTracker::new();
    let ended = CancellationToken::new();
    background.spawn(sweeper::run(
        queue.clone(),
        manifests.clone(),
        Leases::connect(&settings.redis)?,
        settings.worker.lease_ms,
        settings.retention.clone(),
        ended.clone(),
    ));
    let capacity = Capacity::new(&settings.worker);
    let admission = Admission::new(&settings.worker, capacity, scratch.path());
    let metrics = Arc::new(WorkerMetrics::new(capacity));
    let health = Arc::new(WorkerHealth::new(Arc::clone(&metrics)));
    let _admin = admin.serve(Arc::clone(&health), Arc::clone(&admission), Arc::clone(&metrics));
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let name = format!("{}-{}", host.trim(), std::process::id());
    tracing::info!(
        slots = capacity.long_steps(),
        cores = capacity.cores,
        memory_bytes = capacity.memory_bytes,
        worker = name,
        "worker started"
    );
    if capacity.is_short_of_memory() {
        tracing::warn!("memory allows fewer steps at once than cores and settings do");
    }
    if settings.speech.enabled && !settings.speech.models_folder().join(model::MEANING_FILE).is_file() {
        tracing::warn!("model of meaning not installed, transcripts are found by their words alone");
    }
    let machine = Machine {
        name: name.clone(),
        queue: queue.clone(),
        store: store.clone(),
        runner: runner.clone(),
        settings: settings.clone(),
        scratch_path: scratch.path().to_owned(),
    };
    let worker = Arc::new(WorkerProcess {
        context: WorkerContext { settings, store, queue, runner, manifests },
        renewer,
        name,
        health,
        drain: drain.clone(),
        metrics,
        steps: TaskTracker::new(),
        admission,
    });
    // Others learn of this worker before it takes a step from them.
    machine.announce(MachineCheck::NotMade).await;
    let (watched, stop) = (Arc::clone(&worker), ended.clone());
    background.spawn(async move { watched.health.watch(&machine, stop).await });
    tokio::join!(worker.take_steps(Slot::Any), worker.take_steps(Slot::Short));
    ended.cancel();
    background.close();
    worker.steps.close();
    tracing::info!(steps = worker.steps.len(), "worker stops, running steps may end");
    let over = async {
        drain.over().await;
        tokio::time::sleep(MAX_STOP).await;
    };
    tokio::select! {
        _ = async { tokio::join!(worker.steps.wait(), background.wait()) } => {}
        () = over => tracing::warn!("steps were not released in time, their leases will end"),
    }
    drop(scratch);
    Ok(())
}

impl WorkerProcess {
    /// Leases steps while there is room for them.
    async fn take_steps(self: &Arc<Self>, slot: Slot) {
        let poll = Duration::from_millis(self.context.settings.worker.poll_ms);
        let mut away = false;
        while !self.drain.has_begun() {
            let (permit, ask) = tokio::select! {
                () = self.drain.begun() => return,
                room = self.room(slot) => room,
            };
            let given = Instant::now();
            let capabilities = capabilities::detect(&self.context.settings);
            // Not cancelled half-way: the queue may have given a step to a caller that is gone.
            let request = LeaseRequest {
                worker: &self.name,
                lease_ms: self.context.settings.worker.lease_ms,
                only_short: ask.only_short || slot == Slot::Short,
                occupancy: ask.occupancy,
                tenant_steps_max: self.context.settings.worker.tenant_steps_max,
                capabilities: &capabilities,
            };
            let offered = self.context.queue.offer(&request).await;
            let idle = match offered {
                Ok(LeaseOffer::Step(lease)) => {
                    let worker = Arc::clone(self);
                    self.steps.spawn(async move { worker.step(*lease, given, permit).await });
                    away = false;
                    continue;
                }
                Ok(LeaseOffer::Paused(pause)) => {
                    away = false;
                    self.health.pause(&pause);
                    continue;
                }
                Ok(LeaseOffer::Nothing) => {
                    away = false;
                    poll
                }
                Err(error) => {
                    // Once, not four times a second.
                    if !std::mem::replace(&mut away, true) {
                        tracing::warn!(%error, "queue does not answer, asking again");
                    }
                    poll.max(Duration::from_millis(500))
                }
            };
            drop(permit);
            tokio::select! {
                () = self.drain.begun() => return,
                () = tokio::time::sleep(idle) => {}
            }
        }
    }

    /// Waits until the worker is well and has room for a step. A nearly full disk pauses it.
    async fn room(&self, slot: Slot) -> (StepPermit, Ask) {
        loop {
            self.health.working().await;
            match self.admission.ask(slot).await {
                Ok(room) => return room,
                Err(_) => self.health.pause(&Pause { for_ms: 0, code: "disk_full".into() }),
            }
        }
    }

    /// Works on one leased step to its end.
    async fn step(&self, lease: Lease, given: Instant, permit: StepPermit) {
        let (progress, seen) = watch::channel(Progress::default());
        let handle = self.renewer.keep_alive(&lease, given, seen.clone()).await;
        let cancel = CancellationToken::new();
        let attempt = async {
            if let Some(kind) = StepKind::from_name(&lease.step) {
                let media = Results::from_needs(&lease.needs)?.media()?;
                tokio::select! {
                    biased;
                    begun = permit.begin(kind, media.as_ref(), lease.alone, &cancel) => begun?,
                    // It waits for room, and another worker may have some.
                    () = self.drain.begun() => {
                        return Err(StepFailure::new(Cause::Cancelled, "the worker stops"));
                    }
                }
            }
            let (context, cancel) = (&self.context, cancel.clone());
            let attempt = Attempt { context, lease: &lease, handle: &handle, cancel, progress };
            self.metrics.measure(&lease, attempt.run()).await
        };
        tokio::pin!(attempt);
        let reporting = self.publish_progress(&lease, seen);
        tokio::pin!(reporting);
        let mut ended = false;
        let result = loop {
            tokio::select! {
                biased;
                result = &mut attempt => break result,
                _ = handle.ended(), if !ended => {
                    ended = true;
                    cancel.cancel();
                }
                () = self.drain.over(), if !ended => {
                    ended = true;
                    cancel.cancel();
                }
                () = &mut reporting => {}
            }
        };
        match result {
            Ok(outcome) => self.hand_in(&lease, &handle, outcome).await,
            Err(failure) if ended || failure.cause == Cause::Cancelled => {
                self.give_up(&lease, &handle).await;
            }
            Err(failure) => self.report(&lease, &handle, &failure).await,
        }
    }

    /// Publishes the step's progress while it runs, from none on: a lost attempt's is no more.
    async fn publish_progress(&self, lease: &Lease, mut seen: watch::Receiver<Progress>) {
        loop {
            let now = *seen.borrow_and_update();
            let data = json!({ "step": lease.step, "done_ms": now.done_ms, "total_ms": now.total_ms });
            let published = self
                .context
                .manifests
                .events
                .publish(&lease.tenant, &lease.recording, EventKind::Progress, data)
                .await;
            if let Err(error) = published {
                tracing::debug!(%error, "progress was not published");
            }
            tokio::time::sleep(PROGRESS_INTERVAL).await;
            if seen.changed().await.is_err() {
                break;
            }
        }
        // The attempt has its own end.
        std::future::pending::<()>().await;
    }

    /// Hands a result in, for as long as Redis is away and the lease has not been given to another.
    async fn hand_in(&self, lease: &Lease, handle: &LeaseHandle, outcome: StepOutcome) {
        let Ok(value) = serde_json::to_value(&outcome.result) else {
            return self.report(lease, handle, &StepFailure::ours("a result is not JSON")).await;
        };
        loop {
            match self.context.queue.complete(lease, value.clone(), &outcome.added_steps).await {
                Ok(job) => {
                    tracing::info!(
                        recording_id = lease.recording,
                        tenant_id = lease.tenant,
                        step = lease.step,
                        attempt = lease.attempt,
                        "step done"
                    );
                    self.metrics.count_end(lease, AttemptEnd::Done);
                    self.context.update_manifest(&job).await;
                    if outcome.result.inventory.is_some() && !outcome.result.objects.is_empty() {
                        self.discard_single_segments(lease).await;
                    }
                    return;
                }
                Err(error) if error.kind == Kind::Lost => return self.give_up(lease, handle).await,
                Err(error) if !error.is_transient() => {
                    tracing::error!(
                        recording_id = lease.recording,
                        tenant_id = lease.tenant,
                        step = lease.step,
                        %error,
                        "result rejected by the queue"
                    );
                    return self.report(lease, handle, &StepFailure::ours(error)).await;
                }
                // Whether it was accepted is not known: what was written stays for the sweep at the
                // job's end.
                Err(_) if self.drain.is_over() => return,
                Err(_) => tokio::time::sleep(HAND_IN_INTERVAL).await,
            }
        }
    }

    /// Removes the single segments of a complete live rendition. If that fails, the sweep at
    /// the job's end does it.
    async fn discard_single_segments(&self, lease: &Lease) {
        let (tenant, recording) = (&lease.tenant, &lease.recording);
        let discarded = self.context.manifests.discard_single_segments(tenant, recording, lease.fence).await;
        if let Err(error) = discarded {
            tracing::debug!(%error, "single segments were not removed");
        }
    }

    /// Ends an attempt whose lease is over, or that a stopping worker leaves to another.
    async fn give_up(&self, lease: &Lease, handle: &LeaseHandle) {
        let status = handle.status();
        let (reason, end) = match status {
            LeaseStatus::Cancelled => ("job_over", AttemptEnd::JobOver),
            LeaseStatus::Held(_) if self.drain.has_begun() => {
                if let Err(error) = self.context.queue.release(lease).await {
                    tracing::warn!(%error, "step was not released, its lease will end");
                }
                ("worker_stops", AttemptEnd::GivenBack)
            }
            LeaseStatus::Held(_) | LeaseStatus::Lost => ("lease_lost", AttemptEnd::LeaseLost),
        };
        self.metrics.count_end(lease, end);
        tracing::info!(
            recording_id = lease.recording,
            tenant_id = lease.tenant,
            step = lease.step,
            reason,
            "step given up"
        );
        // Unpublish before deleting, so that no viewer is sent to missing segments.
        if status != LeaseStatus::Cancelled
            && let Ok(Some(job)) = self.context.queue.job(&lease.tenant, &lease.recording).await
        {
            self.context.update_manifest(&job).await;
        }
        if let Err(error) =
            self.context.manifests.discard_attempt(&lease.tenant, &lease.recording, lease.fence).await
        {
            tracing::warn!(
                recording_id = lease.recording,
                tenant_id = lease.tenant,
                %error,
                "outputs of a lost attempt were not removed"
            );
        }
    }

    /// Reports a failed attempt. This is the one place where it is logged.
    async fn report(&self, lease: &Lease, handle: &LeaseHandle, failure: &StepFailure) {
        tracing::warn!(
            recording_id = lease.recording,
            tenant_id = lease.tenant,
            step = lease.step,
            attempt = lease.attempt,
            code = failure.code,
            cause = ?failure.cause,
            error = failure.detail,
            "step failed"
        );
        self.metrics.count_failure(&failure.code);
        let report = failure.to_report();
        loop {
            match self.context.queue.fail(lease, &report).await {
                Ok(outcome) => {
                    self.metrics.count_end(lease, AttemptEnd::from(outcome.outcome));
                    if let Some(pause) = &outcome.pause {
                        self.health.pause(pause);
                    }
                    if let Outcome::Retry { after_ms } = outcome.outcome {
                        tracing::info!(
                            recording_id = lease.recording,
                            tenant_id = lease.tenant,
                            step = lease.step,
                            after_ms,
                            "step retry scheduled"
                        );
                    }
                    self.context.update_manifest(&outcome.job).await;
                    if let Err(error) = self
                        .context
                        .manifests
                        .discard_attempt(&lease.tenant, &lease.recording, lease.fence)
                        .await
                    {
                        tracing::debug!(%error, "outputs of a failed attempt were not removed");
                    }
                    return;
                }
                Err(error) if error.is_transient() && matches!(handle.status(), LeaseStatus::Held(_)) => {
                    tokio::time::sleep(HAND_IN_INTERVAL).await;
                }
                // Lost meanwhile: the worker that has the step now reports.
                Err(error) => return tracing::debug!(%error, "failure report was not accepted"),
            }
        }
    }
}
