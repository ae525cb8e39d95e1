//! Nothing acknowledged is lost with Redis, and nothing finished is done again.

use bytes::Bytes;
use serde_json::{Value, json};

use super::*;
use crate::StepSpec;
use crate::queue::{FailureReport, JobState, Lease};
use crate::testing::{RedisServer, folder};
use crate::{Heartbeat, write_manifest};

const LEASE_MS: u64 = 60_000;

fn step(name: &str, needs: &[&str], optional: bool) -> StepSpec {
    let needs = needs.iter().map(|need| need.to_string()).collect();
    let (name, input) = (name.into(), json!({ "of": name }));
    StepSpec { name, needs, optional, priority: 0, cost_ms: 0, input, requires: Vec::new() }
}

fn job() -> JobSpec {
    JobSpec {
        tenant: "t".into(),
        recording: layout::new_recording_id(),
        steps: vec![step("inspect", &[], false)],
        due_at_ms: None,
        dedupe: Some(layout::new_recording_id()),
    }
}

async fn next(queue: &Queue) -> Lease {
    queue.lease("w", LEASE_MS).await.unwrap().expect("there is work")
}

/// What a worker does after each change: the manifest is written under the view's fence.
async fn record(store: &Store, view: &JobView, state: State) -> Manifest {
    let before = read_manifest(store, &view.tenant, &view.recording).await.unwrap();
    let mut manifest = before.unwrap_or_else(|| Manifest::new(&view.tenant, &view.recording));
    manifest.apply_steps(view);
    manifest.state = state;
    write_manifest(store, &manifest).await.unwrap();
    manifest
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flush_in_mid_job_keeps_what_is_finished() {
    let (store, _folder) = folder().await;
    let redis = RedisServer::start().await;
    let queue = Queue::connect(&redis.settings()).await.unwrap();
    let spec = job();
    submit::submit(&store, &queue, &spec).await.unwrap();
    let inspect = next(&queue).await;
    let more = [
        step("sound", &["inspect"], false),
        step("stills", &["inspect"], true),
        step("finish", &["sound", "stills"], false),
    ];
    let view = queue.complete(&inspect, json!({ "ms": 5 }), &more).await.unwrap();
    record(&store, &view, State::Processing).await;
    let (one, two) = (next(&queue).await, next(&queue).await);
    let (sound, stills) = if one.step == "sound" { (one, two) } else { (two, one) };
    let never = FailureReport { code: "output_too_large".into(), message: "It broke.".into() };
    let failed = queue.fail(&stills, &never).await.unwrap();
    let manifest = record(&store, &failed.job, State::Processing).await;
    assert_eq!(manifest.failed_optional.len(), 1);

    redis.flush().await;
    assert_eq!(queue.heartbeat(&sound, LEASE_MS, None).await.unwrap(), Heartbeat::Lost);
    assert_eq!(queue.complete(&sound, json!("stale"), &[]).await.unwrap_err().kind, Kind::Lost);

    // Two machines at once: one job.
    let (a, b) = tokio::join!(pending(&store, &queue), pending(&store, &queue));
    assert_eq!(a.unwrap().enqueued.len() + b.unwrap().enqueued.len(), 1);
    assert!(pending(&store, &queue).await.unwrap().enqueued.is_empty());

    let view = queue.job("t", &spec.recording).await.unwrap().unwrap();
    assert!(view.fence > manifest.fence);
    assert_eq!(view.step("inspect").unwrap().result, Some(json!({ "ms": 5 })));
    assert_eq!(view.step("stills").unwrap().failure, failed.job.step("stills").unwrap().failure);
    let again = next(&queue).await;
    assert_eq!(again.step, "sound");
    assert!(again.fence > sound.fence, "fences never go back");
    assert_eq!(again.needs["inspect"], Some(json!({ "ms": 5 })));
    assert_eq!(again.input, json!({ "of": "sound" }));
    assert_eq!(queue.lease("w", LEASE_MS).await.unwrap(), None);
    // A worker of the former life still changes nothing.
    assert_eq!(queue.complete(&sound, json!("stale"), &[]).await.unwrap_err().kind, Kind::Lost);
    queue.complete(&again, json!("good"), &[]).await.unwrap();
    let finish = next(&queue).await;
    assert_eq!(finish.needs["stills"], None);
    let view = queue.complete(&finish, Value::Null, &[]).await.unwrap();
    assert_eq!(view.state, JobState::Done);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upload_whose_job_never_began_is_found() {
    let (store, _folder) = folder().await;
    let redis = RedisServer::start().await;
    let queue = Queue::connect(&redis.settings()).await.unwrap();
    let specs: Vec<JobSpec> = (0..5).map(|_| job()).collect();
    for spec in &specs {
        submit::mark(&store, spec).await.unwrap();
    }
    // An unreadable one keeps no other waiting.
    let broken = layout::new_recording_id();
    store.put(&layout::pending_key("t", &broken), Bytes::from_static(b"{")).await.unwrap();
    let done = pending(&store, &queue).await.unwrap();
    assert_eq!((done.seen, done.enqueued.len()), (6, 5));
    assert_eq!(done.unreadable, [("t".to_string(), broken)]);
    for _ in &specs {
        queue.complete(&next(&queue).await, Value::Null, &[]).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_recording_that_is_over_is_not_begun_again() {
    let (store, _folder) = folder().await;
    let redis = RedisServer::start().await;
    let queue = Queue::connect(&redis.settings()).await.unwrap();
    let spec = job();
    submit::submit(&store, &queue, &spec).await.unwrap();
    let view = queue.complete(&next(&queue).await, json!(1), &[]).await.unwrap();
    // The worker stopped before it wrote the manifest; soon after, that is not yet anyone else's
    // business.
    assert!(pending(&store, &queue).await.unwrap().unrecorded.is_empty());
    // It wrote the manifest, and stopped before it removed the marker; then Redis was lost.
    record(&store, &view, State::Ready).await;
    redis.flush().await;
    let done = pending(&store, &queue).await.unwrap();
    assert_eq!(done.cleared, [("t".to_string(), spec.recording.clone())]);
    assert_eq!(submit::read(&store, "t", &spec.recording).await.unwrap(), None);
    assert_eq!(queue.lease("w", LEASE_MS).await.unwrap(), None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_letter_can_be_retried_after_redis_forgot_it() {
    let (store, _folder) = folder().await;
    let redis = RedisServer::start().await;
    let queue = Queue::connect(&redis.settings()).await.unwrap();
    let spec = job();
    submit::submit(&store, &queue, &spec).await.unwrap();
    let view =
        queue.complete(&next(&queue).await, json!(1), &[step("sound", &["inspect"], false)]).await.unwrap();
    record(&store, &view, State::Processing).await;
    let never = FailureReport { code: "output_too_large".into(), message: "It broke.".into() };
    let failed = queue.fail(&next(&queue).await, &never).await.unwrap();
    record(&store, &failed.job, State::Failed).await;
    submit::clear(&store, "t", &spec.recording).await.unwrap();
    redis.flush().await;
    assert!(pending(&store, &queue).await.unwrap().enqueued.is_empty());
    let view = resubmit(&store, &queue, "t", &spec.recording).await.unwrap().unwrap();
    assert_eq!(view.step("inspect").unwrap().state, StepState::Done);
    let lease = next(&queue).await;
    assert_eq!((lease.step.as_str(), lease.attempt), ("sound", 1));
    assert!(lease.fence > failed.job.fence);
    assert!(submit::read(&store, "t", &spec.recording).await.unwrap().is_some());
    assert_eq!(resubmit(&store, &queue, "t", &layout::new_recording_id()).await.unwrap(), None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_went_on_without_a_failed_step_is_done_again_after_redis_forgot_it() {
    let (store, _folder) = folder().await;
    let redis = RedisServer::start().await;
    let queue = Queue::connect(&redis.settings()).await.unwrap();
    let spec = job();
    submit::submit(&store, &queue, &spec).await.unwrap();
    let more = [
        step("transcribe", &["inspect"], true),
        step("publish", &["inspect"], false),
        step("finish", &["transcribe", "publish"], false),
    ];
    queue.complete(&next(&queue).await, json!(1), &more).await.unwrap();
    let never = FailureReport { code: "output_too_large".into(), message: "It broke.".into() };
    let mut over = None;
    for _ in 0..3 {
        let lease = next(&queue).await;
        over = Some(match lease.step.as_str() {
            "transcribe" => queue.fail(&lease, &never).await.unwrap().job,
            _ => queue.complete(&lease, json!("first"), &[]).await.unwrap(),
        });
    }
    let over = over.unwrap();
    assert_eq!(over.state, JobState::Done);
    record(&store, &over, State::Ready).await;
    submit::clear(&store, "t", &spec.recording).await.unwrap();
    redis.flush().await;

    let view = resubmit(&store, &queue, "t", &spec.recording).await.unwrap().unwrap();
    assert_eq!(view.step("publish").unwrap().state, StepState::Done);
    assert_eq!(view.step("finish").unwrap().state, StepState::Waiting);
    let transcribe = next(&queue).await;
    assert_eq!(transcribe.step, "transcribe");
    queue.complete(&transcribe, json!("words"), &[]).await.unwrap();
    let finish = next(&queue).await;
    assert_eq!((finish.step.as_str(), &finish.needs["transcribe"]), ("finish", &Some(json!("words"))));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_retry_that_crosses_a_deletion_makes_no_job() {
    let (store, _folder) = folder().await;
    let redis = RedisServer::start().await;
    let queue = Queue::connect(&redis.settings()).await.unwrap();
    let spec = job();
    submit::mark(&store, &spec).await.unwrap();
    crate::deletion::bury(&store, "t", &spec.recording).await.unwrap();
    assert!(resubmit(&store, &queue, "t", &spec.recording).await.unwrap().is_none());
    assert!(pending(&store, &queue).await.unwrap().enqueued.is_empty());
    assert!(submit::read(&store, "t", &spec.recording).await.unwrap().is_none());
    assert!(queue.lease("w", LEASE_MS).await.unwrap().is_none());
}
