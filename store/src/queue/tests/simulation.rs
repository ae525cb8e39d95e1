//! A worker with many lessons before it, simulated on the real scripts at the costs of docs/design.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

use super::order::{FOREVER_MS, LADDER, LISTEN, LOOK, WEAK_LINE, WORDS};
use super::workers::{World, idle};
use super::*;

/// The steps of a filmed lesson after its inspection: name, needs, class, CPU seconds of 45 minutes
/// in 1080p. docs/design/measurements.md has them.
const STEPS: [(&str, &[&str], i64, f64); 9] = [
    ("package_source", &["inspect"], LOOK, 0.15),
    ("publish_source", &["package_source"], LOOK, 0.1),
    ("sound", &["inspect"], LISTEN, 54.0),
    ("stills", &["inspect"], LISTEN, 81.0),
    ("publish_stills", &["publish_source", "sound", "stills"], LOOK, 0.1),
    ("weak_line", &["package_source", "sound", "stills"], WEAK_LINE, 900.0),
    ("transcribe", &["sound"], WORDS, 160.0),
    ("ladder", &["weak_line"], LADDER, 2_340.0),
    ("finish", &["publish_stills", "transcribe", "ladder"], LOOK, 0.1),
];
const INSPECT_S: f64 = 0.3;

fn cost_s(step: &str) -> f64 {
    STEPS.iter().find(|(name, ..)| *name == step).map_or(INSPECT_S, |(.., cost_s)| *cost_s)
}

/// The steps after inspection, in the classes of this build or of the ones before.
fn lesson(are_old_classes: bool) -> Vec<StepSpec> {
    let priority = |class: i64| match class {
        _ if !are_old_classes => class,
        LOOK..=WEAK_LINE => 0,
        _ => 1,
    };
    let specs = STEPS.iter().map(|(name, needs, class, cost_s)| StepSpec {
        priority: priority(*class),
        cost_ms: (cost_s * 1_000.0) as u64,
        ..step(name, needs)
    });
    specs.collect()
}

/// A step on a core.
struct Running {
    lease: Lease,
    remaining_s: f64,
    is_short_slot: bool,
}

/// What happened to a step, in seconds since the beginning.
#[derive(Clone, Copy, Debug, Default)]
struct Times {
    ready_s: f64,
    begun_s: f64,
    done_s: f64,
}

/// One worker with a slot for each core and the one for short steps, which share the cores.
struct Simulation {
    world: World,
    cores: usize,
    are_old_classes: bool,
    running: Vec<Running>,
    begun_ms: u64,
    times: BTreeMap<(String, String), Times>,
    /// Tenant, step, and when it began.
    begun: Vec<(String, String, f64)>,
}

impl Simulation {
    async fn new(cores: usize, are_old_classes: bool) -> Self {
        let world = World::new().await;
        let begun_ms = world.now_ms.load(Ordering::Relaxed);
        let (running, times, begun) = Default::default();
        Self { world, cores, are_old_classes, running, begun_ms, times, begun }
    }

    fn now_s(&self) -> f64 {
        (self.world.now_ms.load(Ordering::Relaxed) - self.begun_ms) as f64 / 1_000.0
    }

    async fn submit(&mut self, tenant: &str, lessons: usize) -> Vec<String> {
        let mut ids = Vec::new();
        for _ in 0..lessons {
            let spec = job(tenant, vec![StepSpec { cost_ms: 500, ..step("inspect", &[]) }]);
            self.world.queue.submit(&spec).await.unwrap();
            self.times.entry((spec.recording.clone(), "inspect".into())).or_default().ready_s = self.now_s();
            ids.push(spec.recording);
        }
        ids
    }

    async fn fill(&mut self, is_short_slot: bool) {
        let slots = if is_short_slot { 1 } else { self.cores };
        while self.running.iter().filter(|running| running.is_short_slot == is_short_slot).count() < slots {
            let request = LeaseRequest { only_short: is_short_slot, lease_ms: FOREVER_MS, ..idle("w") };
            let LeaseOffer::Step(lease) = self.world.queue.offer(&request).await.unwrap() else { return };
            let now_s = self.now_s();
            let times = self.times.entry((lease.recording.clone(), lease.step.clone())).or_default();
            times.begun_s = now_s;
            self.begun.push((lease.tenant.clone(), lease.step.clone(), now_s));
            self.running.push(Running { remaining_s: cost_s(&lease.step), lease: *lease, is_short_slot });
        }
    }

    /// Goes on to the end of the next step; false if there is none.
    async fn advance(&mut self) -> bool {
        self.fill(false).await;
        self.fill(true).await;
        let next =
            self.running.iter().enumerate().min_by(|(_, a), (_, b)| a.remaining_s.total_cmp(&b.remaining_s));
        let Some((index, next)) = next else { return false };
        let speed = (self.cores as f64 / self.running.len() as f64).min(1.0);
        let passed_ms = (next.remaining_s / speed * 1_000.0).ceil() as u64;
        self.world.pass(passed_ms);
        let ended = self.running.swap_remove(index);
        let work_s = ended.remaining_s;
        self.running.iter_mut().for_each(|other| other.remaining_s = (other.remaining_s - work_s).max(0.0));
        let added = if ended.lease.step == "inspect" { lesson(self.are_old_classes) } else { Vec::new() };
        let view = self.world.queue.complete(&ended.lease, json!(1), &added).await.unwrap();
        let now_s = self.now_s();
        let recording = &ended.lease.recording;
        self.times.entry((recording.clone(), ended.lease.step.clone())).or_default().done_s = now_s;
        for step in view.steps.iter().filter(|step| step.state == StepState::Ready) {
            let key = (recording.clone(), step.name.clone());
            self.times.entry(key).or_insert(Times { ready_s: now_s, ..Times::default() });
        }
        true
    }

    /// When the last of these lessons ended a step.
    fn last_done_s(&self, step: &str) -> f64 {
        let done = self.times.iter().filter(|((_, name), _)| name == step).map(|(_, times)| times.done_s);
        done.fold(0.0, f64::max)
    }

    fn of(&self, recording: &str, step: &str) -> Times {
        self.times[&(recording.to_owned(), step.to_owned())]
    }
}

/// When the last lesson could be watched, when the last weak line and the last lesson were ready.
async fn fifty_lessons(are_old_classes: bool) -> [f64; 3] {
    let mut simulation = Simulation::new(1, are_old_classes).await;
    simulation.submit("t", 50).await;
    while simulation.advance().await {}
    let order = if are_old_classes { "order of earlier builds" } else { "six classes" };
    let [playable, weak_line, all] =
        ["publish_source", "weak_line", "finish"].map(|step| simulation.last_done_s(step));
    println!(
        "50 lessons of 45 min on one core, {order}: the last playable after {playable:.1} s, \
         the last weak line after {:.2} h, all after {:.2} h",
        weak_line / 3_600.0,
        all / 3_600.0
    );
    [playable, weak_line, all]
}

#[tokio::test]
async fn the_last_of_fifty_lessons_is_playable_within_a_minute() {
    let before = fifty_lessons(true).await;
    let after = fifty_lessons(false).await;
    assert!(after[0] <= 60.0 && before[0] > 3_600.0, "{before:?} {after:?}");
    // A step's end is rounded up to a millisecond.
    assert!(after[1] <= before[1] + 1.0 && after[2] <= before[2] + 1.0, "{before:?} {after:?}");
}

/// Waits of another tenant's lesson behind 500 that came `head_start_s` before.
async fn one_behind_500(head_start_s: f64) {
    let mut simulation = Simulation::new(2, false).await;
    simulation.submit("large", 500).await;
    while simulation.now_s() < head_start_s && simulation.advance().await {}
    let submitted_s = simulation.now_s();
    let one = simulation.submit("small", 1).await.remove(0);
    while simulation.times.get(&(one.clone(), "finish".into())).is_none_or(|times| times.done_s == 0.0) {
        assert!(simulation.advance().await);
    }
    let playable_s = simulation.of(&one, "publish_source").done_s - submitted_s;
    let ready_s = simulation.of(&one, "finish").done_s - submitted_s;
    println!(
        "one lesson {:.1} h after 500 of another tenant, two cores: playable after {playable_s:.1} s, ready after {:.2} h",
        head_start_s / 3_600.0,
        ready_s / 3_600.0
    );
    assert!(playable_s < 10.0, "{playable_s}");
    for step in ["transcribe", "ladder"] {
        let times = simulation.of(&one, step);
        let wait_s = times.begun_s - times.ready_s;
        let between = simulation.begun.iter().filter(|(tenant, name, begun_s)| {
            tenant == "large" && cost_s(name) > 100.0 && *begun_s > times.ready_s && *begun_s < times.begun_s
        });
        let between = between.count();
        println!("  {step} waits {wait_s:.0} s; {between} long steps of the other tenant begin meanwhile");
        assert!(between <= 2, "{step}: {between}");
        // Three steps share two cores.
        assert!(wait_s <= 2.0 * 900.0 * 1.5, "{step}: {wait_s}");
    }
}

#[tokio::test]
async fn a_lesson_behind_500_of_another_tenant_gets_words_and_ladder_within_two_running_steps() {
    for head_start_h in [0.0, 3.0, 16.0] {
        one_behind_500(head_start_h * 3_600.0).await;
    }
}
