//! Keeping a recording's books: its manifest after each accepted step, its events, and the end of what was only
//! needed on the way.

use std::collections::BTreeSet;

use chalkstream_store::{
    EventKind, Events, JobView, Kind, Manifest, Result, State, StepState, Store, layout as keys,
    read_manifest, submit, write_manifest,
};
use serde_json::{Value, json};

use crate::{layout, planner, record};

/// Where the books are.
#[derive(Clone)]
pub struct Books {
    /// The recordings.
    pub store: Store,
    /// Who hears of them.
    pub events: Events,
}

impl Books {
    /// Writes what a job's view says. Harmless twice, and at the same time as another worker.
    pub async fn write(&self, job: &JobView) -> Result<()> {
        let Some(before) = read_manifest(&self.store, &job.tenant, &job.recording).await? else {
            return Ok(());
        };
        // Deleted, or written under a later view already.
        if before.state == State::Deleted || before.fence > job.fence {
            return Ok(());
        }
        let mut now = before.clone();
        if let Err(failure) = record::apply(&mut now, job) {
            return Err(chalkstream_store::Error::new(Kind::Corrupt, failure.detail));
        }
        write_manifest(&self.store, &now).await?;
        self.tell(&before, &now).await;
        if now.state.is_terminal() {
            self.close(&now, job).await?;
        }
        Ok(())
    }

    /// Tells everyone what is new.
    async fn tell(&self, before: &Manifest, now: &Manifest) {
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
        let transcript = "transcript.json";
        let ready = now.files.get(transcript).is_some_and(|key| before.files.get(transcript) != Some(key));
        if ready {
            let language = now.steps.get(planner::TRANSCRIBE).and_then(|step| step.result.as_ref());
            let language = language.map(|result| result["report"]["language"].clone());
            self.publish(now, EventKind::TranscriptReady, json!({ "language": language })).await;
        }
        if now.state != before.state {
            self.publish(now, EventKind::State, json!({ "state": now.state })).await;
        }
    }

    /// An event that cannot be told is not worth a step: readers catch up from storage.
    async fn publish(&self, now: &Manifest, kind: EventKind, data: Value) {
        if let Err(error) = self.events.publish(&now.tenant, &now.recording, kind, data).await {
            tracing::warn!(recording = now.recording, %error, "an event of recording {} was not told", now.recording);
        }
    }

    /// Ends what was only needed on the way: first the objects, then the marker, so that a worker that dies in
    /// between leaves the marker to whoever sweeps.
    async fn close(&self, manifest: &Manifest, job: &JobView) -> Result<()> {
        if record::lost_to_its_input(job) {
            for folder in ["source", "index", "hls", "stills", "transcript", "work"] {
                let prefix = keys::object_key(&manifest.tenant, &manifest.recording, &format!("{folder}/"));
                chalkstream_store::delete_prefix(&self.store, &prefix).await?;
            }
        } else if job.steps.iter().all(|step| step.state != StepState::Leased) {
            self.sweep_lost(manifest).await?;
        }
        submit::clear(&self.store, &manifest.tenant, &manifest.recording).await
    }

    /// Removes the objects of attempts that lost, and what the manifest no longer names.
    async fn sweep_lost(&self, manifest: &Manifest) -> Result<()> {
        let lost = |key: &str| layout::fence_of(key).is_some() && !manifest.objects.contains_key(key);
        self.remove(&manifest.tenant, &manifest.recording, lost).await
    }

    /// Removes what one attempt wrote that was not accepted.
    pub async fn discard(&self, tenant: &str, recording: &str, fence: u64) -> Result<()> {
        let manifest = read_manifest(&self.store, tenant, recording).await?;
        let kept: BTreeSet<u64> = manifest.iter().flat_map(record::fences).collect();
        if kept.contains(&fence) {
            return Ok(());
        }
        self.remove(tenant, recording, |key| layout::fence_of(key) == Some(fence)).await
    }

    /// Removes the objects of a recording whose key, relative to it, is `lost`.
    async fn remove(&self, tenant: &str, recording: &str, lost: impl Fn(&str) -> bool) -> Result<()> {
        let prefix = keys::recording_prefix(tenant, recording);
        let mut after: Option<String> = None;
        loop {
            let page = self.store.list(&prefix, after.as_deref(), 1000).await?;
            for object in &page {
                if lost(object.key.strip_prefix(&prefix).unwrap_or_default()) {
                    self.store.delete(&object.key).await?;
                }
            }
            match page.last() {
                Some(last) => after = Some(last.key.clone()),
                None => return Ok(()),
            }
        }
    }
}
