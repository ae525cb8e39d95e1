//! A client that asks for the offset is never refused there, whatever its old connection still
//! does.
#![allow(clippy::unwrap_used)]

use std::time::Duration;

use axum::body::Body;
use reqwest::{Method, StatusCode};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

use super::ingest::Ingest;
use super::recovery::inside;
use super::tests::{MIB, begin, bytes, code, create, offset, patch, path, state_of, text};
use crate::testing::{Server, World, until};

/// Waits until a server has read `expected` bytes of uploads.
async fn received(server: &Server, expected: usize) {
    until("the bytes have come in", || async {
        let text = server.metrics().await;
        let line = text.lines().find(|line| line.starts_with("chalkstream_uploaded_bytes_total ")).unwrap();
        (line.rsplit(' ').next().unwrap().parse::<usize>().unwrap() >= expected).then_some(())
    })
    .await;
}

/// The response status of a connection that was left open.
async fn status(mut line: TcpStream) -> u16 {
    let mut head = [0; 12];
    tokio::time::timeout(Duration::from_secs(10), line.read_exact(&mut head)).await.unwrap().unwrap();
    std::str::from_utf8(&head[9..]).unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_patch_is_accepted_where_head_says_while_dead_connections_hold_the_upload() {
    let world = World::new().await;
    let (one, two) = (world.server("a").await, world.server("b").await);
    let file = bytes(9 * MIB, 1);
    let created = create(&one, file.len(), None).await;
    let (path, id) = (path(&created), text(&created, "chalkstream-recording"));
    let (mut from, mut dead) = (0, Vec::new());
    let mut counts = [0, 0];
    // The client comes back to the same server, to the other one, and across the end of a part.
    for (writer, asked, to) in [(0, 0, MIB), (0, 1, 3 * MIB + 1), (1, 1, 4 * MIB), (1, 0, 8 * MIB + 7)] {
        let servers = [&one, &two];
        dead.push(begin(servers[writer], &path, from, file.len(), &file[from..to]).await);
        counts[writer] += to - from;
        received(servers[writer], counts[writer]).await;
        from = offset(servers[asked], &path).await;
        assert_eq!(from, to, "what came is durable once HEAD is answered");
    }
    assert_eq!(patch(&two, &path, from, file[from..].to_vec()).await.status(), StatusCode::NO_CONTENT);
    for line in dead {
        assert_eq!(status(line).await, 204, "the old connection's bytes were taken, up to where it ended");
    }
    assert!(world.store.get(&state_of(&world, &id).await.source_key()).await.unwrap() == file);
}

#[tokio::test(flavor = "multi_thread")]
async fn with_redis_away_another_servers_dead_connection_does_not_move_the_offset() {
    let mut world = World::new().await;
    let (one, two) = (world.server("a").await, world.server("b").await);
    world.redis.kill();
    let file = bytes(2 * MIB, 2);
    let created = create(&one, file.len(), None).await;
    let path = path(&created);
    let mut line = begin(&one, &path, 0, file.len(), &file[..MIB]).await;
    received(&one, MIB).await;
    let from = offset(&two, &path).await;
    // The old connection ends only now: the server makes its bytes durable, if no other request
    // came meanwhile.
    tokio::io::AsyncWriteExt::shutdown(&mut line).await.unwrap();
    assert_eq!(status(line).await, 423);
    let response = patch(&two, &path, from, file[from..].to_vec()).await;
    assert_eq!(response.status(), StatusCode::NO_CONTENT);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_was_paused_writes_nothing_after_a_head() {
    let world = World::new().await;
    let server = world.server("a").await;
    let created = create(&server, MIB, None).await;
    let (path, id) = (path(&created), text(&created, "chalkstream-recording"));
    assert_eq!(patch(&server, &path, 0, vec![1; 1000]).await.status(), StatusCode::NO_CONTENT);
    let uploads = inside(&world).await;
    let mut upload = state_of(&world, &id).await;
    let mut paused = Ingest::resume(&uploads, &mut upload).await.unwrap();
    assert_eq!(offset(&server, &path).await, 1000);
    let refused = paused.take(Body::from(vec![2; 500]), &CancellationToken::new()).await.unwrap_err();
    assert_eq!(refused.code(), "upload_locked");
    assert_eq!(patch(&server, &path, 1000, vec![3; 500]).await.status(), StatusCode::NO_CONTENT);
    assert_eq!(offset(&server, &path).await, 1500);
}

#[tokio::test(flavor = "multi_thread")]
async fn head_gives_the_offset_from_which_bytes_are_there_even_where_some_were_written_over() {
    let world = World::new().await;
    let server = world.server("a").await;
    let file = bytes(MIB, 3);
    let created = create(&server, file.len(), None).await;
    let (path, id) = (path(&created), text(&created, "chalkstream-recording"));
    assert_eq!(patch(&server, &path, 0, file[..1000].to_vec()).await.status(), StatusCode::NO_CONTENT);
    let tail = chalkstream_store::layout::upload_tail_key(crate::testing::TENANT, &id);
    world.store.put(&tail, vec![0; 2000].into()).await.unwrap();
    let from = offset(&server, &path).await;
    assert_eq!(patch(&server, &path, from, file[from..].to_vec()).await.status(), StatusCode::NO_CONTENT);
    assert!(world.store.get(&state_of(&world, &id).await.source_key()).await.unwrap() == file);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_that_is_asked_about_all_the_time_still_ends() {
    let world = World::new().await;
    let server = world.server("a").await;
    let file = bytes(3 * MIB, 4);
    let created = create(&server, file.len(), None).await;
    let (path, id) = (path(&created), text(&created, "chalkstream-recording"));
    let uploaded = CancellationToken::new();
    let asking = async {
        let mut ticks = tokio::time::interval(Duration::from_millis(300));
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        while !uploaded.is_cancelled() {
            ticks.tick().await;
            let (one, two) = tokio::join!(offset(&server, &path), offset(&server, &path));
            assert!(one <= file.len() && two <= file.len());
        }
    };
    let uploading = async {
        let mut from = 0;
        while from < file.len() {
            let to = (from + 100_000).min(file.len());
            let response = server
                .tus(Method::PATCH, &path)
                .header("upload-offset", from)
                .header("content-type", "application/offset+octet-stream")
                .body(file[from..to].to_vec())
                .send()
                .await;
            match response {
                Ok(response) if response.status() == StatusCode::NO_CONTENT => {
                    from = text(&response, "upload-offset").parse().unwrap();
                }
                Ok(response) => {
                    assert_eq!(code(response).await, (423, "upload_locked".into()));
                    from = offset(&server, &path).await;
                }
                Err(_) => from = offset(&server, &path).await,
            }
        }
        uploaded.cancel();
    };
    tokio::join!(asking, uploading);
    assert!(world.store.get(&state_of(&world, &id).await.source_key()).await.unwrap() == file);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_a_browser_sends_again_by_itself_is_taken_if_its_bytes_are_the_same() {
    let world = World::new().await;
    let server = world.server("a").await;
    let file = bytes(9 * MIB, 5);
    let created = create(&server, file.len(), None).await;
    let (path, id) = (path(&created), text(&created, "chalkstream-recording"));
    assert_eq!(patch(&server, &path, 0, file[..MIB].to_vec()).await.status(), StatusCode::NO_CONTENT);
    // The connection broke after one part and some more; the page does not know it.
    let line = begin(&server, &path, MIB, file.len(), &file[MIB..8 * MIB + 9]).await;
    received(&server, 8 * MIB + 9).await;
    let mut other = file[MIB..].to_vec();
    other[5 * MIB] ^= 1;
    let response = patch(&server, &path, MIB, other).await;
    assert_eq!(text(&response, "upload-offset"), (8 * MIB + 9).to_string());
    assert_eq!(code(response).await, (409, "upload_offset".into()));
    assert_eq!(status(line).await, 204);
    // Fewer bytes than are durable change nothing, and the response has the offset.
    let response = patch(&server, &path, MIB, file[MIB..2 * MIB].to_vec()).await;
    assert_eq!(text(&response, "upload-offset"), (8 * MIB + 9).to_string());
    assert_eq!(code(patch(&server, &path, 0, file.clone()).await).await, (409, "upload_offset".into()));
    for _ in 0..2 {
        let response = patch(&server, &path, MIB, file[MIB..].to_vec()).await;
        assert_eq!(response.status(), StatusCode::NO_CONTENT, "also where the last answer was lost");
        assert_eq!(text(&response, "upload-offset"), file.len().to_string());
    }
    assert!(world.store.get(&state_of(&world, &id).await.source_key()).await.unwrap() == file);
}
