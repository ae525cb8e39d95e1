//! Merging log objects, so that a listing stays short and a new server reads few of them.
//!
//! A merged object is of a higher level than its parts, and higher levels come later in a listing.
//! The merged object is written before its parts are removed. So a listing that misses a part
//! because it was removed goes on to the merged object, however many pages it has.

use std::collections::{BTreeMap, HashSet};

use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream};

use super::entry::RevocationEntry;
use super::legacy::LegacyRevocation;
use super::log::key_of_new;
use super::record::{RevocationRecord, encode, parse};
use super::target::TargetName;
use crate::clock::now_s;
use crate::objects::{list_all, sha256_hex};
use crate::{Kind, Listed, Result, Store, layout};

/// Objects of a level before they are merged.
const MIN_PARTS: usize = 16;
/// Objects merged at once.
const MAX_PARTS: usize = 128;
/// A merged object stays below this: a server reads it in a fraction of a second.
const MAX_OBJECT_BYTES: u64 = 2 << 20;
/// The highest level.
const LAST_LEVEL: u8 = 9;
/// Objects read at once.
const READS: usize = 16;
/// How long an object stays after all in it is over, in seconds: clocks differ.
const KEPT_S: u64 = 3_600;

/// A log object, as its key describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct LogPart {
    key: String,
    level: u8,
    size_bytes: u64,
}

/// Merges until every level is short. Rewrites revocations of earlier builds. Running it twice, or
/// on two machines at once, changes nothing. Returns the number of objects that are gone.
pub(crate) async fn compact(store: &Store) -> Result<u64> {
    let mut gone = 0;
    let mut unreadable = HashSet::new();
    loop {
        let mut parts = Vec::new();
        let mut legacy = Vec::new();
        for Listed { key, size_bytes, .. } in list(store).await? {
            match layout::revocation_log_level(&key) {
                Some((level, _)) if !unreadable.contains(&key) => {
                    parts.push(LogPart { key, level, size_bytes })
                }
                Some(_) => {}
                None => legacy.push(key),
            }
        }
        gone += rewrite_legacy(store, legacy).await?;
        let Some(group) = next_group(&parts) else { return Ok(gone) };
        gone += merge(store, group, &mut unreadable).await?;
    }
}

async fn list(store: &Store) -> Result<Vec<Listed>> {
    list_all(store, &layout::revocations_prefix()).try_collect().await
}

/// The parts of the next merged object: small ones of the lowest level that has enough of them.
fn next_group(parts: &[LogPart]) -> Option<Vec<LogPart>> {
    (0..LAST_LEVEL).find_map(|level| {
        let is_small = |part: &&LogPart| part.level == level && part.size_bytes < MAX_OBJECT_BYTES / 2;
        let mut bytes = 0;
        let small: Vec<&LogPart> = parts.iter().filter(is_small).take(MAX_PARTS).collect();
        let fitting = small.iter().take_while(|part| {
            bytes += part.size_bytes;
            bytes <= MAX_OBJECT_BYTES
        });
        let fitting: Vec<LogPart> = fitting.map(|part| (*part).clone()).collect();
        (small.len() >= MIN_PARTS).then_some(fitting)
    })
}

async fn merge(store: &Store, group: Vec<LogPart>, unreadable: &mut HashSet<String>) -> Result<u64> {
    let level = group.iter().map(|part| part.level).max().unwrap_or_default() + 1;
    let read: Vec<(String, Option<Bytes>)> = stream::iter(group)
        .map(|part| async move {
            match store.get(&part.key).await {
                Ok(body) => Ok((part.key, Some(body))),
                // Another merged it.
                Err(error) if error.kind == Kind::NotFound => Ok((part.key, None)),
                Err(error) => Err(error),
            }
        })
        .buffered(READS)
        .try_collect()
        .await?;
    let mut merged: BTreeMap<(String, TargetName), RevocationEntry> = BTreeMap::new();
    let mut keys = Vec::new();
    for (key, body) in read {
        let Some(body) = body else { continue };
        let parsed = parse(&body);
        if parsed.unreadable > 0 {
            // It stays as it is, for a person to look at.
            unreadable.insert(key);
            continue;
        }
        keys.push(key);
        for RevocationRecord { tenant, name, entry } in parsed.records {
            let merged = merged.entry((tenant, name)).or_insert(entry);
            *merged = merged.merged(entry);
        }
    }
    let now_s = now_s();
    let records: Vec<RevocationRecord> = merged
        .into_iter()
        .filter(|(_, entry)| entry.until_s() + KEPT_S > now_s)
        .map(|((tenant, name), entry)| RevocationRecord { tenant, name, entry })
        .collect();
    if let Some(until_s) = records.iter().map(|record| record.entry.until_s()).max() {
        // Named after its parts: two that merge the same write the same.
        let id = &sha256_hex(keys.concat().as_bytes())[..32];
        let key = layout::revocation_log_key(level, id, until_s);
        store.put(&key, Bytes::from(encode(&records))).await?;
    }
    store.delete_many(&keys).await?;
    Ok(keys.len() as u64)
}

/// Writes revocations of earlier builds in today's form. They hold names of viewers.
async fn rewrite_legacy(store: &Store, keys: Vec<String>) -> Result<u64> {
    let mut records = Vec::new();
    let mut rewritten = Vec::new();
    for key in keys {
        let body = match store.get(&key).await {
            Ok(body) => body,
            Err(error) if error.kind == Kind::NotFound => continue,
            Err(error) => return Err(error),
        };
        let Some(legacy) = LegacyRevocation::parse(&key, &body) else { continue };
        // A key's is rewritten by its reader.
        if let Some(record) = legacy.record() {
            records.push(record);
            rewritten.push(key);
        }
    }
    if !records.is_empty() {
        store.put(&key_of_new(&records), Bytes::from(encode(&records))).await?;
        store.delete_many(&rewritten).await?;
    }
    Ok(rewritten.len() as u64)
}

/// Removes log objects in which everything has been over for an hour; returns how many. For the
/// sweeper.
pub async fn forget_old_revocations(store: &Store) -> Result<u64> {
    let now_s = now_s();
    let is_over =
        |key: &str| layout::revocation_log_level(key).is_some_and(|(_, until_s)| until_s + KEPT_S < now_s);
    crate::objects::delete_where(store, &layout::revocations_prefix(), is_over).await
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(level: u8, number: usize, size_bytes: u64) -> LogPart {
        LogPart { key: format!("{level}-{number}"), level, size_bytes }
    }

    #[test]
    fn the_lowest_level_with_enough_small_objects_is_merged_first() {
        let few: Vec<LogPart> = (0..MIN_PARTS - 1).map(|n| part(0, n, 100)).collect();
        assert_eq!(next_group(&few), None);
        let above: Vec<LogPart> = (0..MIN_PARTS).map(|n| part(1, n, 100)).collect();
        assert_eq!(next_group(&[few.clone(), above.clone()].concat()), Some(above.clone()));
        let enough = [few, vec![part(0, 99, 100)], above].concat();
        assert_eq!(next_group(&enough).map(|group| group.len()), Some(MIN_PARTS));
        assert!(next_group(&enough).is_some_and(|group| group.iter().all(|part| part.level == 0)));
    }

    #[test]
    fn a_merged_object_stays_small_and_a_large_one_is_left_alone() {
        let large: Vec<LogPart> = (0..100).map(|n| part(2, n, MAX_OBJECT_BYTES / 2)).collect();
        assert_eq!(next_group(&large), None);
        let middling: Vec<LogPart> = (0..100).map(|n| part(2, n, MAX_OBJECT_BYTES / 8)).collect();
        assert_eq!(next_group(&middling).map(|group| group.len()), Some(8));
    }
}
