//! A deletion that its client and its server do not live to see.

use std::time::{Duration, Instant};

use chalkstream_tests::chaos::storage::files;
use chalkstream_tests::client::Client;
use chalkstream_tests::media::clip;
use chalkstream_tests::stack::Stack;
use chalkstream_tests::wait;
use reqwest::{Method, StatusCode};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::CLIP;

/// A sweep after the lease of a server that died, and some.
const BOUND: Duration = Duration::from_secs(150);

/// Asks for a deletion, and hangs up 10 ms later. A busy server may not have read it by then.
async fn hang_up(client: &Client, path: &str) {
    let mut line = TcpStream::connect(client.url.strip_prefix("http://").unwrap()).await.unwrap();
    let head = format!("DELETE {path} HTTP/1.1\r\nhost: h\r\nauthorization: Bearer {}\r\n\r\n", client.key);
    line.write_all(head.as_bytes()).await.unwrap();
    let _ = tokio::time::timeout(Duration::from_millis(10), line.read_u8()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deletion_is_finished_without_its_client_and_its_server() {
    let mut stack = Stack::s3().await;
    let mut server = stack.server().await;
    let _worker = stack.worker();
    let client = stack.client(&server);
    let file = clip(stack.folder(), 6);
    let first = client.upload(&file).await;
    client.state(&first, &["ready"], CLIP).await;

    stack.s3.as_ref().unwrap().hold_deletes(true);
    let path = format!("/v1/recordings/{first}");
    wait::until("it is gone", Duration::from_secs(30), || async {
        hang_up(&client, &path).await;
        let answer = client.request(Method::GET, &path).send().await.unwrap();
        (answer.status() == StatusCode::GONE).then_some(())
    })
    .await;
    // None of its objects is removed yet. The same file becomes a recording of its own.
    let second = client.upload(&file).await;
    assert_ne!(second, first);
    client.state(&second, &["ready"], CLIP).await;

    server.process.kill();
    let started = Instant::now();
    stack.s3.as_ref().unwrap().hold_deletes(false);
    let server = stack.server().await;
    let client = stack.client(&server);
    let receipt = wait::until("another server finishes it", BOUND, || async {
        let receipt = client.get(&format!("/v1/deletions/{first}")).await;
        receipt.get("emptied_at").is_some().then_some(receipt)
    })
    .await;
    println!("finished {:?} after the kill: {receipt}", started.elapsed());
    assert!(receipt["removed"]["objects"].as_u64().unwrap() > 20, "{receipt}");
    let all = files(&stack.objects());
    let left: Vec<_> = all.keys().filter(|key| key.contains(&format!("/{first}/"))).collect();
    assert_eq!(left.len(), 1, "the tombstone alone: {left:?}");
    assert_eq!(client.recording(&second).await["state"], "ready");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_worker_goes_on_with_a_recording_whose_deletion_waits() {
    let mut stack = Stack::fs().await;
    let mut server = stack.server().await;
    let client = stack.client(&server);
    let recording = client.upload(&clip(stack.folder(), 6)).await;
    // The deletion cannot forget the job, and its server does not live to try again.
    stack.redis.down();
    let path = format!("/v1/recordings/{recording}");
    let answer = client.request(Method::DELETE, &path).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::ACCEPTED);
    server.process.kill();
    stack.redis.up().await;

    let _worker = stack.worker();
    let job = format!("{{chalkstream}}:job:district/{recording}");
    wait::until("the job is stopped", Duration::from_secs(30), || async {
        (stack.redis.command(&["HGET", &job, "state"]) == "cancelled").then_some(())
    })
    .await;
}
