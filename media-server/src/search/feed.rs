//! Keeps the index equal to storage. An event only names a recording; storage has the truth. So an
//! event that comes twice, late or out of order does no harm.

use std::collections::HashSet;
use std::pin::pin;
use std::time::Duration;

use chalkstream_meaning::{EmbeddedPassage, read_passages};
use chalkstream_store::{
    Event, EventKind, Events, Kind, Manifest, Position, State, Store, layout, listing, read_newest,
};
use futures_util::stream::BoxStream;
use futures_util::{StreamExt, TryStreamExt, stream};

use super::engine::{Error, IndexedLesson, SearchEngine};
use super::index::Index;
use super::transcript::SpokenLesson;
use crate::corrections;

/// Time that one read of the event stream waits.
const MAX_READ_WAIT: Duration = Duration::from_secs(5);
/// Pause after a failure, doubled by each one that follows.
const RETRY_PAUSE: Duration = Duration::from_secs(1);
/// Maximum of that pause. Each attempt may scan storage.
const MAX_RETRY_PAUSE: Duration = Duration::from_secs(5);
/// Recordings between two commits of a scan.
const SCAN_BATCH: usize = 200;
/// Recordings that a scan reads at once.
const SCANNED_AT_ONCE: usize = 32;

/// A recording that a scan finds.
enum Scanned {
    Listed(listing::ListEntry),
    /// From its folder: it may not be in a list yet.
    Unlisted(String),
}

/// A recording's manifest, and whether there may be corrections of its transcript.
type FoundLesson = Result<Option<(Manifest, bool)>, chalkstream_store::Error>;

/// Why the feed failed. Each may succeed later.
#[derive(Debug, thiserror::Error)]
enum FeedError {
    #[error("{0}")]
    Store(#[from] chalkstream_store::Error),
    #[error("{0}")]
    Index(#[from] Error),
    #[error("a blocking thread ended early: {0}")]
    Thread(#[from] tokio::task::JoinError),
}

/// The feed of one index.
pub(super) struct Feed {
    index: Index,
    store: Store,
    events: Events,
}

impl Feed {
    pub(super) fn new(index: Index, store: Store, events: Events) -> Self {
        Self { index, store, events }
    }

    /// Catches up, then follows events. Never returns.
    pub(super) async fn run(self) {
        let (mut logged, mut pause) = (false, RETRY_PAUSE);
        loop {
            let failed = self.catch_up_and_follow(&mut logged).await;
            pause = if logged { (pause * 2).min(MAX_RETRY_PAUSE) } else { RETRY_PAUSE };
            if let Err(error) = failed
                && !std::mem::replace(&mut logged, true)
            {
                tracing::warn!(%error, "search index not updated");
            }
            tokio::time::sleep(pause).await;
        }
    }

    /// Returns if the event stream or a part of the index was lost: then storage must be scanned
    /// again.
    async fn catch_up_and_follow(&self, logged: &mut bool) -> Result<(), FeedError> {
        let stored = self.blocking(|engine| engine.position()).await?;
        let stored: Option<Position> = stored.and_then(|text| serde_json::from_str(&text).ok());
        let mut position = match self.resume(stored).await {
            Ok(position) => position,
            Err(error) => {
                // Without events, the transcripts in storage can still be searched.
                if !self.index.ready() {
                    self.scan(None).await?;
                    self.index.set_ready();
                }
                return Err(error);
            }
        };
        if std::mem::replace(logged, false) {
            tracing::info!("search index updated again");
        }
        loop {
            if self.blocking(|engine| engine.position()).await?.is_none() {
                tracing::info!("a part of the search index was lost, scanning storage");
                return Ok(());
            }
            let block = if self.index.ready() { MAX_READ_WAIT } else { Duration::ZERO };
            let page = self.events.read_after(&position.id, block).await?;
            let Some(last) = page.last() else {
                self.index.set_ready();
                if !self.events.covers(&position).await? {
                    tracing::info!("event stream replaced, scanning storage");
                    return Ok(());
                }
                continue;
            };
            let id = last.id.clone();
            let touched: HashSet<(String, String)> =
                page.into_iter().filter_map(recording_to_reconcile).collect();
            let changed = !touched.is_empty();
            for (tenant, recording) in touched {
                let found = self.read(&tenant, &recording).await;
                self.reconcile(&tenant, &recording, found).await?;
            }
            position.id = id;
            // Progress events are not worth a commit; reading them again costs nothing.
            if changed {
                self.commit().await?;
                self.store_position(&position).await?;
            }
        }
    }

    /// The stored position if the stream still has everything after it. Otherwise scans storage,
    /// and returns the position from before the scan.
    async fn resume(&self, stored: Option<Position>) -> Result<Position, FeedError> {
        if let Some(stored) = stored
            && self.events.covers(&stored).await?
        {
            return Ok(stored);
        }
        let position = self.events.position().await?;
        self.scan(Some(&position)).await?;
        Ok(position)
    }

    /// Reconciles every recording in storage, and removes those that are gone. Stores the position
    /// at the end.
    async fn scan(&self, position: Option<&Position>) -> Result<(), FeedError> {
        self.blocking(|engine| engine.set_position(None)).await?;
        let mut present = HashSet::new();
        for tenant in self.store.list_dirs("").await?.into_iter().filter(|name| layout::valid_tenant(name)) {
            let scan = self.recordings(&tenant).await?.map(|listed| {
                let tenant = &tenant;
                async move {
                    let listed = listed?;
                    let recording = match &listed {
                        Scanned::Listed(entry) => entry.recording.clone(),
                        Scanned::Unlisted(recording) => recording.clone(),
                    };
                    let found = match &listed {
                        Scanned::Listed(entry) => {
                            let with_flag = |manifest: Manifest| {
                                let may_have_corrections = manifest.may_have_corrections;
                                (manifest, may_have_corrections)
                            };
                            listing::read(&self.store, entry).await.map(|found| found.map(with_flag))
                        }
                        Scanned::Unlisted(recording) => self.read(tenant, recording).await,
                    };
                    self.reconcile(tenant, &recording, found).await?;
                    Ok::<_, FeedError>(recording)
                }
            });
            let mut scan = pin!(scan.buffer_unordered(SCANNED_AT_ONCE));
            while let Some(recording) = scan.next().await {
                let recording = recording?;
                if !present.insert((tenant.clone(), recording.clone())) {
                    // A writer that was cut off left it in two lists, one of them older.
                    let found = self.read(&tenant, &recording).await;
                    self.reconcile(&tenant, &recording, found).await?;
                }
                if present.len().is_multiple_of(SCAN_BATCH) {
                    self.commit().await?;
                }
            }
        }
        let recordings = present.len();
        // A recording made since the listing is not in the set, but it was not indexed by this feed
        // either.
        let remove_gone = move |engine: &dyn SearchEngine| {
            for tenant in engine.tenants()? {
                for recording in engine.recordings(&tenant)? {
                    let scope = (tenant.clone(), recording);
                    if !present.contains(&scope) {
                        engine.remove(&scope.0, &scope.1)?;
                    }
                }
            }
            Ok::<_, Error>(())
        };
        self.blocking(remove_gone).await?;
        self.commit().await?;
        if let Some(position) = position {
            self.store_position(position).await?;
        }
        tracing::info!(recordings, "storage scanned for the search index");
        Ok(())
    }

    async fn commit(&self) -> Result<(), FeedError> {
        let index = self.index.clone();
        Ok(tokio::task::spawn_blocking(move || index.commit()).await??)
    }

    async fn store_position(&self, position: &Position) -> Result<(), FeedError> {
        let text = serde_json::to_string(position).ok();
        self.blocking(move |engine| engine.set_position(text.as_deref())).await
    }

    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&dyn SearchEngine) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, FeedError> {
        let index = self.index.clone();
        Ok(tokio::task::spawn_blocking(move || work(index.engine())).await??)
    }

    /// The recordings of a tenant: from its lists, or, while these are still being made, from the
    /// folders.
    async fn recordings<'a>(
        &'a self,
        tenant: &'a str,
    ) -> Result<BoxStream<'a, Result<Scanned, chalkstream_store::Error>>, FeedError> {
        if listing::build::built_at_ms(&self.store, tenant).await?.is_none() {
            let ids = self.store.list_dirs(&layout::tenant_prefix(tenant)).await?;
            let ids = ids.into_iter().filter(|name| layout::valid_recording(name));
            return Ok(stream::iter(ids.map(Scanned::Unlisted).map(Ok)).boxed());
        }
        let states = listing::states().map(|state| listing::all(&self.store, tenant, state));
        Ok(stream::iter(states).flatten().map_ok(Scanned::Listed).boxed())
    }

    /// Reads a recording by its own objects.
    async fn read(&self, tenant: &str, recording: &str) -> FoundLesson {
        let found = read_newest(&self.store, tenant, recording).await?;
        Ok(found.map(|(newest, manifest)| (manifest, !newest.corrections.is_empty())))
    }

    /// Makes the index equal to one recording's manifest and corrections.
    async fn reconcile(&self, tenant: &str, recording: &str, found: FoundLesson) -> Result<(), FeedError> {
        let found = match found {
            Ok(found) => found,
            Err(error) if is_transient(&error) => return Err(error.into()),
            Err(error) => {
                tracing::warn!(tenant_id = tenant, recording_id = recording, %error, "manifest not indexed");
                return Ok(());
            }
        };
        let found = found.filter(|(manifest, _)| manifest.state != State::Deleted).and_then(
            |(mut manifest, may_have_corrections)| {
                let key = manifest.files.remove("transcript.json")?;
                Some((manifest, key, may_have_corrections))
            },
        );
        let of = (tenant.to_owned(), recording.to_owned());
        let Some((manifest, key, may_have_corrections)) = found else {
            return self.blocking(move |engine| engine.remove(&of.0, &of.1)).await;
        };
        let read = async {
            if !may_have_corrections {
                return Ok(corrections::StoredLayer::default());
            }
            corrections::read(&self.store, tenant, recording).await
        };
        let stored = match read.await {
            Ok(stored) => stored,
            Err(error) if is_transient(&error) => return Err(error.into()),
            Err(error) => {
                tracing::warn!(tenant_id = tenant, recording_id = recording, %error, "corrections not indexed");
                corrections::StoredLayer::default()
            }
        };
        // The key names the attempt that wrote the transcript.
        let version = match stored.tag.is_empty() {
            true => key.clone(),
            false => format!("{key}\n{}", stored.tag),
        };
        let known = self.blocking(move |engine| engine.lesson(&of.0, &of.1)).await?;
        let lesson = IndexedLesson {
            tenant: tenant.into(),
            recording: recording.into(),
            title: manifest.title.clone(),
            uploader: manifest.uploader.clone(),
            created_at_ms: u64::try_from(manifest.created_at.as_millisecond()).unwrap_or_default(),
            version,
        };
        if known.as_ref() == Some(&lesson) {
            return Ok(());
        }
        let body = match self.store.get(&layout::object_key(tenant, recording, &key)).await {
            Ok(body) => body,
            Err(error) if is_transient(&error) => return Err(error.into()),
            Err(error) => {
                tracing::warn!(tenant_id = tenant, recording_id = recording, %error, "transcript not indexed");
                return self.blocking(move |engine| engine.remove(&lesson.tenant, &lesson.recording)).await;
            }
        };
        let embedded = match manifest.files.get("passages.bin") {
            Some(key) => self.read_passages(tenant, recording, key).await?,
            None => Vec::new(),
        };
        let replace = move |engine: &dyn SearchEngine| {
            let body = corrections::put_over(&body, &stored.layer);
            let Ok(mut transcript) = serde_json::from_slice::<SpokenLesson>(&body) else {
                // The words that it replaces must not be found.
                return engine.remove(&lesson.tenant, &lesson.recording).map(|()| false);
            };
            transcript.embedded = embedded;
            engine.replace(&lesson, &transcript).map(|()| true)
        };
        if !self.blocking(replace).await? {
            tracing::warn!(tenant_id = tenant, recording_id = recording, "malformed transcript not indexed");
        }
        Ok(())
    }

    /// The vectors of a transcript's passages; none if they are of another model, or damaged.
    async fn read_passages(
        &self,
        tenant: &str,
        recording: &str,
        key: &str,
    ) -> Result<Vec<EmbeddedPassage>, FeedError> {
        let body = match self.store.get(&layout::object_key(tenant, recording, key)).await {
            Err(error) if is_transient(&error) => return Err(error.into()),
            body => body.map_err(|error| error.to_string()),
        };
        let read = |body: bytes::Bytes| read_passages(&body).map_err(|error| error.to_string());
        Ok(body.and_then(read).unwrap_or_else(|error| {
            tracing::warn!(tenant_id = tenant, recording_id = recording, %error, "passages not indexed");
            Vec::new()
        }))
    }
}

/// The recording whose transcript or title an event may have changed.
fn recording_to_reconcile(event: Event) -> Option<(String, String)> {
    let matters = !matches!(event.kind, EventKind::Progress | EventKind::Step);
    (matters && layout::check_ids(&event.tenant, &event.recording).is_ok())
        .then_some((event.tenant, event.recording))
}

/// True for failures that may not occur again. A corrupt or missing object stays so.
fn is_transient(error: &chalkstream_store::Error) -> bool {
    !matches!(error.kind, Kind::NotFound | Kind::Corrupt | Kind::InvalidInput)
}
