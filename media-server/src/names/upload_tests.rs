//! Names in what an upload says of its file, and the option to silence them.
#![allow(clippy::unwrap_used)]

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chalkstream_store::layout;
use http::{Method, StatusCode};
use reqwest::Response;
use serde_json::{Value, json};

use crate::testing::{Server, TENANT, World};

async fn put(server: &Server, query: &str, list: &'static str) -> (u16, Value) {
    let request = server.request(Method::PUT, &format!("/v1/names{query}")).body(list);
    let response = request.send().await.unwrap();
    (response.status().as_u16(), response.json().await.unwrap())
}

/// `Upload-Metadata` of pairs.
fn metadata(pairs: &[(&str, &str)]) -> String {
    let pairs = pairs.iter().map(|(key, value)| format!("{key} {}", STANDARD.encode(value)));
    pairs.collect::<Vec<_>>().join(",")
}

async fn create(server: &Server, metadata: &str) -> Response {
    let request = server.tus(Method::POST, "/v1/uploads").header("upload-length", 5);
    let request = request.header("upload-metadata", metadata).header("idempotency-key", "one");
    request.send().await.unwrap()
}

fn header(response: &Response, name: &str) -> String {
    response.headers()[name].to_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn titles_and_file_names_lose_names_before_they_are_stored() {
    let world = World::new().await;
    let server = world.server("a").await;
    let sent = metadata(&[
        ("filename", "maria_2.MOV"),
        ("title", "Maria's fractions, with Jose Nunez"),
        ("uploader", "t-1"),
        ("relativePath", "class/Maria/2.MOV"),
        ("vocabulary", "numerator, Mariah's graph, Maria"),
        ("due_at", "2026-12-01T14:00:00Z"),
    ]);
    assert_eq!(put(&server, "", "Maria\nJosé Núñez").await.0, 200);
    let created = create(&server, &sent).await;
    assert_eq!(created.status(), StatusCode::CREATED);
    let id = header(&created, "chalkstream-recording");
    let location = header(&created, "location");
    let path = &location[location.find("/v1/").unwrap()..];
    // A client that lost the response finds its upload.
    assert_eq!(header(&create(&server, &sent).await, "chalkstream-recording"), id);

    let head = server.tus(Method::HEAD, path).send().await.unwrap();
    let echoed = metadata(&[
        ("filename", "[name]_2.MOV"),
        ("title", "[name]'s fractions, with [name]"),
        ("uploader", "t-1"),
        ("relativePath", "class/[name]/2.MOV"),
        ("vocabulary", "numerator, [name]'s graph, [name]"),
        ("due_at", "2026-12-01T14:00:00Z"),
    ]);
    assert_eq!(header(&head, "upload-metadata"), echoed);

    let request = server.tus(Method::PATCH, path).header("upload-offset", 0);
    let request = request.header("content-type", "application/offset+octet-stream").body("video");
    assert_eq!(request.send().await.unwrap().status(), StatusCode::NO_CONTENT);
    let recording = json_of(&server, &format!("/v1/recordings/{id}")).await;
    assert_eq!(recording["title"], "[name]'s fractions, with [name]", "{recording}");
    assert_eq!(recording["filename"], "[name]_2.MOV", "{recording}");
    let list = json_of(&server, "/v1/recordings").await;
    assert_eq!(list["recordings"][0]["title"], recording["title"], "{list}");
    let link = json!({ "recording": id, "viewer": "coach-1" });
    let link: Value =
        server.request(Method::POST, "/v1/links").json(&link).send().await.unwrap().json().await.unwrap();
    let address = link["url"].as_str().unwrap();
    let page = server.client.get(address).send().await.unwrap().text().await.unwrap();
    assert!(page.contains("fractions, with [name]"), "{page}");

    let manifest = chalkstream_store::read_manifest(&world.store, TENANT, &id).await.unwrap().unwrap();
    assert_eq!(manifest.vocabulary.iter().collect::<Vec<_>>(), ["numerator"]);
    let names = |text: &str| {
        let text = text.to_lowercase();
        text.contains("maria") || text.contains("nunez")
    };
    let mut stored = Vec::new();
    super::tests::files(world.folder.path(), &mut stored);
    stored.retain(|(path, _)| !path.ends_with("_names/list.json"));
    assert!(stored.iter().any(|(path, _)| path.contains("/_uploads/")));
    for (path, text) in &stored {
        let decoded = text.split([' ', ',', '"']).filter_map(|word| STANDARD.decode(word).ok());
        let hidden =
            decoded.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).any(|text| names(&text));
        assert!(!names(text) && !hidden, "{path} has a name");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_from_before_the_list_goes_on_and_none_is_taken_while_it_cannot_be_read() {
    let world = World::new().await;
    let server = world.server("a").await;
    let sent = metadata(&[("filename", "Maria.mov"), ("uploader", "t-1")]);
    let id = header(&create(&server, &sent).await, "chalkstream-recording");
    assert_eq!(put(&server, "", "Maria").await.0, 200);
    assert_eq!(header(&create(&server, &sent).await, "chalkstream-recording"), id);

    let broken = bytes::Bytes::from_static(br#"{"version":1,"names":"Maria"}"#);
    world.store.put(&layout::names_key(TENANT), broken).await.unwrap();
    let uploads = layout::uploads_prefix(TENANT);
    let before = world.store.list(&uploads, None, 100).await.unwrap();
    let refused = create(&server, &metadata(&[("title", "Maria")])).await;
    assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
    let problem: Value = refused.json().await.unwrap();
    assert_eq!(problem["code"], "names_unreadable");
    assert!(!problem.to_string().contains("Maria"), "{problem}");
    assert_eq!(world.store.list(&uploads, None, 100).await.unwrap(), before, "nothing was stored");
}

#[tokio::test(flavor = "multi_thread")]
async fn names_are_silenced_until_someone_says_otherwise() {
    let world = World::new().await;
    let server = world.server("a").await;
    let is = |silence: bool| (200, json!({ "count": 1, "silence": silence }));
    assert_eq!(put(&server, "", "Maria").await, is(false));
    assert_eq!(put(&server, "?silence=true", "Maria").await, is(true));
    assert_eq!(put(&server, "", "Jo").await, is(true), "a new list does not switch it off");
    let list = json_of(&server, "/v1/names").await;
    assert_eq!(list, json!({ "names": ["Jo"], "silence": true }));
    let (status, problem) = put(&server, "?silence=perhaps", "Jo").await;
    assert_eq!((status, &problem["code"]), (400, &json!("query")));
    assert_eq!(put(&server, "?silence=false", "Jo").await, is(false));

    // An object that does not say whether names are silenced must not switch it off either.
    world.store.put(&layout::names_key(TENANT), "{".into()).await.unwrap();
    let (status, problem) = put(&server, "", "Jo").await;
    assert_eq!((status, &problem["code"]), (503, &json!("names_unreadable")));
    assert_eq!(put(&server, "?silence=true", "Jo").await, is(true));
    let removed = server.request(Method::DELETE, "/v1/names").send().await.unwrap();
    assert_eq!(removed.status(), StatusCode::NO_CONTENT);
    assert_eq!(json_of(&server, "/v1/names").await, json!({ "names": [], "silence": false }));
}

async fn json_of(server: &Server, path: &str) -> Value {
    server.request(Method::GET, path).send().await.unwrap().json().await.unwrap()
}
