//! Which step a worker is given next.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

use super::workers::{World, idle};
use super::*;

/// Classes as [`StepSpec::priority`] has them.
pub(super) const LOOK: i64 = 0;
pub(super) const LISTEN: i64 = 10;
pub(super) const WEAK_LINE: i64 = 20;
pub(super) const WORDS: i64 = 30;
pub(super) const LADDER: i64 = 40;
const IDLE: i64 = 50;

/// A lease that outlives every simulation.
pub(super) const FOREVER_MS: u64 = 100 * 86_400_000;

/// Steps as they are given to an idle worker, until there are none.
async fn order(world: &World) -> Vec<Lease> {
    let mut given = Vec::new();
    while let Some(lease) = world.queue.lease("w", FOREVER_MS).await.unwrap() {
        given.push(lease);
    }
    given
}

fn costly(name: &str, priority: i64, cost_s: u64) -> StepSpec {
    StepSpec { priority, cost_ms: cost_s * 1_000, ..step(name, &[]) }
}

#[tokio::test]
async fn tenants_share_by_estimated_work() {
    let world = World::new().await;
    for _ in 0..40 {
        world.queue.submit(&job("hours", vec![costly("ladder", LADDER, 900)])).await.unwrap();
    }
    for _ in 0..400 {
        world.queue.submit(&job("minutes", vec![costly("ladder", LADDER, 60)])).await.unwrap();
        world.queue.submit(&job("words", vec![costly("transcribe", WORDS, 90)])).await.unwrap();
    }
    let mut work_s: BTreeMap<String, u64> = BTreeMap::new();
    let mut begun_s = 0;
    while begun_s < 30_000 {
        let lease = world.queue.lease("w", FOREVER_MS).await.unwrap().unwrap();
        let cost_s = match lease.tenant.as_str() {
            "hours" => 900,
            "minutes" => 60,
            _ => 90,
        };
        *work_s.entry(lease.tenant).or_default() += cost_s;
        begun_s += cost_s;
    }
    println!("work given to each tenant, in s: {work_s:?}");
    assert!(work_s.values().all(|work_s| (9_000..=11_000).contains(work_s)), "{work_s:?}");
    // One that comes back does not make up for when it had nothing to do.
    for _ in 0..400 {
        world.queue.submit(&job("new", vec![costly("ladder", LADDER, 100)])).await.unwrap();
    }
    let mut given = BTreeMap::<String, u32>::new();
    for _ in 0..60 {
        *given.entry(world.queue.lease("w", FOREVER_MS).await.unwrap().unwrap().tenant).or_default() += 1;
    }
    assert!(given["new"] < 30, "{given:?}");
}

#[tokio::test]
async fn a_tenants_steps_go_by_due_time_then_class_then_age() {
    let world = World::new().await;
    let now_ms = world.now_ms.load(Ordering::Relaxed);
    let submit = async |due_in_h: Option<u64>| {
        let due_at_ms = due_in_h.map(|hours| now_ms + hours * 3_600_000);
        let steps =
            vec![costly("ladder", LADDER, 1), costly("words", WORDS, 1), costly("weak", WEAK_LINE, 1)];
        let spec = JobSpec { due_at_ms, ..job("t", steps) };
        world.queue.submit(&spec).await.unwrap();
        world.pass(1_000);
        spec.recording
    };
    let (first, late, second, soon) =
        (submit(None).await, submit(Some(9)).await, submit(None).await, submit(Some(2)).await);
    let given = order(&world).await;
    let given: Vec<_> = given.iter().map(|lease| (lease.recording.as_str(), lease.step.as_str())).collect();
    let mut expected = Vec::new();
    for due in [&soon, &late] {
        expected.extend(["weak", "words", "ladder"].map(|name| (due.as_str(), name)));
    }
    for name in ["weak", "words", "ladder"] {
        expected.extend([&first, &second].map(|id| (id.as_str(), name)));
    }
    assert_eq!(given, expected);
}

#[tokio::test]
async fn no_class_waits_for_ever() {
    let world = World::new().await;
    let hour = 3_600_000;
    let old = job("t", vec![costly("ladder", LADDER, 900), costly("top", IDLE, 900)]);
    world.queue.submit(&old).await.unwrap();
    let other = job("other", vec![costly("top", IDLE, 900)]);
    world.queue.submit(&other).await.unwrap();
    let mut after_h = BTreeMap::new();
    // Two more weak lines an hour than there is time for.
    for hours in 0..96 {
        for _ in 0..6 {
            world.queue.submit(&job("t", vec![costly("weak", WEAK_LINE, 900)])).await.unwrap();
        }
        for _ in 0..4 {
            let lease = world.queue.lease("w", FOREVER_MS).await.unwrap().unwrap();
            if lease.step != "weak" {
                after_h.insert((lease.tenant.clone(), lease.step.clone()), hours);
            }
            world.queue.complete(&lease, json!(1), &[]).await.unwrap();
            world.pass(hour / 4);
        }
    }
    println!("behind more weak lines than there is time for, begun after hours: {after_h:?}");
    let after = |tenant: &str, step: &str| after_h[&(tenant.to_owned(), step.to_owned())];
    assert!((48..=80).contains(&after("t", "ladder")), "{after_h:?}");
    assert!((48..=80).contains(&after("t", "top")), "{after_h:?}");
    assert!((24..=25).contains(&after("other", "top")), "{after_h:?}");
}

#[tokio::test]
async fn idle_steps_wait_until_nothing_else_is_to_be_done() {
    let world = World::new().await;
    world.queue.submit(&job("a", vec![costly("top", IDLE, 1)])).await.unwrap();
    for _ in 0..3 {
        world.queue.submit(&job("b", vec![costly("ladder", LADDER, 2_000)])).await.unwrap();
    }
    let given: Vec<String> = order(&world).await.into_iter().map(|lease| lease.step).collect();
    assert_eq!(given, ["ladder", "ladder", "ladder", "top"]);
}

#[tokio::test]
async fn the_slot_for_short_steps_takes_no_other() {
    let world = World::new().await;
    let steps =
        [("weak", WEAK_LINE), ("words", WORDS), ("ladder", LADDER), ("sound", LISTEN), ("inspect", LOOK)];
    let steps = steps.map(|(name, class)| costly(name, class, 100)).to_vec();
    world.queue.submit(&job("a", steps.clone())).await.unwrap();
    // What a tenant had elsewhere does not count here.
    world.queue.submit(&job("b", steps)).await.unwrap();
    let mut given = Vec::new();
    let request = LeaseRequest { only_short: true, ..idle("w") };
    while let LeaseOffer::Step(lease) = world.queue.offer(&request).await.unwrap() {
        given.push((lease.tenant, lease.step));
    }
    let given: Vec<_> = given.iter().map(|(tenant, step)| (tenant.as_str(), step.as_str())).collect();
    assert_eq!(given, [("a", "inspect"), ("b", "inspect"), ("a", "sound"), ("b", "sound")]);
}

#[tokio::test]
async fn a_tenant_has_no_more_steps_at_once_than_the_cap() {
    let world = World::new().await;
    for _ in 0..5 {
        world.queue.submit(&job("a", vec![costly("ladder", LADDER, 1)])).await.unwrap();
    }
    world
        .queue
        .submit(&job("b", vec![costly("ladder", LADDER, 5_000), costly("weak", WEAK_LINE, 5_000)]))
        .await
        .unwrap();
    let ask = async || {
        let request = LeaseRequest { tenant_steps_max: 2, ..idle("w") };
        match world.queue.offer(&request).await.unwrap() {
            LeaseOffer::Step(lease) => Some(*lease),
            _ => None,
        }
    };
    let mut given = Vec::new();
    while let Some(lease) = ask().await {
        given.push(lease);
    }
    let of = |tenant: &str| given.iter().filter(|lease| lease.tenant == tenant).count();
    assert_eq!((of("a"), of("b")), (2, 2));
    let ended = given.iter().find(|lease| lease.tenant == "a").unwrap();
    world.queue.complete(ended, json!(1), &[]).await.unwrap();
    assert_eq!(ask().await.unwrap().tenant, "a");
    assert!(ask().await.is_none());
    // A file is looked at all the same.
    world.queue.submit(&job("a", vec![step("inspect", &[])])).await.unwrap();
    assert_eq!(ask().await.unwrap().step, "inspect");
}

#[tokio::test]
async fn tenants_at_their_cap_hide_no_other() {
    let world = World::new().await;
    let ladder = |tenant: &str| job(tenant, vec![costly("ladder", LADDER, 100)]);
    for n in 0..100 {
        for _ in 0..2 {
            world.queue.submit(&ladder(&format!("capped-{n}"))).await.unwrap();
        }
    }
    let request = LeaseRequest { tenant_steps_max: 1, lease_ms: FOREVER_MS, ..idle("w") };
    for _ in 0..100 {
        assert!(matches!(world.queue.offer(&request).await.unwrap(), LeaseOffer::Step(_)));
    }
    assert_eq!(world.queue.offer(&request).await.unwrap(), LeaseOffer::Nothing);
    world.queue.submit(&ladder("zoo")).await.unwrap();
    let LeaseOffer::Step(lease) = world.queue.offer(&request).await.unwrap() else { panic!("it waits") };
    assert_eq!(lease.tenant, "zoo");
}

#[tokio::test]
async fn steps_that_a_worker_may_not_take_hide_none_that_it_may() {
    let world = World::new().await;
    let announce = async || {
        for worker in ["a", "b"] {
            world.queue.announce(worker, &[], MachineCheck::NotMade).await.unwrap();
        }
    };
    announce().await;
    for _ in 0..40 {
        world.queue.submit(&job("t", vec![costly("ladder", LADDER, 900)])).await.unwrap();
        world.pass(1);
    }
    // A worker fails 20 of them, one after the other, with nothing that pauses it.
    for _ in 0..20 {
        let lease = world.queue.lease("a", FOREVER_MS).await.unwrap().unwrap();
        let failed = world.queue.fail(&lease, &failure("tool_missing")).await.unwrap();
        assert_eq!(failed.outcome, Outcome::Retry { after_ms: 0 });
    }
    let lease = world.queue.lease("a", FOREVER_MS).await.unwrap().expect("20 others wait");
    let view = world.queue.job("t", &lease.recording).await.unwrap().unwrap();
    assert_eq!(view.steps[0].failure, None);
    // The other worker takes the oldest, which are those.
    let lease = world.queue.lease("b", FOREVER_MS).await.unwrap().unwrap();
    let view = world.queue.job("t", &lease.recording).await.unwrap().unwrap();
    assert!(view.steps[0].failure.is_some());
    // Without the other one, they are the first's again.
    world.pass(60_000);
    world.queue.announce("a", &[], MachineCheck::NotMade).await.unwrap();
    assert_eq!(order_of(&world, "a").await, 38);
}

async fn order_of(world: &World, worker: &str) -> usize {
    let mut given = 0;
    while world.queue.lease(worker, FOREVER_MS).await.unwrap().is_some() {
        given += 1;
    }
    given
}

#[tokio::test]
async fn steps_that_run_alone_hide_no_others_and_one_at_a_time_drains_a_worker() {
    let world = World::new().await;
    for _ in 0..20 {
        world.queue.submit(&job("t", vec![costly("ladder", LADDER, 900)])).await.unwrap();
    }
    for _ in 0..2 {
        while world.queue.lease("lost", LEASE_MS).await.unwrap().is_some() {}
        world.pass(LEASE_MS + 1);
    }
    world.queue.submit(&job("t", vec![costly("ladder", LADDER, 900)])).await.unwrap();
    let ask = async |occupancy| {
        let request = LeaseRequest { occupancy, lease_ms: FOREVER_MS, ..idle("w") };
        match world.queue.offer(&request).await.unwrap() {
            LeaseOffer::Step(lease) => Some(lease.alone),
            _ => None,
        }
    };
    assert_eq!(ask(Occupancy::Busy).await, Some(false), "behind 20 that are an idle worker's");
    assert_eq!(ask(Occupancy::Busy).await, None);
    assert_eq!(ask(Occupancy::Idle).await, Some(true));
    world.pass(60_001);
    assert_eq!(ask(Occupancy::Draining).await, None, "it has one");
    assert_eq!(ask(Occupancy::Busy).await, Some(true));
}

#[tokio::test]
async fn jobs_that_an_earlier_build_queued_still_run() {
    let world = World::new().await;
    let old = |name: &str, priority| StepSpec { priority, ..step(name, &[]) };
    let words = StepSpec { requires: vec!["speech".into()], ..old("transcribe", 1) };
    let spec = job("t", vec![old("weak_line", 0), words, old("ladder", 1), old("ladder_top", 2)]);
    world.queue.submit(&spec).await.unwrap();
    // As that build left them: no cost, no lane, turns counted from 1.
    let job_key = format!("{}:job:t/{}", world.queue.inner.base, spec.recording);
    for name in ["weak_line", "transcribe", "ladder", "ladder_top"] {
        for field in ["cost", "lane", "ready_at"] {
            world.redis.command(&["HDEL", &job_key, &format!("{name}.{field}")]).await;
        }
    }
    for lane in ["0", "1", "1+speech", "2"] {
        world.redis.command(&["ZADD", &format!("{}:turns:{lane}", world.queue.inner.base), "7", "t"]).await;
    }
    world.redis.command(&["DEL", &format!("{}:idle", world.queue.inner.base)]).await;
    let new = job("t", vec![costly("stills", LISTEN, 10), costly("finish", LOOK, 1)]);
    world.queue.submit(&new).await.unwrap();
    let given: Vec<String> = order(&world).await.into_iter().map(|lease| lease.step).collect();
    assert_eq!(given, ["weak_line", "finish", "stills", "ladder", "transcribe", "ladder_top"]);
    // And one that is cancelled leaves no list.
    let gone = job("t", vec![old("ladder", 1)]);
    world.queue.submit(&gone).await.unwrap();
    let job_key = format!("{}:job:t/{}", world.queue.inner.base, gone.recording);
    world.redis.command(&["HDEL", &job_key, "ladder.lane"]).await;
    world.queue.cancel("t", &gone.recording).await.unwrap();
    assert_eq!(world.queue.stats().await.unwrap().ready, 0);
    assert!(order(&world).await.is_empty());
}

#[tokio::test]
async fn a_lease_looks_at_few_entries_however_many_wait() {
    let world = World::new().await;
    let calls = async || -> u64 {
        let mut info = redis::cmd("INFO");
        info.arg("commandstats");
        let text: String = world.queue.inner.main.query(&info, RetryOnDisconnect::Never).await.unwrap();
        let calls = text
            .lines()
            .filter_map(|line| line.split_once("calls=")?.1.split(',').next()?.parse::<u64>().ok());
        calls.sum()
    };
    let mut most = 0;
    for lessons in [10, 1_000] {
        for n in 0..lessons {
            let steps =
                [("weak", WEAK_LINE), ("words", WORDS), ("ladder", LADDER), ("sound", LISTEN), ("top", IDLE)];
            let steps = steps.map(|(name, class)| costly(name, class, 100)).to_vec();
            world.queue.submit(&job(&format!("t{}", n % 50), steps)).await.unwrap();
        }
        for only_short in [false, true] {
            let before = calls().await;
            let request = LeaseRequest { only_short, ..idle("w") };
            assert!(matches!(world.queue.offer(&request).await.unwrap(), LeaseOffer::Step(_)));
            let during = calls().await - before;
            println!("a lease among {lessons} lessons, short steps only: {only_short}: {during} commands");
            most = most.max(during);
        }
    }
    assert!(most < 80, "{most}");
}
