//! The contract, kept by every backend: each promise of [`Objects`](super::Objects) is one function
//! here, run on a folder and on a real S3 API. What only S3 can meet (failing servers) is below.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt};

use super::{FsObjects, ObjectBody, Part, S3Objects, delete_prefix, sha256_hex};
use crate::testing::S3Server;
use crate::{Kind, Store};

/// Defines each promise as two tests.
macro_rules! kept_by_both {
    ($($promise:ident)*) => {
        mod folder {
            $(#[tokio::test]
            async fn $promise() {
                let folder = tempfile::tempdir().unwrap();
                let store: super::Store = std::sync::Arc::new(super::FsObjects::open(folder.path()).await.unwrap());
                super::$promise(store).await;
            })*
        }
        mod s3 {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $promise() {
                let server = super::S3Server::start().await;
                let mut settings = server.settings();
                settings.prefix = "some/prefix".into();
                super::$promise(std::sync::Arc::new(super::S3Objects::open(&settings).await.unwrap())).await;
            })*
        }
    };
}

kept_by_both! {
    what_is_put_is_read
    an_absent_object_is_not_found
    ranges_give_their_bytes
    files_of_any_size_are_stored_with_their_hash
    parts_make_a_whole
    an_aborted_upload_leaves_nothing
    a_listing_pages_in_byte_order
    folders_are_listed
    hostile_keys_are_refused
    writers_at_once_leave_one_whole_object
    a_folder_is_removed_with_all_in_it
    many_objects_are_removed_at_once
    large_objects_are_not_read_into_memory
}

async fn bytes(body: ObjectBody) -> Vec<u8> {
    let chunks: Vec<Bytes> = body.stream.try_collect().await.unwrap();
    let bytes = chunks.concat();
    assert_eq!(bytes.len() as u64, body.size_bytes);
    bytes
}

/// Bytes that show where they are.
fn pattern(length: usize) -> Vec<u8> {
    (0..length as u64).map(|i| (i.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8).collect()
}

async fn what_is_put_is_read(store: Store) {
    store.probe().await.unwrap();
    for body in [Bytes::from_static(b""), Bytes::from_static(b"one"), Bytes::from(pattern(300_000))] {
        store.put("t/a/b.txt", body.clone()).await.unwrap();
        assert_eq!(store.get("t/a/b.txt").await.unwrap(), body);
        assert_eq!(store.head("t/a/b.txt").await.unwrap(), body.len() as u64);
        assert_eq!(bytes(store.read("t/a/b.txt", None).await.unwrap()).await, body);
        if let Some(path) = store.local_path("t/a/b.txt") {
            assert_eq!(std::fs::read(path).unwrap(), body);
        }
    }
    store.delete("t/a/b.txt").await.unwrap();
    store.delete("t/a/b.txt").await.unwrap();
    assert_eq!(store.head("t/a/b.txt").await.unwrap_err().kind, Kind::NotFound);
}

async fn an_absent_object_is_not_found(store: Store) {
    store.put("t/there", Bytes::from_static(b"x")).await.unwrap();
    for key in ["t/absent", "t/no/such/folder", "other"] {
        assert_eq!(store.get(key).await.unwrap_err().kind, Kind::NotFound, "{key}");
        assert_eq!(store.head(key).await.unwrap_err().kind, Kind::NotFound, "{key}");
        assert_eq!(store.read(key, Some(0..1)).await.err().unwrap().kind, Kind::NotFound, "{key}");
    }
    assert!(store.list("nothing/", None, 10).await.unwrap().is_empty());
    assert!(store.list_dirs("nothing/").await.unwrap().is_empty());
}

async fn ranges_give_their_bytes(store: Store) {
    let body = pattern(1_000_000);
    store.put("t/ranged", Bytes::from(body.clone())).await.unwrap();
    for range in [0..1, 0..1_000_000, 1..2, 999_999..1_000_000, 123_456..654_321, 999_000..2_000_000, 5..5] {
        let read = bytes(store.read("t/ranged", Some(range.clone())).await.unwrap()).await;
        let end = (range.end as usize).min(body.len());
        assert!(read == body[range.start as usize..end], "{range:?}");
    }
    for outside in [1_000_000..1_000_001, 5_000_000..5_000_001] {
        assert_eq!(store.read("t/ranged", Some(outside)).await.err().unwrap().kind, Kind::InvalidInput);
    }
}

async fn files_of_any_size_are_stored_with_their_hash(store: Store) {
    let folder = tempfile::tempdir().unwrap();
    let part = store.min_part_bytes() as usize;
    for size in [0, 1, part, part + 1, 3 * part + 12_345] {
        let body = pattern(size);
        let path = folder.path().join("file");
        std::fs::write(&path, &body).unwrap();
        let facts = store.put_file("t/r/file", &path).await.unwrap();
        assert_eq!((facts.size_bytes, facts.sha256), (size as u64, sha256_hex(&body)));
        assert!(bytes(store.read("t/r/file", None).await.unwrap()).await == body, "{size}");
    }
    let absent = store.put_file("t/r/file", &folder.path().join("absent")).await.unwrap_err();
    assert_eq!(absent.kind, Kind::NotFound);
}

async fn parts_make_a_whole(store: Store) {
    let part = store.min_part_bytes() as usize;
    let body = Bytes::from(pattern(2 * part + 77));
    let upload = store.create_multipart("t/r/whole").await.unwrap();
    // A part that is sent again, as after a lost answer, replaces the first.
    store.put_part("t/r/whole", &upload, 2, Bytes::from(vec![0; part])).await.unwrap();
    let mut parts = Vec::new();
    for number in [3u32, 1, 2] {
        let start = (number as usize - 1) * part;
        let chunk = body.slice(start..(start + part).min(body.len()));
        parts.push(store.put_part("t/r/whole", &upload, number, chunk).await.unwrap());
    }
    assert_eq!(store.head("t/r/whole").await.unwrap_err().kind, Kind::NotFound);
    assert_eq!(
        store.complete_multipart("t/r/whole", &upload, &parts).await.unwrap_err().kind,
        Kind::InvalidInput
    );
    parts.sort_by_key(|part| part.number);
    store.complete_multipart("t/r/whole", &upload, &parts).await.unwrap();
    assert!(bytes(store.read("t/r/whole", None).await.unwrap()).await == body);
    assert!(store.put_part("t/r/whole", &upload, 0, Bytes::new()).await.is_err());
    assert!(store.complete_multipart("t/r/whole", &upload, &[]).await.is_err());
    let listed = store.list("", None, 100).await.unwrap();
    assert_eq!(listed.iter().map(|l| l.key.as_str()).collect::<Vec<_>>(), ["t/r/whole"]);
}

async fn an_aborted_upload_leaves_nothing(store: Store) {
    let upload = store.create_multipart("t/r/dropped").await.unwrap();
    let part = store.put_part("t/r/dropped", &upload, 1, Bytes::from_static(b"x")).await.unwrap();
    store.abort_multipart("t/r/dropped", &upload).await.unwrap();
    assert_eq!(store.head("t/r/dropped").await.unwrap_err().kind, Kind::NotFound);
    assert!(store.complete_multipart("t/r/dropped", &upload, &[part]).await.is_err());
    assert!(store.list("", None, 10).await.unwrap().is_empty());
    let made_up = Part { number: 1, etag: "x".into(), size_bytes: 1 };
    assert!(store.complete_multipart("t/r/dropped", "../../etc", &[made_up]).await.is_err());
}

async fn a_listing_pages_in_byte_order(store: Store) {
    // `-` and `.` sort before `/`: a folder's keys lie between those of its neighbours.
    let mut keys: Vec<String> = (0..1_050).map(|i| format!("t/many/{i:04}")).collect();
    for odd in
        ["t/a", "t/a-b", "t/a.b/c", "t/b/c/d", "t/b/c0", "t/b-", "t/B", "t/many-more", "t/many.x", "u/x"]
    {
        keys.push(odd.into());
    }
    for chunk in keys.chunks(50) {
        let puts = chunk.iter().map(|key| store.put(key, Bytes::from(key.clone())));
        futures_util::future::try_join_all(puts).await.unwrap();
    }
    keys.sort();
    let listed = store.list("", None, usize::MAX).await.unwrap();
    assert!(listed.iter().all(|object| object.size_bytes == object.key.len() as u64));
    assert_eq!(listed.into_iter().map(|object| object.key).collect::<Vec<_>>(), keys);

    for (prefix, limit) in [("t/", 400), ("t/many/", 333), ("t/many", 1_000), ("t/b", 1), ("t/many/01", 7)] {
        let want: Vec<&String> = keys.iter().filter(|key| key.starts_with(prefix)).collect();
        let mut got = Vec::new();
        loop {
            let page = store.list(prefix, got.last().map(String::as_str), limit).await.unwrap();
            assert!(page.len() <= limit);
            if page.is_empty() {
                break;
            }
            got.extend(page.into_iter().map(|object| object.key));
        }
        assert_eq!(got.iter().collect::<Vec<_>>(), want, "{prefix}");
    }
    // What was listed last need not be there any more.
    let after = store.list("t/many/", Some("t/many/0099x"), 1).await.unwrap();
    assert_eq!(after[0].key, "t/many/0100");
}

async fn folders_are_listed(store: Store) {
    for key in ["b/1/x", "b/2/y/z", "a/x", "top", "b/file", "_system/tenants/a.json"] {
        store.put(key, Bytes::from_static(b"x")).await.unwrap();
    }
    assert_eq!(store.list_dirs("").await.unwrap(), ["_system", "a", "b"]);
    assert_eq!(store.list_dirs("b/").await.unwrap(), ["1", "2"]);
    assert_eq!(store.list_dirs("b/2/").await.unwrap(), ["y"]);
    assert!(store.list_dirs("b/1/").await.unwrap().is_empty());
    assert_eq!(store.list_dirs("b").await.unwrap_err().kind, Kind::InvalidInput);
}

async fn hostile_keys_are_refused(store: Store) {
    let body = Bytes::from_static(b"x");
    let path = std::path::Path::new("/dev/null");
    for key in [
        "",
        "/",
        "/etc/passwd",
        "../x",
        "a/../../x",
        "a/./b",
        "a//b",
        "a/",
        ".tmp/x",
        "a\0b",
        "a\\b",
        "ä",
        "a b",
    ] {
        let refused = [
            store.put(key, body.clone()).await.err(),
            store.put_file(key, path).await.err(),
            store.get(key).await.err(),
            store.read(key, None).await.err(),
            store.head(key).await.err(),
            store.delete(key).await.err(),
            store.create_multipart(key).await.err(),
            store.put_part(key, "x", 1, body.clone()).await.err(),
            store.abort_multipart(key, "x").await.err(),
        ];
        for error in refused {
            assert_eq!(error.expect(key).kind, Kind::InvalidInput, "{key}");
        }
        assert!(store.local_path(key).is_none());
    }
    for prefix in ["/", "../", "a//", ".tmp/", "a/../"] {
        assert_eq!(store.list(prefix, None, 1).await.unwrap_err().kind, Kind::InvalidInput, "{prefix}");
        assert_eq!(store.list_dirs(prefix).await.unwrap_err().kind, Kind::InvalidInput, "{prefix}");
    }
}

async fn writers_at_once_leave_one_whole_object(store: Store) {
    let bodies: Vec<Bytes> = (0..16u8).map(|i| Bytes::from(vec![i; 200_000])).collect();
    let puts = bodies.iter().map(|body| store.put("t/shared", body.clone()));
    futures_util::future::try_join_all(puts).await.unwrap();
    assert!(bodies.contains(&store.get("t/shared").await.unwrap()));
    // Making and removing neighbours at once never loses a write.
    let churn = (0..64).map(|i| {
        let store = &store;
        async move {
            let key = format!("t/churn/{}/{i}", i % 4);
            store.put(&key, Bytes::from_static(b"x")).await.unwrap();
            store.head(&key).await.unwrap();
            store.delete(&key).await.unwrap();
        }
    });
    futures_util::stream::iter(churn).buffer_unordered(64).collect::<Vec<()>>().await;
    assert!(store.list("t/churn/", None, 1).await.unwrap().is_empty());
}

async fn a_folder_is_removed_with_all_in_it(store: Store) {
    for key in ["t/r/a", "t/r/b/c", "t/r/b/d", "t/rest", "t/r2/x"] {
        store.put(key, Bytes::from_static(b"x")).await.unwrap();
    }
    assert_eq!(delete_prefix(&store, "t/r/").await.unwrap(), 3);
    assert_eq!(delete_prefix(&store, "t/r/").await.unwrap(), 0);
    for bad in ["", "/", "t/r"] {
        assert_eq!(delete_prefix(&store, bad).await.unwrap_err().kind, Kind::InvalidInput);
    }
    let left: Vec<String> =
        store.list("", None, 10).await.unwrap().into_iter().map(|object| object.key).collect();
    assert_eq!(left, ["t/r2/x", "t/rest"]);
}

async fn many_objects_are_removed_at_once(store: Store) {
    let keys: Vec<String> = (0..30).map(|n| format!("t/r/{}/{n}_a.b", n % 3)).collect();
    for key in keys.iter().filter(|key| !key.ends_with("7_a.b")) {
        store.put(key, Bytes::from_static(b"x")).await.unwrap();
    }
    store.put("t/rest", Bytes::from_static(b"x")).await.unwrap();
    store.delete_many(&keys).await.unwrap();
    store.delete_many(&keys).await.unwrap();
    store.delete_many(&[]).await.unwrap();
    let left = store.list("", None, 10).await.unwrap();
    assert_eq!(left.len(), 1, "{left:?}");
    let bad = ["t/rest".to_owned(), "../x".to_owned()];
    assert_eq!(store.delete_many(&bad).await.unwrap_err().kind, Kind::InvalidInput);
    store.head("t/rest").await.unwrap();
}

async fn large_objects_are_not_read_into_memory(store: Store) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("large");
    std::fs::File::create(&path).unwrap().set_len(super::MAX_GET_BYTES + 1).unwrap();
    store.put_file("t/large", &path).await.unwrap();
    assert_eq!(store.get("t/large").await.unwrap_err().kind, Kind::InvalidInput);
    let tail = store.read("t/large", Some(super::MAX_GET_BYTES..u64::MAX)).await.unwrap();
    assert_eq!(bytes(tail).await, [0]);
}

async fn s3() -> (S3Server, Store) {
    let server = S3Server::start().await;
    let store: Store = Arc::new(S3Objects::open(&server.settings()).await.unwrap());
    (server, store)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failing_server_is_asked_again() {
    let (server, store) = s3().await;
    let trouble = &server.trouble;
    trouble.refuse.store(3, Ordering::SeqCst);
    store.put("t/a", Bytes::from_static(b"one")).await.unwrap();
    trouble.hang_up.store(2, Ordering::SeqCst);
    store.put("t/a", Bytes::from_static(b"two")).await.unwrap();
    trouble.refuse.store(2, Ordering::SeqCst);
    assert_eq!(store.get("t/a").await.unwrap(), "two");
    trouble.hang_up.store(1, Ordering::SeqCst);
    assert_eq!(store.list("t/", None, 10).await.unwrap().len(), 1);
    assert_eq!(trouble.seen.load(Ordering::SeqCst), 4 + 3 + 3 + 2);
    // What cannot pass is asked once.
    let seen = trouble.seen.load(Ordering::SeqCst);
    assert_eq!(store.get("t/absent").await.unwrap_err().kind, Kind::NotFound);
    assert_eq!(trouble.seen.load(Ordering::SeqCst), seen + 1);
}

/// A server with 2,100 objects below `t/r/`.
async fn s3_with_many_objects() -> (S3Server, Store) {
    let (server, store) = s3().await;
    let keys: Vec<String> = (0..2_100).map(|n| format!("t/r/{n:05}")).collect();
    let puts = keys.iter().map(|key| store.put(key, Bytes::from_static(b"x")));
    futures_util::stream::iter(puts.collect::<Vec<_>>())
        .buffer_unordered(8)
        .try_collect::<()>()
        .await
        .unwrap();
    server.trouble.seen.store(0, Ordering::SeqCst);
    (server, store)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_objects_are_one_request() {
    let (server, store) = s3_with_many_objects().await;
    server.trouble.refuse.store(1, Ordering::SeqCst);
    assert_eq!(delete_prefix(&store, "t/r/").await.unwrap(), 2_100);
    // Three pages and three batches, one of which was refused once, and a last look.
    assert_eq!(server.trouble.seen.load(Ordering::SeqCst), 3 + 3 + 1 + 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_without_batches_is_asked_for_single_objects() {
    let (server, store) = s3_with_many_objects().await;
    server.trouble.no_batches.store(true, Ordering::SeqCst);
    assert_eq!(delete_prefix(&store, "t/r/").await.unwrap(), 2_100);
    assert!(store.list("t/", None, 1).await.unwrap().is_empty());
    assert_eq!(server.trouble.seen.load(Ordering::SeqCst), 3 + 3 + 2_100 + 1 + 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_that_breaks_off_is_taken_up_again() {
    let (server, store) = s3().await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    let body = pattern(12_000_000);
    std::fs::write(&path, &body).unwrap();
    server.trouble.hang_up.store(2, Ordering::SeqCst);
    store.put_file("t/long", &path).await.unwrap();
    server.trouble.break_off.store(3, Ordering::SeqCst);
    assert!(bytes(store.read("t/long", None).await.unwrap()).await == body);
    server.trouble.break_off.store(2, Ordering::SeqCst);
    assert!(bytes(store.read("t/long", Some(777..9_000_000)).await.unwrap()).await == body[777..9_000_000]);
    server.trouble.break_off.store(1, Ordering::SeqCst);
    assert!(store.get("t/long").await.unwrap() == body);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_stays_away_is_given_up_in_time() {
    let (server, _) = s3().await;
    let mut settings = server.settings();
    settings.retry_for_ms = 400;
    let store = S3Objects::open(&settings).await.unwrap();
    server.trouble.refuse.store(u32::MAX, Ordering::SeqCst);
    let start = Instant::now();
    let store: Store = Arc::new(store);
    assert_eq!(store.get("t/a").await.unwrap_err().kind, Kind::Unavailable);
    assert_eq!(store.probe().await.unwrap_err().kind, Kind::Unavailable);
    assert!(start.elapsed() < Duration::from_secs(3));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wrong_settings_are_told_apart_from_an_empty_store() {
    let (server, _) = s3().await;
    let mut settings = server.settings();
    settings.bucket = "another".into();
    let store: Store = Arc::new(S3Objects::open(&settings).await.unwrap());
    assert_eq!(store.probe().await.unwrap_err().kind, Kind::Internal);
    assert_eq!(store.list("", None, 1).await.unwrap_err().kind, Kind::Internal);
    let mut settings = server.settings();
    settings.secret_access_key = chalkstream_config::Secret::new("wrong");
    let store: Store = Arc::new(S3Objects::open(&settings).await.unwrap());
    assert_eq!(store.get("t/a").await.unwrap_err().kind, Kind::Internal);
    settings.bucket.clear();
    assert_eq!(S3Objects::open(&settings).await.err().unwrap().kind, Kind::InvalidInput);
}
