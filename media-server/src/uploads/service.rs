//! The part of the server that receives uploads.

use std::sync::Arc;

use chalkstream_config as config;
use chalkstream_store::{Events, Queue, Store, submit};
use http::StatusCode;
use prometheus_client::metrics::counter::Counter;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::lock::{Locks, UploadGuard};
use super::problems::gone;
use super::state::{self, Upload};
use crate::clock::now_ms;
use crate::names::NameLists;
use crate::permits::{PermitLimits, Permits};
use crate::problem::Problem;
use crate::url::PublicUrl;

/// PATCH requests at once. Each holds at most one part in memory.
const MAX_PATCHES: usize = 64;
/// PATCH requests of one tenant at once.
const MAX_TENANT_PATCHES: usize = 48;

/// Receives uploads. Clones share locks and limits.
#[derive(Clone)]
pub struct Uploads {
    pub(super) store: Store,
    pub(super) queue: Queue,
    pub(super) events: Events,
    /// Names that no title may have.
    pub(super) names: NameLists,
    /// Uploads that are being written to.
    pub(super) locks: Arc<Locks>,
    /// Permits for PATCH requests.
    pub(super) patches: Arc<Semaphore>,
    /// The same of each tenant.
    pub(super) tenant_patches: Permits,
    pub(super) limits: UploadLimits,
    pub(super) public_url: PublicUrl,
    pub(super) counters: Counters,
    /// Background work that shutdown waits for.
    pub(super) tasks: TaskTracker,
    pub(super) shutdown: CancellationToken,
}

/// The limits on uploads.
#[derive(Clone, Copy)]
pub struct UploadLimits {
    /// Size limit of one upload.
    pub max_upload_bytes: u64,
    /// Open uploads that a tenant may have.
    pub max_open_uploads: u32,
    /// Open uploads that one uploader may have.
    pub max_open_uploads_per_uploader: u32,
    /// How long an upload may stand still.
    pub ttl_ms: u64,
}

/// Metrics of uploads.
#[derive(Clone)]
pub struct Counters {
    /// Bytes received.
    pub uploaded_bytes: Counter,
    /// Uploads acknowledged.
    pub finished: Counter,
}

impl Uploads {
    /// Receives uploads into `store`.
    ///
    /// # Errors
    /// If the Redis settings are wrong.
    pub fn new(
        settings: &config::Settings,
        (store, queue, events): (Store, Queue, Events),
        names: NameLists,
        public_url: PublicUrl,
        counters: Counters,
        (tasks, shutdown): (TaskTracker, CancellationToken),
    ) -> Result<Self, chalkstream_store::Error> {
        let server = &settings.server;
        let limits = UploadLimits {
            max_upload_bytes: server.max_upload_bytes,
            max_open_uploads: server.max_open_uploads,
            max_open_uploads_per_uploader: server.max_open_uploads_per_uploader,
            ttl_ms: server.upload_ttl_s * 1000,
        };
        let locks = Arc::new(Locks::new(&settings.redis)?);
        let patches = Arc::new(Semaphore::new(MAX_PATCHES));
        let tenant_patches = Permits::new(PermitLimits {
            server: MAX_PATCHES,
            tenant: MAX_TENANT_PATCHES,
            session: MAX_TENANT_PATCHES,
        });
        Ok(Self {
            store,
            queue,
            events,
            names,
            locks,
            patches,
            tenant_patches,
            limits,
            public_url,
            counters,
            tasks,
            shutdown,
        })
    }

    /// Stops the writer of an upload, and keeps others from it until the guard is dropped.
    ///
    /// # Errors
    /// 423 if the writer does not stop in time.
    pub async fn take_over(&self, tenant: &str, id: &str) -> Result<UploadGuard, Problem> {
        self.locks.take(tenant, id).await
    }

    /// Returns an upload that has not expired, and whose recording was not deleted.
    ///
    /// # Errors
    /// 404 if there is none; 410 if it expired, or if its recording or the one that it was taken
    /// for was deleted: the file has to be sent again.
    pub(super) async fn read_open(&self, tenant: &str, id: &str) -> Result<Upload, Problem> {
        let upload = state::read(&self.store, tenant, id).await?.ok_or_else(Problem::not_found)?;
        if !upload.is_complete() && upload.expires_at_ms < now_ms() {
            return Err(gone());
        }
        if let Some(finished) = &upload.finished
            && submit::is_gone(&self.store, tenant, &finished.recording).await?
        {
            return Err(gone());
        }
        Ok(upload)
    }

    /// Checks an upload's size.
    ///
    /// # Errors
    /// 413 if it is too large.
    pub(super) fn check_size(&self, size_bytes: u64) -> Result<(), Problem> {
        let limit = self.limits.max_upload_bytes;
        if size_bytes <= limit {
            return Ok(());
        }
        let detail = format!("An upload has at most {limit} bytes.");
        Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "upload_too_large", detail))
    }
}
