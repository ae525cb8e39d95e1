//! The copy in memory: every object under `_system`, by its key.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Instant;

use jiff::Timestamp;

use crate::{ApiKey, Revocation, SigningKey, Target, Tenant, layout};

/// One object.
#[derive(Clone, Debug)]
pub(super) enum Record {
    Tenant(Tenant),
    Api(ApiKey),
    Signing(SigningKey),
    Revocation(Revocation),
}

impl Record {
    /// Reads an object; `None` (logged) where it is not one of ours, or lies under another's key.
    pub(super) fn parse(key: &str, body: &[u8]) -> Option<Self> {
        let record = if key.starts_with(&layout::tenants_prefix()) {
            serde_json::from_slice(body).ok().map(Record::Tenant)
        } else if key.starts_with(&layout::revocations_prefix()) {
            serde_json::from_slice(body).ok().map(Record::Revocation)
        } else {
            let api = serde_json::from_slice(body).ok().map(Record::Api);
            api.or_else(|| serde_json::from_slice(body).ok().map(Record::Signing))
        };
        let record = record.filter(|record| record.key() == key);
        if record.is_none() {
            tracing::error!(key, "object cannot be read, it is ignored");
        }
        record
    }

    fn key(&self) -> String {
        match self {
            Record::Tenant(tenant) => layout::tenant_key(&tenant.id),
            Record::Api(key) => layout::api_key_key(&key.id),
            Record::Signing(key) => layout::signing_key_key(&key.kid),
            Record::Revocation(revocation) => revocation.key(),
        }
    }
}

/// Everything at one moment.
#[derive(Clone, Default)]
pub(super) struct Snapshot {
    /// By object key, with the time it was first seen here.
    objects: HashMap<String, (Instant, Arc<Record>)>,
    /// When each target was last revoked, by its digest.
    revoked: HashMap<String, Timestamp>,
}

impl Snapshot {
    pub(super) fn knows(&self, key: &str) -> bool {
        self.objects.contains_key(key)
    }

    pub(super) fn record(&self, key: &str) -> Option<&Record> {
        self.objects.get(key).map(|(_, record)| record.as_ref())
    }

    pub(super) fn records(&self) -> impl Iterator<Item = &Record> {
        self.objects.values().map(|(_, record)| record.as_ref())
    }

    pub(super) fn revoked(&self, tenant: &str, target: &Target) -> Option<Timestamp> {
        self.revoked.get(&target.digest(tenant)).copied()
    }

    /// With one object more, which was just written.
    pub(super) fn with(&self, key: String, record: Record) -> Self {
        let mut next = self.clone();
        next.insert(key, record, Instant::now());
        next
    }

    fn insert(&mut self, key: String, record: Record, seen: Instant) {
        if let Record::Revocation(revocation) = &record {
            let at =
                self.revoked.entry(revocation.target.digest(&revocation.tenant)).or_insert(revocation.at);
            *at = revocation.at.max(*at);
        }
        self.objects.insert(key, (seen, Arc::new(record)));
    }

    /// What a listing that began at `started` makes of it; `None` if nothing changed. What was
    /// written here since then cannot be in the listing, and stays.
    pub(super) fn next(
        &self,
        listed: &[String],
        read: impl Iterator<Item = (String, Record)>,
        started: Instant,
    ) -> Option<Self> {
        let listed: HashSet<&str> = listed.iter().map(String::as_str).collect();
        let stays = |key: &str, seen: Instant| seen >= started || listed.contains(key);
        let gone = self.objects.iter().any(|(key, (seen, _))| !stays(key, *seen));
        let mut read = read.peekable();
        if !gone && read.peek().is_none() {
            return None;
        }
        let mut next = Self::default();
        for (key, (seen, record)) in &self.objects {
            if stays(key, *seen) {
                next.insert(key.clone(), record.as_ref().clone(), *seen);
            }
        }
        for (key, record) in read {
            next.insert(key, record, started);
        }
        Some(next)
    }
}
