//! Runs one step as a child process that may crash, hang or be hostile, and returns its report.

pub mod child;
mod environment;
mod graphs;
pub mod outputs;
mod pipes;
mod probe;
pub mod protocol;
pub mod ranges;
mod sandbox;
mod seccomp;
mod spawn;
mod watch;

#[cfg(test)]
mod tests;

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use chalkstream_pipeline::context::StepEvent;
use chalkstream_pipeline::step::{SourceHandle, Step, StepRequest};
pub use chalkstream_store::Progress;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use serde_json::Value;
use tokio::io::AsyncWriteExt;
use tokio::sync::watch as channel;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::failure::{Cause, StepFailure};
use outputs::OutputSink;
use protocol::{ChildLimits, ChildRequest, Probe, Task};
use ranges::RangeReader;
use watch::{Activity, Bounds, Verdict};

pub use spawn::die_with_parent;

/// Outputs taken at once; with as many more waiting, a child waits too.
const MAX_OUTPUTS_AT_ONCE: usize = 4;

/// Descriptors a child may hold: a source, plug-ins, outputs and the encoders' threads need a few
/// dozen.
const MAX_OPEN_FILES: u64 = 512;

/// Source of a child.
pub enum Source {
    /// The task reads none.
    Nothing,
    /// A local file, handed over as it is.
    File(File),
    /// Somewhere else: the parent answers range reads.
    Ranges {
        /// Size, in bytes.
        size_bytes: u64,
        /// Reader of the source.
        reader: Arc<dyn RangeReader>,
    },
}

/// One task for one child.
pub struct Work {
    /// Unique among what runs at once: names the child's folder, and the graphs kept of a failure.
    pub name: String,
    /// The task.
    pub task: WorkTask,
    /// Its source.
    pub source: Source,
    /// Longest time it may work.
    pub deadline: Duration,
    /// Ends it.
    pub cancel: CancellationToken,
    /// Receiver of its progress.
    pub progress: channel::Sender<Progress>,
    /// Whether it leaves the processor to whatever else wants it.
    pub background: bool,
}

/// A step of the pipeline, or an attempt to leave the sandbox.
pub enum WorkTask {
    /// Media work.
    Step(Box<Step>),
    /// An attempt to leave the sandbox.
    Probe(Probe),
    /// Building the GStreamer registry.
    Registry,
}

/// Starts children, all alike.
#[derive(Clone, Debug)]
pub struct Runner {
    program: PathBuf,
    arguments: Vec<String>,
    scratch: PathBuf,
    registry: PathBuf,
    limits: ChildLimits,
    stall: Duration,
    output_bytes: u64,
}

impl Runner {
    /// A runner that starts this program again as `chalkstream step`, working in `scratch`.
    pub fn new(settings: &chalkstream_config::Worker, scratch: &Path) -> Self {
        Self {
            // Not the path of the program: that file may be replaced while we run.
            program: "/proc/self/exe".into(),
            arguments: vec!["step".into()],
            scratch: scratch.to_owned(),
            registry: environment::registry_path(|name| std::env::var_os(name), scratch),
            limits: ChildLimits {
                memory_bytes: settings.step_memory_bytes,
                file_bytes: settings.step_file_bytes,
                open_files: MAX_OPEN_FILES,
                allow_unsandboxed: settings.allow_unsandboxed,
                background: false,
            },
            stall: Duration::from_millis(settings.step_stall_ms),
            output_bytes: settings.step_output_bytes,
        }
    }

    /// The folder of temporary files.
    pub fn scratch(&self) -> &Path {
        &self.scratch
    }

    /// Brings the GStreamer registry up to date, where it is ours to write.
    pub async fn prepare(&self) -> Result<(), StepFailure> {
        if std::env::var_os("GST_REGISTRY").is_some_and(|given| Path::new(&given).is_file()) {
            return Ok(());
        }
        if let Some(folder) = self.registry.parent() {
            std::fs::create_dir_all(folder).map_err(StepFailure::machine)?;
        }
        self.run(Work::quiet("registry", WorkTask::Registry), &outputs::NoOutputs).await.map(drop)
    }

    /// Makes an attempt to leave the sandbox; an `Ok` means that nothing stopped it.
    pub async fn probe(&self, probe: Probe) -> Result<Value, StepFailure> {
        let name = format!("probe-{}", uuid::Uuid::now_v7());
        self.run(Work::quiet(&name, WorkTask::Probe(probe)), &outputs::NoOutputs).await
    }

    /// Runs a task to its end in a folder of its own, which is gone afterwards.
    pub async fn run(&self, work: Work, sink: &dyn OutputSink) -> Result<Value, StepFailure> {
        let folder = self.scratch.join(&work.name);
        // A folder left by a worker that was killed at the same point.
        remove_dir_if_exists(&folder).map_err(StepFailure::machine)?;
        std::fs::create_dir_all(folder.join("tmp/graphs")).map_err(StepFailure::machine)?;
        let name = work.name.clone();
        let guard = Folder(folder);
        let result = self.in_folder(work, &guard.0, sink).await;
        if result.is_err() {
            match graphs::keep(&guard.0.join("tmp/graphs"), &self.scratch.join("failed"), &name) {
                Ok(Some(kept)) => {
                    tracing::info!(folder = %kept.display(), "graphs of a failed step kept")
                }
                Ok(None) => {}
                Err(error) => tracing::warn!(%error, "graphs of a failed step were not kept"),
            }
        }
        result
    }

    async fn in_folder(
        &self,
        work: Work,
        folder: &Path,
        sink: &dyn OutputSink,
    ) -> Result<Value, StepFailure> {
        let activity = Arc::new(Activity::default());
        let storage_failed = Arc::new(AtomicBool::new(false));
        let (descriptor, handle, server) =
            open(work.source, &activity, &storage_failed).map_err(StepFailure::machine)?;
        let _server = server.map(AbortOnDropHandle::new);

        let registry_task = matches!(work.task, WorkTask::Registry);
        let request = ChildRequest {
            out_dir: folder.to_owned(),
            limits: ChildLimits { background: work.background, ..self.limits },
            task: match work.task {
                WorkTask::Step(step) => Task::Step(Box::new(StepRequest { step: *step, source: handle })),
                WorkTask::Probe(probe) => Task::Probe(probe),
                WorkTask::Registry => Task::Registry,
            },
        };
        let mut environment = environment::for_child(|name| std::env::var_os(name), folder, &self.registry);
        if registry_task {
            environment.retain(|(name, _)| name != "GST_REGISTRY_UPDATE");
        }
        let arguments: Vec<&str> = self.arguments.iter().map(String::as_str).collect();
        let mut running = spawn::spawn(&self.program, &arguments, &environment, folder, descriptor)
            .await
            .map_err(StepFailure::machine)?;
        let pipes = (running.stdin.take(), running.stdout.take(), running.stderr.take());
        let (Some(stdin), Some(stdout), Some(stderr)) = pipes else {
            return Err(StepFailure::ours("a child without pipes"));
        };
        let stderr = tokio::process::ChildStderr::from_std(stderr).map_err(StepFailure::machine)?;
        let complaints = AbortOnDropHandle::new(tokio::spawn(pipes::tail(stderr)));

        let mut stdin = tokio::process::ChildStdin::from_std(stdin).map_err(StepFailure::machine)?;
        let text = serde_json::to_vec(&request).map_err(StepFailure::ours)?;
        // A child that has died already shows in its exit status.
        let _ = stdin.write_all(&text).await;
        drop(stdin);

        let stdout = tokio::process::ChildStdout::from_std(stdout).map_err(StepFailure::machine)?;
        let bounds = Bounds {
            deadline: work.deadline,
            stall: self.stall,
            memory_bytes: self.limits.memory_bytes,
            // The largest file and what waits next to it until it is taken.
            disk_bytes: self.limits.file_bytes.saturating_mul(2),
        };
        let end = follow(
            &mut running,
            pipes::ChildEvents::new(stdout),
            Following {
                folder,
                bounds,
                output_bytes: self.output_bytes,
                activity,
                cancel: &work.cancel,
                progress: &work.progress,
            },
            sink,
        )
        .await;
        running.kill.now();
        let complaints = match tokio::time::timeout(Duration::from_secs(2), complaints).await {
            Ok(Ok(text)) => text,
            _ => String::new(),
        };
        let result = conclude(end, storage_failed.load(Ordering::Acquire), complaints.trim_end());
        if let Err(failure) = &result
            && matches!(failure.cause, Cause::Reported | Cause::Crashed)
            && let Err(machine) = check_disk(&folder.join("tmp/room")).await
        {
            return Err(StepFailure { detail: format!("{}; {}", machine.detail, failure.detail), ..machine });
        }
        result
    }

    /// Checks that the machine can do what every step needs: write files and start a child.
    pub async fn check(&self) -> Result<(), StepFailure> {
        check_disk(&self.scratch.join("room")).await?;
        self.probe(Probe::Nothing).await.map(drop)
    }
}

impl Work {
    /// A task of ours that reads no source and shows no progress.
    fn quiet(name: &str, task: WorkTask) -> Self {
        Self {
            name: name.into(),
            task,
            source: Source::Nothing,
            deadline: Duration::from_secs(60),
            cancel: CancellationToken::new(),
            progress: channel::Sender::default(),
            background: false,
        }
    }
}

/// Removes a step's folder when the step is over, however it ends.
struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        if let Err(error) = remove_dir_if_exists(&self.0) {
            tracing::warn!(%error, "step folder was not removed");
        }
    }
}

/// Removes a folder with all that is in it; one that does not exist is fine.
pub fn remove_dir_if_exists(folder: &Path) -> io::Result<()> {
    match std::fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

type RangeServer = tokio::task::JoinHandle<()>;

/// The descriptor a child inherits, its description, and the task that answers on it.
fn open(
    source: Source,
    activity: &Arc<Activity>,
    failed: &Arc<AtomicBool>,
) -> io::Result<(OwnedFd, SourceHandle, Option<RangeServer>)> {
    match source {
        Source::Nothing => Ok((spawn::no_source()?, SourceHandle::File, None)),
        Source::File(file) => Ok((file.into(), SourceHandle::File, None)),
        Source::Ranges { size_bytes, reader } => {
            let (parent, child) = std::os::unix::net::UnixStream::pair()?;
            parent.set_nonblocking(true)?;
            let parent = tokio::net::UnixStream::from_std(parent)?;
            let (activity, failed) = (Arc::clone(activity), Arc::clone(failed));
            let server = tokio::spawn(async move {
                // A child that is killed in the middle of an answer breaks the pipe; its end is
                // reported elsewhere.
                let _ = ranges::serve(parent, reader, size_bytes, activity, failed).await;
            });
            Ok((child.into(), SourceHandle::Ranges { size_bytes }, Some(server)))
        }
    }
}

struct Following<'a> {
    folder: &'a Path,
    bounds: Bounds,
    /// Most that it may make in all.
    output_bytes: u64,
    activity: Arc<Activity>,
    cancel: &'a CancellationToken,
    progress: &'a channel::Sender<Progress>,
}

/// How a child ended.
enum End {
    /// By itself.
    Exit { status: io::Result<ExitStatus>, last: Option<StepEvent> },
    /// We ended it.
    Stopped(StepFailure),
}

/// Follows a child to its end: events, outputs, its time and its memory.
async fn follow(
    running: &mut spawn::Running,
    mut events: pipes::ChildEvents<tokio::process::ChildStdout>,
    with: Following<'_>,
    sink: &dyn OutputSink,
) -> End {
    let mut taking = FuturesUnordered::new();
    let watch = watch::watch(running.pid, with.folder, with.bounds, &with.activity);
    tokio::pin!(watch);
    let mut status = None;
    let mut talking = true;
    let mut last = None;
    let mut made_bytes = 0_u64;
    while talking || status.is_none() || !taking.is_empty() {
        let room = taking.len() < MAX_OUTPUTS_AT_ONCE;
        // Until it has ended, its time counts: one that closes its events and stays meets its
        // bounds.
        let _waits = (!room || status.is_some()).then(|| with.activity.waiting());
        tokio::select! {
            biased;
            () = with.cancel.cancelled() => {
                return End::Stopped(StepFailure::new(Cause::Cancelled, "stopped on request"));
            }
            verdict = &mut watch => return End::Stopped(stopped(verdict)),
            Some(taken) = taking.next(), if !taking.is_empty() => {
                with.activity.moved();
                if let Err(failure) = taken {
                    return End::Stopped(failure);
                }
            }
            exit = &mut running.exit, if status.is_none() => {
                status = Some(exit.unwrap_or_else(|_| Err(io::Error::other("the child was not waited for"))));
            }
            event = events.next(), if talking && room => {
                with.activity.moved();
                match event {
                    Ok(None) => talking = false,
                    Ok(Some(StepEvent::Progress { done_ms, total_ms })) => {
                        with.progress.send_replace(Progress { done_ms, total_ms });
                    }
                    Ok(Some(StepEvent::Segment { playlist, uri, duration_ticks, timescale })) => {
                        sink.segment(outputs::Segment { playlist, uri, duration_ticks, timescale });
                    }
                    Ok(Some(StepEvent::Output { path, size_bytes })) => {
                        made_bytes = made_bytes.saturating_add(size_bytes);
                        if made_bytes > with.output_bytes {
                            let detail = format!("{path} makes it {made_bytes} bytes");
                            return End::Stopped(StepFailure::new(Cause::Output, detail));
                        }
                        match outputs::check(with.folder, &path, size_bytes) {
                            Ok(output) => taking.push(take(sink, output)),
                            Err(error) => return End::Stopped(StepFailure::new(Cause::Unverified, error)),
                        }
                    }
                    Ok(Some(event)) => last = Some(event),
                    Err(error) => return End::Stopped(StepFailure::new(Cause::Crashed, error)),
                }
            }
        }
    }
    let status = status.unwrap_or_else(|| Err(io::Error::other("no exit status")));
    End::Exit { status, last }
}

async fn take(sink: &dyn OutputSink, output: outputs::Output) -> Result<(), StepFailure> {
    let file = output.file.clone();
    sink.take(output).await?;
    match tokio::fs::remove_file(&file).await {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(StepFailure::machine(error)),
        _ => Ok(()),
    }
}

fn stopped(verdict: Verdict) -> StepFailure {
    let cause = match verdict {
        Verdict::Deadline => Cause::Deadline,
        Verdict::Stalled => Cause::Stalled,
        Verdict::Memory => Cause::Memory,
        Verdict::Disk => Cause::Disk,
    };
    StepFailure::new(cause, "stopped by the watchdog")
}

/// Turns a child's end into a result.
fn conclude(end: End, storage_failed: bool, complaints: &str) -> Result<Value, StepFailure> {
    let detailed = |mut failure: StepFailure, what: &str| {
        let before = std::mem::take(&mut failure.detail);
        let parts = [before.as_str(), what, complaints];
        failure.detail = parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("; ");
        failure
    };
    match end {
        End::Stopped(failure) => Err(detailed(failure, "")),
        // What a child says about a source that it could not read is not believed.
        End::Exit { status, last } if storage_failed && !matches!(last, Some(StepEvent::Result { .. })) => {
            Err(detailed(
                StepFailure::new(Cause::Storage, "the source could not be read"),
                &describe(&status),
            ))
        }
        End::Exit { status: Ok(status), last: Some(StepEvent::Result { value }) } if status.success() => {
            Ok(value)
        }
        End::Exit { status: Ok(status), last: Some(StepEvent::Error { code, message, fault }) }
            if status.success() =>
        {
            Err(detailed(StepFailure::reported(code, message, fault), ""))
        }
        End::Exit { status, .. } => {
            let cause = match status.as_ref().ok().and_then(ExitStatusExt::signal) {
                Some(libc::SIGSYS) => Cause::Sandbox,
                Some(libc::SIGXFSZ) => Cause::Disk,
                Some(libc::SIGKILL) => Cause::Killed,
                // What Rust's allocator writes before it gives up, and x264 and GLib in their
                // words.
                _ if complaints.contains("memory allocation of")
                    || complaints.contains("failed to allocate") =>
                {
                    Cause::Memory
                }
                _ => Cause::Crashed,
            };
            Err(detailed(StepFailure::new(cause, ""), &describe(&status)))
        }
    }
}

/// Checks that a disk takes bytes, as this process sees it: what a child says of it need not be
/// true.
async fn check_disk(file: &Path) -> Result<(), StepFailure> {
    const ROOM_BYTES: usize = 16 << 20;
    let written = tokio::fs::write(file, vec![0; ROOM_BYTES]).await;
    // Its folder goes anyway.
    let _ = tokio::fs::remove_file(file).await;
    written.map_err(StepFailure::machine)
}

fn describe(status: &io::Result<ExitStatus>) -> String {
    match status {
        Ok(status) => format!("the child ended with {status}"),
        Err(error) => format!("the child's end is unknown: {error}"),
    }
}
