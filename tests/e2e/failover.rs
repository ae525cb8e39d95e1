//! Redis fails over while a lesson is made: nothing is lost, and no step is made twice.

use std::time::Duration;

use chalkstream_tests::redis_fleet::RedisFleet;
use chalkstream_tests::stack::Stack;
use chalkstream_tests::wait;
use tempfile::TempDir;

use crate::CLIP;
use crate::drain::{is_made_by, laddered_clip, step_runs};
use crate::kill::nothing_twice;

async fn a_lesson_across_a_failover(mut fleet: RedisFleet) {
    let mut stack = Stack::on_redis(&fleet).await;
    let clip = laddered_clip(&mut stack, 20);
    // The default: a failover is shorter.
    stack.set("WORKER__LEASE_MS", "15000");
    let server = stack.server().await;
    let worker = stack.worker();
    let client = stack.client(&server);
    let recording = client.upload(&clip).await;
    let fence = step_runs(&stack.folder().join("scratch-2"), "ladder").await;
    fleet.fail_over().await;
    wait::until("the server answers again", Duration::from_secs(60), || async {
        client.request(reqwest::Method::GET, "/readyz").send().await.ok().filter(|a| a.status().is_success())
    })
    .await;
    client.state(&recording, &["ready"], CLIP).await;
    assert!(!worker.log().contains("step given up"), "the step stayed with its worker");
    assert!(is_made_by(&stack.objects(), &recording, "v360", fence), "the ladder was made once");
    nothing_twice(&stack.objects(), &recording).await;

    // Another one, on the new primary from its start.
    let clip = laddered_clip(&mut stack, 3);
    let recording = client.upload(&clip).await;
    client.state(&recording, &["ready"], CLIP).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lesson_across_a_failover_by_sentinels() {
    let folder = TempDir::new().unwrap();
    a_lesson_across_a_failover(RedisFleet::sentinel(folder.path()).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lesson_across_a_failover_in_a_cluster() {
    let folder = TempDir::new().unwrap();
    a_lesson_across_a_failover(RedisFleet::cluster(folder.path()).await).await;
}
