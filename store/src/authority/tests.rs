//! Keys and revocations are in force in time, with Redis and without.

use super::*;
use crate::testing::{RedisServer, folder};
use crate::{Revocation, Target, TargetKind};

/// What DESIGN promises for every server.
const IN_FORCE: Duration = Duration::from_secs(5);

/// How long a revocation is kept.
const LIFE_S: u64 = 1_000;

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

    let key = |id: &str| Target::Key(id.into());
    let revoked = other.revoke("t", &key(&first.key.id), LIFE_S).await.unwrap();
    other.revoke("t", &key(&signing.kid), LIFE_S).await.unwrap();
    assert_eq!(other.revoke("a", &key(&signing.kid), LIFE_S).await.unwrap_err().kind, Kind::NotFound);
    assert!(other.verify_api_key(&first.text).is_none());
    assert!(other.signing_key(&signing.kid).is_none());
    assert!(other.api_keys("t")[0].revoked && other.signing_keys("t")[0].revoked);
    assert!(other.api_keys("a").is_empty());
    assert!(authority.verify_api_key(&first.text).is_some());
    authority.refresh().await.unwrap();
    assert!(authority.verify_api_key(&first.text).is_none());
    assert!(authority.newest_signing_key("t").is_none());

    // A key stays revoked until that is lifted, by whichever process.
    assert_eq!((revoked.kind, revoked.until), ("key", None));
    assert_eq!(authority.lift("a", &revoked.id).await.unwrap_err().kind, Kind::NotFound);
    authority.lift("t", &revoked.id).await.unwrap();
    assert!(authority.verify_api_key(&first.text).is_some());
    other.refresh().await.unwrap();
    assert!(other.verify_api_key(&first.text).is_some() && other.signing_key(&signing.kid).is_none());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revocation_means_what_one_tenant_issued_before() {
    let (store, _folder) = folder().await;
    let authority = Authority::load(store.clone(), None).await.unwrap();
    let viewer = [Target::Viewer("v".into())];
    let before_s = now_s();
    assert_eq!(authority.issue_time_s("t", &viewer), now_s());
    let revoked = authority.revoke("t", &viewer[0], LIFE_S).await.unwrap();
    let after_s = authority.issue_time_s("t", &viewer);
    assert_eq!(i64::try_from(after_s).unwrap(), revoked.issued_before.as_second());

    // A new link counts, though it is made within the same second. An old one does not, nor one
    // that does not say when it was made.
    assert!(!authority.any_revoked("t", &viewer, Some(after_s)));
    assert!(authority.any_revoked("t", &viewer, Some(before_s)));
    assert!(authority.any_revoked("t", &viewer, None));
    assert!(!authority.any_revoked("u", &viewer, None));
    let others = [Target::Link("v".into()), Target::Session("v".into()), Target::Recording("v".into())];
    assert!(!authority.any_revoked("t", &others, None));

    // A link is made once: its revocation means that one, whatever it says.
    authority.revoke("t", &others[0], LIFE_S).await.unwrap();
    assert!(authority.any_revoked("t", &others, Some(u64::MAX)));
    assert!(authority.revoke("t", &Target::Link(String::new()), LIFE_S).await.is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revocation_can_be_listed_and_lifted_and_names_no_person() {
    let (store, folder) = folder().await;
    let authority = Authority::load(store.clone(), None).await.unwrap();
    let other = Authority::load(store.clone(), None).await.unwrap();
    let recording = layout::new_recording_id();
    let targets = [
        Target::Viewer("jane@school.org".into()),
        Target::Recording(recording.clone()),
        Target::Link("jane-doe".into()),
        Target::Session("0198c0de000070008000000000000000".into()),
    ];
    for target in &targets {
        authority.revoke("t", target, LIFE_S).await.unwrap();
    }
    let all = authority.revocations("t", None, None, 10);
    assert_eq!(all.iter().map(|r| r.kind).collect::<Vec<_>>(), ["session", "link", "recording", "viewer"]);
    assert_eq!(all[2].target.as_ref(), Some(&recording));
    assert_eq!(authority.revocations("t", Some(TargetKind::Link), None, 10), all[1..2]);
    assert!(authority.revocations("u", None, None, 10).is_empty());
    let cursor = |r: &Revocation| RevocationCursor {
        at_ms: u64::try_from(r.revoked_at.as_millisecond()).unwrap(),
        id: r.id.clone(),
    };
    assert_eq!(authority.revocations("t", None, Some(&cursor(&all[1])), 1), all[2..3]);

    // Found by its target, and lifted by a process that has not read it yet.
    assert_eq!(authority.revocation("t", &targets[0]), Some(all[3].clone()));
    assert_eq!(other.lift("u", &all[3].id).await.unwrap_err().kind, Kind::NotFound);
    other.lift("t", &all[3].id).await.unwrap();
    assert_eq!(other.lift("t", &all[3].id).await.unwrap_err().kind, Kind::NotFound);
    authority.refresh().await.unwrap();
    assert!(!authority.any_revoked("t", &targets[..1], None));
    assert_eq!(authority.revocations("t", None, None, 10), all[..3]);
    // It can be revoked again at once, and a new process finds the last state.
    authority.revoke("t", &targets[0], LIFE_S).await.unwrap();
    let fresh = Authority::load(store, None).await.unwrap();
    assert!(fresh.any_revoked("t", &targets[..1], None));

    for file in walk(folder.path()) {
        let text = std::fs::read_to_string(&file).unwrap();
        assert!(!text.contains("jane") && !file.to_string_lossy().contains("jane"), "{file:?}");
    }
}

fn walk(folder: &std::path::Path) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { walk(&path) } else { vec![path] }).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revocation_ends_by_itself() {
    let (store, _folder) = folder().await;
    let authority = Authority::load(store.clone(), None).await.unwrap();
    let link = [Target::Link("l".into())];
    authority.revoke("t", &link[0], 0).await.unwrap();
    assert_eq!(authority.revocation_count("t"), 1);
    authority.live().prune(now_s() + 2);
    assert_eq!(authority.revocation_count("t"), 0);
    assert_eq!(crate::forget_old_revocations(&store).await.unwrap(), 0, "clocks differ");
    let old = layout::revocation_log_key(3, "0", now_s() - 4_000);
    store.put(&old, Bytes::new()).await.unwrap();
    assert_eq!(crate::forget_old_revocations(&store).await.unwrap(), 1);
    assert!(store.head(&old).await.is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn revocations_of_earlier_builds_stay_and_lose_their_names() {
    let (store, folder) = folder().await;
    let maker = Authority::load(store.clone(), None).await.unwrap();
    maker.create_tenant("t", "x").await.unwrap();
    let key = maker.create_signing_key("t").await.unwrap();
    let targets = [Target::Viewer("jane".into()), Target::Key(key.kid.clone())];
    for target in &targets {
        let legacy = revocations::LegacyRevocation {
            tenant: "t".into(),
            target: target.clone(),
            at: jiff::Timestamp::now(),
            until: None,
        };
        store.put(&legacy.key(), Bytes::from(serde_json::to_vec(&legacy).unwrap())).await.unwrap();
    }
    let authority = Authority::load(store.clone(), None).await.unwrap();
    for merged in [false, true] {
        if merged {
            revocations::compact(&store).await.unwrap();
        }
        authority.refresh().await.unwrap();
        let fresh = Authority::load(store.clone(), None).await.unwrap();
        for authority in [&authority, &fresh] {
            assert!(authority.any_revoked("t", &targets[..1], None), "merged: {merged}");
            assert!(authority.any_revoked("t", &targets[1..], None), "merged: {merged}");
            assert!(authority.signing_key(&key.kid).is_none());
        }
    }
    assert!(walk(folder.path()).iter().all(|file| !std::fs::read_to_string(file).unwrap().contains("jane")));
    // Lifted, it is not revoked again by an object of the earlier build.
    authority.lift("t", &format!("key-{}", key.kid)).await.unwrap();
    authority.refresh().await.unwrap();
    assert!(authority.signing_key(&key.kid).is_some());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revocation_acts_on_every_server_in_time() {
    let (store, _folder) = folder().await;
    let mut redis = RedisServer::start().await;
    let here = Follower::start(&store, &redis).await;
    let there = Follower::start(&store, &redis).await;
    let link = |n: u32| Target::Link(n.to_string());

    here.authority.revoke("t", &link(1), LIFE_S).await.unwrap();
    assert!(here.authority.any_revoked("t", &[link(1)], None));
    until(IN_FORCE, || there.authority.any_revoked("t", &[link(1)], None)).await;

    // All Redis held is lost: nothing that was revoked comes back, and the next one arrives.
    redis.flush().await;
    here.authority.revoke("t", &link(2), LIFE_S).await.unwrap();
    until(IN_FORCE, || there.authority.any_revoked("t", &[link(2)], None)).await;
    assert!(there.authority.any_revoked("t", &[link(1)], None));

    // Redis is away, then hangs.
    redis.stop();
    here.authority.revoke("t", &link(3), LIFE_S).await.unwrap();
    until(IN_FORCE, || there.authority.any_revoked("t", &[link(3)], None)).await;
    redis.resume().await;
    redis.freeze(true);
    let start = Instant::now();
    here.authority.revoke("t", &link(4), LIFE_S).await.unwrap();
    assert!(start.elapsed() < Duration::from_secs(2));
    until(IN_FORCE, || there.authority.any_revoked("t", &[link(4)], None)).await;
    redis.freeze(false);
    assert!(there.authority.age() < IN_FORCE);

    let fresh = Authority::load(store, None).await.unwrap();
    assert!((1..=4).all(|n| fresh.any_revoked("t", &[link(n)], None)));
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
        authority.revoke("t", &target, LIFE_S).await.unwrap();
        assert!(authority.any_revoked("t", &[target], None));
    }
    listing.await.unwrap();
    assert_eq!(authority.revocations("t", None, None, 100).len(), 50);
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
