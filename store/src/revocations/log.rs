//! Writing to the log. Everything that waits goes into one object, so that a flood makes larger
//! objects, not more of them. Each tenant has a share of an object: it waits for its own.

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::sync::oneshot;

use super::live::LiveRevocations;
use super::record::{RevocationRecord, encode};
use crate::announcer::Announcer;
use crate::{Error, Kind, Result, Store, layout};

/// Time between two objects. Every server lists them every two seconds: so they stay few.
const PACE: Duration = Duration::from_millis(50);
/// Records of one tenant in an object.
const MAX_SHARE_RECORDS: usize = 2_000;

/// Keys of log objects whose records are in memory.
#[derive(Clone, Default)]
pub(crate) struct KnownObjects(Arc<Mutex<HashSet<String>>>);

impl KnownObjects {
    fn keys(&self) -> MutexGuard<'_, HashSet<String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn insert(&self, key: String) {
        self.keys().insert(key);
    }

    /// Those of a listing that were not read yet.
    pub(crate) fn unknown_of(&self, listed: &[String]) -> Vec<String> {
        let keys = self.keys();
        listed.iter().filter(|key| !keys.contains(*key)).cloned().collect()
    }

    /// Drops those that storage no longer has.
    pub(crate) fn retain(&self, listed: &[String]) {
        let listed: HashSet<&str> = listed.iter().map(String::as_str).collect();
        self.keys().retain(|key| listed.contains(key.as_str()));
    }
}

/// Appends to the log. Clones share the queue.
#[derive(Clone)]
pub(crate) struct RevocationLog {
    store: Store,
    live: Arc<LiveRevocations>,
    known: KnownObjects,
    announcer: Announcer,
    queue: Arc<Mutex<WaitingRecords>>,
}

#[derive(Default)]
struct WaitingRecords {
    waiting: BTreeMap<String, VecDeque<WaitingRecord>>,
    is_writing: bool,
    /// When the last object was begun.
    begun: Option<Instant>,
}

struct WaitingRecord {
    record: RevocationRecord,
    done: oneshot::Sender<Result<()>>,
}

impl RevocationLog {
    pub(crate) fn new(
        store: Store,
        live: Arc<LiveRevocations>,
        known: KnownObjects,
        announcer: Announcer,
    ) -> Self {
        Self { store, live, known, announcer, queue: Arc::default() }
    }

    /// Appends a record. It is durable and in force here when this returns, and goes on without its
    /// caller.
    pub(crate) async fn append(&self, record: RevocationRecord) -> Result<()> {
        let (done, written) = oneshot::channel();
        let must_start = {
            let mut queue = self.queue();
            queue.waiting.entry(record.tenant.clone()).or_default().push_back(WaitingRecord { record, done });
            !std::mem::replace(&mut queue.is_writing, true)
        };
        if must_start {
            tokio::spawn(self.clone().write());
        }
        written.await.unwrap_or_else(|_| Err(Error::unavailable("stopped before it was written")))
    }

    fn queue(&self) -> MutexGuard<'_, WaitingRecords> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes objects until nothing waits.
    async fn write(self) {
        loop {
            let begun = self.queue().begun;
            if let Some(rest) = begun.and_then(|begun| PACE.checked_sub(begun.elapsed())) {
                tokio::time::sleep(rest).await;
            }
            let Some(batch) = self.next_batch() else { return };
            let (records, callers): (Vec<RevocationRecord>, Vec<_>) =
                batch.into_iter().map(|waiting| (waiting.record, waiting.done)).unzip();
            let outcome = self.put(&records).await;
            for caller in callers {
                let outcome = outcome.as_ref().copied().map_err(|(kind, text)| Error::new(*kind, text));
                // A caller that no longer waits does not need to know.
                let _ = caller.send(outcome);
            }
            if outcome.is_ok() {
                self.announcer.announce().await;
            }
        }
    }

    /// The next object's records. With none the writer ends, and the next record starts another.
    fn next_batch(&self) -> Option<Vec<WaitingRecord>> {
        let mut queue = self.queue();
        let mut batch = Vec::new();
        for waiting in queue.waiting.values_mut() {
            let share = waiting.len().min(MAX_SHARE_RECORDS);
            batch.extend(waiting.drain(..share));
        }
        queue.waiting.retain(|_, waiting| !waiting.is_empty());
        queue.is_writing = !batch.is_empty();
        queue.begun = Some(Instant::now());
        Some(batch).filter(|batch| !batch.is_empty())
    }

    /// The error in parts, because each caller gets one.
    async fn put(&self, records: &[RevocationRecord]) -> Result<(), (Kind, String)> {
        let key = key_of_new(records);
        let written = self.store.put(&key, Bytes::from(encode(records))).await;
        written.map_err(|error| (error.kind, error.to_string()))?;
        self.live.apply(records);
        self.known.insert(key);
        Ok(())
    }
}

/// A key at the lowest level.
pub(super) fn key_of_new(records: &[RevocationRecord]) -> String {
    let until_s = records.iter().map(|record| record.entry.until_s()).max().unwrap_or_default();
    layout::revocation_log_key(0, &uuid::Uuid::now_v7().simple().to_string(), until_s)
}
