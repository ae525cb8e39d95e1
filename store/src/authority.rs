//! Access control: tenants, keys and revocations, kept in storage and read from a copy in memory
//! that is at most a few seconds old.
//!
//! Storage is listed every two seconds, whatever Redis says; a change announced through Redis is
//! read within one. So a revocation is in force everywhere within five seconds, with Redis or
//! without.

mod keys;
mod revoking;
mod snapshot;

#[cfg(test)]
mod scale_tests;
#[cfg(test)]
mod tests;

pub use revoking::RevocationCursor;

use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

use bytes::Bytes;
use chalkstream_config as config;
use futures_util::{StreamExt, TryStreamExt, stream};
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use crate::announcer::Announcer;
use crate::clock::now_s;
use crate::objects::{all_keys, in_time};
use crate::revocations::{self, KnownObjects, LiveRevocations, RevocationLog};
use crate::{Error, Kind, Leases, Result, Store, layout};
use snapshot::{Record, Snapshot};

/// The age of the copy beyond which a revocation may be missing from it.
pub const MAX_AGE: Duration = Duration::from_secs(5);
/// How often Redis is asked for changes.
const POLL: Duration = Duration::from_secs(1);
/// How often storage is listed.
const LIST: Duration = Duration::from_secs(2);
/// Time for storage to give a page of a listing, or an object: after more it is started again, so
/// that one slow response does not use up the five seconds.
const ANSWER_LIMIT: Duration = Duration::from_millis(1_500);
/// Objects read at once.
const READS: usize = 16;
/// Listings in a row that name objects which are gone when they are read.
const MAX_LISTINGS: usize = 3;
/// How often what is over is dropped, and the log is merged.
const TIDY: Duration = Duration::from_secs(15);

/// Tenants, keys and revocations. Clones share the copy.
#[derive(Clone)]
pub struct Authority {
    shared: Arc<Shared>,
}

struct Shared {
    store: Store,
    announcer: Announcer,
    leases: Option<Leases>,
    /// Tenants and keys.
    copy: RwLock<Arc<Snapshot>>,
    live: Arc<LiveRevocations>,
    known: KnownObjects,
    log: RevocationLog,
    /// When the last listing that succeeded began.
    fresh: Mutex<Instant>,
    version_2_since_s: u64,
}

/// The record since when tokens of version 2 are made.
#[derive(Serialize, Deserialize)]
struct TokenVersion {
    since_s: u64,
}

impl Authority {
    /// Reads everything from storage; fails where that cannot be read. `redis` only makes changes
    /// arrive sooner.
    pub async fn load(store: Store, redis: Option<&config::Redis>) -> Result<Self> {
        let announcer = Announcer::new(redis)?;
        let (live, known) = (Arc::new(LiveRevocations::default()), KnownObjects::default());
        let log = RevocationLog::new(store.clone(), live.clone(), known.clone(), announcer.clone());
        let shared = Shared {
            version_2_since_s: version_2_since_s(&store).await?,
            store,
            announcer,
            leases: redis.map(Leases::connect).transpose()?,
            copy: RwLock::default(),
            live,
            known,
            log,
            fresh: Mutex::new(Instant::now()),
        };
        let authority = Self { shared: Arc::new(shared) };
        authority.refresh().await?;
        Ok(authority)
    }

    /// Keeps the copy fresh, and the log of revocations short, until cancelled.
    pub async fn follow(self, stop: CancellationToken) {
        stop.run_until_cancelled(async { tokio::join!(self.keep_fresh(), self.keep_tidy()) }).await;
    }

    async fn keep_fresh(&self) {
        let mut seen = self.shared.announcer.mark().await;
        let mut failing = false;
        let mut tick = tokio::time::interval(POLL);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tick.tick().await;
            let now = self.shared.announcer.mark().await;
            // Redis that is away, or has lost the mark, announces nothing: then the listing finds
            // the change.
            let changed = now.is_some() && now != seen;
            if !changed && self.age() + POLL / 2 < LIST {
                continue;
            }
            match self.refresh_within(ANSWER_LIMIT).await {
                Ok(()) => {
                    seen = now.or(seen);
                    failing = false;
                }
                Err(error) => {
                    if !failing {
                        let kind = error.kind.as_str();
                        tracing::warn!(%error, kind, "keys and revocations cannot be read");
                    }
                    failing = true;
                }
            }
        }
    }

    async fn keep_tidy(&self) {
        let holder = uuid::Uuid::now_v7().to_string();
        let mut tick = tokio::time::interval(TIDY);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tick.tick().await;
            let live = Arc::clone(&self.shared.live);
            // A million take some 20 ms.
            let pruned = tokio::task::spawn_blocking(move || live.prune(now_s())).await;
            if pruned.is_err() {
                tracing::error!("revocations that are over cannot be dropped");
            }
            // One server is enough. Without Redis all wait: nothing is lost.
            if let Some(leases) = &self.shared.leases
                && !matches!(leases.take("revocation-log", &holder, 2 * TIDY).await, Ok(true))
            {
                continue;
            }
            if let Err(error) = revocations::compact(&self.shared.store).await {
                tracing::warn!(%error, kind = error.kind.as_str(), "revocation log cannot be merged");
            }
        }
    }

    /// Reads what is new in storage now, and drops what is gone from it.
    pub async fn refresh(&self) -> Result<()> {
        self.refresh_within(Duration::MAX).await
    }

    /// The same, where storage answers each question within `limit`.
    async fn refresh_within(&self, limit: Duration) -> Result<()> {
        let started = Instant::now();
        tokio::try_join!(self.refresh_keys(limit, started), self.refresh_revocations(limit))?;
        let mut fresh = self.shared.fresh.lock().unwrap_or_else(PoisonError::into_inner);
        *fresh = started.max(*fresh);
        Ok(())
    }

    async fn refresh_keys(&self, limit: Duration, started: Instant) -> Result<()> {
        let (tenants, keys) = (layout::tenants_prefix(), layout::keys_prefix());
        let list = |prefix| all_keys(&self.shared.store, prefix, limit);
        let listed = tokio::try_join!(list(&tenants), list(&keys))?;
        let listed: Vec<String> = [listed.0, listed.1].concat();

        // An object under `_system` is never changed, so only new ones are read.
        let before = self.copy();
        let unknown: Vec<String> = listed.iter().filter(|key| !before.knows(key)).cloned().collect();
        let read: Vec<(String, Option<Record>)> = stream::iter(unknown)
            .map(|key| in_time(limit, self.read(key)))
            .buffer_unordered(READS)
            .try_collect()
            .await?;
        let read = read.into_iter().filter_map(|(key, record)| Some((key, record?)));

        let mut copy = self.shared.copy.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(next) = copy.next(&listed, read, started) {
            *copy = Arc::new(next);
        }
        Ok(())
    }

    /// Reads the log's new objects. A merge may remove some between the listing and the read: then
    /// another listing names what replaced them.
    async fn refresh_revocations(&self, limit: Duration) -> Result<()> {
        for _ in 0..MAX_LISTINGS {
            let listed = all_keys(&self.shared.store, &layout::revocations_prefix(), limit).await?;
            let read = stream::iter(self.shared.known.unknown_of(&listed))
                .map(|key| in_time(limit, self.read_revocations(key)))
                .buffer_unordered(READS)
                .try_fold(true, |all, is_read| async move { Ok(all && is_read) })
                .await?;
            if read {
                self.shared.known.retain(&listed);
                return Ok(());
            }
        }
        Err(Error::unavailable("revocations were merged while they were read"))
    }

    /// Takes an object of the log into the copy; `false` if it is gone.
    async fn read_revocations(&self, key: String) -> Result<bool> {
        let body = match self.shared.store.get(&key).await {
            Ok(body) => body,
            Err(error) if error.kind == Kind::NotFound => return Ok(false),
            Err(error) => return Err(error),
        };
        let (live, object) = (Arc::clone(&self.shared.live), key.clone());
        let read = tokio::task::spawn_blocking(move || revocations::read(&object, &body, &live)).await;
        let revoked_key = read.map_err(|e| Error::internal("a revocation was not read").with_source(e))?;
        if let Some(revoked) = revoked_key {
            let record = Record::RevokedKey(revoked.clone());
            self.write(layout::revoked_key_key(&revoked.key), &revoked, record).await?;
            self.shared.store.delete(&key).await?;
        }
        self.shared.known.insert(key);
        Ok(true)
    }

    async fn read(&self, key: String) -> Result<(String, Option<Record>)> {
        let record = match self.shared.store.get(&key).await {
            Ok(body) => Record::parse(&key, &body),
            Err(error) if error.kind == Kind::NotFound => None,
            Err(error) => return Err(error),
        };
        Ok((key, record))
    }

    /// How old the copy is. A server whose copy is older than [`MAX_AGE`] cannot promise
    /// revocations.
    pub fn age(&self) -> Duration {
        self.shared.fresh.lock().unwrap_or_else(PoisonError::into_inner).elapsed()
    }

    fn copy(&self) -> Arc<Snapshot> {
        self.shared.copy.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Writes an object, takes it into the copy, and announces the change.
    async fn write<T: Serialize>(&self, key: String, value: &T, record: Record) -> Result<()> {
        let body = serde_json::to_vec(value).map_err(|e| Error::internal("not json").with_source(e))?;
        self.shared.store.put(&key, Bytes::from(body)).await?;
        {
            let mut copy = self.shared.copy.write().unwrap_or_else(PoisonError::into_inner);
            let next = copy.with(key, record);
            *copy = Arc::new(next);
        }
        self.shared.announcer.announce().await;
        Ok(())
    }

    /// Removes an object, from the copy too, and announces the change.
    async fn remove(&self, key: &str) -> Result<()> {
        self.shared.store.delete(key).await?;
        {
            let mut copy = self.shared.copy.write().unwrap_or_else(PoisonError::into_inner);
            let next = copy.without(key);
            *copy = Arc::new(next);
        }
        self.shared.announcer.announce().await;
        Ok(())
    }

    fn live(&self) -> &LiveRevocations {
        &self.shared.live
    }

    fn log(&self) -> &RevocationLog {
        &self.shared.log
    }

    /// Since when this installation makes tokens of version 2, in seconds since 1970. What is still
    /// of version 1 was issued before, or by a platform that has not changed yet.
    pub fn version_2_since_s(&self) -> u64 {
        self.shared.version_2_since_s
    }
}

/// Reads the record, or writes it. Two servers that start at once write nearly the same.
async fn version_2_since_s(store: &Store) -> Result<u64> {
    let key = layout::token_version_key();
    match store.get(&key).await {
        Ok(body) => serde_json::from_slice::<TokenVersion>(&body)
            .map(|version| version.since_s)
            .map_err(|e| Error::corrupt("the version of tokens cannot be read").with_source(e)),
        Err(error) if error.kind == Kind::NotFound => {
            let version = TokenVersion { since_s: now_s() };
            let body =
                serde_json::to_vec(&version).map_err(|e| Error::internal("not json").with_source(e))?;
            store.put(&key, Bytes::from(body)).await?;
            Ok(version.since_s)
        }
        Err(error) => Err(error),
    }
}
