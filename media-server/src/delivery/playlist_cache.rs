//! Playlists as sessions get them and the tables of source indexes, computed once however many
//! viewers ask. Entries are keyed by the content's hash, so none is ever stale; their bytes are
//! limited.

use std::sync::Arc;

use chalkstream_store::{Location, Store, layout};
use quick_cache::Weighter;
use quick_cache::sync::Cache;

use super::hls_filter::{SessionPlaylist, filter_media, filter_multivariant};
use super::index::{TrackIndex, head_bytes};
use super::object_ref::{ObjectRef, missing_object, read_exact};
use crate::clock::now_s;
use crate::metrics::CacheStats;
use crate::problem::Problem;
use crate::token::Window;

/// Approximate limit of all playlists in the cache.
const MAX_PLAYLISTS_BYTES: u64 = 64 << 20;
/// Approximate number of playlists in a full cache.
const EXPECTED_PLAYLISTS: usize = 2_000;
/// Size limit of one playlist. Six hours of 3.2 s segments are 400 KB.
const MAX_PLAYLIST_BYTES: u64 = 4 << 20;

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct PlaylistKey {
    object: String,
    hash: String,
    master: bool,
    max_bps: Option<u64>,
    window: Window,
}

#[derive(Clone)]
struct ByTextSize;

impl Weighter<PlaylistKey, Arc<SessionPlaylist>> for ByTextSize {
    fn weight(&self, key: &PlaylistKey, plan: &Arc<SessionPlaylist>) -> u64 {
        (key.object.len() + plan.text.capacity() + plan.named_keys.weight() + 256) as u64
    }
}

/// Approximate limit of all index tables in the cache: those of a hundred lessons of 90 minutes.
const MAX_INDEXES_BYTES: u64 = 16 << 20;
/// Approximate number of indexes in a full cache.
const EXPECTED_INDEXES: usize = 200;
/// Bytes of an index in the first read: header, init segment and table of most lessons.
const FIRST_READ_BYTES: u64 = 128 << 10;

/// Object key and content's hash.
type IndexKey = (String, String);

#[derive(Clone)]
struct ByTableSize;

impl Weighter<IndexKey, Arc<TrackIndex>> for ByTableSize {
    fn weight(&self, key: &IndexKey, index: &Arc<TrackIndex>) -> u64 {
        (key.0.len() + index.weight() + 256) as u64
    }
}

/// The cache.
pub struct PlaylistCache {
    store: Store,
    plans: Cache<PlaylistKey, Arc<SessionPlaylist>, ByTextSize>,
    indexes: Cache<IndexKey, Arc<TrackIndex>, ByTableSize>,
}

impl PlaylistCache {
    /// An empty cache over `store`.
    pub fn new(store: Store) -> Self {
        Self {
            store,
            plans: Cache::with_weighter(EXPECTED_PLAYLISTS, MAX_PLAYLISTS_BYTES, ByTextSize),
            indexes: Cache::with_weighter(EXPECTED_INDEXES, MAX_INDEXES_BYTES, ByTableSize),
        }
    }

    /// The state of the cache of playlists.
    pub fn playlist_stats(&self) -> CacheStats {
        CacheStats::from_cache(&self.plans)
    }

    /// The state of the cache of index tables.
    pub fn index_stats(&self) -> CacheStats {
        CacheStats::from_cache(&self.indexes)
    }

    /// Drops everything of a recording.
    pub fn forget(&self, tenant: &str, recording: &str) {
        let prefix = layout::recording_prefix(tenant, recording);
        self.plans.retain(|key, _| !key.object.starts_with(&prefix));
        self.indexes.retain(|key, _| !key.0.starts_with(&prefix));
    }

    /// The index of one track of a source, without its records.
    pub async fn index(&self, object: &ObjectRef) -> Result<Arc<TrackIndex>, Problem> {
        let key = (object.storage_key.clone(), object.hash.clone());
        self.indexes
            .get_or_insert_async(&key, async {
                let malformed = || Problem::internal("index object malformed");
                let size_bytes = object.size_bytes;
                let mut head = read_exact(&self.store, &key.0, 0..size_bytes.min(FIRST_READ_BYTES)).await?;
                let length =
                    head_bytes(&head).filter(|&length| length <= size_bytes).ok_or_else(malformed)?;
                if length > head.len() as u64 {
                    head = read_exact(&self.store, &key.0, 0..length).await?;
                }
                TrackIndex::parse(&head, size_bytes).map(Arc::new).ok_or_else(malformed)
            })
            .await
    }

    /// A multivariant playlist under a cap and a window.
    pub async fn master(
        &self,
        object: &ObjectRef,
        max_bps: Option<u64>,
        window: Window,
    ) -> Result<Arc<SessionPlaylist>, Problem> {
        self.plan(object, true, max_bps, window).await
    }

    /// A media playlist under a window.
    pub async fn media(&self, object: &ObjectRef, window: Window) -> Result<Arc<SessionPlaylist>, Problem> {
        self.plan(object, false, None, window).await
    }

    /// A media playlist that is still being written, as it was at most a second ago. `playlist` is
    /// tenant, recording and key.
    pub async fn live(
        &self,
        playlist: (&str, &str, &str),
        window: Window,
    ) -> Result<Arc<SessionPlaylist>, Problem> {
        let (tenant, recording, key) = playlist;
        // An entry belongs to one second and never changes, so none is ever stale.
        let hash = format!("second {}", now_s());
        let location = Location { object: key.to_owned(), range: None, size_bytes: 0, hash };
        self.plan(&ObjectRef::new(tenant, recording, key, location), false, None, window).await
    }

    async fn plan(
        &self,
        object: &ObjectRef,
        master: bool,
        max_bps: Option<u64>,
        window: Window,
    ) -> Result<Arc<SessionPlaylist>, Problem> {
        let key = PlaylistKey {
            object: object.storage_key.clone(),
            hash: object.hash.clone(),
            master,
            max_bps,
            window,
        };
        self.plans
            .get_or_insert_async(&key, async {
                if object.size_bytes > MAX_PLAYLIST_BYTES {
                    return Err(Problem::internal("playlist exceeds its size limit"));
                }
                // A live playlist goes with the attempt that wrote it if its step fails: a 404.
                let is_live = object.key.ends_with(layout::LIVE_PLAYLIST);
                let body = self.store.get(&key.object).await.map_err(|error| match is_live {
                    true => error.into(),
                    false => missing_object(error),
                })?;
                let text = std::str::from_utf8(&body).map_err(Problem::internal)?;
                let plan = match master {
                    true => filter_multivariant(text, &object.key, max_bps, window),
                    false => filter_media(text, &object.key, window),
                };
                Ok(Arc::new(plan))
            })
            .await
    }
}
