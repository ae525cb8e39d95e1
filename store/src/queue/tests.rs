//! What the queue promises, against a real Redis.

use std::time::{Duration, Instant};

use futures_util::StreamExt;
use serde_json::json;

use super::*;
use crate::failure::{Blame, Tries};
use crate::testing::RedisServer;
use crate::{StepState, layout::new_recording_id};

pub(crate) const LEASE_MS: u64 = 60_000;
/// A lease that has ended when it is given.
const ENDED_MS: u64 = 0;

/// No waits and no pauses.
const AT_ONCE: RetryPolicy =
    RetryPolicy { attempts: 3, losses: 4, base_ms: 0, cap_ms: 0, pause_ms: 0, max_pause_ms: 0 };
/// A code whose step is never tried again, one for a second try, one for all, one of an outage.
const NEVER: &str = "output_too_large";
const TWICE: &str = "step_crashed";
const COUNTED: &str = "internal";
const OUTAGE: &str = "storage_unavailable";

pub(crate) fn step(name: &str, needs: &[&str]) -> StepSpec {
    StepSpec {
        name: name.into(),
        needs: needs.iter().map(|need| need.to_string()).collect(),
        optional: false,
        priority: 0,
        cost_ms: 0,
        input: json!({ "of": name, "empty": [], "large": 9_007_199_254_740_993u64 }),
        requires: Vec::new(),
    }
}

pub(crate) fn optional(name: &str, needs: &[&str]) -> StepSpec {
    StepSpec { optional: true, ..step(name, needs) }
}

pub(crate) fn job(tenant: &str, steps: Vec<StepSpec>) -> JobSpec {
    JobSpec { tenant: tenant.into(), recording: new_recording_id(), steps, due_at_ms: None, dedupe: None }
}

async fn queue() -> (RedisServer, Queue) {
    let redis = RedisServer::start().await;
    let queue = Queue::connect(&redis.settings()).await.unwrap();
    (redis, queue.with_policy(AT_ONCE))
}

async fn next(queue: &Queue) -> Lease {
    queue.lease("w", LEASE_MS).await.unwrap().expect("there is work")
}

async fn none(queue: &Queue) {
    assert_eq!(queue.lease("w", LEASE_MS).await.unwrap(), None);
}

fn failure(code: &str) -> FailureReport {
    FailureReport { code: code.into(), message: "It broke.".into() }
}

fn state(view: &JobView, step: &str) -> StepState {
    view.step(step).unwrap().state
}

#[tokio::test]
async fn a_graph_is_walked_in_order() {
    let (_redis, queue) = queue().await;
    let spec = job("t", vec![step("inspect", &[])]);
    assert!(queue.submit(&spec).await.unwrap().created);
    let inspect = next(&queue).await;
    assert_eq!((inspect.step.as_str(), inspect.attempt), ("inspect", 1));
    assert_eq!(inspect.input, spec.steps[0].input);
    none(&queue).await;
    let more = [
        step("sound", &["inspect"]),
        step("transcode", &["inspect"]),
        step("publish", &["sound", "transcode"]),
    ];
    let view = queue.complete(&inspect, json!({"n": 1}), &more).await.unwrap();
    assert_eq!(view.state, JobState::Running);
    assert!(view.fence > inspect.fence);
    let (sound, transcode) = (next(&queue).await, next(&queue).await);
    none(&queue).await;
    queue.complete(&transcode, json!("t"), &[]).await.unwrap();
    none(&queue).await;
    queue.complete(&sound, json!([]), &[]).await.unwrap();
    let publish = next(&queue).await;
    assert_eq!(publish.needs["sound"], Some(json!([])));
    assert_eq!(publish.needs["transcode"], Some(json!("t")));
    let view = queue.complete(&publish, Value::Null, &[]).await.unwrap();
    assert_eq!(view.state, JobState::Done);
    assert!(view.finished_at_ms.is_some());
    none(&queue).await;
    // A manifest made from the view has every result.
    assert_eq!(view.records()["inspect"].result, Some(json!({"n": 1})));
    assert_eq!(queue.stats().await.unwrap(), QueueStats::default());
}

#[tokio::test]
async fn a_step_that_needs_an_unknown_one_is_refused_whole() {
    let (_redis, queue) = queue().await;
    let spec = job("t", vec![step("a", &["nowhere"])]);
    assert_eq!(queue.submit(&spec).await.unwrap_err().kind, Kind::InvalidInput);
    assert_eq!(queue.job("t", &spec.recording).await.unwrap(), None);
    let spec = job("t", vec![step("a", &[])]);
    queue.submit(&spec).await.unwrap();
    let lease = next(&queue).await;
    let wrong = [step("b", &["a"]), step("c", &["nowhere"])];
    assert_eq!(queue.complete(&lease, json!(1), &wrong).await.unwrap_err().kind, Kind::InvalidInput);
    assert_eq!(state(&queue.job("t", &spec.recording).await.unwrap().unwrap(), "a"), StepState::Leased);
    for name in ["", "A", "a.b", "a b", "a|b"] {
        assert!(queue.submit(&job("t", vec![step(name, &[])])).await.is_err(), "{name}");
    }
    assert!(queue.submit(&job("../x", vec![step("a", &[])])).await.is_err());
}

#[tokio::test]
async fn a_stale_fence_changes_nothing() {
    let (_redis, queue) = queue().await;
    let spec = job("t", vec![step("a", &[])]);
    queue.submit(&spec).await.unwrap();
    let slept = queue.lease("sleeper", ENDED_MS).await.unwrap().unwrap();
    let taken = loop {
        if let Some(lease) = queue.lease("other", LEASE_MS).await.unwrap() {
            break lease;
        }
    };
    assert!(taken.fence > slept.fence);
    assert_eq!(taken.attempt, 1, "a loss is no try");
    assert_eq!(queue.heartbeat(&slept, LEASE_MS, None).await.unwrap(), Heartbeat::Lost);
    assert_eq!(queue.complete(&slept, json!("stale"), &[]).await.unwrap_err().kind, Kind::Lost);
    assert_eq!(queue.fail(&slept, &failure(NEVER)).await.unwrap_err().kind, Kind::Lost);
    queue.release(&slept).await.unwrap();
    assert_eq!(queue.heartbeat(&taken, LEASE_MS, None).await.unwrap(), Heartbeat::Continue);
    let view = queue.complete(&taken, json!("good"), &[]).await.unwrap();
    assert_eq!(view.step("a").unwrap().result, Some(json!("good")));
    // The same result again, because its answer was lost: accepted already.
    let again = queue.complete(&taken, json!("good"), &[]).await.unwrap();
    assert_eq!(again.state, JobState::Done);
    assert_eq!(queue.complete(&slept, json!("stale"), &[]).await.unwrap_err().kind, Kind::Lost);
}

#[tokio::test]
async fn what_may_pass_is_tried_again_and_what_may_not_is_a_dead_letter() {
    let (_redis, queue) = queue().await;
    let spec = job("t", vec![step("a", &[]), step("b", &["a"])]);
    queue.submit(&spec).await.unwrap();
    for attempt in 1..=2 {
        let lease = next(&queue).await;
        assert_eq!(lease.attempt, attempt);
        let failed = queue.fail(&lease, &failure(COUNTED)).await.unwrap();
        assert_eq!(failed.outcome, Outcome::Retry { after_ms: 0 });
        assert_eq!(failed.job.state, JobState::Running);
    }
    let lease = next(&queue).await;
    let failed = queue.fail(&lease, &failure(COUNTED)).await.unwrap();
    assert_eq!(failed.outcome, Outcome::JobFailed);
    assert_eq!(failed.job.state, JobState::Failed);
    assert_eq!(failed.job.failure.as_ref().unwrap().step, "a");
    assert_eq!(state(&failed.job, "b"), StepState::Cancelled);
    none(&queue).await;
    let dead = queue.jobs(None, JobFilter::Failed, 10).await.unwrap();
    assert_eq!(dead[0].failure.as_ref().unwrap().code, COUNTED);
    assert!(dead[0].step("a").unwrap().result.is_none());
    // By hand it starts anew.
    let view = queue.retry("t", &spec.recording).await.unwrap().unwrap();
    assert_eq!((view.state, view.failure.clone()), (JobState::Queued, None));
    assert!(view.fence > failed.job.fence);
    let lease = next(&queue).await;
    assert_eq!((lease.step.as_str(), lease.attempt), ("a", 1));
    queue.complete(&lease, json!(1), &[]).await.unwrap();
    queue.complete(&next(&queue).await, json!(1), &[]).await.unwrap();
    assert_eq!(queue.job("t", &spec.recording).await.unwrap().unwrap().state, JobState::Done);
    assert!(queue.jobs(None, JobFilter::Failed, 10).await.unwrap().is_empty());
}

#[tokio::test]
async fn an_outage_costs_no_attempt() {
    let (_redis, queue) = queue().await;
    let spec = job("t", vec![step("a", &[])]);
    queue.submit(&spec).await.unwrap();
    for _ in 0..60 {
        let lease = next(&queue).await;
        assert_eq!(lease.attempt, 1);
        let failed = queue.fail(&lease, &failure(OUTAGE)).await.unwrap();
        assert_eq!(failed.outcome, Outcome::Retry { after_ms: 0 });
    }
    // What else goes wrong has all its tries.
    for attempt in 1..=3 {
        let lease = next(&queue).await;
        assert_eq!(lease.attempt, attempt);
        queue.fail(&lease, &failure(COUNTED)).await.unwrap();
    }
    assert_eq!(queue.job("t", &spec.recording).await.unwrap().unwrap().state, JobState::Failed);
}

#[tokio::test]
async fn waits_are_drawn_under_a_doubling_ceiling() {
    let (_redis, queue) = queue().await;
    let queue =
        queue.with_policy(RetryPolicy { attempts: 9, base_ms: 3_600_000, cap_ms: 7_200_000, ..AT_ONCE });
    let mut waits = Vec::new();
    for _ in 0..20 {
        queue.submit(&job("t", vec![step("a", &[])])).await.unwrap();
        match queue.fail(&next(&queue).await, &failure(COUNTED)).await.unwrap().outcome {
            Outcome::Retry { after_ms } => waits.push(after_ms),
            other => panic!("{other:?}"),
        }
    }
    assert!(waits.iter().all(|wait| *wait <= 3_600_000));
    assert!(waits.iter().max().unwrap() - waits.iter().min().unwrap() > 600_000, "{waits:?}");
    none(&queue).await;
    assert_eq!(queue.stats().await.unwrap().delayed, 20);
}

#[tokio::test]
async fn an_optional_step_never_costs_the_job() {
    let (_redis, queue) = queue().await;
    let spec = job(
        "t",
        vec![step("sound", &[]), optional("transcribe", &["sound"]), step("finish", &["transcribe"])],
    );
    queue.submit(&spec).await.unwrap();
    queue.complete(&next(&queue).await, json!(1), &[]).await.unwrap();
    let lease = next(&queue).await;
    assert!(lease.optional);
    let failed = queue.fail(&lease, &failure(NEVER)).await.unwrap();
    assert_eq!(failed.outcome, Outcome::OptionalFailed);
    let finish = next(&queue).await;
    assert_eq!(finish.needs["transcribe"], None);
    let view = queue.complete(&finish, json!(1), &[]).await.unwrap();
    assert_eq!((view.state, view.failure.clone()), (JobState::Done, None));
    // By hand it can be had later; what went on without it is done again.
    let again = queue.retry("t", &spec.recording).await.unwrap().unwrap();
    assert_eq!(state(&again, "sound"), StepState::Done);
    let lease = next(&queue).await;
    assert_eq!(lease.step, "transcribe");
    queue.complete(&lease, json!("words"), &[]).await.unwrap();
    let finish = next(&queue).await;
    assert_eq!(finish.needs["transcribe"], Some(json!("words")));
    let view = queue.complete(&finish, json!(1), &[]).await.unwrap();
    assert_eq!(view.state, JobState::Done);
    assert!(view.step("transcribe").unwrap().failure.is_none());
}

#[tokio::test]
async fn cancel_is_told_by_the_next_heartbeat() {
    let (_redis, queue) = queue().await;
    let spec = job("t", vec![step("a", &[]), step("b", &[])]);
    queue.submit(&spec).await.unwrap();
    let lease = next(&queue).await;
    let progress = Progress { done_ms: 5, total_ms: 10 };
    assert_eq!(queue.heartbeat(&lease, LEASE_MS, Some(progress)).await.unwrap(), Heartbeat::Continue);
    let view = queue.cancel("t", &spec.recording).await.unwrap().unwrap();
    assert_eq!(view.state, JobState::Cancelled);
    assert_eq!(view.step(&lease.step).unwrap().progress, Some(progress));
    assert!(view.fence > lease.fence);
    assert_eq!(queue.heartbeat(&lease, LEASE_MS, None).await.unwrap(), Heartbeat::Cancelled);
    assert_eq!(queue.complete(&lease, json!(1), &[]).await.unwrap_err().kind, Kind::Lost);
    none(&queue).await;
    assert_eq!(queue.cancel("t", &spec.recording).await.unwrap().unwrap(), view);
    assert_eq!(queue.cancel("t", &new_recording_id()).await.unwrap(), None);
    // Removed: its workers stop as well.
    queue.retry("t", &spec.recording).await.unwrap().unwrap();
    let lease = next(&queue).await;
    queue.forget("t", &spec.recording).await.unwrap();
    assert_eq!(queue.heartbeat(&lease, LEASE_MS, None).await.unwrap(), Heartbeat::Lost);
    assert_eq!(queue.job("t", &spec.recording).await.unwrap(), None);
    none(&queue).await;
}

#[tokio::test]
async fn a_released_step_goes_back_uncounted() {
    let (_redis, queue) = queue().await;
    queue.submit(&job("t", vec![step("a", &[])])).await.unwrap();
    for _ in 0..5 {
        let lease = next(&queue).await;
        assert_eq!(lease.attempt, 1);
        queue.release(&lease).await.unwrap();
        queue.release(&lease).await.unwrap();
    }
    assert_eq!(queue.heartbeat(&next(&queue).await, LEASE_MS, None).await.unwrap(), Heartbeat::Continue);
    none(&queue).await;
}

#[tokio::test]
async fn a_worker_that_dies_each_time_ends_in_a_dead_letter() {
    let (_redis, queue) = queue().await;
    let spec = job("t", vec![step("a", &[]), step("b", &["a"])]);
    queue.submit(&spec).await.unwrap();
    let mut attempts = 0;
    let limit = Instant::now() + Duration::from_secs(20);
    let failed = loop {
        if let Some(lease) = queue.lease("dying", ENDED_MS).await.unwrap() {
            attempts += 1;
            assert_eq!(lease.attempt, 1, "a loss is no try");
        }
        let failed = queue.sweep(0).await.unwrap();
        if let Some(failed) = failed.into_iter().next() {
            break failed;
        }
        assert!(Instant::now() < limit);
    };
    assert_eq!(attempts, 4);
    assert_eq!(failed.steps[0].losses, 4);
    assert_eq!(failed.state, JobState::Failed);
    let cause = failed.failure.unwrap();
    assert_eq!((cause.code.as_str(), cause.step.as_str()), (failure::WORKER_LOST, "a"));
    assert_eq!(cause.blame, Blame::Machine);
    // A grace keeps the sweeper off leases that just ended; nothing runs, nothing is left.
    assert!(queue.sweep(0).await.unwrap().is_empty());
    none(&queue).await;
}

#[tokio::test]
async fn the_sweeper_leaves_living_leases_alone() {
    let (_redis, queue) = queue().await;
    queue.submit(&job("t", vec![step("a", &[])])).await.unwrap();
    let lease = queue.lease("w", ENDED_MS).await.unwrap().unwrap();
    assert!(queue.sweep(60_000).await.unwrap().is_empty());
    // Late, but no other worker took it: it goes on.
    assert_eq!(queue.heartbeat(&lease, LEASE_MS, None).await.unwrap(), Heartbeat::Continue);
    assert!(queue.sweep(0).await.unwrap().is_empty());
    queue.complete(&lease, json!(1), &[]).await.unwrap();
}

#[tokio::test]
async fn stage_one_of_any_goes_before_stage_two_of_all() {
    let (_redis, queue) = queue().await;
    let stages = || vec![step("one", &[]), StepSpec { priority: 1, ..step("two", &[]) }];
    for tenant in ["a", "a", "b", "c"] {
        queue.submit(&job(tenant, stages())).await.unwrap();
    }
    let mut order = Vec::new();
    for _ in 0..8 {
        order.push(next(&queue).await.step);
    }
    assert_eq!(order, ["one", "one", "one", "one", "two", "two", "two", "two"]);
}

#[tokio::test]
async fn within_a_tenant_due_goes_first_and_tenants_take_turns() {
    let (_redis, queue) = queue().await;
    let mut submit = Vec::new();
    for due in [None, Some(4_000_000_000_000u64), None, Some(2_000_000_000_000)] {
        let spec = JobSpec { due_at_ms: due, ..job("a", vec![step("s", &[])]) };
        queue.submit(&spec).await.unwrap();
        submit.push(spec.recording);
        // Ages differ by the millisecond.
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    let other = job("b", vec![step("s", &[])]);
    queue.submit(&other).await.unwrap();
    let mut order = Vec::new();
    for _ in 0..5 {
        order.push(next(&queue).await.recording);
    }
    let a: Vec<&String> = order.iter().filter(|id| **id != other.recording).collect();
    assert_eq!(a, [&submit[3], &submit[1], &submit[0], &submit[2]]);
    // Of five lessons of which one is another tenant's, that one is not the last.
    assert!(order.iter().position(|id| *id == other.recording).unwrap() <= 1, "{order:?}");
}

#[tokio::test]
async fn submitting_twice_makes_one_job() {
    let (_redis, queue) = queue().await;
    let first = JobSpec { dedupe: Some("uploader:hash".into()), ..job("t", vec![step("a", &[])]) };
    let again = JobSpec { recording: new_recording_id(), ..first.clone() };
    let elsewhere = JobSpec { tenant: "u".into(), recording: new_recording_id(), ..first.clone() };
    assert!(queue.submit(&first).await.unwrap().created);
    assert!(!queue.submit(&first).await.unwrap().created);
    let same = queue.submit(&again).await.unwrap();
    assert_eq!(same, Submitted { recording: first.recording.clone(), created: false });
    assert!(queue.submit(&elsewhere).await.unwrap().created);
    // One that failed stands for nothing.
    queue.cancel("t", &first.recording).await.unwrap();
    assert!(queue.submit(&again).await.unwrap().created);
    queue.forget("t", &again.recording).await.unwrap();
    assert!(queue.submit(&JobSpec { recording: new_recording_id(), ..first.clone() }).await.unwrap().created);
    // At once, from many places.
    let race = job("t", vec![step("a", &[])]);
    let submits = (0..20).map(|_| {
        let spec = JobSpec { recording: new_recording_id(), dedupe: Some("race".into()), ..race.clone() };
        let queue = queue.clone();
        async move { queue.submit(&spec).await.unwrap() }
    });
    let all: Vec<Submitted> = futures_util::stream::iter(submits).buffer_unordered(20).collect().await;
    assert_eq!(all.iter().filter(|submitted| submitted.created).count(), 1);
    assert!(all.iter().all(|submitted| submitted.recording == all[0].recording));

    let (a, b) = (new_recording_id(), new_recording_id());
    assert_eq!(queue.claim("t", "key", &a).await.unwrap(), a);
    assert_eq!(queue.claim("t", "key", &b).await.unwrap(), a);
    assert_eq!(queue.claim("u", "key", &b).await.unwrap(), b);
}

#[tokio::test]
async fn a_forgotten_job_stands_for_no_upload() {
    let (_redis, queue) = queue().await;
    let first = JobSpec { dedupe: Some("uploader:hash".into()), ..job("t", vec![step("a", &[])]) };
    let second = JobSpec { recording: new_recording_id(), ..first.clone() };
    let third = JobSpec { recording: new_recording_id(), ..first.clone() };
    queue.submit(&first).await.unwrap();
    queue.cancel("t", &first.recording).await.unwrap();
    // As if it had ended long ago: the sweep drops it, and what it was deduplicated by.
    let (base, id) = (&queue.inner.base, job_id("t", &first.recording));
    let raw = async |words: &[&str]| -> redis::Value {
        let mut command = redis::cmd(words[0]);
        queue.inner.main.query(command.arg(&words[1..]), RetryOnDisconnect::Never).await.unwrap()
    };
    raw(&["ZADD", &format!("{base}:finished"), "0", &id]).await;
    queue.sweep(0).await.unwrap();
    assert_eq!(queue.job("t", &first.recording).await.unwrap(), None);
    assert_eq!(raw(&["KEYS", &format!("{base}:dedupe:*")]).await, redis::Value::Array(Vec::new()));
    assert!(queue.submit(&second).await.unwrap().created);
    // One that is gone without having been dropped stands for nothing either.
    raw(&["DEL", &format!("{base}:job:{}", job_id("t", &second.recording))]).await;
    assert!(queue.submit(&third).await.unwrap().created);
}

#[tokio::test]
async fn jobs_are_listed_by_tenant_newest_first() {
    let (_redis, queue) = queue().await;
    let mut mine = Vec::new();
    for n in 0..5 {
        let spec = job(if n % 2 == 0 { "a" } else { "b" }, vec![step("s", &[])]);
        queue.submit(&spec).await.unwrap();
        tokio::time::sleep(Duration::from_millis(2)).await;
        if n % 2 == 0 {
            mine.insert(0, spec.recording);
        }
    }
    let listed = queue.jobs(Some("a"), JobFilter::Open, 10).await.unwrap();
    assert_eq!(listed.iter().map(|job| &job.recording).collect::<Vec<_>>(), mine.iter().collect::<Vec<_>>());
    assert_eq!(queue.jobs(Some("a"), JobFilter::All, 2).await.unwrap().len(), 2);
    assert_eq!(queue.jobs(None, JobFilter::All, 10).await.unwrap().len(), 5);
    assert!(queue.jobs(Some("c"), JobFilter::All, 10).await.unwrap().is_empty());
}

mod counts;
mod interleaved;
mod order;
mod repair;
mod simulation;
mod topologies;
mod trouble;
mod workers;
