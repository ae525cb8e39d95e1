//! Deletions as platforms see them, on real storage and a real Redis.
#![allow(clippy::unwrap_used)]

use std::collections::HashSet;
use std::path::Path;
use std::time::{Duration, Instant};

use bytes::Bytes;
use chalkstream_store::deletion::{self, Deletion};
use chalkstream_store::objects::sha256_hex;
use chalkstream_store::{
    EventKind, Events, JobSpec, Kind, Manifest, ObjectFacts, Queue, State, layout, read_manifest, submit,
    write_manifest,
};
use futures_util::{StreamExt, TryStreamExt, stream};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tantivy::schema::Value as _;
use tantivy::{SegmentReader, TantivyDocument};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};
use tokio_util::sync::CancellationToken;

use super::erase::LINGER_MS;
use crate::app::App;
use crate::clock::now_ms;
use crate::testing::{Lesson, Redis, Server, TENANT, World, lesson, until};

async fn delete(server: &Server, id: &str) -> Value {
    let response = server.request(Method::DELETE, &format!("/v1/recordings/{id}")).send().await.unwrap();
    assert_eq!(response.status(), StatusCode::ACCEPTED);
    assert_eq!(response.headers()["location"], format!("/v1/deletions/{id}"));
    response.json().await.unwrap()
}

async fn receipt(server: &Server, id: &str) -> Value {
    let response = server.request(Method::GET, &format!("/v1/deletions/{id}")).send().await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    response.json().await.unwrap()
}

/// Waits until objects, job and upload are gone.
async fn emptied(server: &Server, id: &str) -> Value {
    until("the recording is emptied", || async {
        let receipt = receipt(server, id).await;
        receipt.get("emptied_at").is_some().then_some(receipt)
    })
    .await
}

/// Everything of a recording in storage: keys relative to it, and sizes.
async fn objects(world: &World, id: &str) -> Vec<(String, u64)> {
    let prefix = layout::recording_prefix(TENANT, id);
    let listed = world.store.list(&prefix, None, 10_000).await.unwrap();
    listed.into_iter().map(|object| (object.key[prefix.len()..].to_owned(), object.size_bytes)).collect()
}

/// Keys in Redis that name a recording, without the short-lived names of rights.
async fn redis_keys(world: &World, id: &str) -> Vec<String> {
    let url = world.settings.redis.url.expose().to_owned();
    let mut line = UnixStream::connect(url.strip_prefix("redis+unix://").unwrap()).await.unwrap();
    line.write_all(format!("KEYS *{id}*\r\nQUIT\r\n").as_bytes()).await.unwrap();
    let mut reply = String::new();
    line.read_to_string(&mut reply).await.unwrap();
    reply.lines().filter(|line| line.contains(id) && !line.contains(":held:")).map(str::to_owned).collect()
}

/// The parts of a server, for what no request does. Its index lies in the folder `inside`.
async fn inside(world: &World) -> App {
    let mut settings = world.settings.clone();
    settings.server.index_path = world.folder.path().join("inside");
    App::start(settings, "127.0.0.1:1".parse().unwrap(), CancellationToken::new()).await.unwrap()
}

/// Makes passes at `now_ms` until the receipt is as expected. Background passes of the same server
/// may be under way, and then a pass does nothing.
async fn pass_until(app: &App, id: &str, now_ms: u64, expected: impl Fn(&Deletion) -> bool) {
    until("a pass does it", || async {
        app.deletions.pass(TENANT, id, now_ms).await.unwrap();
        expected(&app.deletions.read(TENANT, id).await.unwrap()).then_some(())
    })
    .await;
}

/// True if an index file below a folder has words of a lesson, also removed ones. `None` while the
/// files change, or before there are any.
fn has_words(folder: &Path, id: &str) -> Option<bool> {
    let version = std::fs::read_dir(folder).ok()?.next()?.ok()?.path();
    let mut found = None;
    for tenant in std::fs::read_dir(version.join("tenants")).ok()? {
        let is_here = entries_in(&tenant.ok()?.path(), id).ok()?;
        found = Some(found == Some(true) || is_here);
    }
    found
}

/// Reads what the files say, because their compression may cut any text in two.
fn entries_in(folder: &Path, id: &str) -> tantivy::Result<bool> {
    let index = tantivy::Index::open_in_dir(folder)?;
    let (schema, mut named) = (index.schema(), HashSet::new());
    for segment in index.searchable_segments()? {
        named.insert(segment.id().uuid_string());
        let entries = SegmentReader::open(&segment)?.get_store_reader(1)?;
        for entry in entries.iter::<TantivyDocument>(None) {
            let entry = entry?;
            let stored = entry.get_first(schema.get_field("stored")?).and_then(|value| value.as_str());
            if stored.is_some_and(|text| text.contains(id)) {
                return Ok(true);
            }
        }
    }
    // A file that belongs to no segment may have anything. Others are named `{segment}.{part}`.
    let files = std::fs::read_dir(folder)?.flatten().filter_map(|entry| entry.file_name().into_string().ok());
    let segments = files.filter_map(|file| file.split_once('.').map(|(segment, _)| segment.to_owned()));
    Ok(segments.filter(|segment| segment.len() == 32).any(|segment| !named.contains(&segment)))
}

/// Uploads a file as uploader t-1. Returns the recording that it became, and the upload's path;
/// `None` if it was not taken.
async fn upload(server: &Server, file: &[u8], key: Option<&str>) -> Option<(String, String)> {
    let mut request = server
        .tus(Method::POST, "/v1/uploads")
        .header("upload-length", file.len())
        .header("upload-metadata", "filename bGVzc29uLk1PVg==,uploader dC0x");
    if let Some(key) = key {
        request = request.header("idempotency-key", key);
    }
    let created = request.send().await.unwrap();
    let path = created.headers().get("location")?.to_str().unwrap().to_owned();
    let sent = server
        .tus(Method::PATCH, &path)
        .header("upload-offset", 0)
        .header("content-type", "application/offset+octet-stream")
        .body(file.to_vec())
        .send()
        .await
        .unwrap();
    let recording = sent.headers().get("chalkstream-recording")?.to_str().unwrap().to_owned();
    Some((recording, path))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receipt_says_what_was_removed() {
    let world = World::new().await;
    let lesson = lesson(&world.store, TENANT).await;
    let before = objects(&world, &lesson.id).await;
    let server = world.server("a").await;
    let first = delete(&server, &lesson.id).await;
    assert_eq!((&first["state"], &first["recording"]), (&json!("erasing"), &json!(lesson.id)));
    let view = server.request(Method::GET, &format!("/v1/recordings/{}", lesson.id));
    assert_eq!(view.send().await.unwrap().status(), StatusCode::GONE, "at once");

    let emptied = emptied(&server, &lesson.id).await;
    assert_eq!(emptied["removed"]["objects"], before.len());
    assert_eq!(emptied["removed"]["folders"]["stills"]["objects"], 1);
    assert_eq!(emptied["removed"]["source_sha256"], json!(lesson.manifest.source.as_ref().unwrap().sha256));
    // The marker's tombstone is not counted; everything that was there before is.
    let listing: String = before.iter().map(|(key, size)| format!("{key} {size}\n")).collect();
    assert_eq!(emptied["removed"]["listing_sha256"], sha256_hex(listing.as_bytes()));
    let left = objects(&world, &lesson.id).await;
    assert_eq!(left.len(), 1, "the tombstone alone: {left:?}");
    assert_eq!(delete(&server, &lesson.id).await["requested_at"], first["requested_at"], "twice is fine");

    // A worker that was asleep writes one more object.
    let late = layout::object_key(TENANT, &lesson.id, "hls/video/10/v240/00001.m4s");
    world.store.put(&late, Bytes::from_static(b"late")).await.unwrap();
    let app = inside(&world).await;
    pass_until(&app, &lesson.id, now_ms(), |deletion| deletion.late.objects == 1).await;
    assert_eq!(objects(&world, &lesson.id).await.len(), 1, "the tombstone alone");

    // An hour later a last pass ends it.
    pass_until(&app, &lesson.id, now_ms() + LINGER_MS, |deletion| deletion.erased_at_ms.is_some()).await;
    let last = receipt(&server, &lesson.id).await;
    assert_eq!(last["state"], "erased");
    assert_eq!(last["removed"]["listing_sha256"], emptied["removed"]["listing_sha256"]);
    assert_eq!(last["removed"]["late"], json!({ "objects": 1, "size_bytes": 4 }));
    assert_eq!(objects(&world, &lesson.id).await, []);
    let view = server.request(Method::GET, &format!("/v1/recordings/{}", lesson.id));
    assert_eq!(view.send().await.unwrap().status(), StatusCode::GONE, "for good");
    assert_eq!(deletion::read_marker(&world.store, TENANT, &lesson.id).await.unwrap(), None);
    assert_eq!(delete(&server, &lesson.id).await, last, "the receipt stays");

    for (path, status) in [
        (format!("/v1/deletions/{}", layout::new_recording_id()), StatusCode::NOT_FOUND),
        ("/v1/deletions/x".to_owned(), StatusCode::NOT_FOUND),
    ] {
        assert_eq!(server.request(Method::GET, &path).send().await.unwrap().status(), status);
    }
    let other = server.client.get(server.url(&format!("/v1/deletions/{}", lesson.id)));
    let other = other.bearer_auth(&world.other_key).send().await.unwrap();
    assert_eq!(other.status(), StatusCode::NOT_FOUND, "another tenant's");
    let unknown = server.request(Method::DELETE, &format!("/v1/recordings/{}", layout::new_recording_id()));
    assert_eq!(unknown.send().await.unwrap().status(), StatusCode::NOT_FOUND);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_finishes_what_another_one_began() {
    let world = World::new().await;
    let queue = Queue::connect(&world.settings.redis).await.unwrap();
    let lesson = lesson(&world.store, TENANT).await;
    let mut manifest = lesson.manifest;
    manifest.fence += 1;
    manifest.state = State::Queued;
    write_manifest(&world.store, &manifest).await.unwrap();
    submit::submit(&world.store, &queue, &JobSpec::for_recording(&manifest)).await.unwrap();
    let held = queue.lease("w", 60_000).await.unwrap().unwrap();
    let events = Events::connect(&world.settings.redis).unwrap();
    let position = events.latest_id().await.unwrap();
    // The other server wrote the marker, and died.
    let order = Deletion::new(TENANT, &lesson.id, Some(&manifest), now_ms());
    deletion::mark(&world.store, TENANT, &order).await.unwrap();

    let server = world.server("a").await;
    emptied(&server, &lesson.id).await;
    assert_eq!(objects(&world, &lesson.id).await.len(), 1);
    assert_eq!(redis_keys(&world, &lesson.id).await, [""; 0]);
    assert!(submit::read(&world.store, TENANT, &lesson.id).await.unwrap().is_none());
    let result = queue.complete(&held, json!({}), &[]).await.unwrap_err();
    assert_eq!(result.kind, Kind::Lost, "the worker's result is worth nothing");
    let published = events.read_after(&position, Duration::ZERO).await.unwrap();
    let mut of_lesson = published.iter().filter(|event| event.recording == lesson.id);
    let order = of_lesson.next().unwrap();
    assert_eq!(
        (order.kind, &order.data["state"]),
        (EventKind::State, &json!("deleted")),
        "the deletion is announced"
    );
    assert!(of_lesson.any(|event| event.kind == EventKind::Deleted));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_request_completes_one_that_stopped_after_its_marker() {
    let world = World::new().await;
    let lesson = lesson(&world.store, TENANT).await;
    let server = world.server("a").await;
    let events = Events::connect(&world.settings.redis).unwrap();
    let position = events.latest_id().await.unwrap();
    let order = Deletion::new(TENANT, &lesson.id, Some(&lesson.manifest), now_ms() - 60_000);
    deletion::mark(&world.store, TENANT, &order).await.unwrap();
    let (asked_ms, receipt) = (now_ms(), delete(&server, &lesson.id).await);
    let at_ms = |field: &str| {
        let at: jiff::Timestamp = receipt[field].as_str().unwrap().parse().unwrap();
        u64::try_from(at.as_millisecond()).unwrap()
    };
    assert_eq!(at_ms("requested_at"), order.requested_at_ms / 1000 * 1000);
    assert!(at_ms("not_found_from") >= asked_ms + 5_000, "{receipt}");
    let manifest = read_manifest(&world.store, TENANT, &lesson.id).await.unwrap().unwrap();
    assert_eq!(manifest.state, State::Deleted);
    let published = events.read_after(&position, Duration::ZERO).await.unwrap();
    let is_order = |event: &chalkstream_store::Event| {
        event.recording == lesson.id && event.kind == EventKind::State && event.data["state"] == "deleted"
    };
    assert!(published.iter().any(is_order), "{published:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn removed_words_leave_the_index_files() {
    let world = World::new().await;
    let (one, two) = (lesson(&world.store, TENANT).await, lesson(&world.store, TENANT).await);
    let (server, other) = (world.server("a").await, world.server("b").await);
    let folders = ["a", "b"].map(|name| world.folder.path().join(name));
    let on_disk = |lesson: &Lesson| folders.each_ref().map(|folder| has_words(folder, &lesson.id));
    until("both servers have both lessons", || async {
        (on_disk(&one) == [Some(true); 2] && on_disk(&two) == [Some(true); 2]).then_some(())
    })
    .await;
    delete(&server, &one.id).await;
    let started = Instant::now();
    until("its words are off both disks", || async { (on_disk(&one) == [Some(false); 2]).then_some(()) })
        .await;
    println!("words off both disks after {:?}", started.elapsed());
    assert_eq!(on_disk(&two), [Some(true); 2], "the other lesson's words stay");
    drop(other);
}

#[tokio::test(flavor = "multi_thread")]
async fn words_are_removed_without_an_event_too() {
    let world = World::new().await;
    let lesson = lesson(&world.store, TENANT).await;
    let app = inside(&world).await;
    let folder = world.folder.path().join("inside");
    until("it is indexed", || async {
        (app.search.caught_up() && has_words(&folder, &lesson.id) == Some(true)).then_some(())
    })
    .await;
    app.search.forget(TENANT, &lesson.id).await.unwrap();
    until("its words are off the disk", || async {
        let known = app.search.has_words(TENANT, &lesson.id).await.unwrap();
        (!known && has_words(&folder, &lesson.id) == Some(false)).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deletion_is_accepted_without_redis_and_finished_with_it() {
    let mut world = World::new().await;
    let lesson = lesson(&world.store, TENANT).await;
    let server = world.server("a").await;
    world.redis.kill();
    assert_eq!(delete(&server, &lesson.id).await["state"], "erasing");
    let view = server.request(Method::GET, &format!("/v1/recordings/{}", lesson.id));
    assert_eq!(view.send().await.unwrap().status(), StatusCode::GONE);
    let app = inside(&world).await;
    let refused = app.deletions.pass(TENANT, &lesson.id, now_ms()).await.unwrap_err();
    assert!(refused.is_transient());
    assert!(receipt(&server, &lesson.id).await.get("emptied_at").is_none());
    world.redis = Redis::start(world.folder.path()).await;
    until("it is finished", || async {
        app.deletions.pass(TENANT, &lesson.id, now_ms()).await.ok()?;
        receipt(&server, &lesson.id).await.get("emptied_at").map(drop)
    })
    .await;
    assert_eq!(objects(&world, &lesson.id).await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_request_is_answered_with_a_deleted_recording() {
    let world = World::new().await;
    let server = world.server("a").await;
    let file = b"a lesson that comes again and again";
    let (first, _) = upload(&server, file, Some("key-1")).await.unwrap();
    let (again, path) = upload(&server, file, Some("key-2")).await.unwrap();
    assert_eq!(again, first, "the same file is the same recording");
    delete(&server, &first).await;
    // The client never saw the last response, and asks what became of its upload.
    let head = server.tus(Method::HEAD, &path).send().await.unwrap();
    assert_eq!(head.status(), StatusCode::GONE);
    let mut seen = vec![first];
    for key in ["key-1", "key-2"] {
        let (recording, _) =
            upload(&server, format!("{key} and {file:?}").as_bytes(), Some(key)).await.unwrap();
        assert!(!seen.contains(&recording), "{key}");
        seen.push(recording);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receipt_waits_for_every_index() {
    let world = World::new().await;
    let lesson = lesson(&world.store, TENANT).await;
    let server = world.server("a").await;
    delete(&server, &lesson.id).await;
    emptied(&server, &lesson.id).await;
    let app = inside(&world).await;
    // Another server says that it still has words.
    app.deletions.eraser().pass(TENANT, &lesson.id, false, now_ms()).await.unwrap();
    let late = layout::object_key(TENANT, &lesson.id, "hls/video/10/v240/00001.m4s");
    world.store.put(&late, Bytes::from_static(b"late")).await.unwrap();
    pass_until(&app, &lesson.id, now_ms() + LINGER_MS, |deletion| deletion.late.objects == 1).await;
    assert_eq!(receipt(&server, &lesson.id).await["state"], "erasing");
}

/// Writes what a worker makes of a lesson of 45 minutes, and its manifest.
async fn long_lesson(world: &World, id: &str) -> Manifest {
    const OBJECTS: usize = 6_768;
    let mut manifest = read_manifest(&world.store, TENANT, id).await.unwrap().unwrap();
    let words = json!({ "version": 1, "language": "en", "cues": [
        { "start_ms": 0, "end_ms": 900, "text": format!("Fractions {id}"), "words": [] }] });
    let transcript = "transcript/9/transcript.json".to_owned();
    let mut puts = vec![(transcript.clone(), words.to_string()), ("stills/9/poster.jpg".into(), "x".into())];
    let more = OBJECTS - manifest.objects.len() - puts.len();
    puts.extend((1..=more).map(|n| (format!("hls/video/9/v{}/{n:05}.m4s", n % 5), n.to_string())));
    for (key, body) in &puts {
        manifest.objects.insert(key.clone(), ObjectFacts::from_bytes(body.as_bytes()));
    }
    let puts = puts.into_iter().map(|(key, body)| {
        let at = layout::object_key(TENANT, id, &key);
        async move { world.store.put(&at, Bytes::from(body)).await }
    });
    stream::iter(puts).buffer_unordered(16).try_collect::<()>().await.unwrap();
    manifest.files.insert("transcript.json".into(), transcript);
    manifest.state = State::Ready;
    manifest.fence += 1;
    write_manifest(&world.store, &manifest).await.unwrap();
    let events = Events::connect(&world.settings.redis).unwrap();
    events.publish(TENANT, id, EventKind::TranscriptReady, json!({})).await.unwrap();
    manifest
}

/// Sends a request, and hangs up 10 ms later. A busy server may not have read it by then.
async fn hang_up(server: &Server, method: &str, path: &str) {
    let mut line = TcpStream::connect(server.address).await.unwrap();
    let head = format!("{method} {path} HTTP/1.1\r\nhost: h\r\nauthorization: Bearer {}\r\n\r\n", server.key);
    line.write_all(head.as_bytes()).await.unwrap();
    let _ = tokio::time::timeout(Duration::from_millis(10), line.read_u8()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_lesson_on_s3_is_erased_without_its_client() {
    let (world, s3) = World::on_s3().await;
    let server = world.server("a").await;
    let (first, _) = upload(&server, b"the same file", None).await.unwrap();
    let manifest = long_lesson(&world, &first).await;
    let count = objects(&world, &first).await.len();
    assert!(count > 6_768, "{count}");
    let folder = world.folder.path().join("a");
    until("its words are indexed", || async { (has_words(&folder, &first) == Some(true)).then_some(()) })
        .await;

    s3.hold_deletes(true);
    let started = Instant::now();
    until("it is ordered", || async {
        hang_up(&server, "DELETE", &format!("/v1/recordings/{first}")).await;
        let read = read_manifest(&world.store, TENANT, &first).await.unwrap().unwrap();
        (read.state == State::Deleted).then_some(())
    })
    .await;
    // Its objects are still there. The same file is a recording of its own all the same.
    let (second, _) = upload(&server, b"the same file", None).await.unwrap();
    assert_ne!(second, first);
    let view = read_manifest(&world.store, TENANT, &second).await.unwrap().unwrap();
    assert_eq!(view.state, State::Queued);
    assert!(objects(&world, &first).await.len() >= count, "nothing was removed yet");

    s3.hold_deletes(false);
    let emptied = emptied(&server, &first).await;
    println!("{} objects gone {:?} after the request", emptied["removed"]["objects"], started.elapsed());
    assert_eq!(emptied["removed"]["objects"], count);
    assert_eq!(emptied["removed"]["folders"]["hls"]["objects"], manifest.objects.len() - 3);
    assert_eq!(objects(&world, &first).await.len(), 1);
    until("its words are off the disk", || async {
        (has_words(&folder, &first) == Some(false)).then_some(())
    })
    .await;
    assert_eq!(redis_keys(&world, &first).await, [""; 0]);
    println!("everything gone {:?} after the request", started.elapsed());
    let queue = Queue::connect(&world.settings.redis).await.unwrap();
    assert!(queue.job(TENANT, &second).await.unwrap().is_some(), "the new one's job stays");
    assert_eq!(queue.stats().await.unwrap().open, 1);
}
