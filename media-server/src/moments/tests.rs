//! Moments over HTTP.
#![allow(clippy::unwrap_used)]

use bytes::Bytes;
use chalkstream_store::{EventKind, Events, ObjectFacts, layout, write_manifest};
use http::Method;
use serde_json::{Value, json};

use crate::testing::{Lesson, Server, TENANT, World, lesson, until};

async fn mint(server: &Server, lesson: &Lesson, body: Value) -> (u16, Value) {
    let path = format!("/v1/recordings/{}/moments", lesson.id);
    let response = server.request(Method::POST, &path).json(&body).send().await.unwrap();
    (response.status().as_u16(), response.json().await.unwrap())
}

async fn get(server: &Server, lesson: &Lesson, id: &str) -> (u16, Value) {
    let path = format!("/v1/recordings/{}/moments/{id}?viewer=coach-1", lesson.id);
    let response = server.request(Method::GET, &path).send().await.unwrap();
    (response.status().as_u16(), response.json().await.unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_moment_keeps_its_id_while_its_words_are_corrected() {
    let world = World::new().await;
    let lesson = lesson(&world.store, TENANT).await;
    let server = world.server("a").await;
    let new = json!({ "start_ms": 400, "end_ms": 1000, "author": "ann" });
    let (status, minted) = mint(&server, &lesson, new.clone()).await;
    assert_eq!((status, &minted["text"]), (201, &json!("Fractions")));
    assert_eq!(minted.get("link"), None, "only for a viewer");
    let id = minted["id"].as_str().unwrap();
    let (status, again) = mint(&server, &lesson, new).await;
    assert_eq!((status, again["id"].as_str()), (200, Some(id)), "the same span has the same id");
    let (_, other) =
        mint(&server, &lesson, json!({ "start_ms": 400, "end_ms": 1100, "author": "ann" })).await;
    assert_ne!(other["id"].as_str(), Some(id), "another span");
    let all = format!("/v1/recordings/{}/moments", lesson.id);
    let listed: Value = server.request(Method::GET, &all).send().await.unwrap().json().await.unwrap();
    let mut ids = [id, other["id"].as_str().unwrap()];
    ids.sort_unstable();
    assert_eq!(listed, json!({ "moments": ids }));
    let foreign = server.client.get(server.url(&all)).bearer_auth(&world.other_key).send().await.unwrap();
    assert_eq!(foreign.status(), 404, "another tenant");

    // Its cue is corrected: the moment has the words that are there now.
    let cue = format!("/v1/recordings/{}/transcript/cues/1", lesson.id);
    let read = server.request(Method::GET, &cue).send().await.unwrap();
    let tag = read.headers()["etag"].to_str().unwrap().to_owned();
    let body = json!({ "text": "Well, fractions.", "author": "ann" });
    let saved = server.request(Method::PATCH, &cue).header("if-match", tag).json(&body).send().await.unwrap();
    assert_eq!(saved.status(), 200);
    let (status, found) = get(&server, &lesson, id).await;
    assert_eq!((status, &found["text"], &found["found"]), (200, &json!("fractions."), &json!(true)));
    assert_eq!(found["target"]["source"], format!("urn:uuid:{}", lesson.id));
    let selector = &found["target"]["selector"];
    assert_eq!(
        (&selector["type"], &selector["value"]),
        (&json!("FragmentSelector"), &json!("t=0.500,0.900"))
    );
    let quote = &selector["refinedBy"];
    assert_eq!((&quote["exact"], &quote["prefix"]), (&json!("fractions."), &json!("Well,")));
    let link = found["link"].as_str().unwrap();
    assert!(link.ends_with("#t=0.000"), "{link}");
    assert_eq!(server.client.get(link).send().await.unwrap().status(), 200);
    let still = found["still"].as_str().unwrap();
    assert!(still.ends_with("/poster.jpg"), "{still}");
    assert_eq!(server.client.get(still).send().await.unwrap().status(), 200);

    let path = format!("/v1/recordings/{}/moments/{id}", lesson.id);
    assert_eq!(server.request(Method::DELETE, &path).send().await.unwrap().status(), 204);
    assert_eq!(get(&server, &lesson, id).await.0, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_moment_is_found_again_after_a_new_recognition_and_goes_with_its_recording() {
    let world = World::new().await;
    let mut lesson = lesson(&world.store, TENANT).await;
    let server = world.server("a").await;
    let new = json!({ "start_ms": 400, "end_ms": 1000, "author": "ann" });
    let (_, minted) = mint(&server, &lesson, new).await;
    let id = minted["id"].as_str().unwrap();

    let word =
        |start_ms: u64, text: &str| json!({ "start_ms": start_ms, "end_ms": start_ms + 300, "text": text });
    let words = [word(300, "Now,"), word(700, "fractions:"), word(1200, "who"), word(1600, "knows?")];
    let text = "Now, fractions: who knows?";
    let cue = json!({ "id": 1, "start_ms": 200, "end_ms": 2200, "text": text, "words": words });
    let body = json!({ "version": 1, "language": "en", "duration_ms": 16_000, "cues": [cue] }).to_string();
    let (key, manifest) = ("transcript/20/transcript.json", &mut lesson.manifest);
    let at = layout::object_key(TENANT, &lesson.id, key);
    world.store.put(&at, Bytes::from(body.clone())).await.unwrap();
    manifest.objects.insert(key.into(), ObjectFacts::from_bytes(body.as_bytes()));
    manifest.files.insert("transcript.json".into(), key.into());
    manifest.fence += 1;
    write_manifest(&world.store, manifest).await.unwrap();
    let events = Events::connect(&world.settings.redis).unwrap();
    events.publish(TENANT, &lesson.id, EventKind::TranscriptReady, json!({})).await.unwrap();
    let found = until("the words of the new recognition", || async {
        let (_, found) = get(&server, &lesson, id).await;
        (found["text"] == "fractions:").then_some(found)
    })
    .await;
    assert_eq!((&found["start_ms"], &found["end_ms"]), (&json!(700), &json!(1000)));
    assert_eq!(found["target"]["selector"]["refinedBy"]["suffix"], "who knows?");

    let path = format!("/v1/recordings/{}", lesson.id);
    assert_eq!(server.request(Method::DELETE, &path).send().await.unwrap().status(), 202);
    let receipt = until("the objects are gone", || async {
        let path = format!("/v1/deletions/{}", lesson.id);
        let receipt: Value = server.request(Method::GET, &path).send().await.ok()?.json().await.ok()?;
        receipt["emptied_at"].is_string().then_some(receipt)
    })
    .await;
    assert_eq!(receipt["removed"]["folders"]["moments"]["objects"], 1, "{receipt}");
    assert_eq!(get(&server, &lesson, id).await.0, 410);
}

#[tokio::test(flavor = "multi_thread")]
async fn only_a_real_span_of_the_tenants_own_lesson_is_a_moment() {
    let world = World::new().await;
    let lesson = lesson(&world.store, TENANT).await;
    let server = world.server("a").await;
    for (body, code) in [
        (json!({ "start_ms": 5, "end_ms": 5, "author": "ann" }), "window"),
        (json!({ "start_ms": 0, "end_ms": 5, "author": "" }), "author"),
        (json!({ "start_ms": 0, "end_ms": 600_001, "author": "ann" }), "window"),
        (json!({ "start_ms": 16_000, "end_ms": 17_000, "author": "ann" }), "window"),
    ] {
        let (status, problem) = mint(&server, &lesson, body).await;
        assert_eq!((status, problem["code"].as_str()), (400, Some(code)));
    }
    let (_, minted) = mint(&server, &lesson, json!({ "start_ms": 0, "end_ms": 5000, "author": "ann" })).await;
    let id = minted["id"].as_str().unwrap();
    let path = format!("/v1/recordings/{}/moments/{id}", lesson.id);
    let foreign = server.client.get(server.url(&path)).bearer_auth(&world.other_key).send().await.unwrap();
    assert_eq!(foreign.status(), 404);
    for id in ["..", "x", &"0".repeat(32)] {
        assert_eq!(get(&server, &lesson, id).await.0, 404, "{id}");
    }
}
