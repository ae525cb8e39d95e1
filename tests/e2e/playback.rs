//! Resources that a token opens, and those that it does not.

use std::time::Duration;

use chalkstream_tests::client::Client;
use chalkstream_tests::media::clip;
use chalkstream_tests::playlist::uris;
use chalkstream_tests::stack::Stack;
use chalkstream_tests::wait;
use reqwest::{Method, StatusCode};
use serde_json::json;

use crate::CLIP;

/// Every URL a player reaches from a master playlist, by kind.
async fn walk(client: &Client, master_url: &str) -> Vec<String> {
    let master = client.text(master_url).await;
    let base = reqwest::Url::parse(master_url).unwrap();
    let mut all = Vec::new();
    for uri in uris(&master) {
        let child = base.join(&uri).unwrap();
        let text = client.text(child.as_str()).await;
        all.push(child.to_string());
        let mut seen = Vec::new();
        for uri in uris(&text) {
            assert!(!uri.starts_with('/') && !uri.contains("://"), "a relative URL: {uri}");
            if !seen.contains(&uri) {
                seen.push(uri.clone());
                all.push(child.join(&uri).unwrap().to_string());
            }
        }
    }
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn only_a_good_token_of_this_recording_opens_its_stream() {
    let mut stack = Stack::fs().await;
    let server = stack.server().await;
    let _worker = stack.worker();
    let client = stack.client(&server);
    let clip = clip(stack.folder(), 8);
    let one = client.upload(&clip).await;
    // Another lesson of the same length but other bytes, so that it is not taken for the same
    // upload.
    let mut other_bytes = std::fs::read(&clip).unwrap();
    other_bytes.extend_from_slice(b"\0\0\0\x08free");
    let two = client.upload_bytes("other.mp4", other_bytes).await;
    client.state(&one, &["ready"], CLIP).await;
    client.state(&two, &["ready"], CLIP).await;

    let link = client.link(&one).await;
    let master_url = link["master_url"].as_str().unwrap().to_owned();
    let all = walk(&client, &master_url).await;
    assert!(all.len() > 10, "{all:?}");
    for url in &all {
        let answer = client.open(url).await;
        assert_eq!(answer.status(), StatusCode::OK, "{url}");
        assert!(!answer.bytes().await.unwrap().is_empty(), "{url}");
    }

    // The session is the path segment after /s/.
    let path = reqwest::Url::parse(&all[0]).unwrap().path().to_owned();
    let session = path.split('/').nth(2).unwrap().to_owned();
    let other_link = client.link(&two).await;
    let other = walk(&client, other_link["master_url"].as_str().unwrap()).await;
    let other_session = reqwest::Url::parse(&other[0]).unwrap().path().split('/').nth(2).unwrap().to_owned();

    let refused = |url: String| {
        let client = client.clone();
        async move {
            let answer = client.open(&url).await;
            assert_eq!(answer.status(), StatusCode::FORBIDDEN, "{url}");
        }
    };
    let mut altered = session.clone().into_bytes();
    let middle = altered.len() / 2;
    altered[middle] = if altered[middle] == b'A' { b'B' } else { b'A' };
    let altered = String::from_utf8(altered).unwrap();
    for url in &all {
        for wrong in ["nonsense", &altered, &other_session, &session[..session.len() - 1]] {
            refused(url.replace(&session, wrong)).await;
        }
        refused(url.replace(&one, &two)).await;
    }
    let token = master_url.split("/p/").nth(1).unwrap().split('/').next().unwrap();
    for wrong in ["nonsense".to_owned(), format!("{token}A"), token[..token.len() - 2].to_owned()] {
        refused(master_url.replace(token, &wrong)).await;
    }

    let brief = json!({ "recording": one, "viewer": "coach-1", "expires_s": 1 });
    let brief = client.post("/v1/links", &brief).await;
    let brief = brief["master_url"].as_str().unwrap().to_owned();
    assert_eq!(client.open(&brief).await.status(), StatusCode::OK);
    wait::until("the link expires", Duration::from_secs(5), || async {
        (client.open(&brief).await.status() == StatusCode::FORBIDDEN).then_some(())
    })
    .await;

    // Revoking the viewer ends the session within five seconds.
    client.post("/v1/revocations", &json!({ "viewer": "coach-1" })).await;
    wait::until("the session is revoked", Duration::from_secs(5), || async {
        (client.open(&all[0]).await.status() == StatusCode::FORBIDDEN).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_tenants_key_sees_nothing_of_anothers() {
    let mut stack = Stack::fs().await;
    let server = stack.server().await;
    let client = stack.client(&server);
    stack.json(&["tenant", "create", "elsewhere"]);
    let stranger = Client::new(&server.url, &stack.new_key("elsewhere"));
    wait::until("the new key is known", Duration::from_secs(10), || async {
        let answer = stranger.request(Method::GET, "/v1/recordings").send().await.unwrap();
        answer.status().is_success().then_some(())
    })
    .await;
    let recording = client.upload_bytes("a.mp4", vec![7; 5000]).await;
    for path in ["", "/transcript.json", "/events"] {
        let path = format!("/v1/recordings/{recording}{path}");
        let answer = stranger.request(Method::GET, &path).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::NOT_FOUND, "{path}");
    }
    let link = json!({ "recording": recording, "viewer": "v" });
    let answer = stranger.request(Method::POST, "/v1/links").json(&link).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::NOT_FOUND);
    assert!(!stranger.get("/v1/recordings").await.to_string().contains(&recording));
}
