//! A clock for time limits of work on a busy machine.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::source::{ReadAt, Source};

/// Minimum share of the elapsed time that counts, however busy the machine is. At a quarter, a file
/// was called damaged because twenty other programs left its decoder a twentieth of a processor.
const MIN_SHARE: f64 = 0.05;
/// The same while a thread waits for a disk, which may hang.
const MIN_DISK_SHARE: f64 = 0.25;

/// A clock that runs slower while a process's threads wait for a processor or a disk.
///
/// On a busy machine a healthy decoder looks frozen to a plain clock. But a frozen one waits
/// neither for a processor nor for a disk, from which a program also reads its own evicted pages.
/// If the kernel keeps no such figures, this is a plain clock.
#[derive(Debug)]
pub struct ContentionClock {
    pid: u32,
    processors: f64,
    /// Time spent waiting for bytes of the source, in ns.
    read_ns: AtomicU64,
    state: Mutex<ClockState>,
}

#[derive(Debug)]
struct ClockState {
    seen: Instant,
    usage: ProcessUsage,
    read_ns: u64,
    counted: Duration,
}

/// Figures of all threads of a process so far.
#[derive(Clone, Copy, Debug, Default)]
struct ProcessUsage {
    /// Time on a processor.
    ran: Duration,
    /// Time spent waiting for a processor.
    waited: Duration,
    /// Number of pages read from disk.
    pages_read: u64,
    /// Whether a thread is waiting for a disk.
    at_disk: bool,
}

impl ContentionClock {
    /// Creates a clock for a process, which starts now.
    pub fn for_process(pid: u32) -> Self {
        let state = ClockState {
            seen: Instant::now(),
            usage: process_usage(pid),
            read_ns: 0,
            counted: Duration::ZERO,
        };
        let processors = std::thread::available_parallelism().map_or(1, usize::from) as f64;
        Self { pid, processors, read_ns: AtomicU64::new(0), state: Mutex::new(state) }
    }

    /// Creates a clock for this process, which starts now.
    pub fn for_this_process() -> Self {
        Self::for_process(std::process::id())
    }

    /// Returns the counted time since the start.
    pub fn elapsed(&self) -> Duration {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let (now, usage) = (Instant::now(), process_usage(self.pid));
        let passed = now - state.seen;
        let ran = usage.ran.saturating_sub(state.usage.ran);
        let waited = usage.waited.saturating_sub(state.usage.waited);
        let disk = usage.at_disk || usage.pages_read > state.usage.pages_read;
        let read_ns = self.read_ns.load(Ordering::Relaxed);
        let read = Duration::from_nanos(read_ns - state.read_ns);
        let share = counted_share(passed, ran, waited, self.processors, disk);
        let counted = passed.mul_f64(share).saturating_sub(read);
        let counted = state.counted + counted;
        *state = ClockState { seen: now, usage, read_ns, counted };
        counted
    }

    /// Wraps a source so that this clock leaves out the time of its reads.
    ///
    /// A disk that is busy with other files is no fault of this one. If the source fails, its reads
    /// return an error.
    pub fn timed_source(self: &Arc<Self>, inner: Source) -> Source {
        Arc::new(TimedSource { inner, clock: self.clone() })
    }
}

struct TimedSource {
    inner: Source,
    clock: Arc<ContentionClock>,
}

impl ReadAt for TimedSource {
    fn size_bytes(&self) -> u64 {
        self.inner.size_bytes()
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> std::io::Result<usize> {
        let started = Instant::now();
        let read = self.inner.read_at(offset, buf);
        self.clock.read_ns.fetch_add(started.elapsed().as_nanos() as u64, Ordering::Relaxed);
        read
    }
}

/// Returns the share of a time that counts.
///
/// Time does not count while the process is ready to run but another one has the processor. Its
/// threads also wait for one another. Therefore the share of the machine that the process had
/// always counts. If it waited for the `disk`, nothing else counts.
fn counted_share(passed: Duration, ran: Duration, waited: Duration, processors: f64, disk: bool) -> f64 {
    let wanted = (ran + waited).as_secs_f64();
    if passed.is_zero() || (wanted <= 0.0 && !disk) {
        return 1.0;
    }
    let had = (ran.as_secs_f64() / (passed.as_secs_f64() * processors)).min(1.0);
    if disk {
        return had.max(MIN_DISK_SHARE);
    }
    let wanting = (wanted / passed.as_secs_f64()).min(1.0);
    (1.0 - wanting * waited.as_secs_f64() / wanted).max(had).max(MIN_SHARE)
}

/// Reads from a `stat` whether the thread is waiting for a disk, and how many pages it has read.
fn parse_stat(stat: &str) -> (bool, u64) {
    // The program's name may contain anything.
    let after = stat.rsplit_once(") ").map_or("", |(_, after)| after);
    let mut fields = after.split(' ');
    (fields.next() == Some("D"), fields.nth(8).and_then(|pages| pages.parse().ok()).unwrap_or(0))
}

/// Sums up `schedstat` of all threads, whose first two fields are times in ns, and reads `stat`.
fn process_usage(pid: u32) -> ProcessUsage {
    let stat = |path: &Path| parse_stat(&std::fs::read_to_string(path.join("stat")).unwrap_or_default());
    let (_, pages_read) = stat(Path::new(&format!("/proc/{pid}")));
    let mut usage = ProcessUsage { pages_read, ..ProcessUsage::default() };
    let Ok(threads) = std::fs::read_dir(format!("/proc/{pid}/task")) else { return usage };
    for thread in threads.flatten() {
        let text = std::fs::read_to_string(thread.path().join("schedstat")).unwrap_or_default();
        let mut ns = text.split_whitespace().filter_map(|field| field.parse().ok()).map(Duration::from_nanos);
        usage.ran += ns.next().unwrap_or_default();
        usage.waited += ns.next().unwrap_or_default();
        usage.at_disk |= stat(&thread.path()).0;
    }
    usage
}

#[cfg(test)]
mod tests {
    use super::*;

    fn share(passed: u64, ran: u64, waited: u64) -> f64 {
        let ms = Duration::from_millis;
        (counted_share(ms(passed), ms(ran), ms(waited), 4.0, false) * 100.0).round() / 100.0
    }

    #[test]
    fn only_waiting_for_a_processor_slows_it() {
        // Idle or frozen, at work on a quiet machine, for half of the time, and hardly ever.
        assert_eq!(share(1000, 0, 0), 1.0);
        assert_eq!(share(1000, 1000, 0), 1.0);
        assert_eq!(share(1000, 500, 500), 0.5);
        assert_eq!(share(1000, 10, 990), MIN_SHARE);
        // Eight threads on all four processors, and on half of them. Then little work that waited
        // for half of its time.
        assert_eq!(share(1000, 4000, 4000), 1.0);
        assert_eq!(share(1000, 2000, 6000), 0.5);
        assert_eq!(share(1000, 50, 50), 0.95);
        assert_eq!(share(0, 0, 0), 1.0);
    }

    #[test]
    fn while_pages_are_read_only_work_counts() {
        let share = |ran, waited| counted_share(Duration::from_millis(1000), ran, waited, 4.0, true);
        assert_eq!(share(Duration::ZERO, Duration::ZERO), MIN_DISK_SHARE);
        assert_eq!(share(Duration::from_millis(2000), Duration::from_millis(500)), 0.5);
        assert_eq!(share(Duration::from_millis(4000), Duration::ZERO), 1.0);
    }

    #[test]
    fn the_kernels_figures_are_read() {
        let before = process_usage(std::process::id());
        let started = Instant::now();
        while started.elapsed() < Duration::from_millis(20) {}
        assert!(process_usage(std::process::id()).ran > before.ran, "schedstat is there");
        assert_eq!(parse_stat("9900 (a) D (b) D 98 99 33 0 -1 4194304 101 0 17 0 0"), (true, 17));
        assert_eq!(parse_stat("9900 (cat) R 98 99 33 0 -1 4194304 101 0 1 0 0"), (false, 1));
        assert_eq!(parse_stat(""), (false, 0));
    }

    #[test]
    fn a_slow_disk_is_left_out() {
        struct Slow;
        impl ReadAt for Slow {
            fn size_bytes(&self) -> u64 {
                1
            }
            fn read_at(&self, _: u64, _: &mut [u8]) -> std::io::Result<usize> {
                let started = Instant::now();
                while started.elapsed() < Duration::from_millis(50) {
                    std::thread::yield_now();
                }
                Ok(1)
            }
        }
        let clock = Arc::new(ContentionClock::for_this_process());
        let source = clock.timed_source(Arc::new(Slow));
        for _ in 0..4 {
            assert_eq!(source.read_at(0, &mut [0]).unwrap_or_default(), 1);
        }
        assert!(clock.elapsed() < Duration::from_millis(100), "200 ms were reading");
    }

    #[test]
    fn it_never_runs_ahead_of_the_time_that_passes() {
        let (started, clock) = (Instant::now(), ContentionClock::for_this_process());
        while started.elapsed() < Duration::from_millis(20) {
            assert!(clock.elapsed() <= started.elapsed());
        }
        assert!(clock.elapsed() > Duration::from_millis(20).mul_f64(MIN_SHARE / 2.0));
    }
}
