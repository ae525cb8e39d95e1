//! Who may: tenants, keys and revocations, written to storage, and read from a copy in memory that is never more
//! than a few seconds old.

use std::time::Duration;

use chalkstream_config as config;
use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use crate::{ApiKey, Error, NewApiKey, Result, Revocation, SigningKey, Store, Target, Tenant};

/// Tenants, keys and revocations. Clones share the copy.
#[derive(Clone)]
pub struct Authority {}

fn soon<T>() -> Result<T> {
    Err(Error::internal("not built yet"))
}

impl Authority {
    /// Reads everything from storage; fails where that cannot be read. `redis` only makes changes arrive sooner.
    pub async fn load(_store: Store, _redis: Option<&config::Redis>) -> Result<Self> {
        Ok(Self {})
    }

    /// Keeps the copy fresh until cancelled: asks Redis for changes each second, and storage every three.
    pub async fn follow(self, stop: CancellationToken) {
        stop.cancelled().await;
    }

    /// Reads everything from storage again now.
    pub async fn refresh(&self) -> Result<()> {
        soon()
    }

    /// How old the copy is. A server whose copy is older than five seconds cannot promise revocations.
    pub fn age(&self) -> Duration {
        Duration::ZERO
    }

    /// Makes a tenant. [`Kind::Conflict`](crate::Kind::Conflict) where there is one of that id.
    pub async fn create_tenant(&self, _id: &str, _name: &str) -> Result<Tenant> {
        soon()
    }

    /// A tenant by id.
    pub fn tenant(&self, _id: &str) -> Option<Tenant> {
        None
    }

    /// All tenants, by id.
    pub fn tenants(&self) -> Vec<Tenant> {
        Vec::new()
    }

    /// Makes an API key for a tenant.
    pub async fn create_api_key(&self, _tenant: &str, _name: &str) -> Result<NewApiKey> {
        soon()
    }

    /// The key behind a text `cs_{id}_{secret}`, unless unknown, wrong or revoked. Compared in constant time.
    pub fn verify_api_key(&self, _text: &str) -> Option<ApiKey> {
        None
    }

    /// A tenant's API keys, revoked ones too.
    pub fn api_keys(&self, _tenant: &str) -> Vec<ApiKey> {
        Vec::new()
    }

    /// Makes a signing key for a tenant, with a random secret of 32 bytes.
    pub async fn create_signing_key(&self, _tenant: &str) -> Result<SigningKey> {
        soon()
    }

    /// A signing key by its `kid`, unless unknown or revoked.
    pub fn signing_key(&self, _kid: &str) -> Option<SigningKey> {
        None
    }

    /// A tenant's signing keys, newest first, revoked ones too.
    pub fn signing_keys(&self, _tenant: &str) -> Vec<SigningKey> {
        Vec::new()
    }

    /// Revokes. Durable when this answers, in force here at once and on every server within five seconds.
    pub async fn revoke(
        &self,
        _tenant: &str,
        _target: Target,
        _until: Option<Timestamp>,
    ) -> Result<Revocation> {
        soon()
    }

    /// When a target of a tenant was revoked; `None` where it is not.
    pub fn revoked_at(&self, _tenant: &str, _target: &Target) -> Option<Timestamp> {
        None
    }

    /// True where any of these targets of a tenant is revoked.
    pub fn any_revoked(&self, tenant: &str, targets: &[Target]) -> bool {
        targets.iter().any(|target| self.revoked_at(tenant, target).is_some())
    }

    /// A tenant's revocations that are in force.
    pub fn revocations(&self, _tenant: &str) -> Vec<Revocation> {
        Vec::new()
    }
}
