//! The deletions of this server: those it was asked for, and those that another one left.

use std::collections::HashSet;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};

use chalkstream_store::deletion::{self, Deletion};
use chalkstream_store::{Kind, Store, layout, list_all, read_manifest};
use futures_util::TryStreamExt;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::erase::Eraser;
use super::local::LocalCopies;
use crate::clock::now_ms;
use crate::metrics::DeletionMetrics;
use crate::problem::Problem;
use crate::uploads::log_and_continue;
use crate::url::PublicUrl;

/// Deletions that this server works on at once. Each has a thousand keys in memory.
const MAX_AT_ONCE: usize = 4;

/// Tenant and recording of the deletions that this server works on, or is about to.
type Running = Arc<Mutex<HashSet<(String, String)>>>;

/// Deletes recordings. Clones share the background work.
#[derive(Clone)]
pub struct Deletions {
    eraser: Eraser,
    local: LocalCopies,
    public_url: PublicUrl,
    metrics: DeletionMetrics,
    permits: Arc<Semaphore>,
    running: Running,
    tasks: TaskTracker,
    shutdown: CancellationToken,
}

impl Deletions {
    /// Erases with `eraser`, and removes this server's `local` copies.
    pub fn new(
        eraser: Eraser,
        local: LocalCopies,
        public_url: PublicUrl,
        metrics: DeletionMetrics,
        (tasks, shutdown): (TaskTracker, CancellationToken),
    ) -> Self {
        let permits = Arc::new(Semaphore::new(MAX_AT_ONCE));
        Self { eraser, local, public_url, metrics, permits, running: Running::default(), tasks, shutdown }
    }

    /// The path of a deletion's receipt.
    pub fn receipt_path(&self, recording: &str) -> String {
        format!("{}/v1/deletions/{recording}", self.public_url.path())
    }

    /// The part that servers share, for tests.
    #[cfg(test)]
    pub(super) fn eraser(&self) -> &Eraser {
        &self.eraser
    }

    fn store(&self) -> &Store {
        &self.eraser.store
    }

    /// Makes a recording unreachable, and erases it in the background. Once the marker is written,
    /// some server finishes that. An earlier request may have stopped after the marker, so a
    /// repeated one makes the recording unreachable again until it is emptied.
    ///
    /// # Errors
    /// 404 if there is no such recording; 503 if storage is away.
    pub async fn delete(&self, tenant: &str, recording: &str) -> Result<Deletion, Problem> {
        let mut deletion = match deletion::read(self.store(), tenant, recording).await? {
            Some(deletion) => deletion,
            None => self.order(tenant, recording).await?,
        };
        if deletion.emptied_at_ms.is_none() && deletion.erased_at_ms.is_none() {
            deletion::bury(self.store(), tenant, recording).await?;
            self.local.manifests.forget(tenant, recording);
            self.eraser.announce_order(tenant, recording).await?;
            deletion.buried_at_ms = Some(now_ms());
        }
        if deletion.erased_at_ms.is_none() {
            self.erase_in_background(tenant, recording);
        }
        Ok(deletion)
    }

    /// Writes the marker.
    async fn order(&self, tenant: &str, recording: &str) -> Result<Deletion, Problem> {
        let manifest = match read_manifest(self.store(), tenant, recording).await {
            Ok(None) => return Err(Problem::not_found()),
            Err(error) if error.kind == Kind::Corrupt => None,
            manifest => manifest?,
        };
        let deletion = Deletion::new(tenant, recording, manifest.as_ref(), now_ms());
        deletion::mark(self.store(), tenant, &deletion).await?;
        self.metrics.requested.inc();
        Ok(deletion)
    }

    /// Reads a deletion, under way or finished.
    ///
    /// # Errors
    /// 404 if the recording was not deleted.
    pub async fn read(&self, tenant: &str, recording: &str) -> Result<Deletion, Problem> {
        deletion::read(self.store(), tenant, recording).await?.ok_or_else(Problem::not_found)
    }

    /// Goes on with every deletion of a tenant that is under way, and removes this server's own
    /// copies. Returns their number.
    ///
    /// # Errors
    /// If storage is away.
    pub async fn sweep(&self, tenant: &str) -> Result<i64, Problem> {
        let mut open = 0;
        let prefix = layout::deleted_prefix(tenant);
        let mut markers = pin!(list_all(self.store(), &prefix));
        while let Some(marker) = markers.try_next().await? {
            let name = marker.key.strip_prefix(&prefix);
            if let Some(recording) = name.filter(|id| layout::valid_recording(id)) {
                self.erase_in_background(tenant, recording);
                open += 1;
            }
        }
        Ok(open)
    }

    /// Publishes the number of deletions that are under way.
    pub fn set_open(&self, open: i64) {
        self.metrics.open.set(open);
    }

    fn erase_in_background(&self, tenant: &str, recording: &str) {
        let entry = (tenant.to_owned(), recording.to_owned());
        if !self.running.lock().unwrap_or_else(PoisonError::into_inner).insert(entry.clone()) {
            return;
        }
        let this = self.clone();
        self.tasks.spawn(async move {
            let result = tokio::select! {
                () = this.shutdown.cancelled() => Ok(()),
                result = this.pass(&entry.0, &entry.1, now_ms()) => result,
            };
            if let Err(problem) = log_and_continue(result, &entry.1) {
                // The next sweep repeats it. The readiness check reports what is away.
                tracing::debug!(recording_id = entry.1, code = problem.code(), "deletion postponed");
            }
            this.running.lock().unwrap_or_else(PoisonError::into_inner).remove(&entry);
        });
    }

    /// One pass over a deletion at `now_ms`: this server's own copies, then what servers share.
    ///
    /// # Errors
    /// If a service is away: try again later.
    pub(super) async fn pass(&self, tenant: &str, recording: &str, now_ms: u64) -> Result<(), Problem> {
        let _permit = self.permits.acquire().await.map_err(Problem::internal)?;
        // A broken index of one server must not keep the objects.
        let forgotten = self.local.forget(tenant, recording).await;
        let are_gone = forgotten.is_ok() && self.local.are_gone(tenant, recording).await?;
        if self.eraser.pass(tenant, recording, are_gone, now_ms).await? {
            self.metrics.erased.inc();
        }
        forgotten
    }
}
