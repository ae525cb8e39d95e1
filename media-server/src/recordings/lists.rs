//! Pages of recordings, from the lists in storage.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use chalkstream_store::listing::{self, ListEntry, build};
use chalkstream_store::{Error, Kind, Manifest, State, Store, layout, read_manifest};
use futures_util::{StreamExt, TryStreamExt, stream};
use quick_cache::Weighter;
use quick_cache::sync::Cache;
use tokio::task::JoinHandle;

use crate::metrics::CacheStats;

/// Entries read at once.
const READS: usize = 16;
/// Entries that a page reads one by one. If it lacks more, it reads their copies first.
const MAX_SINGLE_READS: usize = 12;
/// Approximate limit of all summaries in memory: some ten thousand.
const MAX_BYTES: u64 = 16 << 20;
/// Approximate number of summaries in a full cache.
const EXPECTED_ENTRIES: usize = 10_000;

/// A recording's short fields, and the version of its entry.
#[derive(Clone)]
struct KnownSummary {
    version: (u64, u64),
    summary: Arc<Manifest>,
}

#[derive(Clone)]
struct SummaryWeighter;

impl Weighter<(String, String), KnownSummary> for SummaryWeighter {
    fn weight(&self, _: &(String, String), known: &KnownSummary) -> u64 {
        // In memory it takes about twice its bytes.
        200 + 2 * known.version.0
    }
}

/// Reads pages. Clones share what they have read.
#[derive(Clone)]
pub struct Lists {
    store: Store,
    known: Arc<Cache<(String, String), KnownSummary, SummaryWeighter>>,
    /// Tenants whose lists have all recordings. That never ends.
    built: Arc<Mutex<HashSet<String>>>,
    /// Lists whose copies are being made.
    refreshes: Refreshes,
}

/// Tenant and state of lists whose copies are being made.
type Refreshes = Arc<Mutex<HashSet<(String, &'static str)>>>;

/// The only task that makes the copies of a list, until dropped.
struct Refresh {
    list: (String, &'static str),
    refreshes: Refreshes,
}

impl Refresh {
    /// `None` while another task makes them.
    fn start(refreshes: &Refreshes, tenant: &str, state: State) -> Option<Self> {
        let list = (tenant.to_owned(), state.as_str());
        let is_first = refreshes.lock().unwrap_or_else(PoisonError::into_inner).insert(list.clone());
        is_first.then(|| Self { list, refreshes: Arc::clone(refreshes) })
    }
}

impl Drop for Refresh {
    fn drop(&mut self) {
        self.refreshes.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.list);
    }
}

/// Recordings, newest first.
pub struct Page {
    /// Their short fields.
    pub recordings: Vec<Arc<Manifest>>,
    /// The position after which older ones follow; `None` on the last page.
    pub next: Option<String>,
}

impl Lists {
    /// The lists in `store`.
    pub fn new(store: Store) -> Self {
        let known = Arc::new(Cache::with_weighter(EXPECTED_ENTRIES, MAX_BYTES, SummaryWeighter));
        Self { store, known, built: Arc::default(), refreshes: Arc::default() }
    }

    /// The state of the cache.
    pub fn stats(&self) -> CacheStats {
        CacheStats::from_cache(&self.known)
    }

    /// Drops a recording from memory.
    pub fn forget(&self, tenant: &str, recording: &str) {
        self.known.remove(&(tenant.to_owned(), recording.to_owned()));
    }

    /// A page of recordings, of one state or of all, older than `after`.
    ///
    /// # Errors
    /// If storage does not answer.
    pub async fn page(
        &self,
        tenant: &str,
        state: Option<State>,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Page, Error> {
        if !self.is_built(tenant).await? {
            return self.scan(tenant, state, after, limit).await;
        }
        let states: Vec<State> = listing::states().filter(|one| state.is_none_or(|s| s == *one)).collect();
        let mut page = Page { recordings: Vec::new(), next: after.map(str::to_owned) };
        // Recordings leave the lists while these are read: older ones fill up the page.
        loop {
            let missing = limit - page.recordings.len();
            let older = self.read_lists(tenant, &states, page.next.as_deref(), missing).await?;
            page.recordings.extend(older.recordings);
            page.next = older.next;
            if page.next.is_none() || page.recordings.len() >= limit {
                return Ok(page);
            }
        }
    }

    /// At most `limit` recordings in some states. Fewer, even none, do not mean that it is the last
    /// page.
    async fn read_lists(
        &self,
        tenant: &str,
        states: &[State],
        after: Option<&str>,
        limit: usize,
    ) -> Result<Page, Error> {
        let reads = states.iter().map(|state| async {
            let page = listing::page(&self.store, tenant, *state, after, limit + 1).await?;
            Ok::<_, Error>(page.into_iter().map(|entry| (*state, entry)))
        });
        let pages = futures_util::future::try_join_all(reads).await?;
        let mut entries: Vec<(State, ListEntry)> = pages.into_iter().flatten().collect();
        entries.sort_by(|(_, a), (_, b)| b.recording.cmp(&a.recording));
        // A recording may have several entries: they are of one page.
        let by_recording: Vec<_> = entries.chunk_by(|(_, a), (_, b)| a.recording == b.recording).collect();
        let (page, rest) = by_recording.split_at(limit.min(by_recording.len()));
        let next = page.last().filter(|_| !rest.is_empty()).map(|group| group[0].1.recording.clone());
        let groups: Vec<Vec<ListEntry>> =
            page.iter().map(|group| group.iter().map(|(_, entry)| entry.clone()).collect()).collect();
        entries.truncate(groups.iter().map(Vec::len).sum());
        if after.is_none() {
            self.take_copies(tenant, states, &entries).await?;
        }
        let is_any_state = states.len() > 1;
        let recordings: Vec<Option<Arc<Manifest>>> = stream::iter(groups)
            .map(|group| self.newest(tenant, group, is_any_state))
            .buffered(READS)
            .try_collect()
            .await?;
        Ok(Page { recordings: recordings.into_iter().flatten().collect(), next })
    }

    /// The newest of one recording's entries: a writer that was cut off may have left an older one
    /// in another list.
    async fn newest(
        &self,
        tenant: &str,
        entries: Vec<ListEntry>,
        is_any_state: bool,
    ) -> Result<Option<Arc<Manifest>>, Error> {
        let Some(recording) = entries.first().map(|entry| entry.recording.clone()) else { return Ok(None) };
        let reads = entries.into_iter().map(|entry| self.summary(tenant, entry));
        let read = futures_util::future::try_join_all(reads).await?;
        let has_left = read.iter().any(Option::is_none);
        let newest = read.into_iter().rev().flatten().max_by_key(|summary| summary.fence);
        if !has_left || !is_any_state {
            return Ok(newest);
        }
        // Perhaps it has moved to a list that was read before: its manifest has its state.
        match read_manifest(&self.store, tenant, &recording).await {
            Ok(manifest) => {
                let listed = manifest.filter(|manifest| manifest.state != State::Deleted);
                Ok(listed.map(|manifest| Arc::new(listing::summary(&manifest))))
            }
            Err(error) if error.kind == Kind::Corrupt => Ok(newest),
            Err(error) => Err(error),
        }
    }

    async fn is_built(&self, tenant: &str) -> Result<bool, Error> {
        if self.built.lock().unwrap_or_else(PoisonError::into_inner).contains(tenant) {
            return Ok(true);
        }
        let is_built = build::built_at_ms(&self.store, tenant).await?.is_some();
        if is_built {
            self.built.lock().unwrap_or_else(PoisonError::into_inner).insert(tenant.to_owned());
        }
        Ok(is_built)
    }

    /// Reads the copies of a page's entries if it lacks many, and makes new ones in the background
    /// if these are too old to help.
    async fn take_copies(
        &self,
        tenant: &str,
        states: &[State],
        entries: &[(State, ListEntry)],
    ) -> Result<(), Error> {
        for state in states {
            let missing = || {
                let of_state = entries.iter().filter(|(of, _)| of == state);
                of_state.filter(|(_, entry)| self.known(tenant, entry).is_none()).count()
            };
            if missing() <= MAX_SINGLE_READS {
                continue;
            }
            for copy in listing::read_copies(&self.store, tenant, *state).await? {
                let key = (tenant.to_owned(), copy.summary.recording.clone());
                self.known
                    .insert(key, KnownSummary { version: copy.version, summary: Arc::new(copy.summary) });
            }
            if missing() > MAX_SINGLE_READS {
                self.refresh_copies(tenant, *state);
            }
        }
        Ok(())
    }

    /// Makes new copies of a list in the background. `None` if that is under way.
    pub(super) fn refresh_copies(&self, tenant: &str, state: State) -> Option<JoinHandle<()>> {
        let refresh = Refresh::start(&self.refreshes, tenant, state)?;
        let (store, tenant) = (self.store.clone(), tenant.to_owned());
        Some(tokio::spawn(async move {
            let _refresh = refresh;
            if let Err(error) = listing::copy_newest(&store, &tenant, state).await {
                tracing::debug!(tenant_id = tenant, %error, "copies of a list not written");
            }
        }))
    }

    fn known(&self, tenant: &str, entry: &ListEntry) -> Option<Arc<Manifest>> {
        let known = self.known.get(&(tenant.to_owned(), entry.recording.clone()))?;
        (known.version == entry.version()).then_some(known.summary)
    }

    async fn summary(&self, tenant: &str, entry: ListEntry) -> Result<Option<Arc<Manifest>>, Error> {
        if let Some(summary) = self.known(tenant, &entry) {
            return Ok(Some(summary));
        }
        let Some(summary) = listing::read(&self.store, &entry).await? else { return Ok(None) };
        let summary = Arc::new(summary);
        let key = (tenant.to_owned(), entry.recording.clone());
        self.known.insert(key, KnownSummary { version: entry.version(), summary: Arc::clone(&summary) });
        Ok(Some(summary))
    }

    /// A page from the manifests themselves, while the lists of recordings of earlier builds are
    /// still being made.
    async fn scan(
        &self,
        tenant: &str,
        state: Option<State>,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Page, Error> {
        let mut ids = self.store.list_dirs(&layout::tenant_prefix(tenant)).await?;
        ids.retain(|id| layout::valid_recording(id) && after.is_none_or(|after| id.as_str() < after));
        let mut manifests = std::pin::pin!(
            stream::iter(ids.into_iter().rev())
                .map(|id| async move { read_manifest(&self.store, tenant, &id).await })
                .buffered(READS)
        );
        let mut recordings: Vec<Arc<Manifest>> = Vec::new();
        while let Some(manifest) = manifests.next().await {
            let manifest = match manifest {
                Ok(Some(manifest)) => manifest,
                Ok(None) => continue,
                Err(error) if error.kind == Kind::Corrupt => continue,
                Err(error) => return Err(error),
            };
            if manifest.state == State::Deleted || state.is_some_and(|state| state != manifest.state) {
                continue;
            }
            if recordings.len() == limit {
                let next = recordings.last().map(|last| last.recording.clone());
                return Ok(Page { recordings, next });
            }
            recordings.push(Arc::new(listing::summary(&manifest)));
        }
        Ok(Page { recordings, next: None })
    }
}
