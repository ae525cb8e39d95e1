//! A cache of layers, each read once however many viewers ask.
//!
//! The manifest's own cache knows which objects are the newest corrections: they are listed with
//! the manifests. So a recording without corrections costs no read, and a layer that has not
//! changed none either. Layers are immutable objects, so no entry is ever stale.

use std::sync::Arc;

use chalkstream_store::{Error, Kind, Store, layout};
use quick_cache::Weighter;
use quick_cache::sync::Cache;

use super::storage::{self, StoredLayer};
use crate::manifests::Manifests;
use crate::metrics::CacheStats;

/// Approximate limit of all layers in the cache.
const MAX_BYTES: u64 = 16 << 20;
/// Approximate number of layers in a full cache. So it has one part, as the cache keeps no entry
/// that is larger than a part.
const EXPECTED_ENTRIES: usize = 32;
/// How often one is read whose object is gone: a newer one has replaced it.
const MAX_READS: usize = 5;

#[derive(Clone)]
struct LayerWeighter;

impl Weighter<String, Arc<StoredLayer>> for LayerWeighter {
    fn weight(&self, _: &String, stored: &Arc<StoredLayer>) -> u64 {
        let texts = stored.layer.corrections.iter().map(|correction| {
            let versions = correction.versions.iter().map(|one| 120 + one.text.len() + one.author.len());
            80 + correction.anchor.quote.len() + versions.sum::<usize>()
        });
        let uploaded = stored.layer.uploaded.iter().flat_map(|uploaded| &uploaded.cues);
        let captions = uploaded.map(|cue| 40 + cue.text.len());
        400 + (texts.sum::<usize>() + captions.sum::<usize>()) as u64
    }
}

/// The cache. Clones share it.
#[derive(Clone)]
pub struct Layers {
    store: Store,
    manifests: Manifests,
    /// By the keys of their objects.
    entries: Arc<Cache<String, Arc<StoredLayer>, LayerWeighter>>,
}

impl Layers {
    /// An empty cache over `store`.
    pub fn new(store: Store, manifests: Manifests) -> Self {
        let entries = Arc::new(Cache::with_weighter(EXPECTED_ENTRIES, MAX_BYTES, LayerWeighter));
        Self { store, manifests, entries }
    }

    /// Returns the corrections of a recording, as old as [`Manifests::get`] may return it.
    ///
    /// # Errors
    /// If storage cannot be read.
    pub async fn get(&self, tenant: &str, recording: &str) -> Result<Arc<StoredLayer>, Error> {
        for _ in 0..MAX_READS {
            let newest = self.manifests.newest(tenant, recording).await?;
            let Some(newest) = newest.filter(|newest| !newest.corrections.is_empty()) else {
                return Ok(Arc::default());
            };
            let key = newest.corrections.join(" ");
            let read = self.entries.get_or_insert_async(&key, async {
                storage::read_objects(&self.store, &newest.corrections).await.map(Arc::new)
            });
            match read.await {
                Err(error) if error.kind == Kind::NotFound => self.manifests.forget(tenant, recording),
                read => return read,
            }
        }
        Err(storage::too_fast())
    }

    /// The state of the cache.
    pub fn stats(&self) -> CacheStats {
        CacheStats::from_cache(&self.entries)
    }

    /// Drops a recording from memory.
    pub fn forget(&self, tenant: &str, recording: &str) {
        self.manifests.forget(tenant, recording);
        let prefix = layout::recording_prefix(tenant, recording);
        self.entries.retain(|key, _| !key.starts_with(&prefix));
    }
}
