//! Each few seconds: leases that ended. Each minute: recordings without a job, manifests that were
//! not written. Each hour: what only grows. One worker looks through storage, elected by a lease;
//! all of it is harmless twice, so a lost lease costs nothing but reads.

use std::time::{Duration, Instant};

use chalkstream_config::Retention;
use chalkstream_store::{
    Error, JobState, JobView, Leases, Queue, Result, Store, forget_old_revocations, rebuild, refused,
};
use tokio_util::sync::CancellationToken;

use crate::manifest::writer::ManifestWriter;

/// Time between two looks for recordings without a job.
const REBUILD_INTERVAL: Duration = Duration::from_secs(60);
/// Time between a sweep that failed and the next one.
const RETRY_INTERVAL: Duration = Duration::from_secs(5);
/// A day, in ms.
const DAY_MS: u64 = 24 * 3_600_000;
/// Time between two removals of what only grows.
const CLEANUP_INTERVAL: Duration = Duration::from_secs(3_600);

/// Name of the lease.
const LEASE_NAME: &str = "sweep";
/// After this long without its holder the lease goes to another worker.
const LEASE: Duration = Duration::from_secs(90);

/// Sweeps at once, and then each time a lease could have ended.
pub async fn run(
    queue: Queue,
    manifests: ManifestWriter,
    leases: Leases,
    lease_ms: u64,
    retention: Retention,
    stop: CancellationToken,
) {
    let holder = uuid::Uuid::now_v7().to_string();
    let mut cleaned_at: Option<Instant> = None;
    let mut rebuilt_at: Option<Instant> = None;
    let interval = Duration::from_millis(lease_ms).clamp(RETRY_INTERVAL, REBUILD_INTERVAL);
    warn_of_eviction(&queue).await;
    loop {
        let is_elected = leases.is_elected(LEASE_NAME, &holder, LEASE).await;
        let swept = async {
            take_back_leases(&queue, &manifests, lease_ms / 2).await?;
            if is_elected && rebuilt_at.is_none_or(|at| at.elapsed() >= REBUILD_INTERVAL) {
                rebuild_jobs(&queue, &manifests).await?;
                rebuilt_at = Some(Instant::now());
            }
            Ok::<_, Error>(())
        };
        let wait = match swept.await {
            Ok(()) => interval,
            Err(error) => {
                tracing::warn!(%error, kind = error.kind.as_str(), "sweep failed");
                RETRY_INTERVAL
            }
        };
        if is_elected && cleaned_at.is_none_or(|at| at.elapsed() > CLEANUP_INTERVAL) {
            cleaned_at = Some(Instant::now());
            if let Err(error) = clean_up(&manifests.store, &retention).await {
                tracing::warn!(%error, kind = error.kind.as_str(), "storage cleanup failed");
            }
        }
        tokio::select! {
            () = stop.cancelled() => break,
            () = tokio::time::sleep(wait) => {}
        }
    }
    // So that another worker need not wait. If Redis is away, the lease ends by itself.
    let _ = leases.release(LEASE_NAME, &holder).await;
}

/// Warns if Redis removes keys when it is full.
async fn warn_of_eviction(queue: &Queue) {
    match queue.eviction_policy().await {
        Ok(Some(policy)) if policy != "noeviction" => {
            tracing::warn!(policy, "redis evicts keys, set maxmemory-policy to noeviction");
        }
        Ok(_) => {}
        Err(error) => tracing::debug!(%error, "eviction policy is not known"),
    }
}

/// Every worker does this, which costs Redis little: a killed worker's steps must not wait for an
/// election.
async fn take_back_leases(queue: &Queue, manifests: &ManifestWriter, grace_ms: u64) -> Result<()> {
    for job in queue.sweep(grace_ms).await? {
        if job.state == JobState::Failed {
            tracing::warn!(
                recording_id = job.recording,
                tenant_id = job.tenant,
                "recording failed, its worker was lost"
            );
        }
        update(manifests, &job).await?;
    }
    Ok(())
}

async fn rebuild_jobs(queue: &Queue, manifests: &ManifestWriter) -> Result<()> {
    let rebuilt = rebuild::pending(&manifests.store, queue).await?;
    for (tenant_id, recording_id) in &rebuilt.enqueued {
        tracing::info!(recording_id, tenant_id, "recording queued again");
    }
    for (tenant_id, recording_id) in &rebuilt.healed {
        tracing::warn!(recording_id, tenant_id, "redis had lost a part of a job");
    }
    for job in &rebuilt.unrecorded {
        update(manifests, job).await?;
    }
    Ok(())
}

/// Updates a manifest. One that cannot be written must not keep the others waiting.
async fn update(manifests: &ManifestWriter, job: &JobView) -> Result<()> {
    match manifests.update(job).await {
        Err(error) if !error.is_transient() => {
            let kind = error.kind.as_str();
            tracing::warn!(
                recording_id = job.recording,
                tenant_id = job.tenant,
                kind,
                %error,
                "manifest cannot be written"
            );
            Ok(())
        }
        written => written,
    }
}

async fn clean_up(store: &Store, retention: &Retention) -> Result<()> {
    let leftovers = store.sweep_leftovers().await?;
    let revocations = forget_old_revocations(store).await?;
    let sources = refused::expire(store, u64::from(retention.refused_days) * DAY_MS).await?;
    tracing::debug!(leftovers, revocations, sources, "storage cleaned up");
    Ok(())
}
