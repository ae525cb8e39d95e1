//! A cache of manifests: each is at most two seconds old, and is read once however many viewers
//! ask.

use std::sync::Arc;

use chalkstream_store::{Error, Manifest, Store, read_manifest};
use quick_cache::sync::Cache;

use crate::clock::{now_ms, now_s};

/// Age limit of a manifest. Deleting a recording ends its sessions within this time.
const MAX_AGE_S: u64 = 2;
/// Age limit of a manifest that [`Manifests::renewed`] reads. It bounds how often storage is asked.
const MAX_RENEWED_AGE_MS: u64 = 100;
/// Manifests in the cache. One of a long lesson, with 10,000 objects, is about 2 MB.
const MAX_ENTRIES: usize = 256;

/// Tenant, recording and time slice.
type ManifestKey = (String, String, u64);

/// The cache. Clones share it. An entry belongs to one time slice, so it is never older than that.
#[derive(Clone)]
pub struct Manifests {
    store: Store,
    entries: Arc<Cache<ManifestKey, Option<Arc<Manifest>>>>,
}

impl Manifests {
    /// An empty cache over `store`.
    pub fn new(store: Store) -> Self {
        Self { store, entries: Arc::new(Cache::new(MAX_ENTRIES)) }
    }

    /// Returns the recording as it was at most two seconds ago; `None` if there is none.
    ///
    /// # Errors
    /// If storage cannot be read.
    pub async fn get(&self, tenant: &str, recording: &str) -> Result<Option<Arc<Manifest>>, Error> {
        self.entries.get_or_insert_async(&key_now(tenant, recording), self.read(tenant, recording)).await
    }

    /// Returns the recording as it was at most a tenth of a second ago. Later calls of
    /// [`Manifests::get`] in this time slice return the same.
    ///
    /// # Errors
    /// If storage cannot be read.
    pub async fn renewed(&self, tenant: &str, recording: &str) -> Result<Option<Arc<Manifest>>, Error> {
        // Milliseconds are so many more than seconds that the two kinds of slices never meet.
        let slice = (tenant.to_owned(), recording.to_owned(), now_ms() / MAX_RENEWED_AGE_MS);
        let manifest = self.entries.get_or_insert_async(&slice, self.read(tenant, recording)).await?;
        self.entries.insert(key_now(tenant, recording), manifest.clone());
        Ok(manifest)
    }

    async fn read(&self, tenant: &str, recording: &str) -> Result<Option<Arc<Manifest>>, Error> {
        Ok(read_manifest(&self.store, tenant, recording).await?.map(Arc::new))
    }
}

fn key_now(tenant: &str, recording: &str) -> ManifestKey {
    (tenant.to_owned(), recording.to_owned(), now_s() / MAX_AGE_S)
}
