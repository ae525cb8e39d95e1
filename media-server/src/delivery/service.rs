//! The part of the server that delivers.

use std::sync::Arc;

use chalkstream_store::Store;
use prometheus_client::metrics::counter::Counter;

use super::playlist_cache::PlaylistCache;
use crate::url::PublicUrl;

/// Delivers the objects of recordings. Clones share the playlist cache.
#[derive(Clone)]
pub struct Delivery {
    /// Object storage.
    pub store: Store,
    /// The address that absolute URIs begin with.
    pub public_url: PublicUrl,
    pub(super) playlists: Arc<PlaylistCache>,
    pub(super) delivered_bytes: Counter,
}

impl Delivery {
    /// Delivers from `store`, and counts bytes in `delivered_bytes`.
    pub fn new(store: Store, public_url: PublicUrl, delivered_bytes: Counter) -> Self {
        let playlists = Arc::new(PlaylistCache::new(store.clone()));
        Self { store, public_url, playlists, delivered_bytes }
    }

    /// Drops everything of a recording from memory.
    pub fn forget(&self, tenant: &str, recording: &str) {
        self.playlists.forget(tenant, recording);
    }
}
