//! A cache of inventories: what the steps of a recording made, for finding single resources. An
//! inventory never changes, so no entry is ever stale; their bytes are limited.

use std::sync::Arc;

use chalkstream_store::{Error, InventoryIndex, InventoryRef, Location, Manifest, Store, inventory, layout};
use quick_cache::Weighter;
use quick_cache::sync::Cache;

use crate::metrics::CacheStats;

/// Approximate limit of all indexes in the cache: those of some 300 lessons of 45 minutes.
const MAX_BYTES: u64 = 64 << 20;
/// Approximate number of indexes in a full cache. The cache divides `MAX_BYTES` among parts of 32
/// entries and keeps none larger than a part, so it has few parts: a day's index takes 6 MB.
const EXPECTED_ENTRIES: usize = 64;

/// Key in storage and content's hash.
type InventoryKey = (String, String);

#[derive(Clone)]
struct InventoryWeighter;

impl Weighter<InventoryKey, Arc<InventoryIndex>> for InventoryWeighter {
    fn weight(&self, key: &InventoryKey, index: &Arc<InventoryIndex>) -> u64 {
        (key.0.len() + 256 + index.weight()) as u64
    }
}

/// The cache.
pub struct Inventories {
    store: Store,
    indexes: Cache<InventoryKey, Arc<InventoryIndex>, InventoryWeighter>,
}

impl Inventories {
    /// An empty cache over `store`.
    pub fn new(store: Store) -> Self {
        Self { store, indexes: Cache::with_weighter(EXPECTED_ENTRIES, MAX_BYTES, InventoryWeighter) }
    }

    /// The state of the cache.
    pub fn stats(&self) -> CacheStats {
        CacheStats::from_cache(&self.indexes)
    }

    /// Drops everything of a recording.
    pub fn forget(&self, tenant: &str, recording: &str) {
        let prefix = layout::recording_prefix(tenant, recording);
        self.indexes.retain(|key, _| !key.0.starts_with(&prefix));
    }

    /// Where the resource with this key lies, which is relative to the recording; `None` if the
    /// manifest does not know it.
    ///
    /// # Errors
    /// If an inventory cannot be read.
    pub async fn find(&self, manifest: &Manifest, key: &str) -> Result<Option<Location>, Error> {
        if let Some(facts) = manifest.objects.get(key) {
            return Ok(Some(Location::of_object(key, facts)));
        }
        let made_by = layout::fence_of(key).and_then(|fence| manifest.inventories.get(&fence));
        let Some(reference) = made_by else { return Ok(None) };
        Ok(self.index(manifest, reference).await?.find(key))
    }

    async fn index(
        &self,
        manifest: &Manifest,
        reference: &InventoryRef,
    ) -> Result<Arc<InventoryIndex>, Error> {
        let (tenant, recording) = (&manifest.tenant, &manifest.recording);
        let key = (layout::object_key(tenant, recording, &reference.key), reference.sha256.clone());
        self.indexes
            .get_or_insert_async(&key, async {
                inventory::read_index(&self.store, tenant, recording, reference).await.map(Arc::new)
            })
            .await
    }
}
