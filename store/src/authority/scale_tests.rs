//! A million revocations in force.

use std::sync::atomic::{AtomicBool, Ordering};

use super::*;
use crate::clock::now_ms;
use crate::revocations::{RevocationEntry, RevocationRecord, write_log};
use crate::testing::{RedisServer, folder};
use crate::{Target, TargetName};

const MILLION: u32 = 1_000_000;
/// DESIGN's promise for every server.
const IN_FORCE: Duration = Duration::from_secs(5);

/// Targets of all four kinds, evenly.
fn target(n: u32) -> Target {
    let id = uuid::Uuid::from_u128(u128::from(n) << 64 | u128::from(n.wrapping_mul(2_654_435_761)));
    match n % 4 {
        0 => Target::Link(id.simple().to_string()),
        1 => Target::Session(id.simple().to_string()),
        2 => Target::Viewer(format!("viewer-{n}")),
        _ => Target::Recording(id.hyphenated().to_string()),
    }
}

/// What a request with a session asks for.
fn session(n: u32) -> [Target; 5] {
    let first = 4 * n;
    let key = Target::Key("0123456789abcdef".into());
    [target(first), target(first + 1), target(first + 2), target(first + 3), key]
}

/// The fastest of some rounds: what the others take longer is the machine's other work.
fn best_ns(authority: &Authority, tenant: &str) -> f64 {
    let sessions: Vec<_> = (0..1_000).map(|n| session(MILLION + 97 * n)).collect();
    let round = |_| {
        let started = Instant::now();
        for session in &sessions {
            assert!(!std::hint::black_box(authority.any_revoked(tenant, session, Some(u64::MAX))));
        }
        started.elapsed().as_nanos() as f64 / sessions.len() as f64
    };
    (0..50).map(round).fold(f64::INFINITY, f64::min)
}

/// Memory of this process.
fn resident_bytes() -> usize {
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap();
    4_096 * pages.split(' ').nth(1).unwrap().parse::<usize>().unwrap()
}

/// The slowest but one in a hundred.
fn p99(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() * 99 / 100]
}

/// How long another tenant's requests and its own revocations take.
async fn third_tenant(authority: &Authority) -> (Duration, Duration) {
    let mut lookups = Vec::new();
    for n in 0..20_000 {
        let session = session(n);
        let started = Instant::now();
        assert!(!authority.any_revoked("third", &session, Some(u64::MAX)));
        lookups.push(started.elapsed());
        if n % 100 == 0 {
            tokio::task::yield_now().await;
        }
    }
    let mut revocations = Vec::new();
    for n in 0..20 {
        let started = Instant::now();
        authority.revoke("third", &Target::Link(format!("other-{n}")), 1_000).await.unwrap();
        revocations.push(started.elapsed());
    }
    (p99(lookups), p99(revocations))
}

/// One tenant has a million revocations in force, and goes on revoking as fast as it can.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_million_revocations_cost_microseconds_and_keep_the_five_seconds() {
    let (store, _folder) = folder().await;
    let redis = RedisServer::start().await;
    let empty = Authority::load(store.clone(), None).await.unwrap();
    let alone = third_tenant(&empty).await;
    let without_ns = best_ns(&empty, "flood");

    let until_s = now_s() + 100_000;
    for first in (0..MILLION).step_by(20_000) {
        let records: Vec<RevocationRecord> = (first..first + 20_000)
            .map(|n| RevocationRecord {
                tenant: "flood".into(),
                name: TargetName::new("flood", &target(n)).unwrap(),
                entry: RevocationEntry::new(now_ms(), until_s, false),
            })
            .collect();
        write_log(&store, &records).await;
    }
    let (started, before_bytes) = (Instant::now(), resident_bytes());
    let here = Authority::load(store.clone(), Some(&redis.settings())).await.unwrap();
    let (loaded, memory_bytes) = (started.elapsed(), resident_bytes().saturating_sub(before_bytes));
    let there = Authority::load(store.clone(), Some(&redis.settings())).await.unwrap();
    assert_eq!(there.revocation_count("flood"), MILLION as usize);
    let with_ns = best_ns(&here, "flood");

    let stop = CancellationToken::new();
    for authority in [&here, &there] {
        tokio::spawn(authority.clone().follow(stop.clone()));
    }
    let is_flooding = Arc::new(AtomicBool::new(true));
    let flood: Vec<_> = (0..32)
        .map(|lane: u32| {
            let (here, is_flooding) = (here.clone(), Arc::clone(&is_flooding));
            tokio::spawn(async move {
                let mut n = 0;
                while is_flooding.load(Ordering::Relaxed) {
                    n += 1;
                    here.revoke("flood", &target(MILLION + lane * 50_000 + n), 1_000).await.unwrap();
                }
                n
            })
        })
        .collect();
    let meanwhile = third_tenant(&here).await;
    let mut slowest = Duration::ZERO;
    for n in 0..10 {
        let target = [Target::Viewer(format!("gone-{n}"))];
        here.revoke("third", &target[0], 1_000).await.unwrap();
        let started = Instant::now();
        while !there.any_revoked("third", &target, None) {
            assert!(started.elapsed() < IN_FORCE, "the other server has not read it");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        slowest = slowest.max(started.elapsed());
        assert!(here.age() < IN_FORCE && there.age() < IN_FORCE);
    }
    is_flooding.store(false, Ordering::Relaxed);
    let mut flooded = 0;
    for lane in flood {
        flooded += lane.await.unwrap();
    }
    stop.cancel();
    eprintln!(
        "loaded in {loaded:?} into {} MB; a lookup takes {without_ns:.0} ns without and {with_ns:.0} ns with a million; \
         on the other server after {slowest:?} at most, {flooded} more meanwhile; \
         another tenant's lookups and revocations (p99): {alone:?} alone, {meanwhile:?} meanwhile",
        memory_bytes / 1_000_000,
    );
    // With the optimisation of `Cargo.toml` it is 0.3 µs, without any some 4 µs.
    assert!(with_ns - without_ns < 10_000.0, "{without_ns} ns became {with_ns} ns");
    assert!(meanwhile.0 < Duration::from_millis(1) && meanwhile.1 < Duration::from_secs(2), "{meanwhile:?}");
}
