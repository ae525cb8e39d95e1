//! Rebuilds Redis state from object storage. Keys and revocations need nothing here:
//! [`Authority`](crate::Authority) reads them from storage itself, and before a server answers
//! anything.

use std::collections::{BTreeMap, BTreeSet};
use std::pin::pin;

use futures_util::TryStreamExt;

use crate::clock::now_ms;
use crate::objects::list_all;
use crate::queue::{JobSpec, JobView, Queue};
use crate::step::{StepRecord, StepState};
use crate::submit::{self, Pending};
use crate::{Error, Kind, Manifest, Result, State, Store, layout, listing, read_manifest};

/// A job that is over keeps its marker this long before it counts as forgotten by the process that
/// ended it, in ms.
const RECORDING_TAKES_MS: u64 = 30_000;

/// Findings and actions of a pass.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rebuilt {
    /// Pending recordings looked at.
    pub seen: u64,
    /// (tenant, recording) of those that had no job and now have one.
    pub enqueued: Vec<(String, String)>,
    /// (tenant, recording) of those that had a job of which Redis had lost a part.
    pub healed: Vec<(String, String)>,
    /// (tenant, recording) of those that turned out to be over: their marker was removed.
    pub cleared: Vec<(String, String)>,
    /// Jobs that are over although their marker is still there: the process that ended them stopped
    /// before writing the manifest. The caller writes it and clears the marker.
    pub unrecorded: Vec<JobView>,
    /// (tenant, recording) of those whose marker or manifest cannot be read. They need a person.
    pub unreadable: Vec<(String, String)>,
}

/// Enqueues every pending recording that has no job, keeping finished steps and fences. Run at
/// start and each minute; running it twice, or on two machines at once, changes nothing.
pub async fn pending(store: &Store, queue: &Queue) -> Result<Rebuilt> {
    let mut done = Rebuilt::default();
    let tenants = store.list_dirs("").await?;
    for tenant in tenants.iter().filter(|tenant| layout::valid_tenant(tenant)) {
        let prefix = layout::pending_prefix(tenant);
        let mut markers = pin!(list_all(store, &prefix));
        while let Some(marker) = markers.try_next().await? {
            let recording = marker.key.strip_prefix(&prefix).unwrap_or_default();
            if !layout::valid_recording(recording) {
                continue;
            }
            done.seen += 1;
            match one(store, queue, tenant, recording, &mut done).await {
                Ok(()) => {}
                // One that is broken must not keep the others waiting.
                Err(error) if matches!(error.kind, Kind::Corrupt | Kind::InvalidInput) => {
                    let kind = error.kind.as_str();
                    tracing::error!(
                        recording_id = recording,
                        tenant_id = tenant,
                        kind,
                        %error,
                        "recording cannot be queued"
                    );
                    done.unreadable.push((tenant.clone(), recording.to_string()));
                }
                Err(error) => return Err(error),
            }
        }
    }
    Ok(done)
}

async fn one(store: &Store, queue: &Queue, tenant: &str, recording: &str, done: &mut Rebuilt) -> Result<()> {
    let named = || (tenant.to_string(), recording.to_string());
    if let Some(health) = queue.heal(tenant, recording).await? {
        if health.was_broken {
            done.healed.push(named());
        }
        let since = now_ms().saturating_sub(health.finished_at_ms.unwrap_or(u64::MAX));
        if health.state.is_terminal() && since > RECORDING_TAKES_MS {
            done.unrecorded.extend(queue.job(tenant, recording).await?);
        }
        return Ok(());
    }
    // Removed since it was listed: the recording is over.
    let Some(marker) = submit::read(store, tenant, recording).await? else { return Ok(()) };
    let manifest = read_manifest(store, tenant, recording).await?;
    if manifest.as_ref().is_some_and(|manifest| manifest.state.is_terminal()) {
        // The process that wrote it may have stopped before the lists.
        listing::repair(store, tenant, recording).await?;
        submit::clear(store, tenant, recording).await?;
        done.cleared.push(named());
        return Ok(());
    }
    if restore(queue, marker, manifest, tenant, recording, false).await? {
        done.enqueued.push(named());
    }
    Ok(())
}

/// Enqueues one recording again, although it may have ended: failed and cancelled steps are tried
/// again, finished ones kept. `None` if nothing is known of it.
pub async fn resubmit(
    store: &Store,
    queue: &Queue,
    tenant: &str,
    recording: &str,
) -> Result<Option<JobView>> {
    if let Some(job) = queue.retry(tenant, recording).await? {
        return Ok(Some(job));
    }
    let manifest = read_manifest(store, tenant, recording).await?;
    // Deleted while its retry was on the way.
    if manifest.as_ref().is_some_and(|manifest| manifest.state == State::Deleted) {
        return Ok(None);
    }
    let marker = match (submit::read(store, tenant, recording).await?, &manifest) {
        (Some(marker), _) => marker,
        (None, Some(manifest)) if !manifest.steps.is_empty() => {
            let job = JobSpec::from_records(manifest);
            submit::mark(store, &job).await?;
            Pending { version: 1, job }
        }
        _ => return Ok(None),
    };
    restore(queue, marker, manifest, tenant, recording, true).await?;
    queue.job(tenant, recording).await
}

/// Puts a job together from its marker (what was asked for) and its manifest (what came of it).
async fn restore(
    queue: &Queue,
    marker: Pending,
    manifest: Option<Manifest>,
    tenant: &str,
    recording: &str,
    again: bool,
) -> Result<bool> {
    let mut job = marker.job;
    if job.tenant != tenant || job.recording != recording {
        return Err(Error::corrupt("a pending marker names another recording"));
    }
    let Some(mut manifest) = manifest else {
        return queue.submit(&job).await.map(|submitted| submitted.created);
    };
    if again {
        reset_unfinished(&mut manifest.steps);
    }
    if !manifest.steps.is_empty() {
        job.steps = JobSpec::from_records(&manifest).steps;
    }
    let created_at_ms = u64::try_from(manifest.created_at.as_millisecond()).unwrap_or_default();
    queue
        .restore(&job, &manifest.steps, manifest.fence, created_at_ms)
        .await
        .map(|submitted| submitted.created)
}

/// Sets back every step that has no result, and with them those that went on without one, as the
/// queue's own retry does.
fn reset_unfinished(steps: &mut BTreeMap<String, StepRecord>) {
    let unfinished = steps.iter().filter(|(_, step)| step.state != StepState::Done);
    let mut reset: BTreeSet<String> = unfinished.map(|(name, _)| name.clone()).collect();
    loop {
        let reached = |step: &StepRecord| step.needs.iter().any(|need| reset.contains(need));
        let more: Vec<String> = steps
            .iter()
            .filter(|(name, step)| !reset.contains(*name) && reached(step))
            .map(|(name, _)| name.clone())
            .collect();
        if more.is_empty() {
            break;
        }
        reset.extend(more);
    }
    for (_, step) in steps.iter_mut().filter(|(name, _)| reset.contains(*name)) {
        step.state = StepState::Waiting;
        step.result = None;
        step.failure = None;
    }
}

#[cfg(test)]
mod tests;
