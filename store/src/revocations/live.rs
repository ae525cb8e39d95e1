//! The revocations in force, in memory: a table for each tenant, so that the flood of one does not
//! delay the others. Records may arrive in any order, and more than once.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, HashMap};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use super::entry::Entry;
use super::record::Record;
use super::target::{TargetKind, TargetName};

/// Parts of a tenant's table. A write locks one of them.
const SHARDS: usize = 16;

type Shard = HashMap<TargetName, Entry>;

/// A tenant's table.
#[derive(Default)]
struct Table([RwLock<Shard>; SHARDS]);

impl Table {
    fn of(&self, name: &TargetName) -> &RwLock<Shard> {
        &self.0[usize::from(name.last_byte()) % SHARDS]
    }

    fn shards(&self) -> impl Iterator<Item = RwLockReadGuard<'_, Shard>> {
        self.0.iter().map(|shard| shard.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn shards_mut(&self) -> impl Iterator<Item = RwLockWriteGuard<'_, Shard>> {
        self.0.iter().map(|shard| shard.write().unwrap_or_else(PoisonError::into_inner))
    }
}

/// All tenants' tables.
#[derive(Default)]
pub(crate) struct LiveRevocations {
    tables: RwLock<HashMap<String, Arc<Table>>>,
}

impl LiveRevocations {
    fn table(&self, tenant: &str) -> Option<Arc<Table>> {
        self.tables.read().unwrap_or_else(PoisonError::into_inner).get(tenant).map(Arc::clone)
    }

    fn table_or_new(&self, tenant: &str) -> Arc<Table> {
        if let Some(table) = self.table(tenant) {
            return table;
        }
        let mut tables = self.tables.write().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(tables.entry(tenant.to_owned()).or_default())
    }

    /// Takes in records. Returns the number of those that changed something.
    pub(crate) fn apply<'a>(&self, records: impl IntoIterator<Item = &'a Record>) -> usize {
        let mut tables: BTreeMap<&str, Arc<Table>> = BTreeMap::new();
        let mut changed = 0;
        for record in records {
            let table = tables.entry(&record.tenant).or_insert_with(|| self.table_or_new(&record.tenant));
            let mut shard = table.of(&record.name).write().unwrap_or_else(PoisonError::into_inner);
            let before = shard.get(&record.name).copied();
            let after = before.map_or(record.entry, |before| before.merged(record.entry));
            if before != Some(after) {
                shard.insert(record.name, after);
                changed += 1;
            }
        }
        changed
    }

    /// The state of a target.
    pub(crate) fn entry(&self, tenant: &str, name: &TargetName) -> Option<Entry> {
        let table = self.table(tenant)?;
        let shard = table.of(name).read().unwrap_or_else(PoisonError::into_inner);
        shard.get(name).copied()
    }

    /// True if a token with one of these targets is refused. Nothing is computed for a tenant that
    /// has no revocations.
    pub(crate) fn refuses_any(
        &self,
        tenant: &str,
        names: impl IntoIterator<Item = TargetName>,
        issued_at_s: Option<u64>,
    ) -> bool {
        let Some(table) = self.table(tenant) else { return false };
        names.into_iter().any(|name| {
            let shard = table.of(&name).read().unwrap_or_else(PoisonError::into_inner);
            shard.get(&name).is_some_and(|entry| entry.refuses(name.kind(), issued_at_s))
        })
    }

    /// The number of targets that a tenant's table holds.
    pub(crate) fn count(&self, tenant: &str) -> usize {
        self.table(tenant).map_or(0, |table| table.shards().map(|shard| shard.len()).sum())
    }

    /// The number of all.
    pub(crate) fn count_all(&self) -> usize {
        let tables: Vec<Arc<Table>> =
            self.tables.read().unwrap_or_else(PoisonError::into_inner).values().map(Arc::clone).collect();
        tables.iter().flat_map(|table| table.shards()).map(|shard| shard.len()).sum()
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
    ) -> Vec<(TargetName, Entry)> {
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
        sorted.map(|Reverse((at_ms, name, until_s))| (name, Entry::new(at_ms, until_s, false))).collect()
    }

    /// Drops what is over.
    pub(crate) fn prune(&self, now_s: u64) {
        let tables: Vec<Arc<Table>> =
            self.tables.read().unwrap_or_else(PoisonError::into_inner).values().map(Arc::clone).collect();
        for table in tables {
            for mut shard in table.shards_mut() {
                shard.retain(|_, entry| entry.until_s() > now_s);
                if shard.len() * 4 < shard.capacity() {
                    shard.shrink_to_fit();
                }
            }
        }
    }
}
