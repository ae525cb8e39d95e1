//! A cache of manifests: each is at most two seconds old, and is read once however many viewers
//! ask.

use std::sync::Arc;

use chalkstream_store::{Error, Manifest, Store, read_manifest};
use quick_cache::Weighter;
use quick_cache::sync::Cache;

use crate::clock::now_ms;

/// Age limit of a manifest. Deleting a recording ends its sessions within this time.
pub const MAX_AGE_S: u64 = 2;
/// Age limit of a manifest that [`Manifests::renewed`] reads. It bounds how often storage is asked.
const MAX_RENEWED_AGE_MS: u64 = 100;
/// Approximate limit of all manifests in the cache.
const MAX_BYTES: u64 = 64 << 20;
/// Approximate number of manifests in a full cache. The cache divides `MAX_BYTES` among parts of 32
/// entries and keeps no entry larger than a part. So it has one part, on any number of cores: a
/// manifest of a long lesson takes several megabytes.
const EXPECTED_ENTRIES: usize = 32;
/// Approximate bytes of a manifest without its objects.
const MANIFEST_BYTES: usize = 10_000;
/// Approximate bytes of an object: in the list of all, and again in its step's result.
const OBJECT_BYTES: usize = 600;

/// Tenant and recording.
type ManifestKey = (String, String);

/// A manifest, or that there is none, at a time.
#[derive(Clone)]
struct ManifestEntry {
    /// When it began to be read: it is no newer than that.
    read_at_ms: u64,
    manifest: Option<Arc<Manifest>>,
}

impl ManifestEntry {
    fn is_older_than(&self, age_ms: u64) -> bool {
        // A clock that was set back makes no entry last.
        now_ms().abs_diff(self.read_at_ms) > age_ms
    }
}

#[derive(Clone)]
struct BySize;

impl Weighter<ManifestKey, ManifestEntry> for BySize {
    fn weight(&self, _: &ManifestKey, entry: &ManifestEntry) -> u64 {
        let manifest = entry.manifest.as_ref();
        (200 + manifest.map_or(0, |m| MANIFEST_BYTES + m.objects.len() * OBJECT_BYTES)) as u64
    }
}

/// The cache. Clones share it.
#[derive(Clone)]
pub struct Manifests {
    store: Store,
    entries: Arc<Cache<ManifestKey, ManifestEntry, BySize>>,
}

impl Manifests {
    /// An empty cache over `store`.
    pub fn new(store: Store) -> Self {
        Self { store, entries: Arc::new(Cache::with_weighter(EXPECTED_ENTRIES, MAX_BYTES, BySize)) }
    }

    /// Returns the recording as it was at most two seconds ago; `None` if there is none.
    ///
    /// # Errors
    /// If storage cannot be read.
    pub async fn get(&self, tenant: &str, recording: &str) -> Result<Option<Arc<Manifest>>, Error> {
        self.read(tenant, recording, MAX_AGE_S * 1000).await
    }

    /// Returns the recording as it was at most a tenth of a second ago.
    ///
    /// # Errors
    /// If storage cannot be read.
    pub async fn renewed(&self, tenant: &str, recording: &str) -> Result<Option<Arc<Manifest>>, Error> {
        self.read(tenant, recording, MAX_RENEWED_AGE_MS).await
    }

    /// Drops a recording from memory.
    pub fn forget(&self, tenant: &str, recording: &str) {
        self.entries.remove(&(tenant.to_owned(), recording.to_owned()));
    }

    async fn read(
        &self,
        tenant: &str,
        recording: &str,
        max_age_ms: u64,
    ) -> Result<Option<Arc<Manifest>>, Error> {
        let key = (tenant.to_owned(), recording.to_owned());
        // Of all requests that find it too old one reads it, and the others wait for that one.
        self.entries.remove_if(&key, |entry| entry.is_older_than(max_age_ms));
        let entry = self.entries.get_or_insert_async(&key, async {
            let read_at_ms = now_ms();
            let manifest = read_manifest(&self.store, tenant, recording).await?.map(Arc::new);
            Ok(ManifestEntry { read_at_ms, manifest })
        });
        Ok(entry.await?.manifest)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use chalkstream_store::{ObjectFacts, layout, write_manifest};

    use super::*;
    use crate::testing::{TENANT, World};

    #[tokio::test]
    async fn a_manifest_of_a_long_lesson_is_read_once_for_two_viewers() {
        let world = World::new().await;
        let mut manifest = Manifest::new(TENANT, layout::new_recording_id());
        for number in 0..10_000 {
            let key = format!("hls/video/9/v480/{number:05}.m4s");
            manifest.objects.insert(key, ObjectFacts::from_bytes(b"segment"));
        }
        let id = manifest.recording.clone();
        write_manifest(&world.store, &manifest).await.unwrap();
        let manifests = Manifests::new(world.store.clone());
        let first = manifests.get(TENANT, &id).await.unwrap().unwrap();
        let second = manifests.get(TENANT, &id).await.unwrap().unwrap();
        assert!(Arc::ptr_eq(&first, &second));
    }
}
