//! The log: nothing is lost while it is merged, and records may arrive in any order.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use proptest::prelude::*;

use super::compaction::compact;
use super::*;
use crate::clock::{now_ms, now_s};
use crate::objects::S3Objects;
use crate::testing::{S3Server, folder};
use crate::{Authority, Store, list_all};
use bytes::Bytes;
use futures_util::TryStreamExt;

fn name(n: u32) -> TargetName {
    TargetName::new("t", &Target::Link(n.to_string())).unwrap()
}

fn record(n: u32, entry: RevocationEntry) -> RevocationRecord {
    RevocationRecord { tenant: "t".into(), name: name(n), entry }
}

/// Writes an object of the log.
pub(crate) async fn write_log(store: &Store, records: &[RevocationRecord]) {
    let key = log::key_of_new(records);
    store.put(&key, Bytes::from(record::encode(records))).await.unwrap();
}

async fn objects(store: &Store) -> usize {
    let all: Vec<_> = list_all(store, &layout::revocations_prefix()).try_collect().await.unwrap();
    all.len()
}

async fn merging_loses_nothing(store: Store) {
    let until_s = now_s() + 1_000;
    let at_ms = now_ms();
    for n in 0..200 {
        write_log(&store, &[record(n, RevocationEntry::new(at_ms, until_s, false))]).await;
    }
    // Every third one is lifted, every ninth revoked again; some are over.
    for n in (0..200).step_by(3) {
        write_log(&store, &[record(n, RevocationEntry::new(at_ms + 1, until_s, true))]).await;
    }
    for n in (0..200).step_by(9) {
        write_log(&store, &[record(n, RevocationEntry::new(at_ms + 2, until_s, false))]).await;
    }
    write_log(&store, &[record(1_000, RevocationEntry::new(at_ms - 9_000_000, now_s() - 8_000, false))])
        .await;
    let before = objects(&store).await;
    compact(&store).await.unwrap();
    let after = objects(&store).await;
    assert!(after <= 32 && after < before, "{before} objects became {after}");
    assert_eq!(compact(&store).await.unwrap(), 0, "nothing is left to merge");

    let authority = Authority::load(store, None).await.unwrap();
    for n in 0..200 {
        let is_revoked = n % 3 != 0 || n % 9 == 0;
        assert_eq!(authority.any_revoked("t", &[Target::Link(n.to_string())], None), is_revoked, "{n}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn merging_loses_nothing_in_a_folder() {
    let (store, _folder) = folder().await;
    merging_loses_nothing(store).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn merging_loses_nothing_in_a_bucket() {
    let server = S3Server::start().await;
    merging_loses_nothing(Arc::new(S3Objects::open(&server.settings()).await.unwrap())).await;
}

/// A process that starts while another merges, and two that merge at once, miss nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_listing_that_runs_while_the_log_is_merged_misses_nothing() {
    let (store, _folder) = folder().await;
    let until_s = now_s() + 1_000;
    let stop = Arc::new(AtomicBool::new(false));
    let mergers: Vec<_> = (0..2)
        .map(|_| {
            let (store, stop) = (store.clone(), Arc::clone(&stop));
            tokio::spawn(async move {
                while !stop.load(Ordering::Relaxed) {
                    compact(&store).await.unwrap();
                }
            })
        })
        .collect();
    for n in 0..300 {
        write_log(&store, &[record(n, RevocationEntry::new(now_ms(), until_s, false))]).await;
        if n % 10 == 9 {
            let authority = Authority::load(store.clone(), None).await.unwrap();
            let missing: Vec<u32> = (0..=n)
                .filter(|n| !authority.any_revoked("t", &[Target::Link(n.to_string())], None))
                .collect();
            assert!(missing.is_empty(), "{missing:?} of {n}");
        }
    }
    stop.store(true, Ordering::Relaxed);
    for merger in mergers {
        merger.await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_object_stays_for_a_person_and_harms_no_other() {
    let (store, _folder) = folder().await;
    let damaged = layout::revocation_log_key(0, "damaged", now_s() + 1_000);
    store.put(&damaged, Bytes::from_static(b"chalkstream revocations 1\nrevoke\n")).await.unwrap();
    for n in 0..20 {
        write_log(&store, &[record(n, RevocationEntry::new(now_ms(), now_s() + 1_000, false))]).await;
    }
    compact(&store).await.unwrap();
    assert!(store.head(&damaged).await.is_ok());
    let authority = Authority::load(store, None).await.unwrap();
    assert!((0..20).all(|n| authority.any_revoked("t", &[Target::Link(n.to_string())], None)));
}

proptest! {
    /// Servers read the log in any order, and some of it twice, and agree.
    #[test]
    fn the_order_in_which_records_arrive_does_not_matter(
        records in prop::collection::vec((0_u32..4, 0_u64..6, any::<bool>(), 5_u64..9), 1..20),
        turned in 0_usize..20,
    ) {
        let records: Vec<RevocationRecord> = records
            .into_iter()
            .map(|(n, at_ms, is_lifted, until_s)| record(n, RevocationEntry::new(at_ms, until_s, is_lifted)))
            .collect();
        let in_order = LiveRevocations::default();
        in_order.apply(&records);
        let otherwise = LiveRevocations::default();
        let mut turned_records = records.clone();
        turned_records.rotate_left(turned % records.len());
        turned_records.reverse();
        otherwise.apply(&turned_records);
        otherwise.apply(&records);
        let names: BTreeSet<TargetName> = records.iter().map(|record| record.name).collect();
        for name in names {
            prop_assert_eq!(in_order.entry("t", &name), otherwise.entry("t", &name));
        }
    }
}
