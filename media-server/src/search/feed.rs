//! Keeps the index in step with storage. An event says where to look; what is found there is the truth, so an event
//! that comes twice, late or out of order does no harm.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use chalkstream_store::{Event, EventKind, Events, Kind, Position, State, Store, layout, read_manifest};

use super::index::{Index, Lesson};
use super::transcript::Transcript;

/// How long one read of the event stream waits.
const BLOCK: Duration = Duration::from_secs(5);
/// Pause after a failure.
const PAUSE: Duration = Duration::from_secs(1);
/// Recordings between two commits of a scan.
const SCAN_BATCH: usize = 200;

/// Why a step of the feed failed. All of it may pass.
#[derive(Debug, thiserror::Error)]
enum Failed {
    #[error("{0}")]
    Store(#[from] chalkstream_store::Error),
    #[error("{0}")]
    Index(#[from] super::Error),
    #[error("a blocking thread ended early: {0}")]
    Thread(#[from] tokio::task::JoinError),
}

/// The feed of one index.
pub(super) struct Feed {
    index: Arc<Index>,
    store: Store,
    events: Events,
}

impl Feed {
    pub(super) fn new(index: Arc<Index>, store: Store, events: Events) -> Self {
        Self { index, store, events }
    }

    /// Catches up, then follows; for ever.
    pub(super) async fn run(self) {
        let mut told = false;
        loop {
            if let Err(error) = self.catch_up_and_follow(&mut told).await
                && !std::mem::replace(&mut told, true)
            {
                tracing::warn!(cause = %error, "the search index is not being fed: {error}");
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Returns where the event stream was lost: then storage must be looked through again.
    async fn catch_up_and_follow(&self, told: &mut bool) -> Result<(), Failed> {
        let index = self.index.clone();
        let kept = tokio::task::spawn_blocking(move || index.position()).await??;
        let kept: Option<Position> = kept.and_then(|text| serde_json::from_str(&text).ok());
        let mut position = match self.resume(kept).await {
            Ok(position) => position,
            Err(error) => {
                // Without events, what is in storage can still be searched.
                if !self.index.ready() {
                    self.scan(None).await?;
                    self.index.set_ready();
                }
                return Err(error);
            }
        };
        if std::mem::replace(told, false) {
            tracing::info!("the search index is being fed again");
        }
        loop {
            let block = if self.index.ready() { BLOCK } else { Duration::ZERO };
            let page = self.events.read_after(&position.id, block).await?;
            let Some(last) = page.last() else {
                self.index.set_ready();
                if !self.events.covers(&position).await? {
                    tracing::info!("the event stream is another one; looking through storage");
                    return Ok(());
                }
                continue;
            };
            let id = last.id.clone();
            let touched: HashSet<(String, String)> = page.into_iter().filter_map(of_interest).collect();
            let any = !touched.is_empty();
            for (tenant, recording) in touched {
                self.reconcile(&tenant, &recording).await?;
            }
            position.id = id;
            // Progress alone is not worth a commit; reading it again costs nothing.
            if any {
                self.commit(Some(&position)).await?;
            }
        }
    }

    /// The kept position where the stream still has all that came after it; else looks through storage and goes on
    /// from where the stream was when that began.
    async fn resume(&self, kept: Option<Position>) -> Result<Position, Failed> {
        if let Some(kept) = kept
            && self.events.covers(&kept).await?
        {
            return Ok(kept);
        }
        let position = self.events.position().await?;
        self.scan(Some(&position)).await?;
        Ok(position)
    }

    /// Looks at every recording in storage, and forgets what is no longer there. The position is kept at the end.
    async fn scan(&self, position: Option<&Position>) -> Result<(), Failed> {
        let mut present = HashSet::new();
        let mut looked_at = 0_usize;
        for tenant in self.store.list_dirs("").await?.into_iter().filter(|name| layout::valid_tenant(name)) {
            let recordings = self.store.list_dirs(&layout::tenant_prefix(&tenant)).await?;
            for recording in recordings.into_iter().filter(|name| layout::valid_recording(name)) {
                self.reconcile(&tenant, &recording).await?;
                present.insert((tenant.clone(), recording));
                looked_at += 1;
                if looked_at.is_multiple_of(SCAN_BATCH) {
                    self.commit(None).await?;
                }
            }
        }
        let index = self.index.clone();
        let gone = tokio::task::spawn_blocking(move || {
            let mut gone = Vec::new();
            index.each_indexed(|tenant, recording| {
                let scope = (tenant.to_owned(), recording.to_owned());
                if !present.contains(&scope) {
                    gone.push(scope);
                }
            })?;
            Ok::<_, super::Error>(gone)
        });
        // What was made since the listing is not among the present, nor was it indexed by this feed yet.
        for (tenant, recording) in gone.await?? {
            self.index.remove(&tenant, &recording);
        }
        self.commit(position).await?;
        tracing::info!(recordings = looked_at, "looked through {looked_at} recordings for the search index");
        Ok(())
    }

    async fn commit(&self, position: Option<&Position>) -> Result<(), Failed> {
        let text = position.and_then(|p| serde_json::to_string(p).ok()).unwrap_or_default();
        let index = self.index.clone();
        tokio::task::spawn_blocking(move || index.commit(&text)).await??;
        Ok(())
    }

    /// Makes the index agree with one recording's manifest.
    async fn reconcile(&self, tenant: &str, recording: &str) -> Result<(), Failed> {
        let manifest = match read_manifest(&self.store, tenant, recording).await {
            Ok(manifest) => manifest,
            Err(error) if passes(&error) => return Err(error.into()),
            Err(error) => {
                tracing::warn!(recording, cause = %error, "a manifest is left out of the search index");
                return Ok(());
            }
        };
        let found = manifest.filter(|m| m.state != State::Deleted).and_then(|mut m| {
            let key = m.files.remove("transcript.json")?;
            Some((m.title, key))
        });
        let Some((title, key)) = found else {
            self.index.remove(tenant, recording);
            return Ok(());
        };
        // The key holds the attempt that wrote it; the title is shown with each hit.
        let version = format!("{key}\n{title}");
        let (index, of) = (self.index.clone(), (tenant.to_owned(), recording.to_owned()));
        let known = tokio::task::spawn_blocking(move || index.version(&of.0, &of.1)).await??;
        if known.as_deref() == Some(&version) {
            return Ok(());
        }
        let body = match self.store.get(&layout::object_key(tenant, recording, &key)).await {
            Ok(body) => body,
            Err(error) if passes(&error) => return Err(error.into()),
            Err(error) => {
                tracing::warn!(recording, cause = %error, "a transcript is left out of the search index");
                return Ok(());
            }
        };
        let (index, of) = (self.index.clone(), (tenant.to_owned(), recording.to_owned()));
        let added = tokio::task::spawn_blocking(move || {
            let Ok(transcript) = serde_json::from_slice::<Transcript>(&body) else { return Ok(false) };
            let lesson = Lesson { tenant: &of.0, recording: &of.1, title: &title, version: &version };
            index.replace(&lesson, &transcript).map(|()| true)
        });
        if !added.await?? {
            tracing::warn!(recording, "a transcript that is not one is left out of the search index");
        }
        Ok(())
    }
}

/// The recording an event may have changed the words of.
fn of_interest(event: Event) -> Option<(String, String)> {
    let matters = !matches!(event.kind, EventKind::Progress | EventKind::Step);
    (matters && layout::check_ids(&event.tenant, &event.recording).is_ok())
        .then_some((event.tenant, event.recording))
}

/// True for failures that another try may not meet. What is corrupt or gone stays so.
fn passes(error: &chalkstream_store::Error) -> bool {
    !matches!(error.kind, Kind::NotFound | Kind::Corrupt | Kind::InvalidInput)
}
