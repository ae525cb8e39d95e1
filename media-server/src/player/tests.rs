//! The pages over HTTP.
#![allow(clippy::unwrap_used)]

use chalkstream_store::layout;
use reqwest::Method;
use serde_json::{Value, json};

use crate::testing::{Server, TENANT, World, lesson};

/// The address of a session's files, without the server.
async fn session(server: &Server, link: Value) -> String {
    let link: Value =
        server.request(Method::POST, "/v1/links").json(&link).send().await.unwrap().json().await.unwrap();
    let master = server.client.get(link["master_url"].as_str().unwrap()).send().await.unwrap();
    let text = master.text().await.unwrap();
    let child = text.lines().find(|line| line.starts_with("/s/")).unwrap();
    child[..child.find("hls/").unwrap()].to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_part_of_a_transcript_is_read_and_parsed_once() {
    let world = World::new().await;
    // One cue, from 0.5 s to 2.5 s.
    let lesson = lesson(&world.store, TENANT).await;
    let server = world.server("a").await;
    let open = session(&server, json!({ "recording": lesson.id, "viewer": "v" })).await;
    let cues = async |base: &str, query: &str| {
        let response =
            server.open(Method::GET, &format!("{base}transcript.json{query}")).send().await.unwrap();
        assert_eq!(response.status(), 200, "{query}");
        assert_eq!(response.headers()["cache-control"], "private, no-store");
        response.json::<Value>().await.unwrap()["cues"].as_array().unwrap().len()
    };
    assert_eq!(cues(&open, "?from_ms=0&to_ms=1000").await, 1);
    let key = layout::object_key(TENANT, &lesson.id, "transcript/9/transcript.json");
    world.store.delete(&key).await.unwrap();
    assert_eq!(cues(&open, "?from_ms=500").await, 1);
    assert_eq!(cues(&open, "?from_ms=501").await, 0);
    assert_eq!(cues(&open, "?to_ms=500").await, 0);
    for (end_ms, count) in [(2_500, 1), (2_499, 0)] {
        let link = json!({ "recording": lesson.id, "viewer": "v", "end_ms": end_ms });
        assert_eq!(cues(&session(&server, link).await, "").await, count, "the window ends at {end_ms}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_root_is_a_page_that_a_person_can_use() {
    let mut world = World::new().await;
    world.settings.server.public_url = "https://school.example/media".into();
    let server = world.server("a").await;
    let page = server.open(Method::GET, "/").send().await.unwrap();
    assert_eq!(page.status(), 200);
    assert_eq!(page.headers()["content-type"], "text/html; charset=utf-8");
    assert!(page.headers()["content-security-policy"].to_str().unwrap().contains("script-src 'self';"));
    let html = page.text().await.unwrap();
    assert!(html.contains("chalkstream link ID"), "how to get a link: {html}");
    let href = |after: &str| html.split(after).nth(1).unwrap().split('"').next().unwrap().to_owned();
    for address in [href("<a href=\""), href("rel=\"stylesheet\" href=\"")] {
        let path = address.strip_prefix("/media").expect("below the public URL");
        let found = server.open(Method::GET, path).send().await.unwrap();
        assert_eq!(found.status(), 200, "{address}");
    }
}
