//! One pass over a deletion: everything that is shared between servers. Each part can be done
//! again, so a pass that was cut off is simply repeated.

use std::sync::Arc;
use std::time::Duration;

use chalkstream_store::deletion::{self, Amount, Deletion};
use chalkstream_store::{Authority, EventKind, Events, Leases, Queue, State, Store, Target, submit};
use serde_json::json;

use crate::clock::now_ms;
use crate::exclusive::exclusively;
use crate::problem::Problem;
use crate::uploads::{Uploads, forget, unbind_object};

/// After a recording is emptied, late writes are looked for in each pass for this long.
const WATCHED_MS: u64 = 10 * 60 * 1000;
/// After this long a last pass looks once more, and the deletion ends. It is longer than a worker
/// may write on after it was stopped, and than any running server takes to clean its index.
pub const LINGER_MS: u64 = 60 * 60 * 1000;

/// How long a revocation stands for an event that was not published: longer than any manifest is
/// kept in memory.
const REVOKED_S: u64 = 120;

/// How long a server's word that it still has words on disk counts: five passes.
const HELD: Duration = Duration::from_secs(300);

/// Erases what servers share: job, upload, objects.
#[derive(Clone)]
pub struct Eraser {
    pub store: Store,
    pub queue: Queue,
    pub events: Events,
    pub uploads: Uploads,
    pub leases: Arc<Leases>,
    pub authority: Authority,
}

impl Eraser {
    /// Makes a pass at `now_ms`, if one is due and no other server makes it. `may_end` is false
    /// while this server itself still has words of the recording on disk. Returns true if it ended
    /// the deletion.
    ///
    /// # Errors
    /// If storage or Redis is away, or the upload's writer does not stop: try again later.
    pub async fn pass(
        &self,
        tenant: &str,
        recording: &str,
        may_end: bool,
        now_ms: u64,
    ) -> Result<bool, Problem> {
        if !may_end {
            self.hold_receipt(tenant, recording).await?;
        }
        let work = async {
            let Some(deletion) = deletion::read_marker(&self.store, tenant, recording).await? else {
                return Ok(false);
            };
            let age_ms = deletion.emptied_at_ms.map(|at| now_ms.saturating_sub(at));
            if age_ms.is_some_and(|age| (WATCHED_MS..LINGER_MS).contains(&age)) {
                return Ok(false);
            }
            let ends = may_end && age_ms.is_some_and(|age| age >= LINGER_MS);
            let deletion = self.erase(tenant, deletion).await?;
            if !ends || !self.is_receipt_free(tenant, recording).await? {
                return Ok(false);
            }
            self.end(tenant, deletion).await.map(|()| true)
        };
        exclusively(&self.leases, &format!("deletion:{tenant}:{recording}"), work)
            .await
            .map(Option::unwrap_or_default)
    }

    /// Announces to the other servers that a recording is gone: by an event, or, without Redis, by
    /// a revocation, which they have within five seconds. It outlives what they have in memory.
    ///
    /// # Errors
    /// If neither can be written.
    pub async fn announce_order(&self, tenant: &str, recording: &str) -> Result<(), Problem> {
        let data = json!({ "state": State::Deleted.as_str() });
        if let Err(error) = self.events.publish(tenant, recording, EventKind::State, data).await {
            tracing::warn!(tenant_id = tenant, recording_id = recording, %error, "deletion announced by revocation");
            let target = Target::Recording(recording.to_owned());
            self.authority.revoke(tenant, &target, REVOKED_S).await?;
        }
        Ok(())
    }

    async fn erase(&self, tenant: &str, mut deletion: Deletion) -> Result<Deletion, Problem> {
        let recording = deletion.recording.clone();
        deletion::bury(&self.store, tenant, &recording).await?;
        if deletion.buried_at_ms.is_none() {
            // The request may have ended before it announced this.
            self.announce_order(tenant, &recording).await?;
            deletion.buried_at_ms = Some(now_ms());
        }
        // The job comes first: from now on no worker writes, and the same file makes a new job.
        self.queue.forget(tenant, &recording).await?;
        submit::clear(&self.store, tenant, &recording).await?;
        {
            let _held = self.uploads.take_over(tenant, &recording).await?;
            forget(&self.uploads, tenant, &recording).await?;
        }
        // An upload that was just finishing, or the sweeper, may have queued it meanwhile.
        self.queue.forget(tenant, &recording).await?;

        let counted = match &deletion.contents {
            Some(contents) => contents.total,
            None => {
                let contents = deletion::count(&self.store, tenant, &recording).await?;
                let total = contents.total;
                deletion.contents = Some(contents);
                // Stored before the first object goes, so the count survives a crash.
                deletion::mark(&self.store, tenant, &deletion).await?;
                total
            }
        };
        let removed = deletion::remove_objects(&self.store, tenant, &recording).await?;
        if let Some(key) = &deletion.dedupe_key {
            unbind_object(&self.store, key, &recording).await?;
        }
        let is_first = deletion.emptied_at_ms.is_none();
        let late = if is_first { excess(removed, counted) } else { removed };
        deletion.late.objects += late.objects;
        deletion.late.size_bytes += late.size_bytes;
        if is_first {
            // Search indexes follow this event, so the deletion does not go on without it.
            self.events.publish(tenant, &recording, EventKind::Deleted, json!({})).await?;
            deletion.emptied_at_ms = Some(now_ms());
            tracing::info!(
                tenant_id = tenant,
                recording_id = recording,
                objects = counted.objects,
                "recording emptied"
            );
        }
        if is_first || late != Amount::default() {
            deletion::mark(&self.store, tenant, &deletion).await?;
        }
        Ok(deletion)
    }

    async fn end(&self, tenant: &str, mut deletion: Deletion) -> Result<(), Problem> {
        deletion.erased_at_ms = Some(now_ms());
        deletion::file_receipt(&self.store, tenant, &deletion).await?;
        tracing::info!(tenant_id = tenant, recording_id = deletion.recording, "recording erased");
        Ok(())
    }

    /// Keeps other servers from ending the deletion while this one has words on disk. All servers
    /// hold it under one name, so it ends when the last of them stops saying so.
    async fn hold_receipt(&self, tenant: &str, recording: &str) -> Result<(), Problem> {
        self.leases.take(&receipt_name(tenant, recording), "indexes", HELD).await?;
        Ok(())
    }

    async fn is_receipt_free(&self, tenant: &str, recording: &str) -> Result<bool, Problem> {
        let name = receipt_name(tenant, recording);
        let is_free = self.leases.take(&name, "end", Duration::from_secs(1)).await?;
        if is_free {
            self.leases.release(&name, "end").await?;
        }
        Ok(is_free)
    }
}

fn receipt_name(tenant: &str, recording: &str) -> String {
    format!("receipt:{tenant}:{recording}")
}

/// What was removed beyond what was counted before.
fn excess(removed: Amount, counted: Amount) -> Amount {
    Amount {
        objects: removed.objects.saturating_sub(counted.objects),
        size_bytes: removed.size_bytes.saturating_sub(counted.size_bytes),
    }
}
