//! Whether this worker takes steps. After a failure the queue pauses it, and a check of its machine
//! must pass before it takes another recording.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use chalkstream_config::Settings;
use chalkstream_store::{MachineCheck, Pause, Queue, Store};
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::failure::StepFailure;
use crate::metrics::WorkerMetrics;
use crate::runner::Runner;
use crate::{admission, capabilities};

/// Time between two announcements to the queue.
const ANNOUNCE_INTERVAL: Duration = Duration::from_secs(10);
/// Longest time between two checks while the last one failed: the machine may be well again.
const RECHECK_INTERVAL: Duration = Duration::from_secs(15);

/// State of a worker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HealthState {
    /// It takes steps.
    Working,
    /// It takes none.
    Paused {
        /// When its machine is checked.
        until: Instant,
        /// Code of the last failure.
        code: String,
        /// Whether the last check failed.
        check_failed: bool,
    },
}

/// Health of a worker.
pub struct WorkerHealth {
    state: watch::Sender<HealthState>,
    metrics: Arc<WorkerMetrics>,
}

/// What the check of a machine looks at.
pub struct Machine {
    /// Name of the worker.
    pub name: String,
    /// The queue.
    pub queue: Queue,
    /// The recordings.
    pub store: Store,
    /// Starts children.
    pub runner: Runner,
    /// The settings.
    pub settings: Settings,
    /// Folder for temporary files.
    pub scratch_path: PathBuf,
}

impl WorkerHealth {
    /// A worker that takes steps.
    pub fn new(metrics: Arc<WorkerMetrics>) -> Self {
        Self { state: watch::Sender::new(HealthState::Working), metrics }
    }

    /// The state now.
    pub fn state(&self) -> HealthState {
        self.state.borrow().clone()
    }

    /// Pauses the worker.
    pub fn pause(&self, pause: &Pause) {
        self.set_paused(pause, false);
    }

    fn set_paused(&self, pause: &Pause, check_failed: bool) {
        let pause_time = Duration::from_millis(pause.for_ms);
        let until = Instant::now() + if check_failed { pause_time.min(RECHECK_INTERVAL) } else { pause_time };
        let code = pause.code.clone();
        tracing::warn!(code, for_ms = pause.for_ms, "worker paused");
        // One that goes on is none more.
        if self.state() == HealthState::Working {
            self.metrics.count_pause(&code);
        }
        self.state.send_replace(HealthState::Paused { until, code, check_failed });
    }

    /// Waits until the worker may take a step.
    pub async fn working(&self) {
        let mut state = self.state.subscribe();
        // The sender is ours.
        let _ = state.wait_for(|state| *state == HealthState::Working).await;
    }

    /// Announces the worker, and checks its machine at the end of each pause.
    pub async fn watch(&self, machine: &Machine, stop: CancellationToken) {
        let mut changes = self.state.subscribe();
        let mut announce_at = Instant::now() + ANNOUNCE_INTERVAL;
        loop {
            let state = changes.borrow_and_update().clone();
            let check_at = match &state {
                HealthState::Working => None,
                HealthState::Paused { until, .. } => Some(*until),
            };
            tokio::select! {
                () = stop.cancelled() => break,
                _ = changes.changed() => {}
                () = tokio::time::sleep_until(announce_at) => {
                    announce_at = Instant::now() + ANNOUNCE_INTERVAL;
                    machine.announce(MachineCheck::NotMade).await;
                }
                () = tokio::time::sleep_until(check_at.unwrap_or(announce_at)), if check_at.is_some() => {
                    self.check(machine, &state).await;
                }
            }
        }
        if let Err(error) = machine.queue.leave(&machine.name).await {
            tracing::debug!(%error, "worker did not say that it stops");
        }
    }

    async fn check(&self, machine: &Machine, state: &HealthState) {
        let failure = machine.check().await.err();
        let check = match (&failure, state) {
            (Some(failure), _) => MachineCheck::Failed(&failure.code),
            // It was found out what was wrong, and that is over.
            (None, HealthState::Paused { check_failed: true, .. }) => MachineCheck::Passed,
            (None, _) => MachineCheck::NotMade,
        };
        let pause = machine.announce(check).await;
        match (failure, pause) {
            (Some(failure), pause) => {
                tracing::warn!(code = failure.code, error = failure.detail, "worker check failed");
                let for_ms = pause.map_or(RECHECK_INTERVAL.as_millis() as u64, |pause| pause.for_ms);
                self.set_paused(&Pause { for_ms, code: failure.code }, true);
            }
            // Another step failed meanwhile.
            (None, Some(pause)) => self.pause(&pause),
            (None, None) => {
                tracing::info!("worker resumed");
                self.state.send_replace(HealthState::Working);
            }
        }
    }
}

impl Machine {
    /// Announces the worker; returns its pause. Where the queue does not answer there is none.
    pub async fn announce(&self, check: MachineCheck<'_>) -> Option<Pause> {
        match self.queue.announce(&self.name, &capabilities::detect(&self.settings), check).await {
            Ok(pause) => pause,
            Err(error) => {
                tracing::debug!(%error, "worker was not announced");
                None
            }
        }
    }

    /// Checks what every step needs: a disk, a child, the storage.
    async fn check(&self) -> Result<(), StepFailure> {
        admission::check_disk(&self.scratch_path)?;
        self.runner.check().await?;
        self.store.list("_system/", None, 1).await.map(drop).map_err(StepFailure::storage)
    }
}
