//! A child process that cannot outlive this one.
#![allow(unsafe_code)]

use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use chalkstream_workers::runner::die_with_parent;
use tokio::process::Command;

/// This program, even while its file is being replaced.
pub const OWN_EXECUTABLE: &str = "/proc/self/exe";

/// The program, arguments and environment of a child process.
#[derive(Clone)]
pub struct ChildSpec {
    /// Its name in messages.
    pub name: &'static str,
    /// The program.
    pub program: PathBuf,
    /// Its arguments.
    pub arguments: Vec<String>,
    /// Variables added to this process's environment.
    pub environment: Vec<(String, String)>,
    /// How long it may take to finish what it does after SIGTERM.
    pub grace: Duration,
}

impl ChildSpec {
    /// Starts the child in its own process group. Ctrl-C then reaches only us, and we stop the
    /// children in order.
    pub fn start(&self) -> io::Result<tokio::process::Child> {
        let mut command = Command::new(&self.program);
        command
            .args(&self.arguments)
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .process_group(0)
            .kill_on_drop(true);
        if self.program == Path::new(OWN_EXECUTABLE) {
            command.arg0("chalkstream");
        }
        let parent = std::process::id() as i32;
        // SAFETY: between fork and exec only `die_with_parent` runs, which is made for that.
        unsafe {
            command.pre_exec(move || die_with_parent(parent));
        }
        command.spawn()
    }
}

/// Asks a child to stop: SIGTERM, or SIGINT if it is not to wait for what it does.
pub fn terminate(child: &tokio::process::Child, now: bool) {
    let signal = if now { libc::SIGINT } else { libc::SIGTERM };
    // Without an id the child is reaped, and its number may belong to another process.
    if let Some(id) = child.id() {
        // SAFETY: plain system call; the id is that of our own child, which is not reaped yet.
        unsafe { libc::kill(id as i32, signal) };
    }
}
