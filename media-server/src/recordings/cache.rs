//! Manifests as the delivery routes need them: at most two seconds old, read once however many viewers ask.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use chalkstream_store::{Manifest, Store, read_manifest};
use quick_cache::sync::Cache;

/// How old a manifest may be, in seconds. Deleting a recording stops its sessions within this time.
const FRESH_S: u64 = 2;
/// How old one may be that is asked for anew, in milliseconds: however many ask, it is read so often and no more.
const RENEWED_MS: u64 = 100;
/// Manifests kept. One of a long lesson, with 10,000 objects, is about 2 MB.
const KEPT: usize = 256;

type Key = (String, String, u64);

/// The cache. An entry belongs to one slice of time, so none is ever older than that.
pub struct Manifests {
    store: Store,
    entries: Cache<Key, Option<Arc<Manifest>>>,
}

impl Manifests {
    /// An empty cache over `store`.
    pub fn new(store: Store) -> Self {
        Self { store, entries: Cache::new(KEPT) }
    }

    /// The recording as it was at most two seconds ago; `None` where there is none.
    ///
    /// # Errors
    /// Where the storage cannot be read.
    pub async fn get(
        &self,
        tenant: &str,
        recording: &str,
    ) -> Result<Option<Arc<Manifest>>, chalkstream_store::Error> {
        self.entries.get_or_insert_async(&key_now(tenant, recording), self.read(tenant, recording)).await
    }

    /// The recording as it was at most a tenth of a second ago, which this slice of time has from here on.
    ///
    /// # Errors
    /// Where the storage cannot be read.
    pub async fn renewed(
        &self,
        tenant: &str,
        recording: &str,
    ) -> Result<Option<Arc<Manifest>>, chalkstream_store::Error> {
        // Milliseconds are so many more than seconds that the two kinds of slices never meet.
        let slice = (tenant.to_owned(), recording.to_owned(), now_ms() / RENEWED_MS);
        let manifest = self.entries.get_or_insert_async(&slice, self.read(tenant, recording)).await?;
        self.entries.insert(key_now(tenant, recording), manifest.clone());
        Ok(manifest)
    }

    async fn read(
        &self,
        tenant: &str,
        recording: &str,
    ) -> Result<Option<Arc<Manifest>>, chalkstream_store::Error> {
        Ok(read_manifest(&self.store, tenant, recording).await?.map(Arc::new))
    }
}

fn key_now(tenant: &str, recording: &str) -> Key {
    (tenant.to_owned(), recording.to_owned(), now_s() / FRESH_S)
}

/// Seconds since 1970.
pub fn now_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |elapsed| elapsed.as_secs())
}

/// Milliseconds since 1970.
pub fn now_ms() -> u64 {
    let elapsed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX)
}
