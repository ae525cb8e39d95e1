//! Event streams of a real server: what happens when events are lost, and to a flood of readers.
#![allow(clippy::unwrap_used)]

use chalkstream_store::{EventKind, Events};
use futures_util::StreamExt;
use reqwest::{Method, StatusCode};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::{Hub, News};
use crate::clock::now_ms;
use crate::testing::{OTHER, Server, TENANT, World, lesson, until};

/// A stream's text as far as `wanted`, or 20 s.
async fn read_until(response: reqwest::Response, wanted: &str) -> String {
    let (mut body, mut text) = (response.bytes_stream(), String::new());
    let read = async {
        while let Some(chunk) = body.next().await {
            text.push_str(&String::from_utf8_lossy(&chunk.unwrap()));
            if text.contains(wanted) {
                return;
            }
        }
    };
    let in_time = tokio::time::timeout(std::time::Duration::from_secs(20), read).await;
    assert!(in_time.is_ok() && text.contains(wanted), "no {wanted} in {text}");
    text
}

async fn stream_after(server: &Server, id: &str) -> reqwest::Response {
    let request = server.request(Method::GET, "/v1/events").header("last-event-id", id);
    request.send().await.unwrap().error_for_status().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gap_is_reported_once_and_nothing_else_is() {
    let mut world = World::new().await;
    world.settings.redis.events_kept = 100;
    let server = world.server("a").await;
    let events = Events::connect(&world.settings.redis).unwrap();
    let publish = async |n: u64| {
        let recording = chalkstream_store::layout::new_recording_id();
        events.publish(TENANT, &recording, EventKind::State, json!({ "n": n })).await.unwrap()
    };
    let seen = publish(0).await;
    publish(1).await;
    let text = read_until(stream_after(&server, &seen).await, "\"n\":1").await;
    assert!(!text.contains("event: reset"), "nothing was lost: {text}");

    // The listener is redeployed, and a thousand events later comes back.
    for n in 2..1_000 {
        publish(n).await;
    }
    let text = read_until(stream_after(&server, &seen).await, "\"n\":999").await;
    let first = text.split("\n\n").next().unwrap();
    assert!(first.contains("event: reset"), "the gap comes first: {text}");
    assert_eq!(text.matches("event: reset").count(), 1, "{text}");
    let left = text.lines().find_map(|line| line.strip_prefix("id: ")).unwrap().to_owned();
    let text = read_until(stream_after(&server, &left).await, "\"n\":999").await;
    assert!(!text.contains("event: reset"), "the reset's own id is no gap: {text}");

    // Redis loses everything while a stream is open.
    let open = stream_after(&server, &events.latest_id().await.unwrap()).await;
    world.redis.flush();
    publish(1_000).await;
    let text = read_until(open, "\"n\":1000").await;
    assert_eq!(text.matches("event: reset").count(), 1, "{text}");
    let open = stream_after(&server, &events.latest_id().await.unwrap()).await;
    publish(1_001).await;
    let text = read_until(open, "\"n\":1001").await;
    assert!(!text.contains("event: reset"), "the gap was reported before: {text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_was_empty_has_no_gap() {
    let world = World::new().await;
    let events = Events::connect(&world.settings.redis).unwrap();
    let (tasks, shutdown) = (TaskTracker::new(), CancellationToken::new());
    let _stop = shutdown.clone().drop_guard();
    let hub = Hub::start(events.clone(), &tasks, shutdown);
    let mut news = hub.subscribe();
    until("the hub reads", || async { hub.has_passed_on_all(now_ms(), 60_000).then_some(()) }).await;
    for n in 0..3 {
        let recording = chalkstream_store::layout::new_recording_id();
        events.publish(TENANT, &recording, EventKind::State, json!({ "n": n })).await.unwrap();
        match news.recv().await.unwrap() {
            News::Event(event) => assert_eq!(event.data["n"], n),
            News::Gap(left) => {
                panic!("nothing was lost before event {n}, but a gap up to {left} is reported")
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_cannot_take_all_connections() {
    let mut world = World::new().await;
    world.settings.server.max_connections_per_address = 2;
    let server = world.server("a").await;
    let ask = async |connection: &mut TcpStream| {
        connection.write_all(b"GET /healthz HTTP/1.1\r\nhost: h\r\n\r\n").await?;
        connection.read_u8().await
    };
    let first = async || {
        let mut connection = TcpStream::connect(server.address).await.unwrap();
        ask(&mut connection).await.ok().map(|_| connection)
    };
    // The client of this test may still hold connections of its own.
    let (one, two) = until("two are open", async || Some((first().await?, first().await?))).await;
    assert!(first().await.is_none(), "the third is closed without a response");
    drop(one);
    let three = until("one that closed makes room", first).await;
    drop((two, three));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_and_a_tenant_cannot_take_all_streams() {
    let mut world = World::new().await;
    world.settings.server.max_connections = 40;
    let lesson = lesson(&world.store, TENANT).await;
    let server = world.server("a").await;
    let base = crate::delivery::tests::session(&server, json!({ "recording": lesson.id })).await;
    let link = json!({ "recording": lesson.id, "viewer": "v" });
    let link = server.request(Method::POST, "/v1/links").json(&link).send().await.unwrap();
    let link: serde_json::Value = link.json().await.unwrap();
    let mut open = Vec::new();
    for _ in 0..8 {
        let response = server.open(Method::GET, &format!("{base}events")).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        open.push(response);
    }
    let path = format!("{base}events");
    let refused = server.open(Method::GET, &path).send().await.unwrap();
    assert_eq!(refused.status(), StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(refused.json::<serde_json::Value>().await.unwrap()["code"], "too_many_streams");
    // The tenant has half of the connections.
    for _ in 8..20 {
        let response = server.request(Method::GET, "/v1/events").send().await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        open.push(response);
    }
    let refused = server.request(Method::GET, "/v1/recordings").send().await.unwrap();
    assert_eq!(refused.status(), StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(refused.headers()["retry-after"], "1");
    let session = server.url(&format!("/watch/s/{}", base.split('/').nth(2).unwrap()));
    for url in [link["url"].as_str().unwrap(), link["master_url"].as_str().unwrap(), &session] {
        let refused = server.client.get(url).send().await.unwrap();
        assert_eq!(refused.status(), StatusCode::TOO_MANY_REQUESTS, "{url}");
    }
    let other = || async {
        let request = server.client.get(server.url("/v1/recordings")).bearer_auth(&world.other_key);
        request.send().await.unwrap().status()
    };
    assert_eq!(other().await, StatusCode::OK, "{OTHER} is served");
    drop(open);
    until("the tenant is served again", || async {
        let response = server.request(Method::GET, "/v1/recordings").send().await.unwrap();
        response.status().is_success().then_some(())
    })
    .await;
}
