//! Access control: tenants, keys and revocations, kept in storage and read from a copy in memory
//! that is at most a few seconds old.
//!
//! Storage is listed every three seconds, whatever Redis says; a change announced through Redis is
//! read within one. So a revocation is in force everywhere within five seconds, with Redis or
//! without.

mod snapshot;

#[cfg(test)]
mod tests;

use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

use bytes::Bytes;
use chalkstream_config as config;
use futures_util::{StreamExt, TryStreamExt, stream};
use jiff::Timestamp;
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use crate::keys::split_api_key;
use crate::objects::{all_keys, in_time};
use crate::redis_connection::{self, ANSWER, RedisConnection, RetryOnDisconnect};
use crate::{ApiKey, Error, Kind, NewApiKey, Result, Revocation, SigningKey, Store, Target, Tenant, layout};
use snapshot::{Record, Snapshot};

/// How often Redis is asked for changes.
const POLL: Duration = Duration::from_secs(1);
/// How often storage is listed.
const LIST: Duration = Duration::from_secs(3);
/// Time for storage to give a page of a listing, or an object: after more it is started again, so
/// that storage that is back is noticed at once.
const ANSWER_LIMIT: Duration = Duration::from_secs(4);
/// Time for Redis to announce changes: less than what would delay a listing.
const POLL_LIMIT: Duration = Duration::from_millis(500);
/// Objects read at once.
const READS: usize = 16;

/// Tenants, keys and revocations. Clones share the copy.
#[derive(Clone)]
pub struct Authority {
    shared: Arc<Shared>,
}

struct Shared {
    store: Store,
    redis: Option<(RedisConnection, String)>,
    copy: RwLock<Arc<Snapshot>>,
    /// When the last listing that succeeded began.
    fresh: Mutex<Instant>,
}

impl Authority {
    /// Reads everything from storage; fails where that cannot be read. `redis` only makes changes
    /// arrive sooner.
    pub async fn load(store: Store, redis: Option<&config::Redis>) -> Result<Self> {
        let redis = match redis {
            Some(settings) => {
                let key = format!("{}:authority", redis_connection::base(settings));
                Some((RedisConnection::new(redis_connection::client(settings)?, ANSWER), key))
            }
            None => None,
        };
        let shared = Shared { store, redis, copy: RwLock::default(), fresh: Mutex::new(Instant::now()) };
        let authority = Self { shared: Arc::new(shared) };
        authority.refresh().await?;
        Ok(authority)
    }

    /// Keeps the copy fresh until cancelled.
    pub async fn follow(self, stop: CancellationToken) {
        stop.run_until_cancelled(self.keep_fresh()).await;
    }

    async fn keep_fresh(&self) {
        let mut seen = self.poll().await;
        let mut failing = false;
        let mut tick = tokio::time::interval(POLL);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tick.tick().await;
            let now = self.poll().await;
            // Redis that is away, or has lost the mark, announces nothing: then the listing finds
            // the change.
            let changed = now.is_some() && now != seen;
            if !changed && self.age() + POLL < LIST {
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

    /// The mark that changes with every change; `None` if Redis has none.
    async fn poll(&self) -> Option<String> {
        let (link, key) = self.shared.redis.as_ref()?;
        let mut command = redis::cmd("GET");
        command.arg(key);
        let asked = link.query::<Option<String>>(&command, RetryOnDisconnect::Once);
        tokio::time::timeout(POLL_LIMIT, asked).await.ok()?.ok()?
    }

    /// Announces a change to the other processes. Best effort: they list storage anyway.
    async fn announce(&self) {
        let Some((link, key)) = &self.shared.redis else { return };
        let mut command = redis::cmd("SET");
        // Not a counter: after a loss of Redis it might count to the same number again.
        command.arg(key).arg(uuid::Uuid::now_v7().to_string());
        let seen =
            tokio::time::timeout(POLL_LIMIT, link.query::<()>(&command, RetryOnDisconnect::Once)).await;
        if !matches!(seen, Ok(Ok(()))) {
            tracing::debug!("change was not announced");
        }
    }

    /// Reads what is new in storage now, and drops what is gone from it.
    pub async fn refresh(&self) -> Result<()> {
        self.refresh_within(Duration::MAX).await
    }

    /// The same, where storage answers each question within `limit`.
    async fn refresh_within(&self, limit: Duration) -> Result<()> {
        let started = Instant::now();
        let prefixes = [layout::tenants_prefix(), layout::keys_prefix(), layout::revocations_prefix()];
        let [tenants, keys, revocations] = &prefixes;
        let list = |prefix| all_keys(&self.shared.store, prefix, limit);
        let listed = tokio::try_join!(list(tenants), list(keys), list(revocations))?;
        let listed: Vec<String> = [listed.0, listed.1, listed.2].concat();

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
        *self.shared.fresh.lock().unwrap_or_else(PoisonError::into_inner) = started;
        Ok(())
    }

    async fn read(&self, key: String) -> Result<(String, Option<Record>)> {
        let record = match self.shared.store.get(&key).await {
            Ok(body) => Record::parse(&key, &body),
            Err(error) if error.kind == Kind::NotFound => None,
            Err(error) => return Err(error),
        };
        Ok((key, record))
    }

    /// How old the copy is. A server whose copy is older than five seconds cannot promise
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
        self.announce().await;
        Ok(())
    }

    /// Makes a tenant. [`Kind::Conflict`] where there is one of that id.
    pub async fn create_tenant(&self, id: &str, name: &str) -> Result<Tenant> {
        if !layout::valid_tenant(id) {
            return Err(Error::invalid("a tenant's id is 1 to 40 of a-z, 0-9 and -"));
        }
        let key = layout::tenant_key(id);
        match self.shared.store.head(&key).await {
            Ok(_) => return Err(Error::new(Kind::Conflict, "there is a tenant of that id")),
            Err(error) if error.kind == Kind::NotFound => {}
            Err(error) => return Err(error),
        }
        let tenant = Tenant { id: id.into(), name: name.into(), created_at: Timestamp::now() };
        self.write(key, &tenant, Record::Tenant(tenant.clone())).await?;
        Ok(tenant)
    }

    /// A tenant by id.
    pub fn tenant(&self, id: &str) -> Option<Tenant> {
        match self.copy().record(&layout::tenant_key(id))? {
            Record::Tenant(tenant) => Some(tenant.clone()),
            _ => None,
        }
    }

    /// All tenants, by id.
    pub fn tenants(&self) -> Vec<Tenant> {
        let copy = self.copy();
        let mut tenants: Vec<Tenant> = copy
            .records()
            .filter_map(
                |record| if let Record::Tenant(tenant) = record { Some(tenant.clone()) } else { None },
            )
            .collect();
        tenants.sort_by(|a, b| a.id.cmp(&b.id));
        tenants
    }

    async fn must_be_tenant(&self, id: &str) -> Result<()> {
        if self.tenant(id).is_none() {
            self.refresh().await?;
        }
        self.tenant(id).map(drop).ok_or_else(|| Error::not_found("no such tenant"))
    }

    /// Makes an API key for a tenant.
    pub async fn create_api_key(&self, tenant: &str, name: &str) -> Result<NewApiKey> {
        self.must_be_tenant(tenant).await?;
        let new = NewApiKey::make(tenant, name)?;
        self.write(layout::api_key_key(&new.key.id), &new.key, Record::Api(new.key.clone())).await?;
        Ok(new)
    }

    /// The key behind a text `cs_{id}_{secret}`, unless unknown, wrong or revoked. Compared in
    /// constant time.
    pub fn verify_api_key(&self, text: &str) -> Option<ApiKey> {
        let (id, secret) = split_api_key(text)?;
        let copy = self.copy();
        let Record::Api(key) = copy.record(&layout::api_key_key(id))? else { return None };
        let revoked = copy.revoked(&key.tenant, &Target::Key(key.id.clone())).is_some();
        (key.opens_with(secret) && !revoked).then(|| key.clone())
    }

    /// A tenant's API keys, newest first, revoked ones too.
    pub fn api_keys(&self, tenant: &str) -> Vec<ApiKey> {
        let copy = self.copy();
        let mut keys: Vec<ApiKey> = copy
            .records()
            .filter_map(|record| if let Record::Api(key) = record { Some(key.clone()) } else { None })
            .filter(|key| key.tenant == tenant)
            .map(|key| ApiKey {
                revoked: copy.revoked(tenant, &Target::Key(key.id.clone())).is_some(),
                ..key
            })
            .collect();
        keys.sort_by(|a, b| (b.created_at, &b.id).cmp(&(a.created_at, &a.id)));
        keys
    }

    /// Makes a signing key for a tenant, with a random secret of 32 bytes.
    pub async fn create_signing_key(&self, tenant: &str) -> Result<SigningKey> {
        self.must_be_tenant(tenant).await?;
        let key = SigningKey::make(tenant)?;
        self.write(layout::signing_key_key(&key.kid), &key, Record::Signing(key.clone())).await?;
        Ok(key)
    }

    /// A signing key by its `kid`, unless unknown or revoked.
    pub fn signing_key(&self, kid: &str) -> Option<SigningKey> {
        let copy = self.copy();
        let Record::Signing(key) = copy.record(&layout::signing_key_key(kid))? else { return None };
        let revoked = copy.revoked(&key.tenant, &Target::Key(key.kid.clone())).is_some();
        (!revoked).then(|| key.clone())
    }

    /// A tenant's signing keys, newest first, revoked ones too.
    pub fn signing_keys(&self, tenant: &str) -> Vec<SigningKey> {
        let copy = self.copy();
        let mut keys: Vec<SigningKey> = copy
            .records()
            .filter_map(|record| if let Record::Signing(key) = record { Some(key.clone()) } else { None })
            .filter(|key| key.tenant == tenant)
            .map(|key| SigningKey {
                revoked: copy.revoked(tenant, &Target::Key(key.kid.clone())).is_some(),
                ..key
            })
            .collect();
        keys.sort_by(|a, b| (b.created_at, &b.kid).cmp(&(a.created_at, &a.kid)));
        keys
    }

    /// Revokes. Durable when this returns, in force here at once and on every server within five
    /// seconds.
    ///
    /// `until` is when all it could stop is over by itself: it is forgotten then. `None` for never.
    pub async fn revoke(&self, tenant: &str, target: Target, until: Option<Timestamp>) -> Result<Revocation> {
        if !layout::valid_tenant(tenant) || target.id().is_empty() || target.id().len() > 512 {
            return Err(Error::invalid("nothing that can be revoked"));
        }
        let revocation = Revocation { tenant: tenant.into(), target, at: Timestamp::now(), until };
        self.write(revocation.key(), &revocation, Record::Revocation(revocation.clone())).await?;
        Ok(revocation)
    }

    /// When a target of a tenant was last revoked; `None` if it is not.
    pub fn revoked_at(&self, tenant: &str, target: &Target) -> Option<Timestamp> {
        self.copy().revoked(tenant, target)
    }

    /// True if any of these targets of a tenant is revoked.
    pub fn any_revoked(&self, tenant: &str, targets: &[Target]) -> bool {
        let copy = self.copy();
        targets.iter().any(|target| copy.revoked(tenant, target).is_some())
    }

    /// A tenant's revocations, newest first.
    pub fn revocations(&self, tenant: &str) -> Vec<Revocation> {
        let copy = self.copy();
        let mut found: Vec<Revocation> = copy
            .records()
            .filter_map(|record| if let Record::Revocation(r) = record { Some(r.clone()) } else { None })
            .filter(|revocation| revocation.tenant == tenant)
            .collect();
        found.sort_by_key(|revocation| std::cmp::Reverse(revocation.at));
        found
    }
}
