//! A child process that cannot outlive this one.
#![allow(unsafe_code)]

use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use tokio::process::Command;

/// This program, also while its file is being replaced.
pub const THIS_PROGRAM: &str = "/proc/self/exe";

/// How to start a child.
#[derive(Clone)]
pub struct Child {
    /// Its name in messages.
    pub name: &'static str,
    /// The program.
    pub program: PathBuf,
    /// Its arguments.
    pub arguments: Vec<String>,
    /// Added to this process's environment.
    pub environment: Vec<(String, String)>,
}

impl Child {
    /// Starts it, in a process group of its own: Ctrl-C is for us, who stop the children in order.
    pub fn start(&self) -> io::Result<tokio::process::Child> {
        let mut command = Command::new(&self.program);
        command
            .args(&self.arguments)
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .process_group(0)
            .kill_on_drop(true);
        if self.program == Path::new(THIS_PROGRAM) {
            command.arg0("chalkstream");
        }
        let parent = std::process::id() as i32;
        // SAFETY: between fork and exec only prctl and getppid are called, which are async-signal-safe and touch
        // no memory of ours.
        unsafe {
            command.pre_exec(move || {
                if libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) != 0 {
                    return Err(io::Error::last_os_error());
                }
                // We may have died before the line above.
                if libc::getppid() != parent {
                    return Err(io::Error::from_raw_os_error(libc::ESRCH));
                }
                Ok(())
            });
        }
        command.spawn()
    }
}

/// Asks a child to end.
pub fn terminate(child: &tokio::process::Child) {
    // No id: it is reaped already, and the number may belong to someone else.
    if let Some(id) = child.id() {
        // SAFETY: plain system call; the id is that of our own child, which is not reaped yet.
        unsafe { libc::kill(id as i32, libc::SIGTERM) };
    }
}
