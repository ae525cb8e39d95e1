//! Watching a child: how long it has worked, when it last moved, how much memory and disk it holds.
//!
//! Time in which the child waits for us (storage that does not answer, outputs not yet taken)
//! counts neither towards its deadline nor as standing still: a slow store is not the recording's
//! fault. Nor does all of the time count in which it waits for a processor that others use.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use chalkstream_pipeline::cpu_clock::ContentionClock;

/// How often a child is looked at.
pub const TICK: Duration = Duration::from_millis(100);

/// Activity in and for a child. Shared by the parts that serve it.
#[derive(Debug, Default)]
pub struct Activity {
    moves: AtomicU64,
    waits: AtomicU32,
}

impl Activity {
    /// The child did something.
    pub fn moved(&self) {
        self.moves.fetch_add(1, Ordering::Relaxed);
    }

    /// The child waits for us until the answer is dropped.
    pub fn waiting(self: &Arc<Self>) -> Waiting {
        self.waits.fetch_add(1, Ordering::Relaxed);
        Waiting(Arc::clone(self))
    }
}

/// A time in which the child waits for us.
pub struct Waiting(Arc<Activity>);

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.waits.fetch_sub(1, Ordering::Relaxed);
        self.0.moved();
    }
}

/// Limits that are enforced from outside a child.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Longest time it may work.
    pub deadline: Duration,
    /// Longest time it may work without a sign of progress.
    pub stall: Duration,
    /// Most resident memory, in bytes.
    pub memory_bytes: u64,
    /// Most disk its folder may take, in bytes.
    pub disk_bytes: u64,
}

/// Why a child is stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It worked longer than its deadline.
    Deadline,
    /// It showed no progress.
    Stalled,
    /// It took too much memory.
    Memory,
    /// It took too much disk.
    Disk,
}

/// Sample of a child at one moment.
#[derive(Clone, Copy, Debug, Default)]
pub struct Seen {
    /// Events and returns so far.
    pub moves: u64,
    /// Whether it waits for us.
    pub waits: bool,
    /// Resident memory, in bytes.
    pub memory_bytes: u64,
    /// Disk its folder takes, in bytes.
    pub disk_bytes: u64,
}

/// Adds up what is seen of a child, and judges. Pure: the clock and the measures come from outside.
#[derive(Debug)]
pub struct Watchdog {
    bounds: Bounds,
    last_seen: Duration,
    worked: Duration,
    moves: u64,
    still: Duration,
}

impl Watchdog {
    /// A watchdog for a child that starts now.
    pub fn new(bounds: Bounds) -> Self {
        Self { bounds, last_seen: Duration::ZERO, worked: Duration::ZERO, moves: 0, still: Duration::ZERO }
    }

    /// Judges what was seen `since_start` after the child's start.
    pub fn judge(&mut self, since_start: Duration, seen: Seen) -> Option<Verdict> {
        let passed = since_start.saturating_sub(self.last_seen);
        self.last_seen = since_start;
        if !seen.waits {
            self.worked += passed;
            self.still += passed;
        }
        if seen.moves != self.moves {
            self.moves = seen.moves;
            self.still = Duration::ZERO;
        }
        if seen.memory_bytes > self.bounds.memory_bytes {
            Some(Verdict::Memory)
        } else if seen.disk_bytes > self.bounds.disk_bytes {
            Some(Verdict::Disk)
        } else if self.worked > self.bounds.deadline {
            Some(Verdict::Deadline)
        } else if self.still > self.bounds.stall {
            Some(Verdict::Stalled)
        } else {
            None
        }
    }
}

/// Looks at the child until it must be stopped.
pub async fn watch(pid: u32, folder: &Path, bounds: Bounds, activity: &Activity) -> Verdict {
    let clock = ContentionClock::for_process(pid);
    let mut watchdog = Watchdog::new(bounds);
    let mut ticks = tokio::time::interval(TICK);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut disk_bytes = 0;
    for tick in 0_u64.. {
        ticks.tick().await;
        if tick % 10 == 0 {
            disk_bytes = folder_bytes(folder, 0);
        }
        let seen = Seen {
            moves: activity.moves.load(Ordering::Relaxed),
            waits: activity.waits.load(Ordering::Relaxed) > 0,
            memory_bytes: resident_bytes(pid),
            disk_bytes,
        };
        if let Some(verdict) = watchdog.judge(clock.elapsed(), seen) {
            return verdict;
        }
    }
    Verdict::Deadline
}

/// Resident memory of a process, shared memory included, in bytes; 0 when it is gone.
fn resident_bytes(pid: u32) -> u64 {
    // The second field of statm is in pages of 4 KiB on every machine we build for (x86_64, aarch64
    // as Debian has it).
    let statm = std::fs::read_to_string(format!("/proc/{pid}/statm")).unwrap_or_default();
    statm.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok()).unwrap_or(0) * 4096
}

/// Disk a folder's files take, in bytes. A step's folder is four levels deep at most; links are not
/// followed.
fn folder_bytes(folder: &Path, depth: u32) -> u64 {
    let Ok(entries) = std::fs::read_dir(folder) else { return 0 };
    entries
        .flatten()
        .filter_map(|entry| Some((entry.path(), entry.metadata().ok()?)))
        .map(
            |(path, facts)| {
                if facts.is_dir() && depth < 6 { folder_bytes(&path, depth + 1) } else { facts.len() }
            },
        )
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: Bounds = Bounds {
        deadline: Duration::from_secs(10),
        stall: Duration::from_secs(3),
        memory_bytes: 1000,
        disk_bytes: 1000,
    };

    fn at(second: u64) -> Duration {
        Duration::from_secs(second)
    }

    #[test]
    fn a_child_that_moves_is_left_alone_until_its_deadline() {
        let mut watchdog = Watchdog::new(BOUNDS);
        for second in 1..=10 {
            assert_eq!(watchdog.judge(at(second), Seen { moves: second, ..Seen::default() }), None);
        }
        assert_eq!(watchdog.judge(at(11), Seen { moves: 11, ..Seen::default() }), Some(Verdict::Deadline));
    }

    #[test]
    fn a_child_that_stands_still_is_stopped() {
        let mut watchdog = Watchdog::new(BOUNDS);
        assert_eq!(watchdog.judge(at(3), Seen::default()), None);
        assert_eq!(watchdog.judge(at(4), Seen::default()), Some(Verdict::Stalled));
    }

    #[test]
    fn waiting_for_us_is_not_the_childs_time() {
        let mut watchdog = Watchdog::new(BOUNDS);
        for second in 1..=100 {
            assert_eq!(watchdog.judge(at(second), Seen { waits: true, ..Seen::default() }), None);
        }
        assert_eq!(watchdog.judge(at(104), Seen::default()), Some(Verdict::Stalled));
    }

    #[test]
    fn memory_and_disk_are_bounded() {
        let memory = Seen { memory_bytes: 1001, ..Seen::default() };
        let disk = Seen { disk_bytes: 1001, ..Seen::default() };
        assert_eq!(Watchdog::new(BOUNDS).judge(at(1), memory), Some(Verdict::Memory));
        assert_eq!(Watchdog::new(BOUNDS).judge(at(1), disk), Some(Verdict::Disk));
    }
}
