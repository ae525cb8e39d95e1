//! Extensions of tus that clients in browsers and on phones use.
#![allow(clippy::unwrap_used)]

use chalkstream_store::objects::sha256_hex;
use chalkstream_store::{State, layout, read_manifest};
use reqwest::{Method, Response, StatusCode};
use serde_json::Value;

use super::recovery::{inside, kept};
use super::tests::{MIB, bytes, code, create, offset, patch, path, state_of, text};
use super::{housekeeping, state};
use crate::testing::{Server, TENANT, World, until};

const BYTES: &str = "application/offset+octet-stream";

async fn part(server: &Server, file: &[u8]) -> String {
    let request = server.tus(Method::POST, "/v1/uploads").header("upload-length", file.len());
    let created = request
        .header("upload-concat", "partial")
        .header("idempotency-key", "of the file")
        .send()
        .await
        .unwrap();
    assert_eq!(created.status(), StatusCode::CREATED);
    assert!(!created.headers().contains_key("chalkstream-recording"), "a part is no recording");
    let path = path(&created);
    if !file.is_empty() {
        assert_eq!(patch(server, &path, 0, file.to_vec()).await.status(), StatusCode::NO_CONTENT);
    }
    path
}

async fn join(server: &Server, paths: &[String]) -> Response {
    let list = format!("final;{}", paths.join(" "));
    let request = server.tus(Method::POST, "/v1/uploads").header("upload-concat", list);
    request.header("upload-metadata", "filename aS5tb3Y=").send().await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn parts_sent_side_by_side_are_one_recording() {
    let world = World::new().await;
    let (server, second) = (world.server("a").await, world.server("b").await);
    let file = bytes(19 * MIB + 3, 1);
    // Two of them are smaller than a part of an object may be, one is larger, one is empty.
    let cuts = [0, MIB, MIB, 17 * MIB, file.len()];
    let mut paths = Vec::new();
    for cut in cuts.windows(2).rev() {
        paths.insert(0, part(&server, &file[cut[0]..cut[1]]).await);
    }
    let head = second.tus(Method::HEAD, &paths[0]).send().await.unwrap();
    assert_eq!(
        (text(&head, "upload-concat"), text(&head, "upload-offset")),
        ("partial".into(), MIB.to_string())
    );
    let list: Value =
        server.request(Method::GET, "/v1/recordings").send().await.unwrap().json().await.unwrap();
    assert_eq!(list["recordings"].as_array().unwrap().len(), 0, "{list}");

    // One with an absolute address, as a client behind a proxy has it.
    let mut listed = paths.clone();
    listed[1] = format!("https://school.example{}", listed[1]);
    let made = join(&second, &listed).await;
    assert_eq!(made.status(), StatusCode::CREATED);
    let id = text(&made, "chalkstream-recording");
    let path = path(&made);
    let head = server.tus(Method::HEAD, &path).send().await.unwrap();
    assert_eq!(text(&head, "upload-concat"), format!("final;{}", listed.join(" ")));
    assert_eq!(text(&head, "upload-offset"), file.len().to_string());
    assert_eq!(text(&head, "upload-metadata"), "filename aS5tb3Y=");
    let manifest = read_manifest(&world.store, TENANT, &id).await.unwrap().unwrap();
    assert_eq!(manifest.state, State::Queued);
    let source = manifest.source.unwrap();
    assert_eq!((source.filename.as_str(), source.size_bytes), ("i.mov", file.len() as u64));
    assert_eq!(source.sha256.as_deref(), Some(sha256_hex(&file).as_str()));
    assert!(world.store.get(&layout::object_key(TENANT, &id, &source.key)).await.unwrap() == file);
    assert_eq!(kept(&world).await, [format!("{id}.done")], "the parts are gone");

    // The response was lost, and the client repeats the request; then it sends bytes to an upload
    // that takes none.
    let again = join(&server, &listed).await;
    assert_eq!((again.status(), text(&again, "chalkstream-recording")), (StatusCode::OK, id));
    assert_eq!(code(patch(&server, &path, file.len(), vec![1]).await).await, (403, "upload_final".into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_is_not_made_of_what_is_not_there() {
    let world = World::new().await;
    let server = world.server("a").await;
    let complete = part(&server, &bytes(1000, 2)).await;
    let open = {
        let request = server.tus(Method::POST, "/v1/uploads").header("upload-length", 10);
        path(&request.header("upload-concat", "partial").send().await.unwrap())
    };
    let plain = path(&create(&server, 1000, None).await);
    let none = "/v1/uploads/00000000-0001-7000-8000-000000000000".to_owned();
    for wrong in [&open, &plain, &none] {
        assert_eq!(
            code(join(&server, &[complete.clone(), wrong.clone()]).await).await,
            (400, "upload_concat".into())
        );
    }
    // Another tenant's part does not exist either.
    let request = server.client.post(server.url("/v1/uploads")).bearer_auth(&world.other_key);
    let request =
        request.header("tus-resumable", "1.0.0").header("upload-concat", format!("final;{complete}"));
    assert_eq!(code(request.send().await.unwrap()).await, (400, "upload_concat".into()));
    let made = join(&server, std::slice::from_ref(&complete)).await;
    assert_eq!(made.status(), StatusCode::CREATED);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_joining_that_was_cut_off_is_carried_on_and_parts_nobody_joins_expire() {
    let world = World::new().await;
    let server = world.server("a").await;
    let file = bytes(12 * MIB, 3);
    let paths = [part(&server, &file[..7 * MIB]).await, part(&server, &file[7 * MIB..]).await];
    let stray = part(&server, &bytes(500, 4)).await;
    let id_of = |path: &str| path.rsplit('/').next().unwrap().to_owned();

    // The server died after it had responded for the file, with its first part written.
    let size_bytes = file.len() as u64;
    let ttl_ms = crate::clock::now_ms() + 60_000;
    let mut upload = state::Upload::new(
        TENANT,
        size_bytes,
        world.store.min_part_bytes(),
        super::protocol::UploadMetadata::default(),
        0,
        ttl_ms,
    );
    let pieces = paths.iter().zip([7 * MIB, 5 * MIB]);
    let partials =
        pieces.map(|(path, size)| state::PartialRef { id: id_of(path), size_bytes: size as u64 }).collect();
    upload.concat = Some(state::Concat::Final { partials, header: "final;".into() });
    let uploads = inside(&world).await;
    super::concat::reserve(&uploads, &upload).await.unwrap();
    state::write(&world.store, &upload).await.unwrap();
    let head = server.tus(Method::HEAD, &format!("/v1/uploads/{}", upload.id)).send().await.unwrap();
    assert_eq!(head.status(), StatusCode::OK);
    assert!(!head.headers().contains_key("upload-offset"), "it is not made yet");
    assert_eq!(text(&head, "upload-length"), file.len().to_string());
    assert_eq!(code(join(&server, &paths).await).await, (400, "upload_concat".into()));
    let response = server.tus(Method::DELETE, &paths[0]).send().await.unwrap();
    assert_eq!(response.status(), StatusCode::NO_CONTENT, "it goes with the rest");
    let mut expired = state_of(&world, &id_of(&stray)).await;
    expired.expires_at_ms = 1;
    state::write(&world.store, &expired).await.unwrap();

    until("the file is made and nothing else is left", || async {
        housekeeping::clean_up(&uploads, TENANT).await.unwrap();
        (kept(&world).await == [format!("{}.done", upload.id)]).then_some(())
    })
    .await;
    assert!(world.store.get(&upload.source_key()).await.unwrap() == file);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_network_that_knows_get_and_post_alone_is_enough() {
    let world = World::new().await;
    let server = world.server("a").await;
    let file = bytes(1000, 5);
    let path = path(&create(&server, file.len(), None).await);
    let post = |method: &str| server.tus(Method::POST, &path).header("x-http-method-override", method);
    let sent = post("PATCH").header("upload-offset", 0).header("content-type", format!("{BYTES}; charset=x"));
    let response = sent.body(file[..600].to_vec()).send().await.unwrap();
    assert_eq!((response.status(), text(&response, "upload-offset")), (StatusCode::NO_CONTENT, "600".into()));
    let response = post("head").send().await.unwrap();
    assert_eq!((response.status(), text(&response, "upload-offset")), (StatusCode::OK, "600".into()));
    for strange in ["PUT", "POST", ""] {
        assert_eq!(code(post(strange).send().await.unwrap()).await, (405, "method_not_allowed".into()));
    }
    assert_eq!(post("DELETE").send().await.unwrap().status(), StatusCode::NO_CONTENT);
    assert_eq!(server.tus(Method::HEAD, &path).send().await.unwrap().status(), StatusCode::NOT_FOUND);
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_come_with_the_creation_and_the_length_comes_later() {
    let mut world = World::new().await;
    world.settings.server.max_upload_bytes = 5000;
    let server = world.server("a").await;
    let file = bytes(1000, 6);
    let creation = |name: &'static str, value: usize, body: &[u8]| {
        let request = server.tus(Method::POST, "/v1/uploads/").header(name, value);
        let request = request.header("upload-metadata", "uploader dC0x");
        request.header("content-type", BYTES).body(body.to_vec()).send()
    };
    let some = creation("upload-length", 1000, &file[..400]).await.unwrap();
    assert_eq!((some.status(), text(&some, "upload-offset")), (StatusCode::CREATED, "400".into()));
    let response = patch(&server, &path(&some), 400, file[400..].to_vec()).await;
    assert_eq!(response.status(), StatusCode::NO_CONTENT);
    let id = text(&response, "chalkstream-recording");
    assert!(world.store.get(&state_of(&world, &id).await.source_key()).await.unwrap() == file);
    let all = creation("upload-length", 1000, &file).await.unwrap();
    assert_eq!((all.status(), text(&all, "upload-offset")), (StatusCode::CREATED, "1000".into()));
    assert_eq!(text(&all, "chalkstream-existing"), "true");
    let much = creation("upload-length", 999, &file).await.unwrap();
    assert_eq!(code(much).await, (413, "too_many_bytes".into()));

    let later = creation("upload-defer-length", 1, &file[..1]).await.unwrap();
    assert_eq!((later.status(), text(&later, "upload-offset")), (StatusCode::CREATED, "1".into()));
    let path = path(&later);
    let head = server.tus(Method::HEAD, &path).send().await.unwrap();
    assert_eq!(text(&head, "upload-defer-length"), "1");
    assert!(!head.headers().contains_key("upload-length"));
    let send = |from: usize, length: usize, body: Vec<u8>| {
        let request = server.tus(Method::PATCH, &path).header("upload-offset", from);
        request.header("content-type", BYTES).header("upload-length", length).body(body).send()
    };
    assert_eq!(code(send(1, 5001, Vec::new()).await.unwrap()).await, (413, "upload_too_large".into()));
    let response = patch(&server, &path, 1, vec![7; 999]).await;
    assert_eq!(
        (response.status(), text(&response, "upload-offset")),
        (StatusCode::NO_CONTENT, "1000".into())
    );
    assert_eq!(code(send(1000, 999, Vec::new()).await.unwrap()).await, (400, "upload_length".into()));
    let response = send(1000, 2000, vec![8; 500]).await.unwrap();
    assert_eq!(
        (response.status(), text(&response, "upload-length")),
        (StatusCode::NO_CONTENT, "2000".into())
    );
    assert_eq!(code(send(1500, 3000, Vec::new()).await.unwrap()).await, (400, "upload_length".into()));
    assert_eq!(send(1500, 2000, vec![9; 500]).await.unwrap().status(), StatusCode::NO_CONTENT);
    assert_eq!(offset(&server, &path).await, 2000);
    let id = text(&later, "chalkstream-recording");
    assert_eq!(state_of(&world, &id).await.finished.unwrap().recording, id);
    let stored = world.store.get(&layout::source_key(TENANT, &id, "")).await.unwrap();
    assert_eq!(stored.len(), 2000);

    let neither =
        server.tus(Method::POST, "/v1/uploads").header("upload-defer-length", 2).send().await.unwrap();
    assert_eq!(code(neither).await, (400, "upload_length".into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_of_another_site_may_send_what_its_tools_add_and_read_every_answer() {
    let mut world = World::new().await;
    world.settings.server.public_url = "https://school.example/media".into();
    let server = world.server("a").await;
    let preflight = server
        .open(Method::OPTIONS, "/v1/uploads")
        .header("origin", "https://school.example")
        .header("access-control-request-method", "POST")
        .header("access-control-request-headers", "authorization,x-csrf-token,x-request-id")
        .send()
        .await
        .unwrap();
    let allowed = text(&preflight, "access-control-allow-headers");
    let allowed: Vec<&str> = allowed.split(", ").collect();
    for name in [
        "authorization",
        "x-request-id",
        "upload-concat",
        "upload-defer-length",
        "sentry-trace",
        "baggage",
        "tus-resumable",
        "upload-metadata",
        "idempotency-key",
        "x-http-method-override",
        "x-csrf-token",
    ] {
        assert!(allowed.contains(&name), "{name} is not in {allowed:?}");
    }
    assert_eq!(allowed.iter().filter(|name| **name == "x-request-id").count(), 1);

    let created = create(&server, 10, None).await;
    let id = text(&created, "chalkstream-recording");
    assert_eq!(text(&created, "location"), format!("/media/v1/uploads/{id}"));
    let path = format!("/v1/uploads/{id}");
    let open = |method: Method, path: &str| server.open(method, path).header("tus-resumable", "1.0.0");
    for (request, status) in [
        (open(Method::POST, "/v1/uploads"), 401),
        (open(Method::HEAD, &path), 401),
        (server.request(Method::HEAD, &path), 412),
        (server.tus(Method::HEAD, "/v1/uploads/nothing"), 404),
        (server.tus(Method::PUT, &path), 405),
        (server.tus(Method::GET, "/v1/uploads/a/b"), 404),
        (server.tus(Method::PATCH, &path), 415),
        (server.tus(Method::PATCH, &path).header("content-type", BYTES), 400),
        (server.tus(Method::PATCH, &path).header("content-type", BYTES).header("upload-offset", 5), 409),
        (server.tus(Method::POST, "/v1/uploads").header("upload-length", 1_u64 << 50), 413),
        (server.tus(Method::DELETE, &path), 204),
    ] {
        let response = request.send().await.unwrap();
        assert_eq!(
            (response.status().as_u16(), text(&response, "tus-resumable").as_str()),
            (status, "1.0.0")
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn how_long_an_upload_stands_still_is_a_setting() {
    let mut world = World::new().await;
    assert_eq!(world.settings.server.upload_ttl_s, 7 * 86_400);
    world.settings.server.upload_ttl_s = 100;
    let server = world.server("a").await;
    let before = crate::clock::now_ms();
    let created = create(&server, 10, None).await;
    let id = text(&created, "chalkstream-recording");
    let expires = state_of(&world, &id).await.expires_at_ms;
    assert!((before + 100_000..before + 130_000).contains(&expires));
    assert_eq!(patch(&server, &path(&created), 0, vec![1; 3]).await.status(), StatusCode::NO_CONTENT);
    assert!(state_of(&world, &id).await.expires_at_ms >= expires, "each byte renews it");
}
