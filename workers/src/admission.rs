//! What a worker takes next: as much as its cores, its memory and its disk have room for.
//!
//! A slot first asks for any step, or for a short one, with the room of the largest ordinary one
//! held for it. A step that turns out to be larger, or that must run alone, waits until others end.
//! Meanwhile only short steps begin, as long as a long one runs anyway.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use chalkstream_config as config;
use chalkstream_pipeline::media::MediaInfo;
use chalkstream_store::Occupancy;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::failure::{Cause, StepFailure};
use crate::machine;
use crate::steps::StepKind;
use crate::steps::cost::{Cost, Need};

/// Memory of the worker itself, in bytes.
const OWN_MEMORY_BYTES: u64 = 128 << 20;
/// Scratch space that stays free besides what a step takes, in bytes: what others still write.
const SPARE_DISK_BYTES: u64 = 256 << 20;
/// Scratch space with which a worker goes on that was paused for it, in bytes. It is more, so that
/// a worker does not pause and go on in turn.
const ENOUGH_DISK_BYTES: u64 = 2 * SPARE_DISK_BYTES;
/// A step that began within this time may not have all its memory yet.
const GROWING_TIME: Duration = Duration::from_secs(30);
/// Time between two looks at memory and disk while there is no room.
const LOOK_INTERVAL: Duration = Duration::from_secs(2);

/// A slot of a worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Slot {
    /// Takes any step.
    Any,
    /// Takes short steps, so that they never wait behind hours of the rest.
    Short,
}

/// What a worker may ask the queue for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ask {
    /// Whether only short steps have room.
    pub only_short: bool,
    /// What it does now.
    pub occupancy: Occupancy,
}

/// Why a worker asks for nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Full {
    /// Slots, cores or memory are taken.
    Taken,
    /// The scratch disk is nearly full.
    Disk,
}

/// What steps may have of a machine.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Capacity {
    /// Steps at once; `None` for as many as keep the cores busy.
    pub slots: Option<usize>,
    /// Cores.
    pub cores: usize,
    /// Memory, in bytes.
    pub memory_bytes: u64,
}

/// What is free on a machine now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Free {
    /// Memory, in bytes.
    pub memory_bytes: u64,
    /// Scratch space, in bytes.
    pub disk_bytes: u64,
}

impl Capacity {
    /// What the settings and this machine allow.
    pub fn new(settings: &config::Worker) -> Self {
        let given = settings.memory_bytes;
        let total = machine::memory().total_bytes;
        let total = if given > 0 { total.min(given) } else { total };
        Self {
            slots: Some(settings.slots as usize).filter(|&slots| slots > 0),
            cores: machine::cores(),
            memory_bytes: total.saturating_sub(OWN_MEMORY_BYTES),
        }
    }

    /// Steps of the most demanding ordinary kind that run at once, at least one.
    pub fn long_steps(&self) -> usize {
        let need = long_need();
        let by_memory =
            (self.memory_bytes.saturating_sub(short_need().memory_bytes) / need.memory_bytes) as usize;
        let by_cores = (self.cores as f64 / need.cores).ceil() as usize;
        self.slots.unwrap_or(by_cores).min(by_memory).max(1)
    }

    /// Whether memory, rather than cores or the settings, limits the steps at once.
    pub fn is_short_of_memory(&self) -> bool {
        self.long_steps() < Self { memory_bytes: u64::MAX, ..*self }.long_steps()
    }
}

/// The most that an ordinary step takes.
fn long_need() -> Need {
    Cost::LADDER.need(None).max(Cost::TRANSCRIBE.need(None))
}

/// The most that an ordinary short step takes.
fn short_need() -> Need {
    [Cost::AUDIO, Cost::INSPECT, Cost::SOURCE_RENDITION]
        .iter()
        .fold(Cost::STILLS.need(None), |need, cost| need.max(cost.need(None)))
}

/// Checks that the scratch folder has room to begin, or to go on after a pause.
///
/// # Errors
/// If it has not.
pub fn check_disk(scratch: &Path) -> Result<(), StepFailure> {
    let free = machine::free_disk_bytes(scratch).unwrap_or(u64::MAX);
    if free >= ENOUGH_DISK_BYTES {
        return Ok(());
    }
    Err(StepFailure::new(Cause::DiskFull, format!("{} MiB are free in the scratch folder", free >> 20)))
}

/// A step that runs, waits for room, or is being asked for.
#[derive(Clone, Copy, Debug)]
struct HeldSlot {
    slot: Slot,
    need: Need,
    state: HeldState,
    is_short: bool,
    is_alone: bool,
    since: Instant,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum HeldState {
    Asking,
    Waiting,
    Running,
}

/// The decisions, apart from time and machine.
#[derive(Debug)]
struct Ledger {
    capacity: Capacity,
    held: BTreeMap<u64, HeldSlot>,
    next: u64,
}

impl Ledger {
    fn in_state(&self, state: HeldState) -> impl Iterator<Item = &HeldSlot> {
        self.held.values().filter(move |held| held.state == state)
    }

    fn has_long_running(&self) -> bool {
        self.in_state(HeldState::Running).any(|held| !held.is_short && !held.is_alone)
    }

    /// Memory of what runs and of what is being asked for, but for one of them.
    fn memory_bytes_besides(&self, id: Option<u64>) -> u64 {
        let others =
            self.held.iter().filter(|(other, held)| Some(**other) != id && held.state != HeldState::Waiting);
        others.map(|(_, held)| held.need.memory_bytes).sum()
    }

    /// What a free slot may ask for, and the room that is held for the answer.
    fn decide(&self, slot: Slot, free: Free, now: Instant) -> Result<(Ask, Need), Full> {
        let is_empty = self.held.is_empty();
        // One that waits for room leaves its slot to short steps.
        let taken = self.held.values().filter(|held| held.slot == slot && held.state != HeldState::Waiting);
        let has_slot = match (slot, self.capacity.slots) {
            (Slot::Short, _) => taken.count() == 0,
            (Slot::Any, Some(slots)) => taken.count() < slots,
            (Slot::Any, None) => taken.map(|held| held.need.cores).sum::<f64>() < self.capacity.cores as f64,
        };
        if !has_slot || self.in_state(HeldState::Running).any(|held| held.is_alone) {
            return Err(Full::Taken);
        }
        let is_draining = self.in_state(HeldState::Waiting).next().is_some();
        if is_draining && !self.has_long_running() {
            return Err(Full::Taken);
        }
        let growing = self.held.values().filter(|held| {
            held.state == HeldState::Asking
                || held.state == HeldState::Running && now.duration_since(held.since) < GROWING_TIME
        });
        let growing_bytes: u64 = growing.map(|held| held.need.memory_bytes).sum();
        let has_memory = |need: Need| {
            let planned_bytes = self.memory_bytes_besides(None).saturating_add(need.memory_bytes);
            let has_now = free.memory_bytes >= growing_bytes.saturating_add(need.memory_bytes);
            // One step goes on however little there is: it may need less.
            is_empty || planned_bytes <= self.capacity.memory_bytes && has_now
        };
        let can_be_long = slot == Slot::Any && !is_draining && has_memory(long_need());
        let need = if can_be_long { long_need() } else { short_need() };
        if !can_be_long && !has_memory(need) {
            return Err(Full::Taken);
        }
        if free.disk_bytes < SPARE_DISK_BYTES + need.disk_bytes {
            return Err(Full::Disk);
        }
        let occupancy = match (is_draining, self.in_state(HeldState::Running).next()) {
            (true, _) => Occupancy::Draining,
            (false, None) => Occupancy::Idle,
            (false, Some(_)) => Occupancy::Busy,
        };
        Ok((Ask { only_short: !can_be_long, occupancy }, need))
    }

    fn add(&mut self, slot: Slot, need: Need, now: Instant) -> u64 {
        self.next += 1;
        let (state, is_short, is_alone) = (HeldState::Asking, true, false);
        self.held.insert(self.next, HeldSlot { slot, need, state, is_short, is_alone, since: now });
        self.next
    }

    /// Whether a step that was taken may begin.
    fn may_begin(&self, id: u64) -> bool {
        let Some(step) = self.held.get(&id) else { return true };
        let is_next = self.held.range(..id).all(|(_, other)| other.state != HeldState::Waiting);
        if !is_next && (!step.is_short || !self.has_long_running()) {
            return false;
        }
        let mut running = self.in_state(HeldState::Running);
        if running.next().is_none() {
            return true;
        }
        let planned_bytes = self.memory_bytes_besides(Some(id)).saturating_add(step.need.memory_bytes);
        !step.is_alone
            && self.in_state(HeldState::Running).all(|held| !held.is_alone)
            && planned_bytes <= self.capacity.memory_bytes
    }
}

/// Decides what a worker takes next.
pub struct Admission {
    ledger: Mutex<Ledger>,
    changed: Notify,
    scratch: PathBuf,
    step_memory_bytes: u64,
}

impl Admission {
    /// For this machine.
    pub fn new(settings: &config::Worker, capacity: Capacity, scratch: &Path) -> Arc<Self> {
        Arc::new(Self {
            ledger: Mutex::new(Ledger { capacity, held: BTreeMap::new(), next: 0 }),
            changed: Notify::new(),
            scratch: scratch.to_owned(),
            step_memory_bytes: settings.step_memory_bytes,
        })
    }

    fn with<T>(&self, change: impl FnOnce(&mut Ledger) -> T) -> T {
        change(&mut self.ledger.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn free(&self) -> Free {
        Free {
            memory_bytes: machine::memory().available_bytes,
            disk_bytes: machine::free_disk_bytes(&self.scratch).unwrap_or(u64::MAX),
        }
    }

    /// Memory that is planned for steps now, in bytes.
    pub fn planned_memory_bytes(&self) -> u64 {
        self.with(|ledger| ledger.memory_bytes_besides(None))
    }

    /// Free scratch space, in bytes.
    pub fn free_disk_bytes(&self) -> u64 {
        self.free().disk_bytes
    }

    /// Waits until a slot may ask for a step. [`Full::Disk`] at once if the disk is nearly full.
    pub async fn ask(self: &Arc<Self>, slot: Slot) -> Result<(StepPermit, Ask), Full> {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            // Registered before the look, so that no change is missed.
            changed.as_mut().enable();
            let (free, now) = (self.free(), Instant::now());
            let decided = self.with(|ledger| {
                let (ask, need) = ledger.decide(slot, free, now)?;
                Ok((ledger.add(slot, need, now), ask))
            });
            match decided {
                Ok((id, ask)) => return Ok((StepPermit { admission: Arc::clone(self), id }, ask)),
                Err(Full::Disk) => return Err(Full::Disk),
                Err(Full::Taken) => {}
            }
            tokio::select! {
                () = changed => {}
                () = tokio::time::sleep(LOOK_INTERVAL) => {}
            }
        }
    }
}

/// Room for one step; given back when it is dropped.
pub struct StepPermit {
    admission: Arc<Admission>,
    id: u64,
}

impl StepPermit {
    /// Waits until there is room for the step that was given.
    ///
    /// # Errors
    /// If it is cancelled meanwhile.
    pub async fn begin(
        &self,
        kind: StepKind,
        media: Option<&MediaInfo>,
        is_alone: bool,
        cancel: &CancellationToken,
    ) -> Result<(), StepFailure> {
        let definition = kind.definition();
        let mut need = definition.cost.need(media);
        // It is stopped if it takes more.
        need.memory_bytes = need.memory_bytes.min(self.admission.step_memory_bytes);
        self.admission.with(|ledger| {
            if let Some(held) = ledger.held.get_mut(&self.id) {
                *held = HeldSlot {
                    need,
                    is_alone,
                    is_short: definition.class.is_short(),
                    state: HeldState::Waiting,
                    ..*held
                };
            }
        });
        loop {
            let changed = self.admission.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            let begins = self.admission.with(|ledger| {
                let begins = ledger.may_begin(self.id);
                if let Some(held) = ledger.held.get_mut(&self.id).filter(|_| begins) {
                    (held.state, held.since) = (HeldState::Running, Instant::now());
                }
                begins
            });
            if begins {
                self.admission.changed.notify_waiters();
                return Ok(());
            }
            tokio::select! {
                () = changed => {}
                () = cancel.cancelled() => {
                    return Err(StepFailure::new(Cause::Cancelled, "the lease is over"));
                }
            }
        }
    }
}

impl Drop for StepPermit {
    fn drop(&mut self) {
        self.admission.with(|ledger| ledger.held.remove(&self.id));
        self.admission.changed.notify_waiters();
    }
}

#[cfg(test)]
mod tests;
