//! The part of the server that delivers.

use std::sync::Arc;

use chalkstream_store::{Manifest, Store};
use prometheus_client::metrics::counter::Counter;

use super::inventories::Inventories;
use super::object_ref::{ObjectRef, missing_object};
use super::playlist_cache::PlaylistCache;
use crate::metrics::CacheStats;
use crate::problem::Problem;
use crate::transcripts::Transcripts;
use crate::url::PublicUrl;

/// Delivers the objects of recordings. Clones share its caches.
#[derive(Clone)]
pub struct Delivery {
    /// Object storage.
    pub store: Store,
    /// The address that absolute URIs begin with.
    pub public_url: PublicUrl,
    /// Transcripts with their corrections.
    pub transcripts: Transcripts,
    pub(super) playlists: Arc<PlaylistCache>,
    inventories: Arc<Inventories>,
    pub(super) delivered_bytes: Counter,
    /// Whether caches that are shared by viewers may store segments.
    pub(super) has_shared_cache: bool,
}

impl Delivery {
    /// Delivers from `store`, and counts bytes in `delivered_bytes`.
    pub fn new(
        store: Store,
        transcripts: Transcripts,
        public_url: PublicUrl,
        delivered_bytes: Counter,
        has_shared_cache: bool,
    ) -> Self {
        let playlists = Arc::new(PlaylistCache::new(store.clone()));
        let inventories = Arc::new(Inventories::new(store.clone()));
        Self { store, transcripts, public_url, playlists, inventories, delivered_bytes, has_shared_cache }
    }

    /// The state of each cache, by name.
    pub fn cache_stats(&self) -> [(&'static str, CacheStats); 3] {
        [
            ("playlists", self.playlists.playlist_stats()),
            ("source_indexes", self.playlists.index_stats()),
            ("inventories", self.inventories.stats()),
        ]
    }

    /// Drops everything of a recording from memory.
    pub fn forget(&self, tenant: &str, recording: &str) {
        self.playlists.forget(tenant, recording);
        self.inventories.forget(tenant, recording);
    }

    /// The resource with this key, which is relative to the recording; `None` if the manifest does
    /// not know it.
    ///
    /// # Errors
    /// If storage cannot be read.
    pub async fn find(&self, manifest: &Manifest, key: &str) -> Result<Option<ObjectRef>, Problem> {
        let found = self.inventories.find(manifest, key).await.map_err(missing_object)?;
        Ok(found.map(|location| ObjectRef::new(&manifest.tenant, &manifest.recording, key, location)))
    }
}
