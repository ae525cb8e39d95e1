//! Time by which work is held to a limit, on machines that are busy with other work.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::source::{ReadAt, Source};

/// However busy the machine is, this part of the time that passes counts.
const MIN_SHARE: f64 = 0.25;

/// A clock that runs slower while a process's threads wait for a processor or a disk: a healthy decoder on a busy machine
/// may look like a frozen one, but a frozen one waits for neither. A program whose pages were put out of memory reads
/// them again wherever it runs. Where the kernel keeps no such figures it is a plain clock.
#[derive(Debug)]
pub struct ContentionClock {
    pid: u32,
    processors: f64,
    /// Time in which bytes were waited for, in ns.
    read_ns: AtomicU64,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    seen: Instant,
    used: Used,
    read_ns: u64,
    counted: Duration,
}

/// What all threads of a process have had so far.
#[derive(Clone, Copy, Debug, Default)]
struct Used {
    /// Time on a processor.
    ran: Duration,
    /// Time in which one was waited for.
    waited: Duration,
    /// How often a page had to be read.
    pages_read: u64,
    /// Whether a thread waits for a disk now.
    at_disk: bool,
}

impl ContentionClock {
    /// A clock for a process, which begins now.
    pub fn for_process(pid: u32) -> Self {
        let state = State { seen: Instant::now(), used: used(pid), read_ns: 0, counted: Duration::ZERO };
        let processors = std::thread::available_parallelism().map_or(1, usize::from) as f64;
        Self { pid, processors, read_ns: AtomicU64::new(0), state: Mutex::new(state) }
    }

    /// A clock for this process, which begins now.
    pub fn for_this_process() -> Self {
        Self::for_process(std::process::id())
    }

    /// What has passed since the beginning.
    pub fn elapsed(&self) -> Duration {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let (now, used) = (Instant::now(), used(self.pid));
        let passed = now - state.seen;
        let ran = used.ran.saturating_sub(state.used.ran);
        let waited = used.waited.saturating_sub(state.used.waited);
        let disk = used.at_disk || used.pages_read > state.used.pages_read;
        let read_ns = self.read_ns.load(Ordering::Relaxed);
        let read = Duration::from_nanos(read_ns - state.read_ns);
        let share = share(passed, ran, waited, self.processors, disk);
        let counted = passed.mul_f64(share).saturating_sub(read);
        let counted = state.counted + counted;
        *state = State { seen: now, used, read_ns, counted };
        counted
    }

    /// A source of which this clock leaves out the time that its bytes are waited for: a disk that writes other files is
    /// no fault of this one. Whoever gives the bytes says when there are none.
    pub fn reading(self: &Arc<Self>, inner: Source) -> Source {
        Arc::new(Timed { inner, clock: self.clone() })
    }
}

struct Timed {
    inner: Source,
    clock: Arc<ContentionClock>,
}

impl ReadAt for Timed {
    fn size_bytes(&self) -> u64 {
        self.inner.size_bytes()
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> std::io::Result<usize> {
        let begun = Instant::now();
        let read = self.inner.read_at(offset, buf);
        self.clock.read_ns.fetch_add(begun.elapsed().as_nanos() as u64, Ordering::Relaxed);
        read
    }
}

/// The part of a time that counts: all of it, less the part in which the process wanted to run and others did. A thread
/// that waits for one of the same process waits for nobody else: the part of the machine that it had counts in any case,
/// and nothing else where the `disk` was waited for.
fn share(passed: Duration, ran: Duration, waited: Duration, processors: f64, disk: bool) -> f64 {
    let wanted = (ran + waited).as_secs_f64();
    if passed.is_zero() || (wanted <= 0.0 && !disk) {
        return 1.0;
    }
    let had = (ran.as_secs_f64() / (passed.as_secs_f64() * processors)).min(1.0);
    if disk {
        return had.max(MIN_SHARE);
    }
    let wanting = (wanted / passed.as_secs_f64()).min(1.0);
    (1.0 - wanting * waited.as_secs_f64() / wanted).max(had).max(MIN_SHARE)
}

/// What a `stat` says: whether the thread waits for a disk, and how many pages it had to read.
fn told(stat: &str) -> (bool, u64) {
    // The program's name may hold anything.
    let after = stat.rsplit_once(") ").map_or("", |(_, after)| after);
    let mut fields = after.split(' ');
    (fields.next() == Some("D"), fields.nth(8).and_then(|pages| pages.parse().ok()).unwrap_or(0))
}

/// Adds up the first two fields of `schedstat` of all threads, in ns, and looks at what `stat` says.
fn used(pid: u32) -> Used {
    let stat = |path: &Path| told(&std::fs::read_to_string(path.join("stat")).unwrap_or_default());
    let (_, pages_read) = stat(Path::new(&format!("/proc/{pid}")));
    let mut used = Used { pages_read, ..Used::default() };
    let Ok(threads) = std::fs::read_dir(format!("/proc/{pid}/task")) else { return used };
    for thread in threads.flatten() {
        let text = std::fs::read_to_string(thread.path().join("schedstat")).unwrap_or_default();
        let mut ns = text.split_whitespace().filter_map(|field| field.parse().ok()).map(Duration::from_nanos);
        used.ran += ns.next().unwrap_or_default();
        used.waited += ns.next().unwrap_or_default();
        used.at_disk |= stat(&thread.path()).0;
    }
    used
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(passed: u64, ran: u64, waited: u64) -> f64 {
        let ms = Duration::from_millis;
        (share(ms(passed), ms(ran), ms(waited), 4.0, false) * 100.0).round() / 100.0
    }

    #[test]
    fn only_waiting_for_a_processor_slows_it() {
        // Idle or frozen, at work on a quiet machine, half of the time beside another, and hardly ever.
        assert_eq!(of(1000, 0, 0), 1.0);
        assert_eq!(of(1000, 1000, 0), 1.0);
        assert_eq!(of(1000, 500, 500), 0.5);
        assert_eq!(of(1000, 10, 990), MIN_SHARE);
        // Eight threads that have all four processors, and half of them; little work that waited for half of its time.
        assert_eq!(of(1000, 4000, 4000), 1.0);
        assert_eq!(of(1000, 2000, 6000), 0.5);
        assert_eq!(of(1000, 50, 50), 0.95);
        assert_eq!(of(0, 0, 0), 1.0);
    }

    #[test]
    fn while_pages_are_read_only_work_counts() {
        let of = |ran, waited| share(Duration::from_millis(1000), ran, waited, 4.0, true);
        assert_eq!(of(Duration::ZERO, Duration::ZERO), MIN_SHARE);
        assert_eq!(of(Duration::from_millis(2000), Duration::from_millis(500)), 0.5);
        assert_eq!(of(Duration::from_millis(4000), Duration::ZERO), 1.0);
    }

    #[test]
    fn the_kernels_figures_are_read() {
        let before = used(std::process::id());
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_millis(20) {}
        assert!(used(std::process::id()).ran > before.ran, "schedstat is there");
        assert_eq!(told("9900 (a) D (b) D 98 99 33 0 -1 4194304 101 0 17 0 0"), (true, 17));
        assert_eq!(told("9900 (cat) R 98 99 33 0 -1 4194304 101 0 1 0 0"), (false, 1));
        assert_eq!(told(""), (false, 0));
    }

    #[test]
    fn a_slow_disk_is_left_out() {
        struct Slow;
        impl ReadAt for Slow {
            fn size_bytes(&self) -> u64 {
                1
            }
            fn read_at(&self, _: u64, _: &mut [u8]) -> std::io::Result<usize> {
                let begun = Instant::now();
                while begun.elapsed() < Duration::from_millis(50) {
                    std::thread::yield_now();
                }
                Ok(1)
            }
        }
        let clock = Arc::new(ContentionClock::for_this_process());
        let source = clock.reading(Arc::new(Slow));
        for _ in 0..4 {
            assert_eq!(source.read_at(0, &mut [0]).unwrap_or_default(), 1);
        }
        assert!(clock.elapsed() < Duration::from_millis(100), "200 ms were reading");
    }

    #[test]
    fn it_never_runs_ahead_of_the_time_that_passes() {
        let (begun, clock) = (Instant::now(), ContentionClock::for_this_process());
        while begun.elapsed() < Duration::from_millis(20) {
            assert!(clock.elapsed() <= begun.elapsed());
        }
        assert!(clock.elapsed() > Duration::from_millis(4));
    }
}
