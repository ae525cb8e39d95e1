//! Redis restarted, Redis flushed, S3 failing: nothing that was acknowledged is lost.

use std::time::Duration;

use chalkstream_tests::media::heavy_clip;
use chalkstream_tests::process::step_child;
use chalkstream_tests::stack::Stack;
use chalkstream_tests::wait;

use crate::CLIP;
use crate::drain::{is_made_by, laddered_clip, step_runs};
use crate::kill::nothing_twice;

#[tokio::test(flavor = "multi_thread")]
async fn redis_restarted_in_mid_job() {
    let mut stack = Stack::fs().await;
    let server = stack.server().await;
    let worker = stack.worker();
    let client = stack.client(&server);
    let recording = client.upload(&heavy_clip(stack.folder(), 20)).await;
    step_child(worker.id(), CLIP).await;
    stack.redis.down();
    stack.redis.up().await;
    client.state(&recording, &["ready"], CLIP).await;
    nothing_twice(&stack.objects(), &recording).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn redis_flushed_in_mid_job() {
    let mut stack = Stack::fs().await;
    let server = stack.server().await;
    let worker = stack.worker();
    let client = stack.client(&server);
    let recording = client.upload(&heavy_clip(stack.folder(), 20)).await;
    step_child(worker.id(), CLIP).await;
    assert_eq!(stack.redis.command(&["FLUSHALL"]), "OK");
    // The sweeper enqueues it again within a minute; the key still works meanwhile, for it lives in
    // storage.
    client.state(&recording, &["ready"], CLIP + Duration::from_secs(60)).await;
    nothing_twice(&stack.objects(), &recording).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn s3_answering_500_for_thirty_seconds() {
    let mut stack = Stack::s3().await;
    let server = stack.server().await;
    let worker = stack.worker();
    let client = stack.client(&server);
    let recording = client.upload(&heavy_clip(stack.folder(), 20)).await;
    step_child(worker.id(), CLIP).await;
    let s3 = stack.s3.as_ref().unwrap();
    s3.fail(true);
    // The outage itself is what is tested: it lasts thirty seconds.
    tokio::time::sleep(Duration::from_secs(30)).await;
    s3.fail(false);
    assert!(s3.refused() > 0, "the outage was never noticed");
    wait::until("the server answers again", Duration::from_secs(30), || async {
        client.request(reqwest::Method::GET, "/readyz").send().await.ok().filter(|a| a.status().is_success())
    })
    .await;
    client.state(&recording, &["ready"], CLIP + Duration::from_secs(60)).await;
    nothing_twice(&stack.objects(), &recording).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn storage_away_for_long_restarts_no_step() {
    let mut stack = Stack::s3().await;
    // One operation is retried for a tenth of the outage, as with the default of a minute and an
    // outage of ten.
    stack.set("STORE__S3__RETRY_FOR_MS", "2000");
    let clip = laddered_clip(&mut stack, 30);
    let server = stack.server().await;
    let worker = stack.worker();
    let client = stack.client(&server);
    let recording = client.upload(&clip).await;
    let fence = step_runs(&stack.folder().join("scratch-2"), "ladder").await;
    let s3 = stack.s3.as_ref().unwrap();
    s3.fail(true);
    // The outage itself is what is tested. It is many leases long.
    tokio::time::sleep(Duration::from_secs(20)).await;
    s3.fail(false);
    wait::until("the server answers again", Duration::from_secs(60), || async {
        client.request(reqwest::Method::GET, "/readyz").send().await.ok().filter(|a| a.status().is_success())
    })
    .await;
    client.state(&recording, &["ready"], CLIP + Duration::from_secs(60)).await;
    let log = worker.log();
    assert!(log.contains("storage is away, step waits"), "the outage was never noticed");
    assert!(!log.contains("step=\"ladder\" attempt=2") && !log.contains("step given up"));
    assert!(is_made_by(&stack.objects(), &recording, "v360", fence), "the ladder was made once");
    nothing_twice(&stack.objects(), &recording).await;
}
