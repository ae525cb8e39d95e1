//! Keys and revocations are in force in time, with Redis and without.

use super::*;
use crate::testing::{RedisServer, folder};

/// What DESIGN promises for every server.
const IN_FORCE: Duration = Duration::from_secs(5);

async fn until(limit: Duration, mut holds: impl FnMut() -> bool) -> Duration {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < limit, "not within {limit:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    start.elapsed()
}

struct Follower {
    authority: Authority,
    stop: CancellationToken,
}

impl Follower {
    async fn start(store: &Store, redis: &RedisServer) -> Self {
        let authority = Authority::load(store.clone(), Some(&redis.settings())).await.unwrap();
        let stop = CancellationToken::new();
        tokio::spawn(authority.clone().follow(stop.clone()));
        Self { authority, stop }
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_are_made_found_and_revoked() {
    let (store, _folder) = folder().await;
    let authority = Authority::load(store.clone(), None).await.unwrap();
    assert_eq!(authority.create_api_key("t", "x").await.err().unwrap().kind, Kind::NotFound);
    for bad in ["", "T", "a/b", "_system"] {
        assert_eq!(authority.create_tenant(bad, "x").await.unwrap_err().kind, Kind::InvalidInput);
    }
    authority.create_tenant("t", "District 9").await.unwrap();
    authority.create_tenant("a", "Another").await.unwrap();
    assert_eq!(authority.create_tenant("t", "again").await.unwrap_err().kind, Kind::Conflict);
    let first = authority.create_api_key("t", "platform").await.unwrap();
    let signing = authority.create_signing_key("t").await.unwrap();

    // Another process finds the same, from storage alone.
    let other = Authority::load(store.clone(), None).await.unwrap();
    assert_eq!(other.tenants().iter().map(|t| t.id.as_str()).collect::<Vec<_>>(), ["a", "t"]);
    assert_eq!(other.verify_api_key(&first.text).unwrap().tenant, "t");
    assert!(other.verify_api_key(&first.text.replace(&first.key.id, "0000000000000000")).is_none());
    let mut wrong = first.text.to_string();
    let last = if wrong.ends_with('0') { "1" } else { "0" };
    wrong.replace_range(wrong.len() - 1.., last);
    assert!(other.verify_api_key(&wrong).is_none());
    assert_eq!(other.signing_key(&signing.kid).unwrap(), signing);
    assert!(other.signing_key("../tenants/t").is_none());

    other.revoke("t", Target::Key(first.key.id.clone()), None).await.unwrap();
    other.revoke("t", Target::Key(signing.kid.clone()), None).await.unwrap();
    assert!(other.verify_api_key(&first.text).is_none());
    assert!(other.signing_key(&signing.kid).is_none());
    assert!(other.api_keys("t")[0].revoked && other.signing_keys("t")[0].revoked);
    assert!(other.api_keys("a").is_empty());
    assert!(authority.verify_api_key(&first.text).is_some());
    authority.refresh().await.unwrap();
    assert!(authority.verify_api_key(&first.text).is_none());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revocation_is_of_one_tenant_and_renewed_by_the_next() {
    let (store, _folder) = folder().await;
    let authority = Authority::load(store.clone(), None).await.unwrap();
    let soon = Timestamp::from_second(Timestamp::now().as_second() - 7_200).unwrap();
    let viewer = Target::Viewer("v".into());
    let first = authority.revoke("t", viewer.clone(), Some(soon)).await.unwrap();
    let second = authority.revoke("t", viewer.clone(), None).await.unwrap();
    assert!(second.at >= first.at);
    assert_eq!(authority.revoked_at("t", &viewer), Some(second.at));
    assert!(authority.revoked_at("u", &viewer).is_none());
    assert!(!authority.any_revoked("t", &[Target::Link("v".into()), Target::Session("v".into())]));
    assert!(authority.any_revoked("t", &[Target::Link("v".into()), viewer.clone()]));
    // The one that is over is forgotten, the other stays.
    assert_eq!(crate::forget_old_revocations(&store).await.unwrap(), 1);
    authority.refresh().await.unwrap();
    assert_eq!(authority.revocations("t"), [second]);
    assert!(authority.revoke("t", Target::Link(String::new()), None).await.is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revocation_acts_on_every_server_in_time() {
    let (store, _folder) = folder().await;
    let mut redis = RedisServer::start().await;
    let here = Follower::start(&store, &redis).await;
    let there = Follower::start(&store, &redis).await;
    let link = |n: u32| Target::Link(n.to_string());

    here.authority.revoke("t", link(1), None).await.unwrap();
    assert!(here.authority.any_revoked("t", &[link(1)]));
    until(IN_FORCE, || there.authority.any_revoked("t", &[link(1)])).await;

    // All Redis held is lost: nothing that was revoked comes back, and the next one arrives.
    redis.flush().await;
    here.authority.revoke("t", link(2), None).await.unwrap();
    until(IN_FORCE, || there.authority.any_revoked("t", &[link(2)])).await;
    assert!(there.authority.any_revoked("t", &[link(1)]));

    // Redis is away, then hangs.
    redis.stop();
    here.authority.revoke("t", link(3), None).await.unwrap();
    until(IN_FORCE, || there.authority.any_revoked("t", &[link(3)])).await;
    redis.resume().await;
    redis.freeze(true);
    let start = Instant::now();
    here.authority.revoke("t", link(4), None).await.unwrap();
    assert!(start.elapsed() < Duration::from_secs(2));
    until(IN_FORCE, || there.authority.any_revoked("t", &[link(4)])).await;
    redis.freeze(false);
    assert!(there.authority.age() < IN_FORCE);

    let fresh = Authority::load(store, None).await.unwrap();
    assert!((1..=4).all(|n| fresh.any_revoked("t", &[link(n)])));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_written_while_storage_is_listed_stays() {
    let (store, _folder) = folder().await;
    let authority = Authority::load(store, None).await.unwrap();
    let listing = {
        let authority = authority.clone();
        tokio::spawn(async move {
            for _ in 0..50 {
                authority.refresh().await.unwrap();
            }
        })
    };
    for n in 0..50 {
        let target = Target::Session(n.to_string());
        authority.revoke("t", target.clone(), None).await.unwrap();
        assert!(authority.any_revoked("t", &[target]));
    }
    listing.await.unwrap();
    assert_eq!(authority.revocations("t").len(), 50);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_object_under_anothers_key_counts_for_nothing() {
    let (store, _folder) = folder().await;
    let authority = Authority::load(store.clone(), None).await.unwrap();
    authority.create_tenant("t", "x").await.unwrap();
    let key = authority.create_signing_key("t").await.unwrap();
    let body = store.get(&layout::signing_key_key(&key.kid)).await.unwrap();
    store.put(&layout::signing_key_key("0000000000000000"), body).await.unwrap();
    store.put(&layout::api_key_key("broken"), Bytes::from_static(b"{")).await.unwrap();
    let other = Authority::load(store, None).await.unwrap();
    assert!(other.signing_key("0000000000000000").is_none());
    assert_eq!(other.signing_keys("t").len(), 1);
}
