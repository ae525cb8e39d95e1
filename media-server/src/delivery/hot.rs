//! Playlists as sessions get them, and the tables of indexes, worked out once however many viewers ask. Keyed by the
//! content's hash, so an entry is never stale; bounded in bytes.

use std::sync::Arc;

use chalkstream_store::{ObjectFacts, Store, layout};
use quick_cache::Weighter;
use quick_cache::sync::Cache;

use super::hls::{Plan, plan_master, plan_media};
use super::index::{Index, head_bytes};
use super::joined::read_whole;
use crate::problem::Problem;
use crate::recordings::now_s;
use crate::token::Window;

/// Bytes kept at most, about.
const KEPT_BYTES: u64 = 64 << 20;
/// Playlists expected, about.
const EXPECTED: usize = 2_000;
/// Largest playlist looked at. Six hours of 3.2 s segments are 400 KB.
const MAX_PLAYLIST_BYTES: u64 = 4 << 20;

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Key {
    object: String,
    sha256: String,
    master: bool,
    max_bps: Option<u64>,
    window: Window,
}

#[derive(Clone)]
struct ByText;

impl Weighter<Key, Arc<Plan>> for ByText {
    fn weight(&self, key: &Key, plan: &Arc<Plan>) -> u64 {
        let reachable: usize = plan.reachable.iter().map(|key| key.len() + 48).sum();
        (key.object.len() + plan.text.len() + reachable + 256) as u64
    }
}

/// Bytes of indexes kept at most, about: those of a hundred lessons of 90 minutes.
const KEPT_INDEX_BYTES: u64 = 16 << 20;
/// Indexes expected, about.
const EXPECTED_INDEXES: usize = 200;
/// Bytes of an index read at first: header, init segment and table of most lessons.
const FIRST_READ_BYTES: u64 = 128 << 10;

/// Object key and content's hash.
type IndexKey = (String, String);

#[derive(Clone)]
struct ByTable;

impl Weighter<IndexKey, Arc<Index>> for ByTable {
    fn weight(&self, key: &IndexKey, index: &Arc<Index>) -> u64 {
        (key.0.len() + index.weight() + 256) as u64
    }
}

/// The cache.
pub struct Hot {
    store: Store,
    plans: Cache<Key, Arc<Plan>, ByText>,
    indexes: Cache<IndexKey, Arc<Index>, ByTable>,
}

impl Hot {
    /// An empty cache over `store`.
    pub fn new(store: Store) -> Self {
        Self {
            store,
            plans: Cache::with_weighter(EXPECTED, KEPT_BYTES, ByText),
            indexes: Cache::with_weighter(EXPECTED_INDEXES, KEPT_INDEX_BYTES, ByTable),
        }
    }

    /// The index of one track of a source, without its records.
    pub async fn index(&self, place: &Place<'_>) -> Result<Arc<Index>, Problem> {
        let key = (layout::object_key(place.tenant, place.recording, place.key), place.facts.sha256.clone());
        self.indexes
            .get_or_insert_async(&key, async {
                let wrong = || Problem::internal("an index object is not one");
                let size_bytes = place.facts.size_bytes;
                let mut head = read_whole(&self.store, &key.0, 0..size_bytes.min(FIRST_READ_BYTES)).await?;
                let length = head_bytes(&head).filter(|&length| length <= size_bytes).ok_or_else(wrong)?;
                if length > head.len() as u64 {
                    head = read_whole(&self.store, &key.0, 0..length).await?;
                }
                Index::parse(&head, size_bytes).map(Arc::new).ok_or_else(wrong)
            })
            .await
    }

    /// A multivariant playlist under a cap and a window.
    pub async fn master(
        &self,
        place: &Place<'_>,
        max_bps: Option<u64>,
        window: Window,
    ) -> Result<Arc<Plan>, Problem> {
        self.plan(place, true, max_bps, window).await
    }

    /// A media playlist under a window.
    pub async fn media(&self, place: &Place<'_>, window: Window) -> Result<Arc<Plan>, Problem> {
        self.plan(place, false, None, window).await
    }

    /// A media playlist that is still written, as it was at most a second ago.
    pub async fn growing(&self, place: (&str, &str, &str), window: Window) -> Result<Arc<Plan>, Problem> {
        let (tenant, recording, key) = place;
        // An entry belongs to one second and never changes, so none is ever stale.
        let facts = ObjectFacts { size_bytes: 0, sha256: format!("second {}", now_s()) };
        self.plan(&Place { tenant, recording, key, facts: &facts }, false, None, window).await
    }

    async fn plan(
        &self,
        place: &Place<'_>,
        master: bool,
        max_bps: Option<u64>,
        window: Window,
    ) -> Result<Arc<Plan>, Problem> {
        let object = layout::object_key(place.tenant, place.recording, place.key);
        let key = Key { object, sha256: place.facts.sha256.clone(), master, max_bps, window };
        self.plans
            .get_or_insert_async(&key, async {
                if place.facts.size_bytes > MAX_PLAYLIST_BYTES {
                    return Err(Problem::internal("a playlist is larger than any can be"));
                }
                let body = self.store.get(&key.object).await?;
                let text = std::str::from_utf8(&body).map_err(Problem::internal)?;
                let plan = match master {
                    true => plan_master(text, place.key, max_bps, window),
                    false => plan_media(text, place.key, window),
                };
                Ok(Arc::new(plan))
            })
            .await
    }
}

/// Where a playlist lies.
pub struct Place<'a> {
    /// The recording's tenant.
    pub tenant: &'a str,
    /// The recording.
    pub recording: &'a str,
    /// Key relative to the recording.
    pub key: &'a str,
    /// What the manifest says of it.
    pub facts: &'a ObjectFacts,
}
