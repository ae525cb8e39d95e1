//! Whatever process dies, the lesson ends `ready` and nothing is in storage twice.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use chalkstream_tests::chaos::storage::files;
use chalkstream_tests::client::Client;
use chalkstream_tests::media::{ffmpeg, heavy_clip};
use chalkstream_tests::playlist::uris;
use chalkstream_tests::process::{alive, descendants, send, step_child};
use chalkstream_tests::stack::{LEASE_MS, Stack};
use chalkstream_tests::up::Up;
use chalkstream_tests::{fetched_stream, wait};
use serde_json::Value;
use tempfile::TempDir;

use crate::CLIP;

/// Each media object is there once: one attempt's folder a rendition, no intermediate, no pending
/// marker.
pub async fn nothing_twice(objects: &Path, recording: &str) {
    wait::until("lost attempts are swept", Duration::from_secs(30), || async {
        let all = files(objects);
        let own: Vec<&String> = all.keys().filter(|key| key.contains(recording)).collect();
        assert!(own.iter().any(|key| key.contains("/hls/")), "no stream in storage: {own:?}");
        let mut attempts: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for key in &own {
            // …/hls/{group}/{fence}/{rendition}/{file}
            let parts: Vec<&str> = key.split('/').collect();
            if let Some(at) = parts.iter().position(|part| *part == "hls")
                && parts.len() == at + 5
            {
                let one = attempts.entry(format!("{}/{}", parts[at + 1], parts[at + 3])).or_default();
                if !one.contains(&parts[at + 2].to_owned()) {
                    one.push(parts[at + 2].to_owned());
                }
            }
        }
        let clean = attempts.values().all(|fences| fences.len() == 1)
            && !own.iter().any(|key| key.contains("/work/") || key.contains("_pending"));
        clean.then_some(())
    })
    .await;
}

async fn ends_ready(client: &Client, recording: &str) -> Value {
    client.state(recording, &["ready"], CLIP).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_child_is_replaced_by_the_worker() {
    let mut stack = Stack::fs().await;
    let server = stack.server().await;
    let worker = stack.worker();
    let client = stack.client(&server);
    let recording = client.upload(&heavy_clip(stack.folder(), 20)).await;
    client.state(&recording, &["processing", "playable"], CLIP).await;
    let child = step_child(worker.id(), Duration::from_secs(30)).await;
    send(child, libc::SIGKILL);
    ends_ready(&client, &recording).await;
    nothing_twice(&stack.objects(), &recording).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_workers_step_is_taken_over_within_two_leases() {
    let mut stack = Stack::fs().await;
    let server = stack.server().await;
    let mut first = stack.worker();
    let client = stack.client(&server);
    let recording = client.upload(&heavy_clip(stack.folder(), 30)).await;
    let child = step_child(first.id(), CLIP).await;
    let started = Instant::now();
    let second = stack.worker();
    first.kill();
    wait::until("the dead worker's child is gone", Duration::from_secs(2), || async {
        (!alive(child)).then_some(())
    })
    .await;
    step_child(second.id(), Duration::from_secs(60)).await;
    let taken = started.elapsed();
    assert!(taken < Duration::from_millis(2 * LEASE_MS + 2000), "taken over after {taken:?}");
    ends_ready(&client, &recording).await;
    nothing_twice(&stack.objects(), &recording).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_up_leaves_no_child_and_goes_on_at_the_next_start() {
    let folder = TempDir::new().unwrap();
    let data = folder.path().join("data");
    let mut up = Up::start(&data, &[]).await;
    let recording = up.client().upload(&heavy_clip(folder.path(), 20)).await;
    step_child(up.process.id(), CLIP).await;
    let children = descendants(up.process.id());
    assert!(children.len() >= 4, "redis, server, worker and a step's child: {children:?}");
    up.process.kill();
    wait::until("no child is alive", Duration::from_secs(2), || async {
        (!children.iter().any(|(pid, _)| alive(*pid))).then_some(())
    })
    .await;
    let up = Up::start(&data, &[]).await;
    ends_ready(&up.client(), &recording).await;
    nothing_twice(&data.join("objects"), &recording).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_stopped_past_its_lease_writes_nothing_when_it_goes_on() {
    let mut stack = Stack::fs().await;
    let server = stack.server().await;
    let first = stack.worker();
    let client = stack.client(&server);
    let recording = client.upload(&heavy_clip(stack.folder(), 15)).await;
    let child = step_child(first.id(), CLIP).await;
    first.signal(libc::SIGSTOP);
    send(child, libc::SIGSTOP);
    let _second = stack.worker();
    ends_ready(&client, &recording).await;
    nothing_twice(&stack.objects(), &recording).await;
    let before = files(&stack.objects());
    let log_before = first.log().len();
    first.signal(libc::SIGCONT);
    send(child, libc::SIGCONT);
    wait::until("the stopped worker gives up its step", Duration::from_secs(30), || async {
        (!alive(child) && first.log().len() > log_before).then_some(())
    })
    .await;
    let after = files(&stack.objects());
    let own = |all: &BTreeMap<String, u64>| {
        all.iter()
            .filter(|(key, _)| key.contains(&recording))
            .map(|(k, v)| (k.clone(), *v))
            .collect::<Vec<_>>()
    };
    assert_eq!(own(&before), own(&after), "a lost attempt changed the recording");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_stops_takes_back_the_revision_that_grew() {
    let mut stack = Stack::fs().await;
    stack.set("WORKER__DRAIN_MS", "0");
    let server = stack.server().await;
    let mut first = stack.worker();
    let client = stack.client(&server);
    // Turned, a recording is not played as it is, so its smallest rendition is watched while it
    // grows.
    let turned = stack.folder().join("turned.mp4");
    let upright = heavy_clip(stack.folder(), 60);
    ffmpeg(&format!("-i {} -c copy -metadata:s:v rotate=90", upright.display()), &turned);
    let recording = client.upload(&turned).await;
    let revision = async || client.recording(&recording).await["revision"].as_u64().unwrap_or(0);
    wait::until("a revision grows", CLIP, || async { (revision().await % 2 == 1).then_some(()) }).await;
    let grown = revision().await;
    let growing = fetched_stream::fetch(&client, &recording, &stack.folder().join("growing")).await;
    first.signal(libc::SIGTERM);
    assert!(first.ended(Duration::from_secs(30)).await.success());
    assert_eq!(growing.wrong(stack.folder()), Vec::<String>::new(), "what grows keeps the rules");

    // A viewer who comes now gets a complete revision, and every object of it exists.
    let left = revision().await;
    assert!(left > 0 && left < grown, "{left} follows {grown}");
    let master = client.link(&recording).await["master_url"].as_str().unwrap().to_owned();
    let playlists = uris(&client.text(&master).await);
    assert!(!playlists.is_empty());
    for playlist in playlists {
        client.text(&playlist).await;
    }
    let _second = stack.worker();
    ends_ready(&client, &recording).await;
    assert!(revision().await > grown, "a number is not used again");
    nothing_twice(&stack.objects(), &recording).await;
}
