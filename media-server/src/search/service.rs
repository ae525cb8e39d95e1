//! The index as a part of the server: opened at start, fed while it runs, queried by its routes.

use std::sync::Arc;

use chalkstream_config::{SearchEngineKind, Settings};
use chalkstream_store::{Events, Manifest, Store};
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::embedded::Embedded;
use super::engine::{Area, Error, SearchEngine};
use super::feed::Feed;
use super::find::{self, SearchPage};
use super::index::Index;
use super::meaning::{self, QueryEncoder, Similarity};
use super::opensearch::OpenSearch;
use super::purge;
use super::still::Storyboards;
use crate::permits::{PermitLimits, Permits, Reached};
use crate::problem::Problem;

/// Queries that run or wait.
const MAX_WAITING: PermitLimits = PermitLimits { server: 256, tenant: 64, session: 4 };

/// Search. Clones share the index.
#[derive(Clone)]
pub struct Search {
    index: Index,
    permits: Arc<Semaphore>,
    waiting: Permits,
    storyboards: Arc<Storyboards>,
    encoder: Arc<QueryEncoder>,
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
        let search = settings.search.clone();
        let runtime = Handle::current();
        let open = move || -> Result<Box<dyn SearchEngine>, Error> {
            Ok(match search.engine {
                SearchEngineKind::Embedded => Box::new(Embedded::open(&folder)?),
                SearchEngineKind::OpenSearch => {
                    Box::new(OpenSearch::open(&search.opensearch, &folder, runtime)?)
                }
            })
        };
        let engine = tokio::task::spawn_blocking(open).await.map_err(std::io::Error::other)??;
        let index = Index::new(engine);
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
        let permits = Arc::new(Semaphore::new(find::max_at_once()));
        let model = settings.speech.models_folder().join(chalkstream_meaning::MODEL_FILE);
        let encoder = Arc::new(QueryEncoder::new(model));
        Ok(Self { index, permits, waiting: Permits::new(MAX_WAITING), storyboards, encoder })
    }

    /// True once every transcript in storage has been read.
    pub fn caught_up(&self) -> bool {
        self.index.ready()
    }

    /// The best moments for a query in an area, at most `limit` after the first `skip`, and on the
    /// first page the passages that mean the same; for a session, if it is not for a platform.
    ///
    /// # Errors
    /// 503 before the index has caught up, if its cluster is away, or if too many queries wait; 429
    /// if these are the caller's own; 500 if the index cannot be read.
    pub async fn find(
        &self,
        query: &str,
        area: Area,
        session: Option<&str>,
        (skip, limit): (usize, usize),
    ) -> Result<(SearchPage, Similarity), Problem> {
        if !self.caught_up() {
            return Err(Problem::unavailable("The search index is being built; try again shortly."));
        }
        let _waiting = self.waiting.take(&area.tenant, session).map_err(too_many)?;
        let _permit = self.permits.acquire().await.map_err(Problem::internal)?;
        let query = query.to_owned();
        let encoder = self.encoder.clone();
        self.blocking(move |index| {
            let page = find::find(index.engine(), &query, &area, skip, limit)?;
            let similarity = match skip {
                0 => meaning::find(index.engine(), &encoder, &query, &area, &page.moments)?,
                _ => Similarity::default(),
            };
            Ok((page, similarity))
        })
        .await
    }
}

impl Search {
    /// Drops a recording from memory and from the index.
    ///
    /// # Errors
    /// 503 if its cluster is away, 500 if the index cannot be written.
    pub async fn forget(&self, tenant: &str, recording: &str) -> Result<(), Problem> {
        self.storyboards.forget(tenant, recording);
        let (tenant, recording) = (tenant.to_owned(), recording.to_owned());
        self.blocking(move |index| index.remove_now(&tenant, &recording)).await
    }

    /// True if a file of the index has words of a recording, removed ones included.
    ///
    /// # Errors
    /// 503 if its cluster is away, 500 if the index cannot be read.
    pub async fn has_words(&self, tenant: &str, recording: &str) -> Result<bool, Problem> {
        let (tenant, recording) = (tenant.to_owned(), recording.to_owned());
        self.blocking(move |index| index.engine().has_words(&tenant, &recording)).await
    }

    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Index) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Problem> {
        let index = self.index.clone();
        let done = tokio::task::spawn_blocking(move || work(&index));
        done.await.map_err(Problem::internal)?.map_err(|error| match error.is_outage() {
            true => Problem::unavailable("Search is not available now; try again shortly."),
            false => Problem::internal(error),
        })
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
