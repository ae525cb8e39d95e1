//! What a session does not reach: other lessons and revisions, and what its playlists do not name.
#![allow(clippy::unwrap_used)]

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::tests::{Stage, get, session, stage};
use crate::testing::{Server, TENANT, until};

#[tokio::test(flavor = "multi_thread")]
async fn a_session_is_pinned_and_reaches_nothing_its_playlists_do_not_name() {
    let Stage { world: _world, server, one, .. } = stage().await;
    let base = session(&server, json!({ "recording": one.id })).await;
    for key in [
        "hls/1/master.m3u8",
        "hls/3/master.m3u8",
        "hls/video/9/v240/secret.m4s",
        "hls/../source/original.mp4",
        "hls/%2e%2e/source/original.mp4",
        "hls/..%2fsource/original.mp4",
        "hls//video/9/v240/00001.m4s",
        "hls/video/9/v240/",
        "hls/video/9/v240/00001.m4s/",
    ] {
        // As raw bytes: a client library would normalize the path before sending it.
        let status = raw(&server, &format!("{base}{key}")).await;
        assert!(status == 403 || status == 404, "{key}: {status}");
    }
}

/// One request with exactly this path.
async fn raw(server: &Server, path: &str) -> u16 {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let mut stream = tokio::net::TcpStream::connect(server.address).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut response = Vec::new();
    stream.read_to_end(&mut response).await.unwrap();
    std::str::from_utf8(&response[9..12]).unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_recording_is_gone_for_platform_and_viewer() {
    let Stage { world, server, one, two, .. } = stage().await;
    let base = session(&server, json!({ "recording": one.id })).await;
    let path = format!("/v1/recordings/{}", one.id);
    assert_eq!(server.request(Method::DELETE, &path).send().await.unwrap().status(), StatusCode::ACCEPTED);
    until("its sessions end", || async {
        (get(&server, &format!("{base}hls/video/9/v240/00001.m4s")).await.status() == 403).then_some(())
    })
    .await;
    assert_eq!(server.request(Method::GET, &path).send().await.unwrap().status(), StatusCode::GONE);
    until("the tombstone alone is left", || async {
        let left = world.store.list(&format!("{TENANT}/{}/", one.id), None, 100).await.unwrap();
        (left.len() == 1).then_some(())
    })
    .await;
    let list: Value =
        server.request(Method::GET, "/v1/recordings").send().await.unwrap().json().await.unwrap();
    assert_eq!(list["recordings"].as_array().unwrap().len(), 1);
    assert_eq!(list["recordings"][0]["id"], two.id);
}

/// No session reaches another lesson's words or bytes. Every object of a lesson contains its id. So
/// a response to one lesson's session that is no refusal never contains the ids of the others.
#[tokio::test(flavor = "multi_thread")]
async fn no_session_reaches_another_lessons_words_or_bytes() {
    let Stage { world, server, one, two, foreign } = stage().await;
    let base = session(&server, json!({ "recording": one.id })).await;
    let other_base = session(&server, json!({ "recording": two.id })).await;
    server.searches().await;
    let found = get(&server, &format!("{base}search?q=fractions")).await.text().await.unwrap();
    assert!(found.contains("start_ms"), "the lesson's own words are found: {found}");
    let token = base.split('/').nth(2).unwrap().to_owned();
    let other_token = other_base.split('/').nth(2).unwrap().to_owned();
    let keys: Vec<String> = one.resources.keys().cloned().collect();
    const ROUTES: &[&str] = &[
        "poster.jpg",
        "storyboard.vtt",
        "transcript.json",
        "captions.vtt",
        "lesson.json",
        "search?q=fractions",
        "events",
    ];

    let asked = (
        prop_oneof![Just(two.id.clone()), Just(foreign.id.clone()), Just(one.id.clone())],
        prop_oneof![proptest::sample::select(keys), proptest::sample::select(ROUTES).prop_map(String::from),],
        prop_oneof![
            Just("".to_owned()),
            Just("../".to_owned()),
            Just(format!("{}/", two.id)),
            Just(format!("../{}/", foreign.id)),
            Just(format!("%2e%2e/{}/", two.id))
        ],
        prop_oneof![
            6 => Just(None),
            4 => (0..token.len(), proptest::char::range('A', 'Z')).prop_map(Some)
        ],
        proptest::bool::ANY,
    );
    let runtime = tokio::runtime::Handle::current();
    let (client, address) = (server.client.clone(), server.address);
    let ids = [two.id.clone(), foreign.id.clone()];
    let own = one.id.clone();
    tokio::task::spawn_blocking(move || {
        let mut runner =
            TestRunner::new(Config { cases: 400, failure_persistence: None, ..Config::default() });
        runner
            .run(&asked, |(recording, key, detour, altered, with_other)| {
                let mut used = token.clone();
                if let Some((at, character)) = altered {
                    used.replace_range(at..=at, &character.to_string());
                }
                let spoiled = used != token;
                // The other lesson's session on this lesson's address must be as useless.
                let (used, forbidden) = match with_other {
                    true => (other_token.clone(), vec![own.clone(), ids[1].clone()]),
                    false => (used, ids.to_vec()),
                };
                let path = format!("/s/{used}/{recording}/{detour}{key}");
                let (status, body) = runtime.block_on(async {
                    let response = client.get(format!("http://{address}{path}")).send().await.unwrap();
                    let status = response.status();
                    // An event stream does not end.
                    let body = match status.is_success() && key == "events" {
                        true => Vec::new(),
                        false => response.bytes().await.unwrap().to_vec(),
                    };
                    (status, String::from_utf8_lossy(&body).into_owned())
                });
                if status.is_success() {
                    for id in &forbidden {
                        prop_assert!(!body.contains(id.as_str()), "{path} gave bytes of {id}");
                    }
                    prop_assert!(with_other || !spoiled, "an altered session was believed: {path}");
                }
                prop_assert!(!status.is_server_error(), "{path}: {status}");
                Ok(())
            })
            .unwrap();
    })
    .await
    .unwrap();
    drop(world);
}
