//! Protocol between a worker and its child: one JSON document on the child's standard input,
//! then one JSON object a line on its standard output.
//!
//! The lines are [`chalkstream_pipeline::context::StepEvent`].

use std::path::PathBuf;

use chalkstream_pipeline::step::StepRequest;
use serde::{Deserialize, Serialize};

/// The one document a child reads.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ChildRequest {
    /// The folder the child writes to.
    pub out_dir: PathBuf,
    /// Limits of the child.
    pub limits: ChildLimits,
    /// The task.
    pub task: Task,
}

/// Limits that a child sets itself before it touches its input.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct ChildLimits {
    /// Most private writable memory (`RLIMIT_DATA`), in bytes.
    pub memory_bytes: u64,
    /// Largest file it may write (`RLIMIT_FSIZE`), in bytes.
    pub file_bytes: u64,
    /// Most open descriptors (`RLIMIT_NOFILE`).
    pub open_files: u64,
    /// Go on where the kernel offers no system call filter.
    pub allow_unsandboxed: bool,
    /// Leave the processor to whatever else wants it.
    #[serde(default)]
    pub background: bool,
}

/// A child's task.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Task {
    /// A unit of media work.
    Step(Box<StepRequest>),
    /// An attempt to leave the sandbox, to show that it holds.
    Probe(Probe),
    /// Writes the GStreamer registry named by `GST_REGISTRY`. It opens no input and runs without a
    /// filter, as GStreamer starts a scanner of its own.
    Registry,
}

impl Task {
    /// Its name in logs.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Step(request) => request.step.name(),
            Self::Probe(_) => "probe",
            Self::Registry => "registry",
        }
    }
}

/// Attempts to leave the sandbox. Each of them, where it succeeds, ends in a `Result` event: a
/// child that is stopped never sends one.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Probe {
    /// Nothing is tried: the child starts, and says so.
    Nothing,
    /// Opens an internet socket.
    Socket,
    /// Allocates and touches this much memory, in bytes.
    Memory(u64),
    /// The same with shared memory, which `RLIMIT_DATA` does not count.
    SharedMemory(u64),
    /// Writes a file of this size, in bytes.
    File(u64),
    /// Starts another program.
    Execute,
    /// Connects to a unix socket.
    Connect,
    /// Sends a datagram to a unix socket, and a message.
    Datagram,
    /// Says nothing for ever.
    Silence,
    /// Closes its events and stays.
    Hush,
    /// Reports progress for ever.
    Chatter,
    /// Dies of a signal.
    Crash,
    /// Writes this many small outputs and announces them.
    Outputs(u32),
    /// Announces a path outside its folder.
    Escape,
    /// Reads the source from front to back and returns how many bytes there were.
    Read,
}
