//! The copy of tenants and keys in memory: every object, by its key.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Instant;

use crate::{ApiKey, RevokedKey, SigningKey, Tenant, layout};

/// One object.
#[derive(Clone, Debug)]
pub(super) enum Record {
    Tenant(Tenant),
    Api(ApiKey),
    Signing(SigningKey),
    RevokedKey(RevokedKey),
}

impl Record {
    /// Reads an object; `None` (logged) where it is not one of ours, or lies under another's key.
    pub(super) fn parse(key: &str, body: &[u8]) -> Option<Self> {
        let record = if key.starts_with(&layout::tenants_prefix()) {
            serde_json::from_slice(body).ok().map(Record::Tenant)
        } else if key.starts_with(&layout::revoked_keys_prefix()) {
            serde_json::from_slice(body).ok().map(Record::RevokedKey)
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
            Record::RevokedKey(revoked) => layout::revoked_key_key(&revoked.key),
        }
    }
}

/// Everything at one moment.
#[derive(Clone, Default)]
pub(super) struct Snapshot {
    /// By object key, with the time it was first seen here.
    objects: HashMap<String, (Instant, Arc<Record>)>,
    /// By tenant, the object keys of its signing keys.
    signing: HashMap<String, Vec<String>>,
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

    pub(super) fn is_key_revoked(&self, tenant: &str, id: &str) -> bool {
        let record = self.record(&layout::revoked_key_key(id));
        matches!(record, Some(Record::RevokedKey(revoked)) if revoked.tenant == tenant)
    }

    pub(super) fn revoked_keys(&self, tenant: &str) -> impl Iterator<Item = &RevokedKey> {
        self.records().filter_map(move |record| match record {
            Record::RevokedKey(revoked) if revoked.tenant == tenant => Some(revoked),
            _ => None,
        })
    }

    /// True for an API key or signing key of the tenant.
    pub(super) fn has_key(&self, tenant: &str, id: &str) -> bool {
        [layout::api_key_key(id), layout::signing_key_key(id)].iter().any(|key| match self.record(key) {
            Some(Record::Api(key)) => key.tenant == tenant,
            Some(Record::Signing(key)) => key.tenant == tenant,
            _ => false,
        })
    }

    /// The newest that is not revoked. For each link that is minted: it looks at the tenant's own.
    pub(super) fn newest_signing_key(&self, tenant: &str) -> Option<&SigningKey> {
        let own = self.signing.get(tenant)?.iter().filter_map(|key| match self.record(key) {
            Some(Record::Signing(key)) if !self.is_key_revoked(tenant, &key.kid) => Some(key),
            _ => None,
        });
        own.max_by_key(|key| (key.created_at, &key.kid))
    }

    /// With one object more, which was just written.
    pub(super) fn with(&self, key: String, record: Record) -> Self {
        let mut next = self.clone();
        next.insert(key, record, Instant::now());
        next
    }

    /// Without one object, which was just removed.
    pub(super) fn without(&self, key: &str) -> Self {
        let mut next = self.clone();
        next.objects.remove(key);
        next
    }

    fn insert(&mut self, key: String, record: Record, seen: Instant) {
        if let Record::Signing(signing) = &record {
            let own = self.signing.entry(signing.tenant.clone()).or_default();
            if !own.contains(&key) {
                own.push(key.clone());
            }
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
