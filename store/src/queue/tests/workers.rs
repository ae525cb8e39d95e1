//! What a sick worker may do: a lesson or two wait a moment, and it is paused.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::*;

/// What an idle worker asks.
pub(super) fn idle(worker: &str) -> LeaseRequest<'_> {
    LeaseRequest {
        worker,
        lease_ms: LEASE_MS,
        only_short: false,
        occupancy: Occupancy::Idle,
        tenant_steps_max: 0,
        capabilities: &[],
    }
}

/// The default policy with a clock that a test moves.
pub(super) struct World {
    pub redis: RedisServer,
    pub queue: Queue,
    pub now_ms: Arc<AtomicU64>,
}

impl World {
    pub async fn new() -> Self {
        let redis = RedisServer::start().await;
        // Thousands of writes that nothing is to survive.
        redis.command(&["CONFIG", "SET", "appendonly", "no"]).await;
        let mut queue = Queue::connect(&redis.settings()).await.unwrap();
        let now_ms = Arc::new(AtomicU64::new(1_800_000_000_000));
        queue.clock = Some(Arc::clone(&now_ms));
        Self { redis, queue, now_ms }
    }

    pub fn pass(&self, ms: u64) {
        self.now_ms.fetch_add(ms, Ordering::Relaxed);
    }

    async fn announce(&self, workers: &[&str]) {
        for worker in workers {
            self.queue.announce(worker, &[], MachineCheck::NotMade).await.unwrap();
        }
    }

    async fn submit(&self, lessons: usize) -> Vec<String> {
        let mut ids = Vec::new();
        for _ in 0..lessons {
            let spec = job("t", vec![step("inspect", &[])]);
            self.queue.submit(&spec).await.unwrap();
            self.pass(1);
            ids.push(spec.recording);
        }
        ids
    }

    async fn lease(&self, worker: &str) -> Option<Lease> {
        self.queue.lease(worker, LEASE_MS).await.unwrap()
    }

    async fn fail(&self, lease: &Lease, code: &str) -> FailOutcome {
        self.queue.fail(lease, &failure(code)).await.unwrap()
    }

    async fn offer(&self, worker: &str, occupancy: Occupancy) -> LeaseOffer {
        let request = LeaseRequest { occupancy, ..idle(worker) };
        self.queue.offer(&request).await.unwrap()
    }

    async fn view(&self, recording: &str) -> JobView {
        self.queue.job("t", recording).await.unwrap().unwrap()
    }
}

/// Six healthy workers take 20 s for a lesson; one fails each at once with `code`, and `check` says
/// whether its own check notices. Returns the lessons it touched and the dead letters.
async fn one_of_seven_is_sick(code: &str, is_noticed: bool) -> (usize, usize) {
    let world = World::new().await;
    let lessons = world.submit(500).await;
    let healthy = ["w1", "w2", "w3", "w4", "w5", "w6"];
    let mut running: BTreeMap<&str, (u64, Lease)> = BTreeMap::new();
    let mut touched = BTreeSet::new();
    let mut done = 0;
    let mut pause_ends_ms = 0;
    let begun_ms = world.now_ms.load(Ordering::Relaxed);
    let mut announced_ms = 0;
    while done < lessons.len() {
        let now_ms = world.now_ms.load(Ordering::Relaxed);
        if now_ms - announced_ms >= 10_000 {
            announced_ms = now_ms;
            world.announce(&healthy).await;
            world.announce(&["sick"]).await;
        }
        for worker in healthy {
            if let Some((end_ms, lease)) = running.get(worker)
                && *end_ms <= now_ms
            {
                world.queue.heartbeat(lease, LEASE_MS, None).await.unwrap();
                world.queue.complete(lease, json!(1), &[]).await.unwrap();
                running.remove(worker);
                done += 1;
            }
            if !running.contains_key(worker)
                && let Some(lease) = world.lease(worker).await
            {
                running.insert(worker, (now_ms + 20_000, lease));
            }
        }
        // It fails fast, so it takes as many as it is given.
        while pause_ends_ms <= now_ms {
            if pause_ends_ms > 0 && is_noticed {
                let pause =
                    world.queue.announce("sick", &[], MachineCheck::Failed(code)).await.unwrap().unwrap();
                pause_ends_ms = now_ms + pause.for_ms;
                continue;
            }
            let Some(lease) = world.lease("sick").await else { break };
            touched.insert(lease.recording.clone());
            let pause = world.fail(&lease, code).await.pause;
            pause_ends_ms = now_ms + pause.map_or(0, |pause| pause.for_ms);
        }
        if now_ms - begun_ms > 1_800_000 {
            for id in &lessons {
                let view = world.view(id).await;
                assert_eq!(view.state, JobState::Done, "after half an hour: {view:?}");
            }
        }
        world.pass(1_000);
    }
    let took_s = (world.now_ms.load(Ordering::Relaxed) - begun_ms) / 1_000;
    let workers = world.queue.workers().await.unwrap();
    let sick = workers.iter().find(|worker| worker.name == "sick").unwrap();
    let paused_by =
        if failure::judge(code, true).1 == Tries::Confirm { failure::REFUSAL_REFUTED } else { code };
    assert_eq!(sick.pause.as_ref().map(|pause| pause.code.as_str()), Some(paused_by), "it is paused");
    assert!(workers.iter().filter(|worker| worker.name != "sick").all(|worker| worker.pause.is_none()));
    let dead = world.queue.jobs(None, JobFilter::Failed, 1_000).await.unwrap().len();
    println!("{code}: {} of 500 touched, {dead} dead letters, all done after {took_s} s", touched.len());
    // 500 lessons of 20 s on six workers take 1,680 s, and a second more each for the test's pace.
    assert!(took_s <= 1_800, "{took_s}");
    (touched.len(), dead)
}

#[tokio::test]
async fn a_sick_worker_affects_one_of_500_lessons() {
    for code in ["machine_failed", "internal", "storage_unavailable"] {
        let (touched, dead) = one_of_seven_is_sick(code, true).await;
        assert_eq!((touched, dead), (1, 0), "{code}");
    }
}

#[tokio::test]
async fn a_sickness_that_no_check_notices_costs_no_lesson() {
    for code in ["machine_failed", "step_failed"] {
        let (touched, dead) = one_of_seven_is_sick(code, false).await;
        assert!(touched <= 12 && dead == 0, "{code}: {touched} touched, {dead} dead");
    }
}

#[tokio::test]
async fn a_worker_that_refuses_every_file_costs_no_lesson() {
    let (_, dead) = one_of_seven_is_sick("unsupported_codec", false).await;
    assert_eq!(dead, 0);
}

#[tokio::test]
async fn a_machines_failure_goes_to_another_worker_uncounted_and_pauses_its_own() {
    let world = World::new().await;
    world.announce(&["a", "b"]).await;
    world.submit(1).await;
    let lease = world.lease("a").await.unwrap();
    let failed = world.fail(&lease, "disk_full").await;
    assert_eq!(failed.outcome, Outcome::Retry { after_ms: 0 });
    assert_eq!(failed.job.steps[0].attempts, 0);
    assert_eq!(failed.pause, Some(Pause { for_ms: 5_000, code: "disk_full".into() }));
    assert_eq!(world.offer("a", Occupancy::Idle).await, LeaseOffer::Paused(failed.pause.unwrap()));
    let lease = world.lease("b").await.unwrap();
    assert_eq!(lease.attempt, 1);
    let view = world.queue.complete(&lease, json!(1), &[]).await.unwrap();
    assert_eq!(view.state, JobState::Done);
    // Pauses double with each failure in a row; a step that went well ends that.
    for pause_ms in [10_000, 20_000] {
        world.pass(60_000);
        world.submit(1).await;
        let lease = world.lease("a").await.unwrap();
        assert_eq!(world.fail(&lease, "disk_full").await.pause.unwrap().for_ms, pause_ms);
    }
    world.pass(60_000);
    let lease = world.lease("a").await.unwrap();
    world.queue.complete(&lease, json!(1), &[]).await.unwrap();
    world.submit(1).await;
    let lease = world.lease("a").await.unwrap();
    assert_eq!(world.fail(&lease, "disk_full").await.pause.unwrap().for_ms, 5_000);
}

#[tokio::test]
async fn a_single_worker_tries_a_step_again_after_its_pause() {
    let world = World::new().await;
    world.announce(&["a"]).await;
    let id = &world.submit(1).await[0];
    for _ in 0..40 {
        world.announce(&["a"]).await;
        let lease = world.lease("a").await.expect("it is the only one");
        assert!(matches!(world.fail(&lease, "disk_full").await.outcome, Outcome::Retry { .. }));
        world.pass(301_000);
    }
    world.announce(&["a"]).await;
    let lease = world.lease("a").await.unwrap();
    world.queue.complete(&lease, json!(1), &[]).await.unwrap();
    assert_eq!(world.view(id).await.state, JobState::Done);
}

#[tokio::test]
async fn a_step_that_fails_on_healthy_machines_is_to_blame_itself() {
    let world = World::new().await;
    let id = world.submit(1).await.remove(0);
    let mut tries = 0;
    while world.view(&id).await.state != JobState::Failed {
        for worker in ["a", "b", "c"] {
            world.announce(&["a", "b", "c"]).await;
            if let Some(lease) = world.lease(worker).await {
                assert_eq!(lease.recording, id);
                world.fail(&lease, "disk_full").await;
                tries += 1;
            }
            // Everything else goes well there.
            world.pass(301_000);
            world.announce(&["a", "b", "c"]).await;
            let other = world.submit(1).await.remove(0);
            while let Some(lease) = world.lease(worker).await {
                if lease.recording == other {
                    world.queue.complete(&lease, json!(1), &[]).await.unwrap();
                    break;
                }
                world.fail(&lease, "disk_full").await;
                tries += 1;
                world.pass(301_000);
                world.announce(&["a", "b", "c"]).await;
            }
        }
        assert!(tries < 20, "it ends");
    }
    assert!((5..=8).contains(&tries), "{tries}");
}

#[tokio::test]
async fn a_refusal_is_confirmed_by_another_worker() {
    let world = World::new().await;
    world.announce(&["a", "b"]).await;
    let id = world.submit(1).await.remove(0);
    let lease = world.lease("a").await.unwrap();
    let failed = world.fail(&lease, "not_media").await;
    assert_eq!((failed.outcome, failed.pause), (Outcome::Retry { after_ms: 0 }, None));
    assert_eq!(world.lease("a").await, None, "another one is there");
    let lease = world.lease("b").await.unwrap();
    let failed = world.fail(&lease, "not_media").await;
    assert_eq!(failed.outcome, Outcome::JobFailed);
    assert_eq!(failed.job.failure.unwrap().blame, Blame::Input);
    // By hand it begins anew, with a confirmation of its own.
    world.queue.retry("t", &id).await.unwrap().unwrap();
    let lease = world.lease("a").await.unwrap();
    assert!(matches!(world.fail(&lease, "not_media").await.outcome, Outcome::Retry { .. }));
}

#[tokio::test]
async fn a_single_worker_confirms_its_refusal_at_once() {
    let world = World::new().await;
    world.announce(&["a"]).await;
    world.submit(1).await;
    for outcome in [Outcome::Retry { after_ms: 0 }, Outcome::JobFailed] {
        let lease = world.lease("a").await.unwrap();
        assert_eq!(world.fail(&lease, "not_media").await.outcome, outcome);
    }
}

#[tokio::test]
async fn a_refusal_that_another_worker_refutes_pauses_who_refused() {
    let world = World::new().await;
    world.announce(&["a", "b"]).await;
    world.submit(2).await;
    let lease = world.lease("a").await.unwrap();
    world.fail(&lease, "unsupported_codec").await;
    let lease = world.lease("b").await.unwrap();
    world.queue.complete(&lease, json!(1), &[]).await.unwrap();
    let pause = Pause { for_ms: 5_000, code: failure::REFUSAL_REFUTED.into() };
    assert_eq!(world.offer("a", Occupancy::Idle).await, LeaseOffer::Paused(pause));
}

#[tokio::test]
async fn only_inspection_may_refuse_a_file() {
    let world = World::new().await;
    world.announce(&["a", "b"]).await;
    world.queue.submit(&job("t", vec![step("ladder", &[])])).await.unwrap();
    let lease = world.lease("a").await.unwrap();
    let failed = world.fail(&lease, "decode_failed").await;
    assert!(matches!(failed.outcome, Outcome::Retry { .. }));
    assert_eq!(failed.job.steps[0].failure.as_ref().unwrap().blame, Blame::Internal);
}

#[tokio::test]
async fn what_cannot_run_here_is_tried_only_where_it_may() {
    let world = World::new().await;
    world.announce(&["a", "b"]).await;
    world.queue.submit(&job("t", vec![optional("transcribe", &[])])).await.unwrap();
    let lease = world.lease("a").await.unwrap();
    let failed = world.fail(&lease, "model_missing").await;
    assert_eq!((failed.outcome, failed.pause), (Outcome::Retry { after_ms: 0 }, None));
    assert_eq!(world.lease("a").await, None);
    let lease = world.lease("b").await.unwrap();
    // No worker is left.
    assert_eq!(world.fail(&lease, "model_missing").await.outcome, Outcome::OptionalFailed);
}

#[tokio::test]
async fn losses_are_no_tries_and_a_step_lost_twice_runs_alone() {
    let world = World::new().await;
    world.announce(&["a", "b"]).await;
    world.submit(1).await;
    for lost in 0..2 {
        let lease = world.lease("a").await.unwrap();
        assert_eq!((lease.attempt, lease.alone), (1, false), "{lost}");
        world.pass(LEASE_MS + 1);
        world.announce(&["a", "b"]).await;
    }
    assert_eq!(world.offer("b", Occupancy::Busy).await, LeaseOffer::Nothing, "an idle worker may have it");
    let LeaseOffer::Step(lease) = world.offer("b", Occupancy::Idle).await else { panic!("it is idle") };
    assert!(lease.alone && lease.attempt == 1);
    assert_eq!(world.view(&lease.recording).await.steps[0].losses, 2);
    // Where none is idle for long, the next one takes it and ends first what it runs.
    world.pass(LEASE_MS + 1);
    world.announce(&["a", "b"]).await;
    assert_eq!(world.offer("b", Occupancy::Busy).await, LeaseOffer::Nothing);
    world.pass(60_001);
    assert!(matches!(world.offer("b", Occupancy::Busy).await, LeaseOffer::Step(lease) if lease.alone));
}

#[tokio::test]
async fn a_step_is_offered_only_where_it_can_run() {
    let world = World::new().await;
    let transcribe = || StepSpec { requires: vec!["speech".into()], ..optional("transcribe", &[]) };
    let ask = async |worker, capabilities: &[&str]| {
        world.queue.announce(worker, capabilities, MachineCheck::NotMade).await.unwrap();
        let request = LeaseRequest { capabilities, ..idle(worker) };
        match world.queue.offer(&request).await.unwrap() {
            LeaseOffer::Step(lease) => Some(*lease),
            _ => None,
        }
    };
    assert_eq!(ask("able", &["other", "speech"]).await, None);
    world.queue.submit(&job("t", vec![transcribe()])).await.unwrap();
    assert_eq!(ask("plain", &["other"]).await, None, "an able one is there");
    let lease = ask("able", &["other", "speech"]).await.unwrap();
    // Given back, and lost with its worker: it stays among those that can.
    world.queue.release(&lease).await.unwrap();
    assert_eq!(ask("plain", &[]).await, None);
    let lease = ask("able", &["speech"]).await.unwrap();
    world.queue.complete(&lease, json!(1), &[]).await.unwrap();

    // Where no worker can do it, it fails at once with a clear code, and the lesson is complete.
    world.pass(60_000);
    world.queue.submit(&job("t", vec![transcribe()])).await.unwrap();
    let lease = ask("plain", &[]).await.unwrap();
    assert_eq!(world.fail(&lease, "model_missing").await.outcome, Outcome::OptionalFailed);
}
