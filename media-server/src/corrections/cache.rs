//! A cache of layers, each read once however many viewers ask.
//!
//! Storage has the truth. Each change is an event, which drops the layer from the cache. So one is
//! good for a minute while this server receives all events, otherwise for two seconds.

use std::sync::Arc;

use chalkstream_store::{Error, EventKind, Store};
use quick_cache::Weighter;
use quick_cache::sync::Cache;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;

use super::storage::{self, StoredLayer};
use crate::clock::now_ms;
use crate::events::{Hub, News};
use crate::metrics::CacheStats;

/// Age limit of a layer while events are missing.
const MAX_AGE_MS: u64 = 2_000;
/// Age limit of a layer while every event is received.
const MAX_QUIET_AGE_MS: u64 = 60_000;
/// Events count as received if the last ones were read this recently.
const MAX_SILENCE_MS: u64 = 1_500;
/// Approximate limit of all layers in the cache.
const MAX_BYTES: u64 = 16 << 20;
/// Approximate number of layers in a full cache. So it has one part, as the cache keeps no entry
/// that is larger than a part.
const EXPECTED_ENTRIES: usize = 32;

/// Tenant and recording.
type LayerKey = (String, String);

#[derive(Clone)]
struct LayerEntry {
    /// When it began to be read: it is no newer than that.
    read_at_ms: u64,
    stored: Arc<StoredLayer>,
}

#[derive(Clone)]
struct LayerWeighter;

impl Weighter<LayerKey, LayerEntry> for LayerWeighter {
    fn weight(&self, _: &LayerKey, entry: &LayerEntry) -> u64 {
        let texts = entry.stored.layer.corrections.iter().map(|correction| {
            let versions = correction.versions.iter().map(|one| 120 + one.text.len() + one.author.len());
            80 + correction.anchor.quote.len() + versions.sum::<usize>()
        });
        let uploaded = entry.stored.layer.uploaded.iter().flat_map(|uploaded| &uploaded.cues);
        let captions = uploaded.map(|cue| 40 + cue.text.len());
        400 + (texts.sum::<usize>() + captions.sum::<usize>()) as u64
    }
}

/// The cache. Clones share it.
#[derive(Clone)]
pub struct Layers {
    store: Store,
    entries: Arc<Cache<LayerKey, LayerEntry, LayerWeighter>>,
    hub: Hub,
}

impl Layers {
    /// An empty cache over `store` that listens to events. The future listens, until dropped.
    pub fn listening(store: Store, hub: Hub) -> (Self, impl Future<Output = ()> + use<>) {
        // Subscribed before the first layer is read, so that no event of one is missed.
        let news = hub.subscribe();
        let entries = Arc::new(Cache::with_weighter(EXPECTED_ENTRIES, MAX_BYTES, LayerWeighter));
        let layers = Self { store, entries, hub };
        let listener = layers.clone().listen(news);
        (layers, listener)
    }

    /// Returns the corrections of a recording as they were at most two seconds ago. If the event of
    /// the last change was lost, at most a minute ago.
    ///
    /// # Errors
    /// If storage cannot be read.
    pub async fn get(&self, tenant: &str, recording: &str) -> Result<Arc<StoredLayer>, Error> {
        let key = (tenant.to_owned(), recording.to_owned());
        self.entries.remove_if(&key, |entry| !self.is_fresh(entry));
        let entry = self.entries.get_or_insert_async(&key, async {
            let read_at_ms = now_ms();
            let stored = Arc::new(storage::read(&self.store, tenant, recording).await?);
            Ok::<_, Error>(LayerEntry { read_at_ms, stored })
        });
        Ok(entry.await?.stored)
    }

    /// The state of the cache.
    pub fn stats(&self) -> CacheStats {
        CacheStats::from_cache(&self.entries)
    }

    /// Drops a recording from memory, also one that is being read.
    pub fn forget(&self, tenant: &str, recording: &str) {
        self.entries.remove(&(tenant.to_owned(), recording.to_owned()));
    }

    fn is_fresh(&self, entry: &LayerEntry) -> bool {
        // A clock that was set back makes no entry last.
        let age_ms = now_ms().abs_diff(entry.read_at_ms);
        age_ms <= MAX_AGE_MS
            || age_ms <= MAX_QUIET_AGE_MS && self.hub.has_passed_on_all(entry.read_at_ms, MAX_SILENCE_MS)
    }

    async fn listen(self, mut news: Receiver<News>) {
        loop {
            match news.recv().await {
                Ok(News::Event(event)) if !matches!(event.kind, EventKind::Progress | EventKind::Step) => {
                    self.forget(&event.tenant, &event.recording);
                }
                // After a gap the hub's coverage starts again.
                Ok(News::Event(_) | News::Gap(_)) => {}
                Err(RecvError::Lagged(_)) => self.hub.restart_coverage(),
                Err(RecvError::Closed) => return,
            }
        }
    }
}
