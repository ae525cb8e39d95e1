//! A tenant's vocabulary over HTTP.
#![allow(clippy::unwrap_used)]

use bytes::Bytes;
use chalkstream_store::layout;
use http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::testing::{Server, TENANT, World};

async fn json_of(response: reqwest::Response) -> Value {
    serde_json::from_slice(&response.bytes().await.unwrap()).unwrap()
}

async fn put(server: &Server, terms: impl Into<reqwest::Body>) -> (u16, Value) {
    let response = server.request(Method::PUT, "/v1/vocabulary").body(terms).send().await.unwrap();
    (response.status().as_u16(), json_of(response).await)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_vocabulary_is_a_tenants_own_and_bounded() {
    let world = World::new().await;
    let server = world.server("a").await;
    let get = async |key: &str| {
        let request = server.client.get(server.url("/v1/vocabulary")).bearer_auth(key);
        json_of(request.send().await.unwrap()).await
    };
    assert_eq!(get(&world.key).await, json!({ "terms": [] }));
    let count = |count: usize| (200, json!({ "count": count }));
    assert_eq!(put(&server, "numerator, Ms Okafor\r\nTalkMoves\nnumerator").await, count(3));
    assert_eq!(get(&world.key).await, json!({ "terms": ["numerator", "Ms Okafor", "TalkMoves"] }));
    assert_eq!(get(&world.other_key).await, json!({ "terms": [] }), "another tenant");
    assert_eq!(put(&server, r#"["area, or surface", "π is pi"]"#).await, count(2));
    assert_eq!(get(&world.key).await, json!({ "terms": ["area, or surface", "π is pi"] }));

    let many = |count: usize| (0..count).map(|n| format!("term{n},")).collect::<String>();
    for (terms, code, detail) in [
        (
            "[\"area\", 5]".to_owned(),
            "invalid_json",
            "The JSON body is not a list of strings: line 1, column 10.",
        ),
        (
            format!("area,{}", "é".repeat(51)),
            "vocabulary",
            "Term 2 of the vocabulary has more than 100 bytes.",
        ),
        ("area, 42".to_owned(), "vocabulary", "Term 2 of the vocabulary has no letter."),
        (many(201), "vocabulary", "The vocabulary has more than 200 terms."),
        (
            (0..65).map(|n| format!("{n:x>64},")).collect(),
            "vocabulary",
            "The vocabulary has more than 4096 bytes.",
        ),
    ] {
        let (status, body) = put(&server, terms).await;
        assert_eq!((status, &body["code"], &body["detail"]), (400, &json!(code), &json!(detail)));
    }
    assert_eq!(put(&server, many(200)).await, count(200));
    let refused = put(&server, "a, ".repeat(1 << 20)).await;
    assert_eq!(refused.0, 413);

    let removed = server.request(Method::DELETE, "/v1/vocabulary").send().await.unwrap();
    assert_eq!(removed.status(), StatusCode::NO_CONTENT);
    assert_eq!(get(&world.key).await, json!({ "terms": [] }));
    let open = server.open(Method::GET, "/v1/vocabulary").send().await.unwrap();
    assert_eq!(open.status(), StatusCode::UNAUTHORIZED);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_vocabulary_that_cannot_be_read_says_so_until_the_next_one() {
    let world = World::new().await;
    let server = world.server("a").await;
    let broken = Bytes::from_static(br#"{"version":1,"terms":"Okafor"}"#);
    world.store.put(&layout::vocabulary_key(TENANT), broken).await.unwrap();
    let response = server.request(Method::GET, "/v1/vocabulary").send().await.unwrap();
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    let body = json_of(response).await;
    assert_eq!(body["code"], "vocabulary_unreadable");
    assert!(!body.to_string().contains("Okafor"), "{body}");
    assert_eq!(put(&server, "Ms Okafor").await.0, 200);
    assert_eq!(server.request(Method::GET, "/v1/vocabulary").send().await.unwrap().status(), StatusCode::OK);
}
