//! A cache of manifests, each read once however many viewers ask.
//!
//! Storage has the truth. One that is over (ready, failed, cancelled) changes rarely, and each
//! change is an event, which drops it from the cache. So it is good for a minute while this server
//! receives all events. Otherwise it is good for two seconds. Then storage is asked whether it has
//! changed, and it is read again only if it has.

use std::sync::Arc;

use chalkstream_store::{
    Error, EventKind, Kind, Manifest, NewestObjects, Store, newest_objects, parse_manifest,
};
use quick_cache::Weighter;
use quick_cache::sync::Cache;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;

use crate::clock::now_ms;
use crate::events::{Hub, News};
use crate::metrics::CacheStats;

/// Age limit of a manifest while events are missing. Deleting a recording ends its sessions within
/// this time, or within five seconds if the server that deletes it cannot reach Redis.
pub const MAX_AGE_S: u64 = 2;
/// Age limit of a manifest that is over while every event is received.
const MAX_QUIET_AGE_MS: u64 = 60_000;
/// Events count as received if the last ones were read this recently. It is part of [`MAX_AGE_S`].
const MAX_SILENCE_MS: u64 = 1_500;
/// Age limit of a manifest that [`Manifests::renewed`] reads. It bounds how often storage is asked.
const MAX_RENEWED_AGE_MS: u64 = 100;
/// Approximate limit of all manifests in the cache.
const MAX_BYTES: u64 = 64 << 20;
/// Approximate number of manifests in a full cache. The cache divides `MAX_BYTES` among parts of 32
/// entries and keeps no entry larger than a part. So it has one part, on any number of cores: a
/// manifest of a long lesson that an earlier build wrote takes several megabytes.
const EXPECTED_ENTRIES: usize = 32;
/// Approximate memory of a manifest, in multiples of its JSON.
const MEMORY_PER_BYTE: u64 = 3;
/// Manifests of more bytes are parsed on a thread of their own.
const MAX_INLINE_BYTES: usize = 16 << 10;
/// How often one is read whose object is gone: a newer one has replaced it.
const MAX_READS: usize = 5;

/// Tenant and recording.
type ManifestKey = (String, String);

/// A manifest, or that there is none, at a time.
#[derive(Clone)]
struct ManifestEntry {
    /// When it began to be read: it is no newer than that.
    read_at_ms: u64,
    found: Option<Found>,
}

/// What there is of a recording.
#[derive(Clone)]
struct Found {
    newest: Arc<NewestObjects>,
    manifest: Arc<Manifest>,
}

#[derive(Clone)]
struct ManifestWeighter;

impl Weighter<ManifestKey, ManifestEntry> for ManifestWeighter {
    fn weight(&self, _: &ManifestKey, entry: &ManifestEntry) -> u64 {
        400 + entry.found.as_ref().map_or(0, |found| MEMORY_PER_BYTE * found.newest.manifest.size_bytes)
    }
}

/// The cache. Clones share it.
#[derive(Clone)]
pub struct Manifests {
    store: Store,
    entries: Arc<Cache<ManifestKey, ManifestEntry, ManifestWeighter>>,
    /// `None` if no events are followed.
    hub: Option<Hub>,
}

impl Manifests {
    /// An empty cache over `store`, which asks it every two seconds.
    pub fn new(store: Store) -> Self {
        let entries = Arc::new(Cache::with_weighter(EXPECTED_ENTRIES, MAX_BYTES, ManifestWeighter));
        Self { store, entries, hub: None }
    }

    /// An empty cache over `store` that listens to events. The future listens, until dropped.
    pub fn listening(store: Store, hub: Hub) -> (Self, impl Future<Output = ()> + use<>) {
        // Subscribed before the first manifest is read, so that no event of one is missed.
        let news = hub.subscribe();
        let manifests = Self { hub: Some(hub.clone()), ..Self::new(store) };
        let listener = manifests.clone().listen(hub, news);
        (manifests, listener)
    }

    /// Returns the recording as it was at most two seconds ago; `None` if there is none. If it is
    /// over and its last event was lost, at most a minute ago.
    ///
    /// # Errors
    /// If storage cannot be read.
    pub async fn get(&self, tenant: &str, recording: &str) -> Result<Option<Arc<Manifest>>, Error> {
        let found = self.read(tenant, recording, |entry| self.is_fresh(entry)).await?;
        Ok(found.map(|found| found.manifest))
    }

    /// Returns the recording as it was at most a tenth of a second ago.
    ///
    /// # Errors
    /// If storage cannot be read.
    pub async fn renewed(&self, tenant: &str, recording: &str) -> Result<Option<Arc<Manifest>>, Error> {
        let found = self.read(tenant, recording, |entry| entry.is_at_most(MAX_RENEWED_AGE_MS)).await?;
        Ok(found.map(|found| found.manifest))
    }

    /// Returns the newest objects about a recording, as old as [`Manifests::get`] may return it.
    ///
    /// # Errors
    /// If storage cannot be read.
    pub async fn newest(&self, tenant: &str, recording: &str) -> Result<Option<Arc<NewestObjects>>, Error> {
        let found = self.read(tenant, recording, |entry| self.is_fresh(entry)).await?;
        Ok(found.map(|found| found.newest))
    }

    /// The state of the cache.
    pub fn stats(&self) -> CacheStats {
        CacheStats::from_cache(&self.entries)
    }

    /// Drops a recording from memory, also one that is being read: what is read then is not kept.
    pub fn forget(&self, tenant: &str, recording: &str) {
        self.entries.remove(&(tenant.to_owned(), recording.to_owned()));
    }

    fn is_fresh(&self, entry: &ManifestEntry) -> bool {
        if entry.is_at_most(MAX_AGE_S * 1000) {
            return true;
        }
        let is_over = entry.found.as_ref().is_some_and(|found| found.manifest.state.is_terminal());
        is_over
            && entry.is_at_most(MAX_QUIET_AGE_MS)
            && self.hub.as_ref().is_some_and(|hub| hub.has_passed_on_all(entry.read_at_ms, MAX_SILENCE_MS))
    }

    async fn read(
        &self,
        tenant: &str,
        recording: &str,
        is_fresh: impl Fn(&ManifestEntry) -> bool,
    ) -> Result<Option<Found>, Error> {
        let key = (tenant.to_owned(), recording.to_owned());
        // Of all requests that find it too old one reads it, and the others wait for that one.
        let old = self.entries.remove_if(&key, |entry| !is_fresh(entry));
        let old = old.and_then(|(_, entry)| entry.found);
        let entry = self.entries.get_or_insert_async(&key, async {
            let read_at_ms = now_ms();
            let found = self.read_unless_unchanged(tenant, recording, old).await?;
            Ok::<_, Error>(ManifestEntry { read_at_ms, found })
        });
        Ok(entry.await?.found)
    }

    async fn read_unless_unchanged(
        &self,
        tenant: &str,
        recording: &str,
        old: Option<Found>,
    ) -> Result<Option<Found>, Error> {
        for _ in 0..MAX_READS {
            let Some(newest) = newest_objects(&self.store, tenant, recording).await? else {
                return Ok(None);
            };
            if let Some(old) = old.as_ref().filter(|old| old.newest.manifest == newest.manifest) {
                return Ok(Some(Found { newest: Arc::new(newest), manifest: Arc::clone(&old.manifest) }));
            }
            let body = match self.store.get(&newest.manifest.key).await {
                Ok(body) => body,
                Err(error) if error.kind == Kind::NotFound => continue,
                Err(error) => return Err(error),
            };
            let manifest = if body.len() > MAX_INLINE_BYTES {
                let parsed = tokio::task::spawn_blocking(move || parse_manifest(&body).map(without_results));
                parsed.await.map_err(|e| Error::internal("a manifest was not parsed").with_source(e))??
            } else {
                without_results(parse_manifest(&body)?)
            };
            return Ok(Some(Found { newest: Arc::new(newest), manifest: Arc::new(manifest) }));
        }
        Err(Error::unavailable("the manifest changes faster than it can be read"))
    }

    /// Forgets each recording of which an event says that it has changed.
    async fn listen(self, hub: Hub, mut news: Receiver<News>) {
        loop {
            match news.recv().await {
                Ok(News::Event(event)) if !matches!(event.kind, EventKind::Progress | EventKind::Step) => {
                    self.forget(&event.tenant, &event.recording);
                }
                // After a gap the hub's coverage starts again.
                Ok(News::Event(_) | News::Gap(_)) => {}
                // Far more events than anyone makes.
                Err(RecvError::Lagged(_)) => hub.restart_coverage(),
                Err(RecvError::Closed) => return,
            }
        }
    }
}

impl ManifestEntry {
    fn is_at_most(&self, age_ms: u64) -> bool {
        // A clock that was set back makes no entry last.
        now_ms().abs_diff(self.read_at_ms) <= age_ms
    }
}

/// The manifest without what only workers need: it would take as much memory again.
fn without_results(mut manifest: Manifest) -> Manifest {
    for step in manifest.steps.values_mut() {
        step.input.take();
        if let Some(objects) = step.result.as_mut().and_then(|result| result.get_mut("objects")) {
            objects.take();
        }
    }
    manifest
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
