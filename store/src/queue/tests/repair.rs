//! What Redis lost in part is put back, and what was lost with a worker is reported.

use super::*;

/// The keys below our prefix that match a pattern are gone, as after an eviction.
async fn evict(redis: &RedisServer, pattern: &str) {
    let prefix = format!("{{{}}}:{pattern}", redis.settings().prefix);
    let keys: Vec<String> = redis::from_redis_value(redis.command(&["KEYS", &prefix]).await).unwrap();
    assert!(!keys.is_empty(), "{pattern}");
    for key in keys {
        redis.command(&["DEL", &key]).await;
    }
}

#[tokio::test]
async fn lists_that_were_evicted_are_filled_again() {
    let (redis, queue) = queue().await;
    let spec = job("t", vec![step("a", &[]), step("b", &[]), step("c", &["a"])]);
    queue.submit(&spec).await.unwrap();
    let a = next(&queue).await;
    let healthy = queue.heal("t", &spec.recording).await.unwrap().unwrap();
    assert_eq!((healthy.state, healthy.was_broken), (JobState::Running, false));
    for pattern in ["ready:*", "turns:*", "priorities", "leases", "open*", "all*"] {
        evict(&redis, pattern).await;
        assert!(queue.heal("t", &spec.recording).await.unwrap().unwrap().was_broken, "{pattern}");
        assert!(!queue.heal("t", &spec.recording).await.unwrap().unwrap().was_broken, "{pattern}");
    }
    assert_eq!(queue.jobs(Some("t"), JobFilter::Open, 9).await.unwrap().len(), 1);
    let b = next(&queue).await;
    assert_eq!(b.step, "b", "the other one is still with its worker");
    none(&queue).await;
    for lease in [&a, &b] {
        queue.complete(lease, json!(1), &[]).await.unwrap();
    }
    queue.complete(&next(&queue).await, json!(1), &[]).await.unwrap();
    evict(&redis, "finished").await;
    let over = queue.heal("t", &spec.recording).await.unwrap().unwrap();
    assert_eq!((over.state, over.was_broken), (JobState::Done, true));
    assert!(over.finished_at_ms.is_some());
    assert_eq!(queue.heal("t", &new_recording_id()).await.unwrap(), None);
}

#[tokio::test]
async fn a_job_behind_its_manifest_catches_up() {
    let (_redis, queue) = queue().await;
    let spec = job("t", vec![step("a", &[])]);
    queue.submit(&spec).await.unwrap();
    let fence = queue.job("t", &spec.recording).await.unwrap().unwrap().fence;
    assert!(queue.catch_up("t", &spec.recording, fence).await.unwrap().is_none());
    // As if it was written on a server whose clock is an hour ahead.
    let ahead = fence + 3_600_000;
    let job = queue.catch_up("t", &spec.recording, ahead).await.unwrap().unwrap();
    assert!(job.fence > ahead);
    assert!(next(&queue).await.fence > job.fence);
    assert!(queue.catch_up("t", &new_recording_id(), 1).await.unwrap().is_none());
}

#[tokio::test]
async fn a_live_rendition_that_was_lost_with_its_worker_is_reported() {
    let (_redis, queue) = queue().await;
    let spec = job("t", vec![step("a", &[])]);
    queue.submit(&spec).await.unwrap();
    let reported = async || queue.sweep(0).await.unwrap();
    let lease = queue.lease("w1", ENDED_MS).await.unwrap().unwrap();
    let noted = queue.note(&lease, &json!({ "live": true })).await.unwrap();
    let [lost] = &reported().await[..] else { panic!("one job") };
    assert_eq!(state(lost, "a"), StepState::Ready);
    assert!(lost.fence > noted.fence && lost.step("a").unwrap().note.is_none());
    // The next worker that asks may notice it as well.
    let lease = queue.lease("w1", ENDED_MS).await.unwrap().unwrap();
    queue.note(&lease, &json!({ "live": true })).await.unwrap();
    next(&queue).await;
    assert_eq!(reported().await.len(), 1);
    assert_eq!(reported().await.len(), 0);
}
