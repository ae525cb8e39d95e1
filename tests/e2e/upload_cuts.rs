//! A phone that changes its network a hundred times: each time its old connection stays open at the
//! server's end.

use std::time::Duration;

use chalkstream_tests::client::Client;
use chalkstream_tests::stack::Stack;
use chalkstream_tests::uploads::{Seeded, sha256, stored_sha256, unfinished_patch};
use chalkstream_tests::wait;
use reqwest::{Method, StatusCode};
use tokio::net::TcpStream;

const CUTS: usize = 100;
/// Across two ends of parts on S3 (5 MiB) and one in a folder (8 MiB).
const SIZE: usize = 13 << 20;
const MOST_AT_ONCE: usize = 240_000;

/// Where the upload stands. A busy machine may be late to store the last bytes: then clients ask
/// again.
async fn offset(client: &Client, path: &str) -> usize {
    wait::until("the offset is known", Duration::from_secs(60), || async {
        let request = client.request(Method::HEAD, path).header("Tus-Resumable", "1.0.0");
        let answer = request.send().await.unwrap();
        let known = answer.status() == StatusCode::OK;
        assert!(known || answer.status() == StatusCode::LOCKED, "HEAD: {}", answer.status());
        known.then(|| answer.headers()["upload-offset"].to_str().unwrap().parse().unwrap())
    })
    .await
}

/// What has come back on a connection, if something has.
fn answer(line: &TcpStream) -> Option<String> {
    let mut bytes = [0; 512];
    let length = line.try_read(&mut bytes).ok()?;
    Some(String::from_utf8_lossy(&bytes[..length]).into_owned())
}

async fn cut_a_hundred_times(mut stack: Stack, seed: u64) {
    let (one, two) = (stack.server().await, stack.server().await);
    let clients = [stack.client(&one), stack.client(&two)];
    let mut random = Seeded::new(seed);
    let file = random.bytes(SIZE);
    let created = clients[0].create(SIZE as u64, "phone.mov", None).await;
    let recording = created.headers()["chalkstream-recording"].to_str().unwrap().to_owned();
    let path = created.headers()["location"].to_str().unwrap().to_owned();

    let (mut dead, mut sent, mut at) = (Vec::new(), 0, 0);
    for cut in 0..CUTS {
        // A change of server waits for a beat of the lease: some are enough.
        let client = &clients[usize::from(cut % 20 == 19)];
        let now = offset(client, &path).await;
        assert!((at..=sent).contains(&now), "cut {cut}: {now} is not from {at} to {sent}");
        at = now;
        let length = 1 + random.number() as usize % MOST_AT_ONCE;
        sent = at + length;
        assert!(sent < SIZE);
        let before = client.uploaded_bytes().await;
        let bytes = &file[at..sent];
        let line = unfinished_patch(client, &path, at as u64, SIZE as u64, bytes).await;
        // Half of the clients come back at once, the others after all they sent has come in. If a
        // dead connection gets its turn only now, it takes the upload over, and there is an answer.
        if random.number().is_multiple_of(2) {
            wait::until("the bytes or an answer have come in", Duration::from_secs(60), || async {
                if let Some(answer) = answer(&line) {
                    assert!(!answer.contains(" 409 "), "cut {cut}: {answer}");
                    return Some(());
                }
                (client.uploaded_bytes().await >= before + length as u64).then_some(())
            })
            .await;
        }
        dead.push(line);
    }
    let at = offset(&clients[0], &path).await;
    assert!(at > 4 << 20, "only {at} bytes were kept: the cuts tried little");
    let answer = clients[0].patch(&path, at as u64, file[at..].to_vec()).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::NO_CONTENT);
    let expected = sha256(&file);
    assert_eq!(stored_sha256(&stack, &recording), (expected.clone(), expected));
    drop(dead);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_cuts_with_dead_connections_on_a_folder() {
    cut_a_hundred_times(Stack::fs().await, 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_cuts_with_dead_connections_on_s3() {
    cut_a_hundred_times(Stack::s3().await, 2).await;
}
