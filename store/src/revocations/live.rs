//! The revocations in force, in memory: a table for each tenant, so that the flood of one does not
//! delay the others. Records may arrive in any order, and more than once.

use std::cmp::Reverse;
use std::collections::hash_map::Entry::{Occupied, Vacant};
use std::collections::{BTreeMap, BinaryHeap, HashMap};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use super::entry::RevocationEntry;
use super::hasher::NameHashers;
use super::record::RevocationRecord;
use super::target::{Target, TargetKind, TargetName};

/// Parts of a tenant's table. A write locks one of them.
const SHARDS: usize = 16;

type Shard = HashMap<TargetName, RevocationEntry, NameHashers>;

/// A tenant's table.
#[derive(Default)]
struct TenantRevocations {
    shards: [RwLock<Shard>; SHARDS],
    /// Targets of each kind: nothing is computed for a kind of which there are none.
    counts: [AtomicUsize; TargetKind::ALL.len()],
}

impl TenantRevocations {
    fn shard(&self, name: &TargetName) -> RwLockReadGuard<'_, Shard> {
        self.shards[shard_number(name)].read().unwrap_or_else(PoisonError::into_inner)
    }

    fn shards(&self) -> impl Iterator<Item = RwLockReadGuard<'_, Shard>> {
        self.shards.iter().map(|shard| shard.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn count(&self, kind: TargetKind) -> &AtomicUsize {
        &self.counts[kind as usize]
    }

    /// Takes in records of one shard.
    fn apply(&self, number: usize, records: &[&RevocationRecord]) {
        let mut shard = self.shards[number].write().unwrap_or_else(PoisonError::into_inner);
        for record in records {
            match shard.entry(record.name) {
                Occupied(mut known) => {
                    let merged = known.get().merged(record.entry);
                    known.insert(merged);
                }
                Vacant(new) => {
                    self.count(record.name.kind()).fetch_add(1, Ordering::Relaxed);
                    new.insert(record.entry);
                }
            }
        }
    }

    fn prune(&self, now_s: u64) {
        for shard in &self.shards {
            let mut shard = shard.write().unwrap_or_else(PoisonError::into_inner);
            shard.retain(|name, entry| {
                let stays = entry.until_s() > now_s;
                if !stays {
                    self.count(name.kind()).fetch_sub(1, Ordering::Relaxed);
                }
                stays
            });
            if shard.len() * 4 < shard.capacity() {
                shard.shrink_to_fit();
            }
        }
    }
}

fn shard_number(name: &TargetName) -> usize {
    usize::from(name.last_byte()) % SHARDS
}

/// All tenants' tables.
#[derive(Default)]
pub(crate) struct LiveRevocations {
    tables: RwLock<HashMap<String, Arc<TenantRevocations>>>,
}

impl LiveRevocations {
    /// Returns a tenant's table, without the lock of all tables.
    fn table(&self, tenant: &str) -> Option<Arc<TenantRevocations>> {
        self.tables.read().unwrap_or_else(PoisonError::into_inner).get(tenant).map(Arc::clone)
    }

    fn table_or_new(&self, tenant: &str) -> Arc<TenantRevocations> {
        if let Some(table) = self.table(tenant) {
            return table;
        }
        let mut tables = self.tables.write().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(tables.entry(tenant.to_owned()).or_default())
    }

    /// Takes in records. Each shard is locked once, for some microseconds.
    pub(crate) fn apply<'a>(&self, records: impl IntoIterator<Item = &'a RevocationRecord>) {
        let mut by_tenant: BTreeMap<&str, [Vec<&RevocationRecord>; SHARDS]> = BTreeMap::new();
        for record in records {
            by_tenant.entry(&record.tenant).or_default()[shard_number(&record.name)].push(record);
        }
        for (tenant, shards) in by_tenant {
            let table = self.table_or_new(tenant);
            for (number, records) in shards.iter().enumerate().filter(|(_, records)| !records.is_empty()) {
                table.apply(number, records);
            }
        }
    }

    /// The state of a target.
    pub(crate) fn entry(&self, tenant: &str, name: &TargetName) -> Option<RevocationEntry> {
        let table = self.table(tenant)?;
        table.shard(name).get(name).copied()
    }

    /// True if a token with one of these targets is refused.
    pub(crate) fn refuses_any(&self, tenant: &str, targets: &[Target], issued_at_s: Option<u64>) -> bool {
        let Some(table) = self.table(tenant) else { return false };
        let has_some = |kind| table.count(kind).load(Ordering::Relaxed) > 0;
        targets.iter().filter(|target| target.kind().is_some_and(has_some)).any(|target| {
            TargetName::new(tenant, target).is_some_and(|name| {
                let shard = table.shard(&name);
                shard.get(&name).is_some_and(|entry| entry.refuses(name.kind(), issued_at_s))
            })
        })
    }

    /// The number of targets that a tenant's table holds.
    pub(crate) fn count(&self, tenant: &str) -> usize {
        self.table(tenant)
            .map_or(0, |table| table.counts.iter().map(|count| count.load(Ordering::Relaxed)).sum())
    }

    /// The number of all.
    pub(crate) fn count_all(&self) -> usize {
        let tables: Vec<Arc<TenantRevocations>> =
            self.tables.read().unwrap_or_else(PoisonError::into_inner).values().map(Arc::clone).collect();
        tables.iter().flat_map(|table| &table.counts).map(|count| count.load(Ordering::Relaxed)).sum()
    }

    /// The newest that are in force, at most `limit`, older than `before`: a time in ms, and the
    /// name that was the last of that time (`None`: one that comes before all names).
    pub(crate) fn newest(
        &self,
        tenant: &str,
        kind: Option<TargetKind>,
        before: Option<(u64, Option<TargetName>)>,
        limit: usize,
        now_s: u64,
    ) -> Vec<(TargetName, RevocationEntry)> {
        let Some(table) = self.table(tenant) else { return Vec::new() };
        let mut newest = BinaryHeap::new();
        for shard in table.shards() {
            for (name, entry) in shard.iter() {
                let is_wanted = !entry.is_lifted()
                    && entry.until_s() > now_s
                    && kind.is_none_or(|kind| kind == name.kind())
                    && before.is_none_or(|before| (entry.at_ms(), Some(*name)) < before);
                if is_wanted {
                    newest.push(Reverse((entry.at_ms(), *name, entry.until_s())));
                    if newest.len() > limit {
                        newest.pop();
                    }
                }
            }
        }
        let sorted = newest.into_sorted_vec().into_iter();
        sorted
            .map(|Reverse((at_ms, name, until_s))| (name, RevocationEntry::new(at_ms, until_s, false)))
            .collect()
    }

    /// Drops what is over.
    pub(crate) fn prune(&self, now_s: u64) {
        let tables: Vec<Arc<TenantRevocations>> =
            self.tables.read().unwrap_or_else(PoisonError::into_inner).values().map(Arc::clone).collect();
        tables.iter().for_each(|table| table.prune(now_s));
    }
}
