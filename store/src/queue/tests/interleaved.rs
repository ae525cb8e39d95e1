//! Whatever several workers do in whatever order, and whenever leases end: no result is accepted
//! under a stale fence, no finished step is run again, and every job comes to an end.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use super::*;

/// What a worker, or the sweeper, does next. Numbers choose among what there is at that moment.
#[derive(Clone, Copy, Debug)]
enum Act {
    Lease { ends: bool },
    Complete { which: usize, adds: bool },
    Fail { which: usize, code: &'static str },
    Heartbeat { which: usize, ends: bool },
    Release { which: usize },
    Sweep,
    Cancel,
    Retry,
}

fn act() -> impl Strategy<Value = Act> {
    let which = 0usize..1_000;
    let code = prop::sample::select(vec![
        NEVER,
        TWICE,
        COUNTED,
        OUTAGE,
        "disk_full",
        "model_missing",
        "step_killed",
        "not_media",
    ]);
    prop_oneof![
        6 => any::<bool>().prop_map(|ends| Act::Lease { ends }),
        5 => (which.clone(), any::<bool>()).prop_map(|(which, adds)| Act::Complete { which, adds }),
        3 => (which.clone(), code).prop_map(|(which, code)| Act::Fail { which, code }),
        2 => (which.clone(), any::<bool>()).prop_map(|(which, ends)| Act::Heartbeat { which, ends }),
        1 => which.prop_map(|which| Act::Release { which }),
        3 => Just(Act::Sweep),
        1 => Just(Act::Cancel),
        1 => Just(Act::Retry),
    ]
}

/// The facts that must hold of a job, by the answers alone.
#[derive(Default)]
struct Model {
    /// Every lease ever given, stale ones too: sleepers wake at any time.
    leases: Vec<Lease>,
    /// The last fence given for each step.
    owner: BTreeMap<String, u64>,
    /// Steps whose result was accepted, and under which fence.
    finished: BTreeMap<String, u64>,
    highest: u64,
}

impl Model {
    fn given(&mut self, lease: &Lease) {
        assert!(lease.fence > self.highest, "fences rise");
        assert!(!self.finished.contains_key(&lease.step), "a finished step is not run again");
        let needed: BTreeSet<&String> = lease.needs.keys().collect();
        assert!(needed.iter().all(|need| lease.needs[*need].is_none() || self.finished.contains_key(*need)));
        self.highest = lease.fence;
        self.owner.insert(lease.step.clone(), lease.fence);
        self.leases.push(lease.clone());
    }

    fn pick(&self, which: usize) -> Option<Lease> {
        (!self.leases.is_empty()).then(|| self.leases[which % self.leases.len()].clone())
    }

    fn accepted(&mut self, lease: &Lease, view: &JobView) {
        assert_eq!(self.owner[&lease.step], lease.fence, "a stale fence was accepted");
        if let Some(before) = self.finished.insert(lease.step.clone(), lease.fence) {
            assert_eq!(before, lease.fence, "a finished step was finished again");
        }
        assert_eq!(view.step(&lease.step).unwrap().result, Some(json!(lease.fence)));
        self.saw(view);
    }

    fn saw(&mut self, view: &JobView) {
        assert!(view.fence >= self.highest);
        self.highest = view.fence;
        for (step, fence) in &self.finished {
            let step = view.step(step).unwrap();
            assert_eq!(
                (step.state, step.result.clone()),
                (StepState::Done, Some(json!(fence))),
                "{}",
                step.name
            );
        }
    }
}

async fn play(queue: &Queue, acts: &[Act]) {
    let graph = vec![step("inspect", &[]), step("sound", &["inspect"]), optional("stills", &["inspect"])];
    let spec = job("t", graph);
    queue.submit(&spec).await.unwrap();
    let mut model = Model::default();
    for act in acts {
        match *act {
            Act::Lease { ends } => {
                let lease_ms = if ends { ENDED_MS } else { LEASE_MS };
                if let Some(lease) = queue.lease("w", lease_ms).await.unwrap() {
                    model.given(&lease);
                }
            }
            Act::Complete { which, adds } => {
                let Some(lease) = model.pick(which) else { continue };
                let more =
                    [step("transcode", &["inspect"]), step("publish", &["transcode", "sound", "stills"])];
                let more: &[StepSpec] = if adds { &more } else { &[] };
                match queue.complete(&lease, json!(lease.fence), more).await {
                    Ok(view) => model.accepted(&lease, &view),
                    Err(error) => assert_eq!(error.kind, Kind::Lost),
                }
            }
            Act::Fail { which, code } => {
                let Some(lease) = model.pick(which) else { continue };
                match queue.fail(&lease, &failure(code)).await {
                    Ok(failed) => {
                        assert_eq!(model.owner[&lease.step], lease.fence, "a stale failure was accepted");
                        assert!(!model.finished.contains_key(&lease.step));
                        if code == NEVER {
                            assert!(!matches!(failed.outcome, Outcome::Retry { .. }));
                        }
                        model.saw(&failed.job);
                    }
                    Err(error) => assert_eq!(error.kind, Kind::Lost),
                }
            }
            Act::Heartbeat { which, ends } => {
                let Some(lease) = model.pick(which) else { continue };
                let told =
                    queue.heartbeat(&lease, if ends { ENDED_MS } else { LEASE_MS }, None).await.unwrap();
                if told == Heartbeat::Continue {
                    assert_eq!(model.owner[&lease.step], lease.fence, "a stale lease was renewed");
                    assert!(!model.finished.contains_key(&lease.step));
                }
            }
            Act::Release { which } => {
                let Some(lease) = model.pick(which) else { continue };
                queue.release(&lease).await.unwrap();
            }
            Act::Sweep => queue.sweep(0).await.unwrap().iter().for_each(|view| model.saw(view)),
            Act::Cancel => {
                let view = queue.cancel("t", &spec.recording).await.unwrap().unwrap();
                assert!(view.state.is_terminal());
                model.saw(&view);
            }
            Act::Retry => {
                let view = queue.retry("t", &spec.recording).await.unwrap().unwrap();
                // By hand, what went on without an optional step is done anew.
                model.finished.retain(|step, _| view.step(step).unwrap().state == StepState::Done);
                model.saw(&view);
            }
        }
    }
    settle(queue, &spec, &mut model).await;
}

/// Workers that do their work, and holders of leases that never wake: the job ends.
async fn settle(queue: &Queue, spec: &JobSpec, model: &mut Model) {
    for lease in model.leases.clone() {
        // Those that still hold a step let it end.
        queue.heartbeat(&lease, ENDED_MS, None).await.unwrap();
    }
    for _ in 0..200 {
        queue.sweep(0).await.unwrap().iter().for_each(|view| model.saw(view));
        if let Some(lease) = queue.lease("w", LEASE_MS).await.unwrap() {
            model.given(&lease);
            let view = queue.complete(&lease, json!(lease.fence), &[]).await.unwrap();
            model.accepted(&lease, &view);
        }
        let view = queue.job("t", &spec.recording).await.unwrap().unwrap();
        if view.state.is_terminal() {
            assert!(view.steps.iter().all(|step| step.state.is_terminal()));
            let stats = queue.stats().await.unwrap();
            assert_eq!((stats.open, stats.leased, stats.delayed), (0, 0, 0));
            return;
        }
    }
    panic!("the job never ended");
}

#[test]
fn every_interleaving_keeps_the_promises() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let redis = runtime.block_on(RedisServer::start());
    let config = Config { cases: 150, failure_persistence: None, ..Config::default() };
    let strategy = prop::collection::vec(act(), 1..80);
    let played = TestRunner::new(config).run(&strategy, |acts| {
        let mut settings = redis.settings();
        settings.prefix = new_recording_id();
        let queue = Queue::connect_lazy(&settings).unwrap();
        let queue = queue.with_policy(AT_ONCE);
        runtime.block_on(play(&queue, &acts));
        Ok(())
    });
    played.unwrap();
}
