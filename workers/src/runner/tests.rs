//! The sandbox and the watchdog, shown on real children: this test binary started again.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::io::Write;
use std::sync::Mutex;

use futures_util::future::BoxFuture;

use super::outputs::{NoOutputs, Output};
use super::*;

/// The child of the tests below: the test binary again, through a shell that moves the events'
/// descriptor out of the way of what the test harness prints. It takes no part in an ordinary run.
#[test]
fn the_child_of_the_other_tests() {
    if !std::env::args().any(|argument| argument == "--exact") || !Path::new("/proc/self/fd/9").exists() {
        return;
    }
    let events = File::options().write(true).open("/proc/self/fd/9").unwrap();
    child::run(events);
    std::process::exit(0);
}

fn runner(scratch: &Path) -> Runner {
    let settings = chalkstream_config::Worker {
        step_memory_bytes: 512 << 20,
        step_file_bytes: 64 << 20,
        // Long enough for a busy machine to fill half a gigabyte.
        step_stall_ms: 4_000,
        ..Default::default()
    };
    let mut runner = Runner::new(&settings, scratch);
    let this = std::env::current_exe().unwrap();
    runner.program = "/bin/sh".into();
    runner.arguments = vec![
        "-c".into(),
        "exec \"$0\" runner::tests::the_child_of_the_other_tests --exact --nocapture --test-threads=1 9>&1 1>&2"
            .into(),
        this.display().to_string(),
    ];
    runner
}

async fn probe(probe: Probe) -> Result<Value, StepFailure> {
    let scratch = tempfile::tempdir().unwrap();
    let result = runner(scratch.path()).probe(probe).await;
    let left: Vec<_> = std::fs::read_dir(scratch.path()).unwrap().collect();
    assert!(left.is_empty(), "a step's folder is gone with it: {left:?}");
    result
}

async fn stopped_by(attempt: Probe) -> Cause {
    let failure = probe(attempt).await.expect_err("something stops the child");
    assert!(!failure.detail.is_empty(), "the log is told why");
    failure.cause
}

#[tokio::test]
async fn a_child_that_does_nothing_wrong_is_left_alone() {
    probe(Probe::Nothing).await.unwrap();
}

#[tokio::test]
async fn a_child_that_opens_an_internet_socket_is_killed() {
    assert_eq!(stopped_by(Probe::Socket).await, Cause::Sandbox);
}

#[tokio::test]
async fn a_child_that_takes_4_gb_is_stopped() {
    assert_eq!(stopped_by(Probe::Memory(4 << 30)).await, Cause::Memory);
}

#[tokio::test]
async fn a_child_that_takes_4_gb_of_shared_memory_is_stopped() {
    assert_eq!(stopped_by(Probe::SharedMemory(4 << 30)).await, Cause::Memory);
}

#[tokio::test]
async fn a_child_that_writes_a_large_file_is_stopped() {
    assert_eq!(stopped_by(Probe::File(65 << 20)).await, Cause::Disk);
}

#[tokio::test]
async fn a_child_can_neither_start_a_program_nor_reach_a_unix_socket() {
    for attempt in [Probe::Execute, Probe::Connect, Probe::Datagram] {
        let failure = probe(attempt).await.unwrap_err();
        assert_eq!(failure.cause, Cause::Reported, "refused, and the child says so");
        assert!(failure.detail.contains("not permitted"), "{}", failure.detail);
    }
}

#[tokio::test]
async fn a_child_that_stands_still_is_stopped() {
    assert_eq!(stopped_by(Probe::Silence).await, Cause::Stalled);
}

#[tokio::test]
async fn a_child_that_closes_its_events_and_stays_is_stopped() {
    assert_eq!(stopped_by(Probe::Hush).await, Cause::Stalled);
}

#[tokio::test]
async fn a_full_disk_is_told_from_one_with_room() {
    let folder = tempfile::tempdir().unwrap();
    check_disk(&folder.path().join("room")).await.unwrap();
    assert!(std::fs::read_dir(folder.path()).unwrap().next().is_none());
    // A link, so that only the link is removed.
    let full = folder.path().join("full");
    std::os::unix::fs::symlink("/dev/full", &full).unwrap();
    assert_eq!(check_disk(&full).await.unwrap_err().cause, Cause::DiskFull);
}

#[tokio::test]
async fn a_child_that_only_talks_meets_its_deadline() {
    let scratch = tempfile::tempdir().unwrap();
    let work = Work {
        deadline: Duration::from_millis(1_500),
        ..Work::quiet("talks", WorkTask::Probe(Probe::Chatter))
    };
    let failure = runner(scratch.path()).run(work, &NoOutputs).await.unwrap_err();
    assert_eq!(failure.cause, Cause::Deadline);
}

#[tokio::test]
async fn a_crash_costs_the_step_alone() {
    assert_eq!(stopped_by(Probe::Crash).await, Cause::Crashed);
}

#[tokio::test]
async fn an_output_outside_the_folder_is_refused() {
    assert_eq!(stopped_by(Probe::Escape).await, Cause::Unverified);
}

#[tokio::test]
async fn a_request_to_stop_ends_the_child() {
    let scratch = tempfile::tempdir().unwrap();
    let runner = runner(scratch.path());
    let work = Work::quiet("cancelled", WorkTask::Probe(Probe::Chatter));
    let (cancel, mut progress) = (work.cancel.clone(), work.progress.subscribe());
    let run = tokio::spawn(async move { runner.run(work, &NoOutputs).await });
    progress.changed().await.unwrap();
    cancel.cancel();
    assert_eq!(run.await.unwrap().unwrap_err().cause, Cause::Cancelled);
}

#[tokio::test]
async fn a_dropped_run_kills_its_child() {
    let scratch = tempfile::tempdir().unwrap();
    let runner = runner(scratch.path());
    let folder = scratch.path().join("dropped");
    let work = Work::quiet("dropped", WorkTask::Probe(Probe::Chatter));
    let mut progress = work.progress.subscribe();
    let run = tokio::spawn(async move { runner.run(work, &NoOutputs).await });
    progress.changed().await.unwrap();
    run.abort();
    assert!(run.await.unwrap_err().is_cancelled());
    // The child's pipe to us closes when it is dead; its folder went with the run.
    assert!(progress.changed().await.is_err());
    assert!(!folder.exists());
}

/// Remembers what it took, and that it had it while it was taken.
#[derive(Default)]
struct MemorySink(Mutex<BTreeSet<String>>);

impl OutputSink for MemorySink {
    fn take(&self, output: Output) -> BoxFuture<'_, Result<(), StepFailure>> {
        Box::pin(async move {
            // Slower than the child: it has to wait.
            tokio::task::yield_now().await;
            let size = std::fs::metadata(&output.file).map_err(StepFailure::ours)?.len();
            assert_eq!(size, output.size_bytes);
            self.0.lock().unwrap().insert(output.path);
            Ok(())
        })
    }
}

#[tokio::test]
async fn every_output_is_taken_once_and_deleted() {
    let scratch = tempfile::tempdir().unwrap();
    let work = Work::quiet("outputs", WorkTask::Probe(Probe::Outputs(300)));
    let sink = MemorySink::default();
    runner(scratch.path()).run(work, &sink).await.unwrap();
    assert_eq!(sink.0.lock().unwrap().len(), 300);
}

#[tokio::test]
async fn a_step_that_makes_too_much_is_stopped() {
    let scratch = tempfile::tempdir().unwrap();
    let work = Work::quiet("much", WorkTask::Probe(Probe::Outputs(300)));
    let sink = MemorySink::default();
    let mut runner = runner(scratch.path());
    // An output is "segment 1" and so on.
    runner.output_bytes = 100;
    let failure = runner.run(work, &sink).await.unwrap_err();
    assert_eq!((failure.cause, failure.code.as_str()), (Cause::Output, "output_too_large"));
    assert!(sink.0.lock().unwrap().len() <= 10);
}

/// A store that is full.
struct Full;

impl OutputSink for Full {
    fn take(&self, _output: Output) -> BoxFuture<'_, Result<(), StepFailure>> {
        Box::pin(std::future::ready(Err(StepFailure::new(Cause::Storage, "full"))))
    }
}

#[tokio::test]
async fn a_store_that_takes_nothing_stops_the_step() {
    let scratch = tempfile::tempdir().unwrap();
    let work = Work::quiet("full", WorkTask::Probe(Probe::Outputs(300)));
    let failure = runner(scratch.path()).run(work, &Full).await.unwrap_err();
    assert_eq!(failure.cause, Cause::Storage);
}

#[tokio::test]
async fn a_child_reads_the_file_it_is_given() {
    let scratch = tempfile::tempdir().unwrap();
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(&[7; 1000]).unwrap();
    let work = Work { source: Source::File(file), ..Work::quiet("reads", WorkTask::Probe(Probe::Read)) };
    let read = runner(scratch.path()).run(work, &NoOutputs).await.unwrap();
    assert_eq!(read["size_bytes"], 1000);
}

#[tokio::test]
async fn a_missing_program_is_the_machines_fault() {
    let scratch = tempfile::tempdir().unwrap();
    let mut runner = runner(scratch.path());
    runner.program = "/nowhere/chalkstream".into();
    assert_eq!(runner.probe(Probe::Nothing).await.unwrap_err().cause, Cause::Machine);
}

/// A worker that dies takes its children with it: this process starts one that starts a child, and
/// is killed.
#[test]
fn a_child_dies_with_its_worker() {
    let scratch = tempfile::tempdir().unwrap();
    let mut worker = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["runner::tests::the_worker_of_the_test_above", "--exact", "--nocapture"])
        .env("CHALKSTREAM_TEST_SCRATCH", scratch.path())
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut complaints = io::BufReader::new(worker.stderr.take().unwrap());
    let mut child = 0;
    let mut line = String::new();
    while child == 0 && io::BufRead::read_line(&mut complaints, &mut line).unwrap() > 0 {
        child = line.trim().strip_prefix("child ").map_or(0, |pid| pid.parse().unwrap());
        line.clear();
    }
    assert_ne!(child, 0, "the worker never had a child");
    let alive = |pid: i32| {
        std::fs::read_to_string(format!("/proc/{pid}/stat"))
            .is_ok_and(|stat| !stat.rsplit(") ").next().unwrap_or("Z").starts_with('Z'))
    };
    assert!(alive(child));
    worker.kill().unwrap();
    worker.wait().unwrap();
    let limit = std::time::Instant::now() + Duration::from_secs(2);
    while alive(child) {
        assert!(std::time::Instant::now() < limit, "the child outlived its worker by two seconds");
        std::thread::yield_now();
    }
}

#[test]
fn the_worker_of_the_test_above() {
    let Some(scratch) = std::env::var_os("CHALKSTREAM_TEST_SCRATCH") else { return };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let runner = runner(Path::new(&scratch));
        let work = Work::quiet("orphan", WorkTask::Probe(Probe::Chatter));
        let mut progress = work.progress.subscribe();
        let run = tokio::spawn(async move { runner.run(work, &NoOutputs).await });
        progress.changed().await.unwrap();
        let this = std::process::id();
        let children = std::fs::read_to_string(format!("/proc/{this}/task/{this}/children"));
        let mut pids = children.unwrap_or_default();
        for task in std::fs::read_dir("/proc/self/task").unwrap().flatten() {
            pids += &std::fs::read_to_string(task.path().join("children")).unwrap_or_default();
        }
        let child: u32 = pids.split_whitespace().next().unwrap().parse().unwrap();
        writeln!(io::stderr(), "child {child}").unwrap();
        run.await.unwrap().unwrap();
    });
}
