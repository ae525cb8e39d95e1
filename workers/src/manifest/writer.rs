//! Writes a recording's manifest after each accepted step, publishes its events, and removes what
//! was only needed on the way.

use std::collections::BTreeSet;

use chalkstream_store::{
    EventKind, Events, JobSpec, JobView, Manifest, Queue, Result, State, StepState, Store, delete_where,
    inventory, layout, list_manifest, put_manifest, read_manifest, refused, submit,
};
use serde_json::{Value, json};

use super::project;
use crate::steps::transcribe;

/// Writes manifests.
#[derive(Clone)]
pub struct ManifestWriter {
    /// The recordings.
    pub store: Store,
    /// The jobs.
    pub queue: Queue,
    /// The stream of their events.
    pub events: Events,
}

impl ManifestWriter {
    /// Brings the manifest up to a job's view. Harmless twice, and at the same time as another
    /// worker.
    pub async fn update(&self, job: &JobView) -> Result<()> {
        let Some(before) = read_manifest(&self.store, &job.tenant, &job.recording).await? else {
            return Ok(());
        };
        if before.state == State::Deleted {
            return Ok(());
        }
        if before.fence > job.fence {
            // Written under a later view already, unless the queue itself is behind.
            return match self.queue.catch_up(&job.tenant, &job.recording, before.fence).await? {
                Some(job) => self.write(before, &job).await,
                None => Ok(()),
            };
        }
        self.write(before, job).await
    }

    async fn write(&self, before: Manifest, job: &JobView) -> Result<()> {
        let mut now = before.clone();
        project::project_job(&mut now, job)?;
        let written = put_manifest(&self.store, &now).await?;
        // A caller that repeats this after a failure below finds no change any more.
        self.publish_changes(&before, &now).await;
        list_manifest(&self.store, &now, &written).await?;
        if now.state.is_terminal() {
            self.finalize(&now, job).await?;
        }
        Ok(())
    }

    async fn publish_changes(&self, before: &Manifest, now: &Manifest) {
        for (name, step) in &now.steps {
            let was = before.steps.get(name).map(|step| step.state);
            if was != Some(step.state) && step.state.is_terminal() {
                let code = step.failure.as_ref().map(|failure| failure.code.as_str());
                let data = json!({ "step": name, "state": step.state, "code": code });
                self.publish(now, EventKind::Step, data).await;
            }
        }
        if now.revision != before.revision
            && let Some(revision) = &now.revision
        {
            self.publish(now, EventKind::Revision, json!({ "revision": revision.id })).await;
        }
        let transcript = now.files.get("transcript.json");
        if transcript.is_some() && before.files.get("transcript.json") != transcript {
            let result = now.steps.get(transcribe::NAME).and_then(|step| step.result.as_ref());
            let language = result.map(|result| result["report"]["language"].clone());
            let data = json!({ "language": language });
            self.publish(now, EventKind::TranscriptReady, data).await;
        }
        if now.state != before.state {
            self.publish(now, EventKind::State, json!({ "state": now.state })).await;
        }
    }

    /// Failing to publish an event must not fail the step: readers catch up from storage.
    async fn publish(&self, now: &Manifest, kind: EventKind, data: Value) {
        let published = self.events.publish(&now.tenant, &now.recording, kind, data).await;
        if let Err(error) = published {
            tracing::warn!(
                recording_id = now.recording,
                tenant_id = now.tenant,
                %error,
                "event was not published"
            );
        }
    }

    /// Removes what was only needed on the way. Objects go before the marker, so that a worker that
    /// dies in between leaves the marker to the sweeper.
    async fn finalize(&self, manifest: &Manifest, job: &JobView) -> Result<()> {
        let (tenant, recording) = (&manifest.tenant, &manifest.recording);
        if job.steps.iter().all(|step| step.state != StepState::Leased) {
            // Objects of attempts that lost, and those that nothing names or needs any more. A
            // higher fence is of an attempt that runs: the job was retried meanwhile.
            let named = inventory::named_keys(&self.store, manifest).await?;
            let keeps_work = project::keeps_work_files(job);
            let is_needed = |key: &str| named.contains(key) && (keeps_work || !key.starts_with("work/"));
            let is_old = |key: &str| layout::fence_of(key).is_some_and(|fence| fence <= manifest.fence);
            self.delete(tenant, recording, |key| is_old(key) && !is_needed(key)).await?;
        }
        if manifest.is_refused() {
            refused::mark(&self.store, manifest).await?;
        }
        submit::clear(&self.store, tenant, recording).await?;
        // A retry marks the recording before it changes the job, and may have done so just before.
        let now = self.queue.heal(tenant, recording).await?;
        if now.is_some_and(|now| !now.state.is_terminal()) {
            submit::mark(&self.store, &JobSpec::for_recording(manifest)).await?;
        }
        Ok(())
    }

    /// Removes single segments of a live rendition, once the manifest names the objects that they
    /// share.
    pub async fn discard_single_segments(&self, tenant: &str, recording: &str, fence: u64) -> Result<()> {
        let manifest = read_manifest(&self.store, tenant, recording).await?;
        let Some(manifest) = manifest.filter(|manifest| manifest.inventories.contains_key(&fence)) else {
            return Ok(());
        };
        let named = inventory::named_keys(&self.store, &manifest).await?;
        self.delete(tenant, recording, |key| layout::fence_of(key) == Some(fence) && !named.contains(key))
            .await
    }

    /// Removes what an attempt wrote, unless its result was accepted.
    pub async fn discard_attempt(&self, tenant: &str, recording: &str, fence: u64) -> Result<()> {
        let manifest = read_manifest(&self.store, tenant, recording).await?;
        let accepted: BTreeSet<u64> = manifest.iter().flat_map(project::fences).collect();
        if accepted.contains(&fence) {
            return Ok(());
        }
        self.delete(tenant, recording, |key| layout::fence_of(key) == Some(fence)).await
    }

    /// Deletes the objects of a recording that `is_lost` names by relative key.
    async fn delete(&self, tenant: &str, recording: &str, is_lost: impl Fn(&str) -> bool) -> Result<()> {
        let prefix = layout::recording_prefix(tenant, recording);
        let is_wanted = |key: &str| is_lost(key.strip_prefix(&prefix).unwrap_or_default());
        delete_where(&self.store, &prefix, is_wanted).await.map(drop)
    }
}
