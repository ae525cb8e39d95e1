//! The feed on real storage and a real Redis, and the search routes over it.
#![allow(clippy::unwrap_used)]

use bytes::Bytes;
use chalkstream_meaning::{EmbeddedPassage, Vector, write_passages};
use chalkstream_store::{
    EventKind, Events, Manifest, ObjectFacts, State, Store, layout, objects, write_manifest,
};
use http::Method;
use serde_json::{Value, json};

use super::feed::Feed;
use super::index::Index;
use super::{Area, Embedded, find};
use crate::testing::{OTHER, Server, TENANT, World, until};

/// A lesson in which `words` are spoken from 5.0 s on, half a second each.
pub async fn lesson(store: &Store, tenant: &str, words: &str) -> Manifest {
    let mut manifest = Manifest::new(tenant, layout::new_recording_id());
    manifest.title = "Fractions <b>".into();
    manifest.state = State::Ready;
    say(store, &mut manifest, words).await;
    manifest
}

/// Writes a transcript of these words.
async fn say(store: &Store, manifest: &mut Manifest, words: &str) {
    let timed: Vec<Value> = words
        .split(' ')
        .enumerate()
        .map(|(n, word)| json!({ "start_ms": 5_000 + n * 500, "end_ms": 5_400 + n * 500, "text": word }))
        .collect();
    let cue = json!({ "id": 1, "start_ms": 5_000, "end_ms": 9_000, "text": words, "words": timed });
    let body = json!({ "version": 1, "language": "en", "cues": [cue] }).to_string();
    write_transcript(store, manifest, body).await;
}

/// Writes a transcript under the next fence, as a worker does.
async fn write_transcript(store: &Store, manifest: &mut Manifest, body: String) {
    manifest.fence += 1;
    let storyboard = "WEBVTT\n\n00:00:00.000 --> 00:00:05.000\nstoryboard-000.jpg#xywh=0,0,160,90\n\n\
        00:00:05.000 --> 00:00:10.000\nstoryboard-000.jpg#xywh=160,0,160,90\n";
    let fence = manifest.fence;
    for (logical, key, body) in [
        ("transcript.json", format!("transcript/{fence}/transcript.json"), body),
        ("storyboard.vtt", format!("stills/{fence}/storyboard.vtt"), storyboard.to_owned()),
        ("storyboard-000.jpg", format!("stills/{fence}/storyboard-000.jpg"), "a picture".to_owned()),
    ] {
        let facts =
            ObjectFacts { size_bytes: body.len() as u64, sha256: objects::sha256_hex(body.as_bytes()) };
        let at = layout::object_key(&manifest.tenant, &manifest.recording, &key);
        store.put(&at, Bytes::from(body)).await.unwrap();
        manifest.objects.insert(key.clone(), facts);
        manifest.files.insert(logical.into(), key);
    }
    write_manifest(store, manifest).await.unwrap();
}

async fn remove(store: &Store, manifest: &mut Manifest) {
    manifest.fence += 1;
    manifest.state = State::Deleted;
    manifest.files.clear();
    write_manifest(store, manifest).await.unwrap();
}

async fn moments(server: &Server, key: &str, query: &str) -> Vec<Value> {
    let request = server.client.request(Method::GET, server.url("/v1/search")).bearer_auth(key);
    let response = request.query(&[("q", query), ("viewer", "coach-7")]).send().await.unwrap();
    match response.status().as_u16() {
        200 => response.json::<Value>().await.unwrap()["moments"].as_array().unwrap().clone(),
        503 => Vec::new(),
        other => panic!("the search answered {other}"),
    }
}

/// Waits until a query finds this number of moments.
async fn finds(server: &Server, key: &str, query: &str, count: usize) -> Vec<Value> {
    server.searches().await;
    until(&format!("{count} moments for {query}"), || async {
        let found = moments(server, key, query).await;
        (found.len() == count).then_some(found)
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_said_is_found_until_it_is_said_otherwise_or_deleted() {
    let world = World::new().await;
    let events = Events::connect(&world.settings.redis).unwrap();
    let mut first = lesson(&world.store, TENANT, "why does the denominator matter").await;
    lesson(&world.store, OTHER, "their denominator is secret").await;
    let server = world.server("index").await;

    // From the scan at start.
    let found = finds(&server, &world.key, "denominator", 1).await;
    assert_eq!(found[0]["start_ms"], 6_500);
    assert_eq!(found[0]["highlights"], json!([[13, 24]]));
    assert!(found[0]["link"].as_str().unwrap().ends_with("#t=6.000"), "{}", found[0]);
    assert!(moments(&server, &world.key, "secret").await.is_empty(), "another tenant's words");
    assert_eq!(finds(&server, &world.other_key, "denominator", 1).await.len(), 1);

    // The link opens the page and the still is a picture.
    let link = found[0]["link"].as_str().unwrap();
    let page = server.client.get(link).send().await.unwrap();
    assert_eq!(page.status(), 200);
    assert!(page.headers()["content-security-policy"].to_str().unwrap().contains("script-src 'self';"));
    let html = page.text().await.unwrap();
    assert!(html.contains("Fractions &#60;b&#62;") && !html.contains("<b>"));
    let still = found[0]["still"].as_str().unwrap();
    assert!(still.ends_with("storyboard-000.jpg#xywh=160,0,160,90"), "{still}");
    assert_eq!(server.client.get(still).send().await.unwrap().text().await.unwrap(), "a picture");
    // The still's address stands in a page of the platform: it opens nothing but images.
    let (base, _) = still.split_once("storyboard-").unwrap();
    let poster = server.client.get(format!("{base}poster.jpg")).send().await.unwrap();
    assert_eq!(poster.status(), 404, "an image, if there were one");
    for file in
        ["storyboard.vtt", "transcript.json", "lesson.json", "search?q=why", "events", "hls/2/master.m3u8"]
    {
        assert_eq!(server.client.get(format!("{base}{file}")).send().await.unwrap().status(), 403, "{file}");
    }
    let watch = base.replace("/s/", "/watch/s/").replace(&format!("{}/", first.recording), "");
    let page = server.client.get(watch.trim_end_matches('/')).send().await.unwrap();
    assert_eq!(page.status(), 403, "no page either");

    // By events: a new lesson, another transcript of the first, a deletion.
    let second = lesson(&world.store, TENANT, "the numerator then").await;
    events.publish(TENANT, &second.recording, EventKind::TranscriptReady, json!({})).await.unwrap();
    finds(&server, &world.key, "numerator", 1).await;
    say(&world.store, &mut first, "quite another sentence").await;
    events.publish(TENANT, &first.recording, EventKind::TranscriptReady, json!({})).await.unwrap();
    finds(&server, &world.key, "sentence", 1).await;
    assert!(moments(&server, &world.key, "denominator").await.is_empty());
    // A transcript that cannot be read: what it replaces is found no more.
    let mut third = lesson(&world.store, TENANT, "an integer at last").await;
    events.publish(TENANT, &third.recording, EventKind::TranscriptReady, json!({})).await.unwrap();
    finds(&server, &world.key, "integer", 1).await;
    write_transcript(&world.store, &mut third, "not JSON".into()).await;
    events.publish(TENANT, &third.recording, EventKind::TranscriptReady, json!({})).await.unwrap();
    finds(&server, &world.key, "integer", 0).await;
    remove(&world.store, &mut first).await;
    events.publish(TENANT, &first.recording, EventKind::Deleted, json!({})).await.unwrap();
    finds(&server, &world.key, "sentence", 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn passages_are_indexed_with_the_words_and_follow_the_transcript() {
    let world = World::new().await;
    let events = Events::connect(&world.settings.redis).unwrap();
    let mut manifest = lesson(&world.store, TENANT, "why does the denominator matter").await;
    let vector = Vector::new(&std::array::from_fn(|n| if n % 3 == 0 { 0.07 } else { 0.02 }));
    let passage = EmbeddedPassage { start_ms: 5_000, end_ms: 9_000, vector: vector.clone() };
    let embed = async |manifest: &mut Manifest, body: Vec<u8>| {
        let key = format!("transcript/{}/passages.bin", manifest.fence);
        let at = layout::object_key(TENANT, &manifest.recording, &key);
        world.store.put(&at, Bytes::from(body)).await.unwrap();
        manifest.files.insert("passages.bin".into(), key);
        write_manifest(&world.store, manifest).await.unwrap();
        events.publish(TENANT, &manifest.recording, EventKind::TranscriptReady, json!({})).await.unwrap();
    };
    embed(&mut manifest, write_passages(std::slice::from_ref(&passage))).await;
    let index = Index::new(Box::new(Embedded::open(&world.folder.path().join("index")).unwrap()));
    let feed = Feed::new(index.clone(), world.store.clone(), events.clone());
    let feed = tokio::spawn(feed.run());
    let follows = async |words: &str, count: usize| {
        until(words, || async {
            let area = Area::for_tenant(TENANT);
            let engine = index.engine();
            let said = find(engine, words, &area, 0, 1).unwrap().moments.len();
            let similar = engine.similar(&vector, &area, 9).unwrap();
            let texts: Vec<_> = similar.into_iter().map(|(_, passage)| passage.text).collect();
            (said == 1 && texts == vec![words; count]).then_some(())
        })
        .await;
    };
    follows("why does the denominator matter", 1).await;
    say(&world.store, &mut manifest, "another sentence").await;
    embed(&mut manifest, write_passages(&[passage])).await;
    follows("another sentence", 1).await;
    // Damaged passages cost no words.
    say(&world.store, &mut manifest, "yet another").await;
    embed(&mut manifest, b"CSP\x01?".to_vec()).await;
    follows("yet another", 0).await;
    feed.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_without_a_model_says_so_and_finds_words() {
    let world = World::new().await;
    lesson(&world.store, TENANT, "why does the denominator matter").await;
    let server = world.server("index").await;
    finds(&server, &world.key, "denominator", 1).await;
    let ask = async |query: &str| {
        let request = server.request(Method::GET, "/v1/search").query(&[("q", query), ("viewer", "coach-7")]);
        request.send().await.unwrap().json::<Value>().await.unwrap()
    };
    let found = ask("the denominator").await;
    assert_eq!(found["moments"].as_array().unwrap().len(), 1);
    assert_eq!((&found["meaning_unavailable"], found.get("meaning")), (&json!(true), None));
    for query in ["denominator", "\"the denominator\""] {
        assert_eq!(ask(query).await.get("meaning_unavailable"), None, "{query} is not searched by meaning");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_was_away_catches_up_from_where_it_was() {
    let world = World::new().await;
    let events = Events::connect(&world.settings.redis).unwrap();
    lesson(&world.store, TENANT, "one denominator").await;
    let mut server = world.server("index").await;
    finds(&server, &world.key, "denominator", 1).await;
    server.stop.cancel();
    server.task.take().unwrap().await.unwrap().unwrap();
    drop(server);

    let second = lesson(&world.store, TENANT, "two denominators").await;
    events.publish(TENANT, &second.recording, EventKind::TranscriptReady, json!({})).await.unwrap();
    // Not announced: the stream still has the position, so storage is not scanned again.
    lesson(&world.store, TENANT, "three denominators").await;
    let mut server = world.server("index").await;
    finds(&server, &world.key, "denominator", 2).await;
    server.stop.cancel();
    server.task.take().unwrap().await.unwrap().unwrap();
    // An index that cannot be read sends the feed through storage.
    let version = std::fs::read_dir(world.folder.path().join("index")).unwrap().next().unwrap().unwrap();
    std::fs::write(version.path().join("tenants").join(TENANT).join("meta.json"), "broken").unwrap();
    let server = world.server("index").await;
    finds(&server, &world.key, "denominator", 3).await;
    // A new index, without a position, scans storage.
    let other = world.server("another").await;
    finds(&other, &world.key, "denominator", 3).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_event_stream_sends_the_feed_through_storage() {
    let mut world = World::new().await;
    lesson(&world.store, TENANT, "one denominator").await;
    let server = world.server("index").await;
    finds(&server, &world.key, "denominator", 1).await;
    // Redis comes back empty, and the events published meanwhile are lost.
    world.redis.kill();
    lesson(&world.store, TENANT, "another denominator").await;
    world.redis = crate::testing::Redis::start(world.folder.path()).await;
    finds(&server, &world.key, "denominator", 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_requests_are_refused_or_answered_and_never_break() {
    let world = World::new().await;
    lesson(&world.store, TENANT, "plain words").await;
    let server = world.server("index").await;
    finds(&server, &world.key, "plain", 1).await;
    let ask = |query: String| server.request(Method::GET, &format!("/v1/search?{query}")).send();
    for query in [
        "q=%22%22%22&viewer=v",
        "q=%00%FF*:*&viewer=v",
        "q=(((&viewer=v&limit=100000",
        "viewer=v",
        "q=a&viewer=v&recording=../x",
    ] {
        assert_eq!(ask(query.into()).await.unwrap().status(), 200, "{query}");
    }
    assert_eq!(ask(format!("q={}&viewer=v", "word+".repeat(3_000))).await.unwrap().status(), 200);
    for query in ["q=plain", "q=plain&viewer=", "q=plain&viewer=v&limit=-1", "q=plain&viewer=v&limit=x"] {
        assert_eq!(ask(query.into()).await.unwrap().status(), 400, "{query}");
    }
    let anyone = server.open(Method::GET, "/v1/search?q=plain&viewer=v").send().await.unwrap();
    assert_eq!(anyone.status(), 401);
}
