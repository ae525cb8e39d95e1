#![allow(clippy::unwrap_used)]

use serde_json::json;

use super::*;

const GIB: u64 = 1 << 30;
const PLENTY: Free = Free { memory_bytes: 1 << 40, disk_bytes: 1 << 40 };

fn ledger(cores: usize, memory_gib: f64) -> Ledger {
    let memory_bytes = (memory_gib * GIB as f64) as u64 - OWN_MEMORY_BYTES;
    Ledger { capacity: Capacity { slots: None, cores, memory_bytes }, held: BTreeMap::new(), next: 0 }
}

fn media(width: u32, height: u32) -> MediaInfo {
    let video = json!({
        "codec": "h264", "stream_index": 0, "width": width, "height": height,
        "frame_rate": { "num": 30, "den": 1 }, "variable_rate": false, "rotation_degrees": 0,
        "mirrored": false, "oriented_by_frame": false, "changes_size": false, "interlaced": false,
        "hdr": "none", "keyframes_apart_ms": 0, "chosen": null, "start_ms": 0, "end_ms": 5000,
    });
    let media = json!({
        "container": "mp4", "size_bytes": 1, "duration_ms": 5000, "video": video, "audio": null,
        "origin_ns": 0, "warnings": [],
    });
    serde_json::from_value(media).unwrap()
}

impl Ledger {
    /// Takes a step into a free slot; false if there is no room for one of its kind.
    fn take(&mut self, slot: Slot, kind: StepKind, free: Free, now: Instant) -> bool {
        let Ok((ask, need)) = self.decide(slot, free, now) else { return false };
        let is_short = kind.definition().class.is_short();
        if ask.only_short && !is_short {
            return false;
        }
        let id = self.add(slot, need, now);
        let need = kind.definition().cost.need(Some(&media(1920, 1080)));
        let held = self.held.get_mut(&id).unwrap();
        (held.need, held.is_short, held.state) = (need, is_short, HeldState::Running);
        true
    }

    fn memory_bytes(&self) -> u64 {
        self.memory_bytes_besides(None)
    }
}

/// Takes as many steps of a kind as there is room for.
fn fill(cores: usize, memory_gib: f64, kind: StepKind) -> Ledger {
    let mut ledger = ledger(cores, memory_gib);
    let now = Instant::now();
    while ledger.take(Slot::Any, kind, PLENTY, now) {
        assert!(ledger.held.len() < 100);
    }
    ledger.take(Slot::Short, StepKind::Stills, PLENTY, now);
    ledger
}

#[test]
fn no_machine_runs_out_of_memory() {
    for (cores, memory_gib) in [(1, 1.0), (2, 4.0), (10, 6.0), (16, 6.0), (16, 64.0)] {
        for kind in [StepKind::Ladder, StepKind::WeakLine, StepKind::Transcribe, StepKind::Stills] {
            let ledger = fill(cores, memory_gib, kind);
            let peak_bytes = ledger.memory_bytes() + OWN_MEMORY_BYTES;
            println!(
                "{cores} cores, {memory_gib} GiB: {} steps at once when all are {}, {} MiB",
                ledger.held.len(),
                kind.name(),
                peak_bytes >> 20
            );
            assert!(peak_bytes as f64 <= memory_gib * GIB as f64, "{cores} {memory_gib} {}", kind.name());
        }
    }
}

#[test]
fn cores_are_kept_busy_and_the_settings_bound_the_steps() {
    let ladders = |cores| fill(cores, 64.0, StepKind::Ladder).held.len();
    assert_eq!((ladders(1), ladders(2), ladders(10)), (2, 3, 7), "with the slot for short steps");
    let mut limited = ledger(16, 64.0);
    limited.capacity.slots = Some(2);
    let now = Instant::now();
    let taken = (0..9).filter(|_| limited.take(Slot::Any, StepKind::Ladder, PLENTY, now)).count();
    assert_eq!((taken, limited.capacity.long_steps()), (2, 2));
}

#[test]
fn other_programs_memory_is_left_to_them() {
    let mut ledger = ledger(8, 64.0);
    let now = Instant::now();
    let free = |memory_gib: u64| Free { memory_bytes: memory_gib * GIB, ..PLENTY };
    assert!(ledger.take(Slot::Any, StepKind::Ladder, free(1), now), "one goes on however little there is");
    assert!(!ledger.take(Slot::Any, StepKind::Ladder, free(1), now), "the first is still growing");
    let later = now + GROWING_TIME;
    assert!(ledger.take(Slot::Any, StepKind::Ladder, free(1), later));
    let none = Free { memory_bytes: 10 << 20, ..PLENTY };
    assert!(!ledger.take(Slot::Short, StepKind::Stills, none, later + GROWING_TIME));
}

#[test]
fn a_disk_that_is_nearly_full_pauses_leasing_before_a_step_fails() {
    let mut ledger = ledger(8, 64.0);
    let now = Instant::now();
    let disk = |mib: u64| Free { disk_bytes: mib << 20, ..PLENTY };
    assert_eq!(ledger.decide(Slot::Any, disk(200), now).unwrap_err(), Full::Disk);
    assert!(ledger.take(Slot::Any, StepKind::Ladder, disk(1_000), now));
    let spare_mib = SPARE_DISK_BYTES >> 20;
    assert_eq!(ledger.decide(Slot::Any, disk(spare_mib), now).unwrap_err(), Full::Disk);
    assert!(ledger.take(Slot::Any, StepKind::Ladder, disk(1_000), now), "it goes on by itself");
    let enough = Free { disk_bytes: ENOUGH_DISK_BYTES, ..PLENTY };
    assert!(ledger.decide(Slot::Any, enough, now).is_ok(), "with what ends a pause");
}

/// A worker of four cores and 2 GiB that was given a step of this frame size while two ladders run.
fn given_another(size: (u32, u32), is_alone: bool) -> (Ledger, u64) {
    let mut ledger = ledger(4, 2.0);
    let now = Instant::now();
    assert!(ledger.take(Slot::Any, StepKind::Ladder, PLENTY, now));
    assert!(ledger.take(Slot::Any, StepKind::Stills, PLENTY, now));
    let need = Cost::LADDER.need(Some(&media(size.0, size.1)));
    let id = ledger.add(Slot::Any, need, now);
    let held = ledger.held.get_mut(&id).unwrap();
    (held.state, held.is_short, held.is_alone) = (HeldState::Waiting, false, is_alone);
    (ledger, id)
}

#[test]
fn a_step_that_runs_alone_lets_short_ones_go_on_while_a_long_one_ends() {
    let (mut ledger, alone) = given_another((1920, 1080), true);
    let now = Instant::now();
    assert!(!ledger.may_begin(alone));
    let (ask, _) = ledger.decide(Slot::Any, PLENTY, now).unwrap();
    assert_eq!(ask, Ask { only_short: true, occupancy: Occupancy::Draining });
    let short = ledger.add(Slot::Short, short_need(), now);
    ledger.held.get_mut(&short).unwrap().state = HeldState::Waiting;
    assert!(ledger.may_begin(short));
    ledger.held.get_mut(&short).unwrap().state = HeldState::Running;
    // The long one ends: nothing begins, until the short ones have ended too.
    ledger.held.remove(&1);
    assert_eq!(ledger.decide(Slot::Any, PLENTY, now).unwrap_err(), Full::Taken);
    assert!(!ledger.may_begin(alone));
    ledger.held.remove(&2);
    ledger.held.remove(&short);
    assert!(ledger.may_begin(alone));
    ledger.held.get_mut(&alone).unwrap().state = HeldState::Running;
    assert_eq!(ledger.decide(Slot::Short, PLENTY, now).unwrap_err(), Full::Taken);
    ledger.held.remove(&alone);
    assert_eq!(ledger.decide(Slot::Any, PLENTY, now).unwrap().0.occupancy, Occupancy::Idle);
}

#[test]
fn a_step_that_is_larger_than_most_waits_for_room() {
    let (mut ledger, large) = given_another((7680, 4320), false);
    let need = ledger.held[&large].need.memory_bytes;
    assert!(need > ledger.capacity.memory_bytes / 2, "{need}");
    assert!(!ledger.may_begin(large));
    ledger.held.remove(&1);
    ledger.held.remove(&2);
    assert!(ledger.may_begin(large), "it is the only one, and is stopped if it takes too much");
    let (ledger, ordinary) = given_another((1920, 1080), false);
    assert!(ledger.may_begin(ordinary));
}

#[tokio::test]
async fn a_permit_waits_for_room_and_gives_it_back() {
    let scratch = tempfile::tempdir().unwrap();
    let settings = config::Worker { slots: 2, ..config::Worker::default() };
    let capacity = Capacity { slots: Some(2), cores: 2, memory_bytes: 64 * GIB };
    let admission = Admission::new(&settings, capacity, scratch.path());
    let cancel = CancellationToken::new();
    let (first, ask) = admission.ask(Slot::Any).await.unwrap();
    assert_eq!(ask, Ask { only_short: false, occupancy: Occupancy::Idle });
    first.begin(StepKind::Ladder, None, false, &cancel).await.unwrap();
    let (alone, ask) = admission.ask(Slot::Any).await.unwrap();
    assert_eq!(ask.occupancy, Occupancy::Busy);
    let cancelled = CancellationToken::new();
    cancelled.cancel();
    let failure = alone.begin(StepKind::Ladder, None, true, &cancelled).await.unwrap_err();
    assert_eq!(failure.cause, Cause::Cancelled);
    let (begun, ()) = tokio::join!(alone.begin(StepKind::Ladder, None, true, &cancel), async { drop(first) });
    begun.unwrap();
    // Nothing else is asked for until it ends.
    let asking = admission.ask(Slot::Short);
    tokio::pin!(asking);
    tokio::select! {
        biased;
        _ = &mut asking => panic!("it runs alone"),
        () = std::future::ready(()) => {}
    }
    drop(alone);
    asking.await.unwrap();
}
