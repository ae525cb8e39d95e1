//! Uploads as a client sees them, over HTTP, on real storage.
#![allow(clippy::unwrap_used)]

use chalkstream_store::objects::sha256_hex;
use chalkstream_store::{State, layout, read_manifest, submit};
use reqwest::{Method, Response, StatusCode};
use serde_json::Value;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use super::state::{self, Upload};
use crate::testing::{Server, TENANT, World, until};

pub const MIB: usize = 1 << 20;

pub async fn state_of(world: &World, id: &str) -> Upload {
    state::read(&world.store, TENANT, id).await.unwrap().unwrap()
}

/// Waits until `to` bytes are durable. A HEAD would stop the request that sends them.
pub async fn durable(world: &World, id: &str, to: usize) {
    until("every byte that came is durable", || async {
        (state_of(world, id).await.offset() == to as u64).then_some(())
    })
    .await;
}

pub fn bytes(length: usize, seed: u8) -> Vec<u8> {
    (0..length).map(|at| ((at * 31 + at / 997) as u8) ^ seed).collect()
}

pub async fn create(server: &Server, length: usize, key: Option<&str>) -> Response {
    // filename lesson.MOV, uploader t-1
    let mut request = server
        .tus(Method::POST, "/v1/uploads")
        .header("upload-length", length)
        .header("upload-metadata", "filename bGVzc29uLk1PVg==,uploader dC0x");
    if let Some(key) = key {
        request = request.header("idempotency-key", key);
    }
    request.send().await.unwrap()
}

pub fn text(response: &Response, name: &str) -> String {
    response.headers()[name].to_str().unwrap().to_owned()
}

pub fn path(response: &Response) -> String {
    let location = text(response, "location");
    location[location.find("/v1/").unwrap()..].to_owned()
}

pub async fn patch(server: &Server, path: &str, offset: usize, body: impl Into<reqwest::Body>) -> Response {
    server
        .tus(Method::PATCH, path)
        .header("upload-offset", offset)
        .header("content-type", "application/offset+octet-stream")
        .body(body)
        .send()
        .await
        .unwrap()
}

/// A PATCH on a bare connection: the head, and the first bytes of a body that promises more.
pub async fn begin(server: &Server, path: &str, from: usize, size: usize, bytes: &[u8]) -> TcpStream {
    let mut line = TcpStream::connect(server.address).await.unwrap();
    let head = format!(
        "PATCH {path} HTTP/1.1\r\nhost: h\r\nauthorization: Bearer {}\r\ntus-resumable: 1.0.0\r\n\
         upload-offset: {from}\r\ncontent-type: application/offset+octet-stream\r\ncontent-length: {}\r\n\r\n",
        server.key,
        size - from
    );
    line.write_all(head.as_bytes()).await.unwrap();
    line.write_all(bytes).await.unwrap();
    line
}

pub async fn offset(server: &Server, path: &str) -> usize {
    let response = server.tus(Method::HEAD, path).send().await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    text(&response, "upload-offset").parse().unwrap()
}

pub async fn code(response: Response) -> (u16, String) {
    assert_eq!(text(&response, "content-type"), "application/problem+json");
    let status = response.status().as_u16();
    let body: Value = response.json().await.unwrap();
    (status, body["code"].as_str().unwrap().to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_cut_at_three_mebibytes_resumes_on_a_second_server() {
    let world = World::new().await;
    let (first, second) = (world.server("a").await, world.server("b").await);
    let file = bytes(13 * MIB + 7, 1);
    let created = create(&first, file.len(), None).await;
    assert_eq!(created.status(), StatusCode::CREATED);
    assert!(created.headers().contains_key("upload-expires"));
    let (path, id) = (path(&created), text(&created, "chalkstream-recording"));

    for (server, next, from, to) in [(&first, &second, 0, 3 * MIB), (&second, &first, 3 * MIB, 7 * MIB + 5)] {
        let mut line = begin(server, &path, from, file.len(), &file[from..to]).await;
        line.shutdown().await.unwrap();
        drop(line);
        durable(&world, &id, to).await;
        assert_eq!(offset(next, &path).await, to, "the other server says so");
    }
    // A wrong offset is refused, with the right one.
    let response = patch(&first, &path, 5, vec![0; 10]).await;
    assert_eq!(text(&response, "upload-offset"), (7 * MIB + 5).to_string());
    assert_eq!(code(response).await, (409, "upload_offset".into()));

    let from = 7 * MIB + 5;
    let response = patch(&second, &path, from, file[from..].to_vec()).await;
    assert_eq!(response.status(), StatusCode::NO_CONTENT);
    assert_eq!(text(&response, "chalkstream-recording"), id);
    assert!(!response.headers().contains_key("chalkstream-existing"));

    let manifest = read_manifest(&world.store, TENANT, &id).await.unwrap().unwrap();
    assert_eq!(manifest.state, State::Queued);
    let source = manifest.source.unwrap();
    assert_eq!((source.key.as_str(), source.filename.as_str()), ("source/original.mov", "lesson.MOV"));
    assert_eq!(source.sha256.as_deref(), Some(sha256_hex(&file).as_str()));
    let stored = world.store.get(&layout::object_key(TENANT, &id, &source.key)).await.unwrap();
    assert!(stored == file, "the stored source is the file");
    assert!(submit::read(&world.store, TENANT, &id).await.unwrap().is_some());
    assert_eq!(offset(&first, &path).await, file.len());
    let left = world.store.list(&layout::uploads_prefix(TENANT), None, 10).await.unwrap();
    assert_eq!(left.len(), 1, "only the note that it was acknowledged is left: {left:?}");

    let recording: Value = first
        .request(Method::GET, &format!("/v1/recordings/{id}"))
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    assert_eq!(recording["state"], "queued", "{recording}");
    assert_eq!(recording["steps"][0]["name"], "inspect", "{recording}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_key_twice_is_one_upload_and_the_same_bytes_twice_are_one_recording() {
    let world = World::new().await;
    let server = world.server("a").await;
    let (one, two) = tokio::join!(create(&server, 1000, Some("k")), create(&server, 1000, Some("k")));
    assert_eq!(one.status(), StatusCode::CREATED);
    assert_eq!(two.status(), StatusCode::CREATED);
    let id = text(&one, "chalkstream-recording");
    assert_eq!(text(&two, "chalkstream-recording"), id);
    let file = bytes(1000, 2);
    assert_eq!(patch(&server, &path(&one), 0, file.clone()).await.status(), StatusCode::NO_CONTENT);

    let again = create(&server, 1000, Some("k")).await;
    assert_eq!(again.status(), StatusCode::OK);
    let body: Value = again.json().await.unwrap();
    assert_eq!((body["recording"].as_str(), body["existing"].as_bool()), (Some(id.as_str()), Some(true)));
    let reused = create(&server, 1001, Some("k")).await;
    assert_eq!(reused.status(), StatusCode::UNPROCESSABLE_ENTITY, "a key is for one file");

    let other = create(&server, 1000, Some("k2")).await;
    let own = text(&other, "chalkstream-recording");
    assert_ne!(own, id);
    let response = patch(&server, &path(&other), 0, file).await;
    assert_eq!(response.status(), StatusCode::NO_CONTENT);
    assert_eq!(
        (text(&response, "chalkstream-recording"), text(&response, "chalkstream-existing")),
        (id, "true".into())
    );
    let left = world.store.list(&layout::recording_prefix(TENANT, &own), None, 10).await.unwrap();
    assert!(left.is_empty(), "of the second nothing is kept: {left:?}");
    let list: Value =
        server.request(Method::GET, "/v1/recordings").send().await.unwrap().json().await.unwrap();
    assert_eq!(list["recordings"].as_array().unwrap().len(), 1, "{list}");
}

#[tokio::test(flavor = "multi_thread")]
async fn redis_away_costs_no_upload() {
    let mut world = World::new().await;
    let server = world.server("a").await;
    world.redis.kill();
    let created = create(&server, 6 * MIB, Some("k")).await;
    assert_eq!(created.status(), StatusCode::CREATED);
    let id = text(&created, "chalkstream-recording");
    let response = patch(&server, &path(&created), 0, bytes(6 * MIB, 3)).await;
    assert_eq!(response.status(), StatusCode::NO_CONTENT);
    assert!(submit::read(&world.store, TENANT, &id).await.unwrap().is_some(), "the sweeper finds it");
    let recording = server.request(Method::GET, &format!("/v1/recordings/{id}")).send().await.unwrap();
    assert_eq!(recording.json::<Value>().await.unwrap()["state"], "queued");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_upload_is_a_failed_recording_with_a_plain_sentence() {
    let world = World::new().await;
    let server = world.server("a").await;
    let created = create(&server, 0, None).await;
    assert_eq!(created.status(), StatusCode::CREATED);
    let id = text(&created, "chalkstream-recording");
    let recording: Value = server
        .request(Method::GET, &format!("/v1/recordings/{id}"))
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    assert_eq!(recording["state"], "failed");
    assert_eq!(recording["failure"]["code"], "empty_file");
    assert_eq!(recording["failure"]["message"], "The file is empty.");
    assert!(submit::read(&world.store, TENANT, &id).await.unwrap().is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_vocabulary_comes_with_an_upload_or_is_refused() {
    let world = World::new().await;
    let server = world.server("a").await;
    // "Ms Okafor, area", then "area, 42".
    let create = async |terms: &str| {
        let request = server.tus(Method::POST, "/v1/uploads").header("upload-length", 3);
        request.header("upload-metadata", format!("vocabulary {terms}")).send().await.unwrap()
    };
    let created = create("TXMgT2thZm9yLCBhcmVh").await;
    let id = text(&created, "chalkstream-recording");
    assert_eq!(patch(&server, &path(&created), 0, "abc").await.status(), StatusCode::NO_CONTENT);
    let manifest = read_manifest(&world.store, TENANT, &id).await.unwrap().unwrap();
    assert_eq!(manifest.vocabulary.iter().collect::<Vec<_>>(), ["Ms Okafor", "area"]);
    assert_eq!(code(create("YXJlYSwgNDI=").await).await, (400, "vocabulary".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_patch_takes_over_from_a_connection_that_stands_still() {
    let world = World::new().await;
    let (server, second) = (world.server("a").await, world.server("b").await);
    let file = bytes(2 * MIB, 4);
    let created = create(&server, file.len(), None).await;
    let path = path(&created);
    // First taken over on the same server, then by another one.
    for (writer, at, taker) in [(&server, MIB, &server), (&second, MIB + MIB / 2, &server)] {
        let from = offset(&server, &path).await;
        // Sends its bytes and then neither ends nor continues.
        let hanging = begin(writer, &path, from, file.len(), &file[from..at]).await;
        let expected = (at - from) as u64;
        until("the bytes have come in", || async {
            let text = writer.metrics().await;
            let line =
                text.lines().find(|line| line.starts_with("chalkstream_uploaded_bytes_total ")).unwrap();
            (line.rsplit(' ').next().unwrap().parse::<u64>().unwrap() >= expected).then_some(())
        })
        .await;
        // A request with another offset makes the first one durable and stops it; then the next
        // continues from there.
        until("the connection that stands still was asked to stop", || async {
            let response = patch(taker, &path, file.len(), Vec::new()).await;
            (text(&response, "upload-offset") == at.to_string()).then_some(())
        })
        .await;
        drop(hanging);
    }
    let from = MIB + MIB / 2;
    assert_eq!(patch(&second, &path, from, file[from..].to_vec()).await.status(), StatusCode::NO_CONTENT);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_tus_asks_for_is_asked_for() {
    let mut world = World::new().await;
    world.settings.server.max_upload_bytes = 5000;
    world.settings.server.max_open_uploads = 2;
    let server = world.server("a").await;
    let options = server.open(Method::OPTIONS, "/v1/uploads").send().await.unwrap();
    assert_eq!(options.status(), StatusCode::NO_CONTENT);
    assert_eq!(text(&options, "tus-extension"), super::protocol::EXTENSIONS);
    assert_eq!(text(&options, "tus-max-size"), "5000");

    let plain = server.request(Method::POST, "/v1/uploads").header("upload-length", 1).send().await.unwrap();
    assert_eq!(code(plain).await, (412, "tus_version".into()));
    let response = server.tus(Method::POST, "/v1/uploads").send().await.unwrap();
    assert_eq!(code(response).await, (400, "upload_length".into()));
    assert_eq!(code(create(&server, 5001, None).await).await, (413, "upload_too_large".into()));
    let response =
        server.open(Method::POST, "/v1/uploads").header("tus-resumable", "1.0.0").send().await.unwrap();
    assert_eq!(code(response).await, (401, "unauthorized".into()));

    let one = create(&server, 100, None).await;
    let path = path(&one);
    let response =
        server.tus(Method::PATCH, &path).header("upload-offset", 0).body("x").send().await.unwrap();
    assert_eq!(code(response).await, (415, "content_type".into()));
    assert_eq!(code(patch(&server, &path, 0, vec![1; 101]).await).await, (413, "too_many_bytes".into()));
    let two = create(&server, 100, None).await;
    assert_eq!(two.status(), StatusCode::CREATED);
    assert_eq!(code(create(&server, 100, None).await).await, (429, "too_many_uploads".into()));

    let path = self::path(&two);
    let strange = server.client.head(server.url(&path)).bearer_auth(&world.other_key);
    let strange = strange.header("tus-resumable", "1.0.0").send().await.unwrap();
    assert_eq!(strange.status(), StatusCode::NOT_FOUND, "another tenant's upload is not there");
    assert_eq!(server.tus(Method::DELETE, &path).send().await.unwrap().status(), StatusCode::NO_CONTENT);
    assert_eq!(server.tus(Method::HEAD, &path).send().await.unwrap().status(), StatusCode::NOT_FOUND);
    assert_eq!(create(&server, 100, None).await.status(), StatusCode::CREATED);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_uploader_cannot_use_up_the_uploads_of_a_tenant() {
    let mut world = World::new().await;
    world.settings.server.max_open_uploads = 6;
    world.settings.server.max_open_uploads_per_uploader = 2;
    let server = world.server("a").await;
    let of = async |metadata: &'static str| {
        let request = server.tus(Method::POST, "/v1/uploads").header("upload-length", 100);
        request.header("upload-metadata", metadata).send().await.unwrap()
    };
    let (one, two, nobody) = ("uploader dC0x", "uploader dC0y", "filename bGVzc29uLk1PVg==");
    let first = of(one).await;
    assert_eq!(of(one).await.status(), StatusCode::CREATED);
    assert_eq!(code(of(one).await).await, (429, "too_many_uploads".into()));
    assert_eq!(of(two).await.status(), StatusCode::CREATED, "another uploader has room");
    for _ in 0..3 {
        assert_eq!(of(nobody).await.status(), StatusCode::CREATED, "who is unknown counts for the tenant");
    }
    assert_eq!(code(of(two).await).await, (429, "too_many_uploads".into()), "the tenant's limit");
    server.tus(Method::DELETE, &path(&first)).send().await.unwrap();
    assert_eq!(of(one).await.status(), StatusCode::CREATED, "one that ended makes room");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_that_cannot_be_read_may_be_anyones() {
    let mut world = World::new().await;
    world.settings.server.max_open_uploads_per_uploader = 2;
    let key = layout::upload_state_key(TENANT, "00000000-0000-7000-8000-000000000000");
    world.store.put(&key, "{".into()).await.unwrap();
    let server = world.server("a").await;
    assert_eq!(create(&server, 100, None).await.status(), StatusCode::CREATED);
    assert_eq!(code(create(&server, 100, None).await).await, (429, "too_many_uploads".into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn equal_files_of_unknown_uploaders_are_two_recordings() {
    let world = World::new().await;
    let server = world.server("a").await;
    let file = bytes(1000, 1);
    let mut recordings = Vec::new();
    for _ in 0..2 {
        let created = server.tus(Method::POST, "/v1/uploads").header("upload-length", file.len());
        let created = created.send().await.unwrap();
        let sent = patch(&server, &path(&created), 0, file.clone()).await;
        assert_eq!(sent.status(), StatusCode::NO_CONTENT);
        assert!(!sent.headers().contains_key("chalkstream-existing"));
        recordings.push(text(&sent, "chalkstream-recording"));
    }
    assert_ne!(recordings[0], recordings[1]);
}
