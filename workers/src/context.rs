//! Connections and settings that everything in a worker shares.

use std::time::Duration;

use chalkstream_config::Settings;
use chalkstream_store::{JobView, Lease, Queue, Store};

use crate::failure::{Cause, StepFailure};
use crate::manifest::writer::ManifestWriter;
use crate::runner::Runner;

/// Connections and settings that everything in a worker shares.
pub struct WorkerContext {
    /// The settings.
    pub settings: Settings,
    /// The recordings.
    pub store: Store,
    /// The jobs.
    pub queue: Queue,
    /// Starts children.
    pub runner: Runner,
    /// Writes manifests.
    pub manifests: ManifestWriter,
}

impl WorkerContext {
    /// How long a running step waits for storage.
    pub fn outage_limit(&self) -> Duration {
        Duration::from_millis(self.settings.worker.outage_wait_ms)
    }

    /// The job of a lease.
    pub async fn job(&self, lease: &Lease) -> Result<JobView, StepFailure> {
        let job = self.queue.job(&lease.tenant, &lease.recording).await.map_err(StepFailure::storage)?;
        job.ok_or_else(|| StepFailure::new(Cause::Cancelled, "the job is gone"))
    }

    /// Brings the manifest up to a job's view. A failure is logged here.
    pub async fn update_manifest(&self, job: &JobView) {
        if let Err(error) = self.manifests.update(job).await {
            // The next step's update contains this one, and the sweeper makes a last one that is
            // missing.
            tracing::warn!(
                recording_id = job.recording,
                tenant_id = job.tenant,
                %error,
                "manifest was not written"
            );
        }
    }
}
