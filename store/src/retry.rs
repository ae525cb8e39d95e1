//! Trying failed recordings again, one or all of a kind.

use std::pin::pin;

use futures_util::{StreamExt, stream};

use crate::failure::Blame;
use crate::queue::{JobSpec, JobView, Queue};
use crate::{Kind, Manifest, Result, State, Store, layout, read_manifest, rebuild, submit, write_manifest};

/// Manifests read at a time.
const MAX_READS: usize = 16;

/// Which recordings to try again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RetryFilter {
    /// Those of this tenant; `None` for every tenant's.
    pub tenant: Option<String>,
    /// Those in which something failed with this code. `None` for all but refused ones, which
    /// would be refused again.
    pub code: Option<String>,
}

impl RetryFilter {
    fn includes(&self, manifest: &Manifest) -> bool {
        let mut failures = manifest.failure.iter().chain(&manifest.failed_optional);
        manifest.state != State::Cancelled
            && match &self.code {
                Some(code) => failures.any(|failure| failure.code == *code),
                None => failures.any(|failure| failure.blame != Blame::Input),
            }
    }
}

/// Whether something of a recording failed or was cancelled, and its source is there.
pub fn is_possible(manifest: &Manifest) -> bool {
    let is_over = match manifest.state {
        State::Failed | State::Cancelled => true,
        State::Ready => !manifest.failed_optional.is_empty(),
        _ => false,
    };
    let source = manifest.source.as_ref();
    is_over && source.is_some_and(|source| manifest.objects.contains_key(&source.key))
}

/// Tries failed and cancelled steps of a recording again, and brings its manifest up to that.
/// `None` if nothing is known of it. The caller asks [`is_possible`] first.
///
/// # Errors
/// If storage or the queue does not answer. The sweeper completes what was begun.
pub async fn one(store: &Store, queue: &Queue, manifest: &mut Manifest) -> Result<Option<JobView>> {
    let (tenant, recording) = (manifest.tenant.clone(), manifest.recording.clone());
    // The marker comes first: whatever happens after it, the sweeper completes it.
    submit::mark(store, &JobSpec::for_recording(manifest)).await?;
    let job = match queue.retry(&tenant, &recording).await? {
        Some(job) => Some(job),
        None => rebuild::resubmit(store, queue, &tenant, &recording).await?,
    };
    let Some(job) = job else { return Ok(None) };
    let was_ready = manifest.state == State::Ready;
    manifest.apply_steps(&job);
    manifest.failure = None;
    manifest.state = if was_ready { State::Playable } else { State::Queued };
    write_manifest(store, manifest).await?;
    Ok(Some(job))
}

/// Tries again what a filter names, and returns it. Storage is read in full, so nothing is missed
/// that Redis has forgotten: failed recordings, and ready ones whose optional steps failed.
///
/// # Errors
/// If storage or the queue does not answer. Those before it are tried again; another call goes on.
pub async fn all(store: &Store, queue: &Queue, filter: &RetryFilter) -> Result<Vec<Manifest>> {
    let tenants = match &filter.tenant {
        Some(tenant) => vec![tenant.clone()],
        None => store.list_dirs("").await?,
    };
    let mut retried = Vec::new();
    for tenant in tenants.iter().filter(|tenant| layout::valid_tenant(tenant)) {
        let mut recordings = store.list_dirs(&layout::tenant_prefix(tenant)).await?;
        recordings.retain(|recording| layout::valid_recording(recording));
        let reads = recordings.iter().map(|recording| read_manifest(store, tenant, recording));
        let mut manifests = pin!(stream::iter(reads).buffered(MAX_READS));
        while let Some(read) = manifests.next().await {
            let mut manifest = match read {
                Ok(Some(manifest)) => manifest,
                Ok(None) => continue,
                Err(error) if error.kind == Kind::Corrupt => {
                    tracing::error!(tenant_id = tenant, %error, "manifest cannot be read");
                    continue;
                }
                Err(error) => return Err(error),
            };
            if is_possible(&manifest)
                && filter.includes(&manifest)
                && one(store, queue, &mut manifest).await?.is_some()
            {
                retried.push(manifest);
            }
        }
    }
    Ok(retried)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::queue::{FailureReport, JobState};
    use crate::testing::{RedisServer, folder};
    use crate::{ObjectFacts, SourceFacts, StepSpec};

    /// A recording whose step failed for good with a code.
    async fn failed(store: &Store, queue: &Queue, tenant: &str, code: &str) -> String {
        let mut manifest = Manifest::new(tenant, layout::new_recording_id());
        let key = "source/original.mp4".to_owned();
        let facts = ObjectFacts { size_bytes: 1, sha256: String::new() };
        manifest.objects.insert(key.clone(), facts);
        manifest.source = Some(SourceFacts { key, filename: "x.mp4".into(), size_bytes: 1, sha256: None });
        let spec = JobSpec { steps: vec![StepSpec::first()], ..JobSpec::for_recording(&manifest) };
        queue.submit(&spec).await.unwrap();
        loop {
            let lease = queue.lease("w", 60_000).await.unwrap().unwrap();
            let report = FailureReport { code: code.into(), message: "It broke.".into() };
            let job = queue.fail(&lease, &report).await.unwrap().job;
            if job.state == JobState::Failed {
                manifest.apply_steps(&job);
                manifest.failure = job.failure;
                manifest.state = State::Failed;
                write_manifest(store, &manifest).await.unwrap();
                return manifest.recording;
            }
        }
    }

    #[tokio::test]
    async fn all_of_a_tenant_or_of_a_code_are_tried_again() {
        let redis = RedisServer::start().await;
        let (store, _folder) = folder().await;
        let policy = crate::RetryPolicy { base_ms: 0, cap_ms: 0, pause_ms: 0, ..Default::default() };
        let queue = Queue::connect(&redis.settings()).await.unwrap().with_policy(policy);
        let large = failed(&store, &queue, "a", "output_too_large").await;
        let crashed = failed(&store, &queue, "a", "step_crashed").await;
        let refused = failed(&store, &queue, "a", "too_long").await;
        let other = failed(&store, &queue, "b", "output_too_large").await;
        // What Redis has forgotten is found as well.
        queue.forget("b", &other).await.unwrap();
        // One that cannot be read does not stop the others.
        let unreadable = layout::manifest_key("a", &layout::new_recording_id(), 1);
        store.put(&unreadable, Bytes::from_static(b"{")).await.unwrap();

        let retry = async |tenant: Option<&str>, code: Option<&str>| {
            let filter = RetryFilter { tenant: tenant.map(Into::into), code: code.map(Into::into) };
            let retried = all(&store, &queue, &filter).await.unwrap();
            assert!(retried.iter().all(|manifest| manifest.state == State::Queued));
            retried.into_iter().map(|manifest| manifest.recording).collect::<Vec<_>>()
        };
        assert_eq!(retry(Some("a"), Some("output_too_large")).await, [large]);
        assert_eq!(retry(None, None).await, [crashed, other], "a refused one would be refused again");
        assert_eq!(retry(Some("b"), Some("too_long")).await, Vec::<String>::new());
        assert_eq!(retry(None, Some("too_long")).await, [refused]);
        let mut leased = 0;
        while queue.lease("w", 60_000).await.unwrap().is_some() {
            leased += 1;
        }
        assert_eq!(leased, 4);
    }
}
