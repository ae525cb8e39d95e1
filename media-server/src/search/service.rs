//! The index as a part of the server: opened at start, fed while it runs, queried by its routes.

use std::sync::Arc;

use chalkstream_config::Settings;
use chalkstream_store::{Events, Manifest, Store};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::feed::Feed;
use super::find::{Area, Hit};
use super::index::{Error, Index};
use super::purge;
use super::still::Storyboards;
use crate::permits::{PermitLimits, Permits, Reached};
use crate::problem::Problem;

/// Queries at once; each takes a blocking thread for some milliseconds.
const MAX_QUERIES: usize = 8;
/// Queries that run or wait.
const MAX_WAITING: PermitLimits = PermitLimits { server: 256, tenant: 64, session: 4 };

/// Search. Clones share the index.
#[derive(Clone)]
pub struct Search {
    index: Arc<Index>,
    permits: Arc<Semaphore>,
    waiting: Permits,
    storyboards: Arc<Storyboards>,
}

impl Search {
    /// Opens the index and starts feeding it.
    ///
    /// # Errors
    /// If the index folder cannot be used.
    pub async fn start(
        settings: &Settings,
        store: Store,
        events: Events,
        tasks: &TaskTracker,
        shutdown: CancellationToken,
    ) -> Result<Self, Error> {
        let folder = settings.server.index_path.clone();
        let index = tokio::task::spawn_blocking(move || Index::open(&folder))
            .await
            .map_err(std::io::Error::other)??;
        let index = Arc::new(index);
        let storyboards = Arc::new(Storyboards::new(store.clone()));
        let feed = Feed::new(index.clone(), store, events);
        let purged = index.clone();
        tasks.spawn(async move {
            tokio::select! {
                () = shutdown.cancelled() => {}
                () = feed.run() => {}
                () = purge::run(purged) => {}
            }
        });
        let permits = Arc::new(Semaphore::new(MAX_QUERIES));
        Ok(Self { index, permits, waiting: Permits::new(MAX_WAITING), storyboards })
    }

    /// True once every transcript in storage has been read.
    pub fn caught_up(&self) -> bool {
        self.index.ready()
    }

    /// The best moments for a query in an area, best first; for a session, if it is not for a
    /// platform.
    ///
    /// # Errors
    /// 503 before the index has caught up, or if too many queries wait; 429 if these are the
    /// caller's own; 500 if the index cannot be read.
    pub async fn find(
        &self,
        query: &str,
        area: OwnedArea,
        session: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Hit>, Problem> {
        if !self.caught_up() {
            return Err(Problem::unavailable("The search index is being built; try again shortly."));
        }
        let _waiting = self.waiting.take(&area.tenant, session).map_err(too_many)?;
        let _permit = self.permits.acquire().await.map_err(Problem::internal)?;
        let (index, query) = (self.index.clone(), query.to_owned());
        let found = tokio::task::spawn_blocking(move || {
            let area = Area {
                tenant: &area.tenant,
                recording: area.recording.as_deref(),
                from_ms: area.from_ms,
                to_ms: area.to_ms,
            };
            index.find(&query, &area, limit)
        });
        found.await.map_err(Problem::internal)?.map_err(Problem::internal)
    }
}

impl Search {
    /// Drops a recording from memory and from the index.
    ///
    /// # Errors
    /// 500 if the index cannot be written.
    pub async fn forget(&self, tenant: &str, recording: &str) -> Result<(), Problem> {
        self.storyboards.forget(tenant, recording);
        let (tenant, recording) = (tenant.to_owned(), recording.to_owned());
        self.blocking(move |index| index.remove_now(&tenant, &recording)).await
    }

    /// True if a file of the index has words of a recording, removed ones included.
    ///
    /// # Errors
    /// 500 if the index cannot be read.
    pub async fn has_words(&self, tenant: &str, recording: &str) -> Result<bool, Problem> {
        let (tenant, recording) = (tenant.to_owned(), recording.to_owned());
        self.blocking(move |index| index.has_words(&tenant, &recording)).await
    }

    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Index) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Problem> {
        let index = self.index.clone();
        let done = tokio::task::spawn_blocking(move || work(&index));
        done.await.map_err(Problem::internal)?.map_err(Problem::internal)
    }

    /// The still of a moment, relative to `/s/{session}/{recording}/`; `None` if there are no
    /// images (yet).
    pub async fn still(&self, manifest: &Manifest, at_ms: u64) -> Option<String> {
        self.storyboards.still(manifest, at_ms).await
    }
}

fn too_many(reached: Reached) -> Problem {
    Problem::new(reached.status(), "too_many_searches", "Too many searches at once; try again shortly.")
        .retry_after_s(1)
}

/// [`Area`] for another thread.
#[derive(Clone, Debug)]
pub struct OwnedArea {
    /// Only this tenant's lessons.
    pub tenant: String,
    /// Only this recording, if given.
    pub recording: Option<String>,
    /// Only moments that begin at or after this time, in ms.
    pub from_ms: Option<u64>,
    /// Only moments that end at or before this time, in ms.
    pub to_ms: Option<u64>,
}
