//! Corrections over HTTP, on two servers.
#![allow(clippy::unwrap_used)]

use std::time::{Duration, Instant};

use bytes::Bytes;
use chalkstream_store::{EventKind, Events, Manifest, ObjectFacts, Store, layout, write_manifest};
use futures_util::{StreamExt, stream};
use http::{Method, StatusCode};
use reqwest::Response;
use serde_json::{Value, json};

use crate::delivery::tests::session;
use crate::testing::{Server, TENANT, World, lesson_of_an_earlier_build, until};

/// Time within which every server follows.
const FOLLOWS: Duration = Duration::from_secs(5);

const CUES: [(u64, u64, &str); 2] = [(500, 3000, "a fraction has a new murder"), (4000, 6000, "Ask not!")];

fn timed(cues: &[(u64, u64, &str)]) -> Value {
    let cue = |(n, (start_ms, end_ms, text)): (usize, &(u64, u64, &str))| {
        let words: Vec<Value> = text
            .split(' ')
            .enumerate()
            .map(|(w, word)| {
                let at = start_ms + 400 * w as u64;
                json!({ "start_ms": at, "end_ms": at + 350, "text": word, "p": 0.5 })
            })
            .collect();
        json!({ "id": n + 1, "start_ms": start_ms, "end_ms": end_ms, "text": text, "words": words })
    };
    let cues: Vec<Value> = cues.iter().enumerate().map(cue).collect();
    json!({ "version": 1, "language": "en", "duration_ms": 16_000, "cues": cues })
}

/// A lesson of 16 s with the words and captions of `CUES`.
async fn lesson(store: &Store) -> Manifest {
    let mut manifest = lesson_of_an_earlier_build(store, TENANT).await.manifest;
    let vtt = |cues: &str| format!("WEBVTT\nX-TIMESTAMP-MAP=MPEGTS:0,LOCAL:00:00:00.000\n\n{cues}");
    let (first, second) = (
        "00:00:00.500 --> 00:00:03.000\na fraction has a new murder\n",
        "00:00:04.000 --> 00:00:06.000\nAsk not!\n",
    );
    let srt = "1\n00:00:00,500 --> 00:00:03,000\na fraction has a new murder\n\n\
        2\n00:00:04,000 --> 00:00:06,000\nAsk not!\n\n";
    let text = "a fraction has a new murder Ask not!\n";
    write(
        store,
        &mut manifest,
        &[
            ("transcript.json", "transcript/9/transcript.json", timed(&CUES).to_string()),
            ("captions.vtt", "transcript/9/captions.en.vtt", vtt(&format!("{first}\n{second}"))),
            ("captions.srt", "transcript/9/captions.en.srt", srt.into()),
            ("transcript.txt", "transcript/9/transcript.en.txt", text.into()),
            ("", "hls/subtitles/9/en/00001.vtt", vtt(first)),
            ("", "hls/subtitles/9/en/00002.vtt", vtt(second)),
        ],
    )
    .await;
    manifest
}

async fn write(store: &Store, manifest: &mut Manifest, files: &[(&str, &str, String)]) {
    for (name, key, body) in files {
        let at = layout::object_key(TENANT, &manifest.recording, key);
        store.put(&at, Bytes::from(body.clone())).await.unwrap();
        manifest.objects.insert((*key).into(), ObjectFacts::from_bytes(body.as_bytes()));
        if !name.is_empty() {
            manifest.files.insert((*name).into(), (*key).into());
        }
    }
    manifest.fence += 1;
    write_manifest(store, manifest).await.unwrap();
}

fn cue_path(id: &str, cue: u64) -> String {
    format!("/v1/recordings/{id}/transcript/cues/{cue}")
}

fn etag(response: &Response) -> String {
    response.headers()["etag"].to_str().unwrap().to_owned()
}

/// The cue's entity tag and body.
async fn cue(server: &Server, id: &str, number: u64) -> (String, Value) {
    let response = server.request(Method::GET, &cue_path(id, number)).send().await.unwrap();
    assert_eq!(response.status(), 200);
    (etag(&response), response.json().await.unwrap())
}

async fn correct(server: &Server, id: &str, number: u64, tag: &str, text: &str) -> Response {
    let body = json!({ "text": text, "author": "ann" });
    let request = server.request(Method::PATCH, &cue_path(id, number)).header("if-match", tag);
    request.json(&body).send().await.unwrap()
}

async fn code(response: Response) -> (u16, String) {
    let status = response.status().as_u16();
    let body: Value = response.json().await.unwrap();
    (status, body["code"].as_str().unwrap_or_default().to_owned())
}

async fn transcript(server: &Server, id: &str, format: &str) -> String {
    let path = format!("/v1/recordings/{id}/transcript.{format}");
    server.request(Method::GET, &path).send().await.unwrap().text().await.unwrap()
}

async fn found(server: &Server, words: &str) -> usize {
    let path = format!("/v1/search?viewer=coach&q={words}");
    let response = server.request(Method::GET, &path).send().await.unwrap();
    let body: Value = response.json().await.unwrap();
    body["moments"].as_array().map_or(0, Vec::len)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_correction_reaches_every_server_and_undo_takes_it_back() {
    let world = World::new().await;
    let manifest = lesson(&world.store).await;
    let id = manifest.recording.as_str();
    let (a, b) = (world.server("a").await, world.server("b").await);
    let watched = session(&b, json!({ "recording": id })).await;
    b.searches().await;
    until("the words as they were recognised", || async { (found(&b, "murder").await == 1).then_some(()) })
        .await;

    let (tag, before) = cue(&a, id, 1).await;
    assert_eq!((&before["text"], &before["versions"]), (&json!(CUES[0].2), &json!([])));
    let path = cue_path(id, 1);
    let body = json!({ "text": "x", "author": "ann" });
    let without = a.request(Method::PATCH, &path).json(&body).send().await.unwrap();
    assert_eq!(code(without).await, (428, "if_match".into()));
    assert_eq!(code(correct(&a, id, 1, "\"0-0\"", "x").await).await, (412, "cue_changed".into()));
    assert_eq!(code(correct(&a, id, 1, &tag, &"x".repeat(1001)).await).await, (400, "text".into()));
    assert_eq!(correct(&a, id, 3, &tag, "x").await.status(), 404);
    let foreign = a.client.patch(a.url(&path)).bearer_auth(&world.other_key).header("if-match", &tag);
    assert_eq!(foreign.json(&body).send().await.unwrap().status(), 404, "another tenant");

    let began = Instant::now();
    let corrected = correct(&a, id, 1, &tag, " a fraction has\na numerator ").await;
    let newer = etag(&corrected);
    let body: Value = corrected.json().await.unwrap();
    assert_eq!(body["text"], "a fraction has a numerator");
    assert_eq!((&body["versions"][0]["author"], &body["recognised"]), (&json!("ann"), &json!(CUES[0].2)));
    assert_eq!(code(correct(&a, id, 1, &tag, "late").await).await, (412, "cue_changed".into()));

    // The other server: transcript, captions of players, captions of the stream, and search.
    until("the other server's transcript", || async {
        transcript(&b, id, "json").await.contains("numerator").then_some(())
    })
    .await;
    let json: Value = serde_json::from_str(&transcript(&b, id, "json").await).unwrap();
    let words = json["cues"][0]["words"].as_array().unwrap();
    assert_eq!((&words[1]["start_ms"], &words[1]["p"]), (&json!(900), &json!(0.5)), "an unchanged word");
    assert_eq!((&words[4]["text"], &words[4]["start_ms"]), (&json!("numerator"), &json!(2100)));
    assert_eq!(json["cues"][0]["corrected"], true);
    assert_eq!(json["cues"][1], timed(&CUES)["cues"][1], "the other cue is as it was");
    for format in ["vtt", "srt", "txt"] {
        let text = transcript(&b, id, format).await;
        assert!(
            text.contains("numerator") && text.contains("Ask not!") && !text.contains("murder"),
            "{text}"
        );
    }
    let segment =
        b.open(Method::GET, &format!("{watched}hls/subtitles/9/en/00001.vtt")).send().await.unwrap();
    assert_eq!(segment.headers()["cache-control"], "private, no-cache", "what changes is asked for again");
    assert!(segment.text().await.unwrap().contains("numerator"));
    let part =
        b.open(Method::GET, &format!("{watched}transcript.json?from_ms=0&to_ms=1000")).send().await.unwrap();
    assert!(part.text().await.unwrap().contains("numerator"));
    for server in [&a, &b] {
        until("search follows", || async {
            (found(server, "numerator").await == 1 && found(server, "murder").await == 0).then_some(())
        })
        .await;
    }
    assert!(began.elapsed() < FOLLOWS, "{:?}", began.elapsed());
    let path = format!("/v1/recordings/{id}/transcript.vtt");
    let response = b.request(Method::GET, &path).send().await.unwrap();
    let again = b.request(Method::GET, &path).header("if-none-match", etag(&response)).send().await.unwrap();
    assert_eq!(again.status(), StatusCode::NOT_MODIFIED);

    // Taken back on the other server.
    let undo = |tag: String| {
        let request = b.request(Method::POST, &format!("{}/undo", cue_path(id, 1))).header("if-match", tag);
        request.json(&json!({ "author": "bob" })).send()
    };
    let undone = undo(newer).await.unwrap();
    let tag = etag(&undone);
    let body: Value = undone.json().await.unwrap();
    assert_eq!((&body["text"], &body["versions"][0]["undone"]), (&json!(CUES[0].2), &json!(true)));
    assert_eq!(code(undo(tag).await.unwrap()).await, (409, "nothing_to_undo".into()));
    until("the first server follows", || async {
        (transcript(&a, id, "json").await.contains("murder") && found(&a, "murder").await == 1).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_recognition_keeps_corrections() {
    let world = World::new().await;
    let mut manifest = lesson(&world.store).await;
    let id = manifest.recording.clone();
    let server = world.server("a").await;
    let (tag, _) = cue(&server, &id, 1).await;
    assert_eq!(correct(&server, &id, 1, &tag, "a fraction has a numerator").await.status(), 200);

    let again = [(300, 1700, "A fraction has"), (1800, 5000, "a new mother ask not"), (9000, 9900, "later")];
    let file = ("transcript.json", "transcript/20/transcript.json", timed(&again).to_string());
    write(&world.store, &mut manifest, &[file]).await;
    let events = Events::connect(&world.settings.redis).unwrap();
    events.publish(TENANT, &id, EventKind::TranscriptReady, json!({})).await.unwrap();
    let text = until("the new transcript", || async {
        let text = transcript(&server, &id, "txt").await;
        text.contains("later").then_some(text)
    })
    .await;
    assert_eq!(text, "a fraction has a numerator ask not\n\nlater\n");
    until("search has both", || async {
        (found(&server, "numerator").await > 0 && found(&server, "later").await > 0).then_some(())
    })
    .await;
    // The number is another cue's now.
    assert_eq!(correct(&server, &id, 1, &tag, "x").await.status(), 412);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_who_correct_at_once_one_wins_and_no_other_cue_is_lost() {
    let world = World::new().await;
    let id = lesson(&world.store).await.recording;
    let servers = [world.server("a").await, world.server("b").await];
    let tags = [cue(&servers[0], &id, 1).await.0, cue(&servers[0], &id, 2).await.0];
    let texts: Vec<String> = (0..6).map(|n| format!("text {n}")).collect();
    let all = texts.iter().enumerate().map(|(n, text)| {
        let (server, number) = (&servers[n % 2], 1 + (n / 2) % 2);
        correct(server, &id, number as u64, &tags[number - 1], text)
    });
    // All at once; they are awaited in order.
    let responses: Vec<Response> = stream::iter(all).buffered(texts.len()).collect().await;
    let statuses: Vec<u16> = responses.iter().map(|response| response.status().as_u16()).collect();
    assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 2, "{statuses:?}");
    assert!(statuses.iter().all(|status| [200, 412].contains(status)), "{statuses:?}");
    for number in [1, 2] {
        let (_, now) = cue(&servers[1], &id, number).await;
        let won = texts.iter().position(|text| now["text"] == text.as_str()).unwrap();
        assert_eq!(statuses[won], 200, "the one that was told so");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_corrects_only_with_the_right_and_inside_its_window() {
    let world = World::new().await;
    let id = lesson(&world.store).await.recording;
    let server = world.server("a").await;
    let send = |method: Method, path: String, tag: &str, body: Value| {
        server.open(method, &path).header("if-match", tag).json(&body).send()
    };
    let reader = session(&server, json!({ "recording": id })).await;
    let refused = server.open(Method::GET, &format!("{reader}cues/1")).send().await.unwrap();
    assert_eq!(refused.status(), 403);
    let (tag, _) = cue(&server, &id, 1).await;
    let text = json!({ "text": "a fraction has a numerator" });
    assert_eq!(
        send(Method::PATCH, format!("{reader}cues/1"), &tag, text.clone()).await.unwrap().status(),
        403
    );

    let asked = json!({ "recording": id, "rights": ["correct"], "end_ms": 3500 });
    let editor = session(&server, asked).await;
    let lesson: Value =
        server.open(Method::GET, &format!("{editor}lesson.json")).send().await.unwrap().json().await.unwrap();
    assert_eq!(lesson["correct"], true);
    assert_eq!(server.open(Method::GET, &format!("{editor}cues/2")).send().await.unwrap().status(), 404);
    let read = server.open(Method::GET, &format!("{editor}cues/1")).send().await.unwrap();
    let saved = send(Method::PATCH, format!("{editor}cues/1"), &etag(&read), text).await.unwrap();
    let tag = etag(&saved);
    let saved: Value = saved.json().await.unwrap();
    assert_eq!(saved["text"], "a fraction has a numerator");
    // The platform sees who it was; another viewer does not.
    let (_, all) = cue(&server, &id, 1).await;
    assert!(all["versions"][0]["author"].is_string(), "{all}");
    let other = json!({ "recording": id, "rights": ["correct"], "viewer": "someone-else" });
    let other = session(&server, other).await;
    let seen: Value =
        server.open(Method::GET, &format!("{other}cues/1")).send().await.unwrap().json().await.unwrap();
    assert_eq!(seen["versions"][0].get("author"), None);
    let undone = send(Method::POST, format!("{editor}cues/1/undo"), &tag, json!({})).await.unwrap();
    assert_eq!(undone.json::<Value>().await.unwrap()["text"], CUES[0].2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deletion_removes_and_counts_corrections() {
    let world = World::new().await;
    let id = lesson(&world.store).await.recording;
    let server = world.server("a").await;
    let (tag, _) = cue(&server, &id, 1).await;
    assert_eq!(correct(&server, &id, 1, &tag, "a numerator").await.status(), 200);
    let deleted = server.request(Method::DELETE, &format!("/v1/recordings/{id}")).send().await.unwrap();
    assert_eq!(deleted.status(), 202);
    let receipt = until("the objects are gone", || async {
        let path = format!("/v1/deletions/{id}");
        let receipt: Value = server.request(Method::GET, &path).send().await.ok()?.json().await.ok()?;
        receipt["emptied_at"].is_string().then_some(receipt)
    })
    .await;
    assert_eq!(receipt["removed"]["folders"]["corrections"]["objects"], 1, "{receipt}");
    let left = world.store.list(&layout::recording_prefix(TENANT, &id), None, 100).await.unwrap();
    assert!(left.iter().all(|object| object.key.contains("/manifest/")), "{left:?}");
    assert_eq!(correct(&server, &id, 1, &tag, "x").await.status(), 410);
}

#[tokio::test(flavor = "multi_thread")]
async fn uploaded_captions_are_a_layer_that_corrections_and_new_recognitions_leave() {
    let world = World::new().await;
    let mut manifest = lesson(&world.store).await;
    let id = manifest.recording.clone();
    let (a, b) = (world.server("a").await, world.server("b").await);
    let path = format!("/v1/recordings/{id}/transcript/captions?author=ann");
    let put = |path: &str, body: &str| a.request(Method::PUT, path).body(body.to_owned()).send();
    for (path, body, expected) in [
        (path.as_str(), "hello", "captions"),
        (path.trim_end_matches("ann"), "WEBVTT", "author"),
        (&path.replace("author", "autor"), "WEBVTT", "author"),
    ] {
        assert_eq!(code(put(path, body).await.unwrap()).await, (400, expected.into()));
    }
    let file = "1\n00:00:00,500 --> 00:00:02,500\nA fraction\nhas a numerator.\n\n\
        2\n00:00:07,000 --> 00:00:09,000\nquiet words\n";
    let foreign = a.client.put(a.url(&path)).bearer_auth(&world.other_key).body(file);
    assert_eq!(foreign.send().await.unwrap().status(), 404, "another tenant");
    let large = put(&path, &"x".repeat((2 << 20) + 1)).await.unwrap();
    assert_eq!(code(large).await, (413, "too_large".into()));

    // A correction that is older than the file does not apply to it; a newer one does.
    let (tag, _) = cue(&a, &id, 1).await;
    assert_eq!(correct(&a, &id, 1, &tag, "a fraction has a murmur").await.status(), 200);
    assert_eq!(put(&path, file).await.unwrap().json::<Value>().await.unwrap(), json!({ "cues": 2 }));
    let text = until("the other server's transcript", || async {
        let text = transcript(&b, &id, "txt").await;
        text.contains("quiet").then_some(text)
    })
    .await;
    assert_eq!(text, "A fraction has a numerator.\n\nquiet words\n");
    let json: Value = serde_json::from_str(&transcript(&b, &id, "json").await).unwrap();
    assert_eq!(json["cues"][0]["words"][1]["start_ms"], 900, "a word that was recognised too");
    for format in ["vtt", "srt"] {
        let text = transcript(&b, &id, format).await;
        assert!(text.contains("numerator.") && text.contains("quiet") && !text.contains("not!"), "{text}");
    }
    let (tag, _) = cue(&a, &id, 2).await;
    assert_eq!(correct(&a, &id, 2, &tag, "loud words").await.status(), 200);

    let again = [(300, 1700, "A fraction has"), (1800, 5000, "a new mother ask not"), (9000, 9900, "later")];
    let file = ("transcript.json", "transcript/20/transcript.json", timed(&again).to_string());
    write(&world.store, &mut manifest, &[file]).await;
    let events = Events::connect(&world.settings.redis).unwrap();
    events.publish(TENANT, &id, EventKind::TranscriptReady, json!({})).await.unwrap();
    until("search has what was uploaded, corrected, and nothing else", || async {
        let found = [found(&b, "numerator").await, found(&b, "loud").await, found(&b, "later").await];
        (found == [1, 1, 0]).then_some(())
    })
    .await;
    assert_eq!(transcript(&b, &id, "txt").await, "A fraction has a numerator.\n\nloud words\n");

    let take_back = || a.request(Method::DELETE, &path).send();
    assert_eq!(take_back().await.unwrap().status(), 204);
    assert_eq!(code(take_back().await.unwrap()).await, (409, "nothing_to_undo".into()));
    let text = until("what was recognised, with its corrections", || async {
        let text = transcript(&b, &id, "txt").await;
        text.contains("later").then_some(text)
    })
    .await;
    assert!(text.contains("a fraction has a murmur"), "{text}");
}
