//! Revocations over HTTP: what they refuse, listing and lifting, and one tenant's flood.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use chalkstream_store::Authority;
use prometheus_client::metrics::counter::Counter;
use reqwest::{Method, Response, StatusCode};
use serde_json::{Value, json};

use super::Links;
use crate::clock::now_s;
use crate::testing::{Lesson, Server, TENANT, World, lesson, until};
use crate::token::{Link, VerifiedToken, Window};
use crate::url::PublicUrl;

async fn json_of(response: Response, status: StatusCode) -> Value {
    assert_eq!(response.status(), status);
    response.json().await.unwrap()
}

async fn post(server: &Server, path: &str, body: Value) -> Response {
    server.request(Method::POST, path).json(&body).send().await.unwrap()
}

async fn revoke(server: &Server, target: Value) -> Value {
    json_of(post(server, "/v1/revocations", target).await, StatusCode::CREATED).await
}

async fn revocations(server: &Server, query: &str) -> Value {
    let response = server.request(Method::GET, &format!("/v1/revocations{query}")).send().await.unwrap();
    json_of(response, StatusCode::OK).await
}

/// The address of a new link's stream.
async fn stream(server: &Server, recording: &str, viewer: &str) -> String {
    let link = json!({ "recording": recording, "viewer": viewer });
    let link = json_of(post(server, "/v1/links", link).await, StatusCode::CREATED).await;
    link["master_url"].as_str().unwrap().to_owned()
}

/// Status, and the code of a refusal.
async fn open(server: &Server, url: &str) -> (u16, String) {
    let response = server.client.get(url).send().await.unwrap();
    let status = response.status().as_u16();
    let code = response.json::<Value>().await.map(|problem| problem["code"].as_str().unwrap().to_owned());
    (status, code.unwrap_or_default())
}

async fn stage() -> (World, Server, Lesson) {
    let world = World::new().await;
    let one = lesson(&world.store, TENANT).await;
    let server = world.server("a").await;
    (world, server, one)
}

fn refused(code: &str) -> (u16, String) {
    (403, code.to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_viewer_gets_a_new_link_and_the_old_ones_stay_refused_until_that_is_lifted() {
    let (_world, server, one) = stage().await;
    let lost = stream(&server, &one.id, "jane").await;
    let other = stream(&server, &one.id, "joe").await;
    let revocation = revoke(&server, json!({ "viewer": "jane" })).await;
    assert_eq!(open(&server, &lost).await, refused("token_revoked"));
    assert_eq!(open(&server, &other).await.0, 200);

    // In the same second: the new link is issued after the revocation, and so is its session.
    let new = stream(&server, &one.id, "jane").await;
    let master = server.client.get(&new).send().await.unwrap().text().await.unwrap();
    let child = master.lines().find(|line| line.starts_with("/s/")).unwrap();
    assert_eq!(server.open(Method::GET, child).send().await.unwrap().status(), StatusCode::OK);
    assert_eq!(open(&server, &lost).await, refused("token_revoked"));

    let listed = revocations(&server, "").await["revocations"].clone();
    assert_eq!(listed, json!([revocation]));
    assert!(!listed.to_string().contains("jane"));
    assert_eq!(revocations(&server, "?viewer=jane").await["revocations"], listed);
    assert_eq!(revocations(&server, "?viewer=joe").await["revocations"], json!([]));
    let until_s = revocation["ends_at"].as_str().unwrap().parse::<jiff::Timestamp>().unwrap().as_second();
    let lives_s = u64::try_from(until_s).unwrap() - now_s();
    assert!((640_000..650_000).contains(&lives_s), "{lives_s}: seven days, six hours and four");

    let lift = format!("/v1/revocations/{}", revocation["id"].as_str().unwrap());
    let lift = || async { server.request(Method::DELETE, &lift).send().await.unwrap().status() };
    assert_eq!(lift().await, StatusCode::NO_CONTENT);
    assert_eq!(lift().await, StatusCode::NOT_FOUND);
    assert_eq!(open(&server, &lost).await.0, 200);
    assert_eq!(revocations(&server, "").await["revocations"], json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revocation_ends_sessions_that_an_unaware_server_makes_of_older_links() {
    let (world, here, one) = stage().await;
    let there = world.server("b").await;
    // The keys of a third server, which does not read revocations in time.
    let unaware = Authority::load(world.store.clone(), None).await.unwrap();
    let key = unaware.newest_signing_key(TENANT).unwrap();
    let public_url = PublicUrl::new(&world.settings.server, here.address);
    let links = Links::new(unaware, &world.settings, public_url.clone(), Counter::default());
    let link = |issued_at_s: u64| VerifiedToken {
        claims: Link {
            id: format!("link-{issued_at_s}"),
            recording: one.id.clone(),
            viewer: "jane".into(),
            issued_at_s: Some(issued_at_s),
            expires_at_s: issued_at_s + 900,
            window: Window::default(),
            max_bps: None,
            may_correct: false,
        },
        owner: TENANT.to_owned(),
        kid: key.kid.clone(),
    };
    let exchange = |link: &VerifiedToken<Link, String>| {
        let viewing = links.exchange(link, Arc::new(one.manifest.clone())).unwrap();
        viewing.base_path(&public_url) + "hls/2/master.m3u8"
    };
    let old = link(now_s());
    for server in [&here, &there] {
        assert_eq!(open(server, &server.url(&exchange(&old))).await.0, 200);
    }

    let revocation = revoke(&here, json!({ "viewer": "jane" })).await;
    let issued_before: jiff::Timestamp = revocation["issued_before"].as_str().unwrap().parse().unwrap();
    let issued_before_s = u64::try_from(issued_before.as_second()).unwrap();
    until("a later second", || async { (now_s() > issued_before_s).then_some(()) }).await;
    let late = exchange(&old);
    assert_eq!(open(&here, &here.url(&late)).await, refused("token_revoked"));
    until("the other server refuses it too", || async {
        (open(&there, &there.url(&late)).await == refused("token_revoked")).then_some(())
    })
    .await;
    let new = exchange(&link(issued_before_s));
    for server in [&here, &there] {
        assert_eq!(open(server, &server.url(&new)).await.0, 200, "a link of a later time");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn revocations_are_listed_in_pages_and_of_a_kind() {
    let (world, server, one) = stage().await;
    for link in 0..5 {
        revoke(&server, json!({ "link": format!("link-{link}") })).await;
    }
    revoke(&server, json!({ "recording": one.id })).await;
    let key = Authority::load(world.store.clone(), None).await.unwrap().signing_keys(TENANT).remove(0);
    let revoked = revoke(&server, json!({ "key": key.kid })).await;
    assert_eq!((revoked["target"].as_str(), revoked.get("ends_at")), (Some(key.kid.as_str()), None));

    let mut seen = Vec::new();
    let mut query = "?limit=3".to_owned();
    loop {
        let page = revocations(&server, &query).await;
        seen.extend(page["revocations"].as_array().unwrap().clone());
        let Some(next) = page["next"].as_str() else { break };
        query = format!("?limit=3&after={next}");
    }
    let kinds: Vec<&str> = seen.iter().map(|r| r["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["key", "recording", "link", "link", "link", "link", "link"]);
    assert_eq!(seen[1]["target"], one.id);
    assert_eq!(revocations(&server, "?kind=link").await["revocations"].as_array().unwrap().len(), 5);
    assert_eq!(revocations(&server, "?kind=key").await["revocations"], json!([revoked]));

    for bad in ["?kind=x", "?limit=0", "?after=x", "?viewer=a&link=b", "?kind=link&link=b"] {
        let response = server.request(Method::GET, &format!("/v1/revocations{bad}")).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::BAD_REQUEST, "{bad}");
    }
    for bad in ["?limit=many", "?targets=a"] {
        let response = server.request(Method::GET, &format!("/v1/revocations{bad}")).send().await.unwrap();
        assert_eq!(json_of(response, StatusCode::BAD_REQUEST).await["code"], "query", "{bad}");
    }
    let unknown = post(&server, "/v1/revocations", json!({ "key": "0000000000000000" })).await;
    assert_eq!(unknown.status(), StatusCode::NOT_FOUND);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_that_a_platform_signs_has_the_limits_of_a_minted_one() {
    let (world, server, one) = stage().await;
    let key = Authority::load(world.store.clone(), None).await.unwrap().signing_keys(TENANT).remove(0);
    let link = |issued_at_s: Option<u64>, expires_at_s: u64| {
        let link = Link {
            id: "offline".into(),
            recording: one.id.clone(),
            viewer: "v".into(),
            issued_at_s,
            expires_at_s,
            window: Window::default(),
            max_bps: None,
            may_correct: false,
        };
        server.url(&format!("/p/{}/master.m3u8", link.seal(&key.kid, &key.secret_bytes().unwrap())))
    };
    let now_s = now_s();
    assert_eq!(open(&server, &link(Some(now_s), now_s + 900)).await.0, 200);
    assert_eq!(open(&server, &link(None, now_s + 900)).await.0, 200);
    for (url, code) in [
        (link(Some(now_s), now_s * 1_000), "token_time_in_ms"),
        (link(None, now_s * 1_000), "token_time_in_ms"),
        (link(Some(now_s), now_s + 8 * 86_400), "token_lives_too_long"),
        (link(None, now_s + 8 * 86_400), "token_lives_too_long"),
        (link(Some(now_s + 600), now_s + 900), "token_issued_in_future"),
    ] {
        assert_eq!(open(&server, &url).await, refused(code));
    }
    // One without an issue time counts as issued before every revocation.
    revoke(&server, json!({ "viewer": "v" })).await;
    assert_eq!(open(&server, &link(None, now_s + 901)).await, refused("token_revoked"));
    assert_eq!(open(&server, &link(Some(now_s + 2), now_s + 901)).await.0, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_that_floods_is_slowed_down_and_no_other() {
    let mut world = World::new().await;
    world.settings.playback.revocations_per_minute = 20;
    world.settings.playback.revocations_max = 5;
    let mut server = world.server("a").await;
    let link = |n: u32| json!({ "link": n.to_string() });
    for n in 0..5 {
        revoke(&server, link(n)).await;
    }
    // What is revoked already can be revoked again.
    let too_many =
        json_of(post(&server, "/v1/revocations", link(5)).await, StatusCode::TOO_MANY_REQUESTS).await;
    assert_eq!(too_many["code"], "too_many_revocations");
    revoke(&server, link(0)).await;

    let last = until("the flood is slowed down", || async {
        let response = post(&server, "/v1/revocations", link(0)).await;
        (response.status() != 201).then_some(response)
    })
    .await;
    assert_eq!(last.status(), StatusCode::TOO_MANY_REQUESTS);
    assert!(last.headers().contains_key("retry-after"));
    server.key = world.other_key.clone();
    revoke(&server, link(0)).await;
}
