//! Starting a child so that it cannot outlive us, and ending it together with everything it
//! started.
#![allow(unsafe_code)]

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::oneshot;

/// The descriptor on which a child finds its source.
const SOURCE_FD: i32 = 3;

/// A running child.
pub struct Running {
    /// Its process id, which is also its process group.
    pub pid: u32,
    /// Takes its request.
    pub stdin: Option<ChildStdin>,
    /// Gives its events.
    pub stdout: Option<ChildStdout>,
    /// Gives its complaints.
    pub stderr: Option<ChildStderr>,
    /// Its end.
    pub exit: oneshot::Receiver<io::Result<ExitStatus>>,
    /// Ends it, also when dropped.
    pub kill: KillOnDrop,
}

/// The process group of a child, until it is reaped. Its number may belong to someone else after
/// that.
#[derive(Clone)]
struct Group(Arc<Mutex<Option<i32>>>);

impl Group {
    fn kill(&self) {
        let group = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(id) = *group {
            // SAFETY: plain system call. The leader is not reaped while the lock is held with
            // `Some`, so the number still names our child's group.
            unsafe { libc::kill(-id, libc::SIGKILL) };
        }
    }
}

/// Kills the child's process group on demand, and when it is dropped.
pub struct KillOnDrop(Group);

impl KillOnDrop {
    /// Ends the child and everything in its process group. Harmless when it has ended.
    pub fn now(&self) {
        self.0.kill();
    }
}

impl Drop for KillOnDrop {
    fn drop(&mut self) {
        self.0.kill();
    }
}

/// Starts `program arguments…` with exactly `environment`, in a process group of its own.
///
/// `PR_SET_PDEATHSIG` fires when the *thread* that made the child ends, not the process. So each
/// child has one thread, which makes it, waits for it, reaps it, and only then ends.
pub async fn spawn(
    program: &Path,
    arguments: &[&str],
    environment: &[(String, std::ffi::OsString)],
    folder: &Path,
    source: OwnedFd,
) -> io::Result<Running> {
    let mut command = Command::new(program);
    command
        .arg0("chalkstream")
        .args(arguments)
        .env_clear()
        .envs(environment.iter().map(|(name, value)| (name, value)))
        .current_dir(folder)
        .process_group(0)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let parent = std::process::id() as i32;
    let descriptor = source.as_raw_fd();
    // SAFETY: between fork and exec only async-signal-safe calls are made (prctl, getppid,
    // close_range, dup2, fcntl), no memory is allocated, and `descriptor` stays open until `spawn`
    // returns.
    unsafe {
        command.pre_exec(move || prepare(parent, descriptor));
    }

    let (started_tx, started_rx) = oneshot::channel();
    let (exit_tx, exit_rx) = oneshot::channel();
    std::thread::Builder::new().name("step-child".into()).stack_size(256 << 10).spawn(move || {
        let child = command.spawn();
        drop(source);
        match child {
            Err(error) => drop(started_tx.send(Err(error))),
            Ok(mut child) => {
                let group = Group(Arc::new(Mutex::new(Some(child.id() as i32))));
                let kill = KillOnDrop(group.clone());
                let pipes = (child.id(), child.stdin.take(), child.stdout.take(), child.stderr.take());
                if let Some(stdout) = &pipes.2 {
                    shrink_pipe(stdout);
                }
                // A receiver that is gone drops `kill`, which ends the child.
                drop(started_tx.send(Ok((pipes, kill))));
                drop(exit_tx.send(reap(&mut child, &group)));
            }
        }
    })?;
    let gone = || io::Error::other("the thread that starts children ended");
    let ((pid, stdin, stdout, stderr), kill) = started_rx.await.map_err(|_| gone())??;
    Ok(Running { pid, stdin, stdout, stderr, exit: exit_rx, kill })
}

/// Has the kernel kill this process when the thread that started it ends. Runs in the child,
/// between fork and exec, so it makes async-signal-safe calls only and allocates no memory.
///
/// # Errors
/// If the kernel refuses, or `parent` has ended already.
pub fn die_with_parent(parent: i32) -> io::Result<()> {
    // SAFETY: plain system calls without pointers to memory of ours.
    unsafe {
        if libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) != 0 {
            return Err(io::Error::last_os_error());
        }
        // The parent may have ended before the line above.
        if libc::getppid() != parent {
            return Err(io::Error::from_raw_os_error(libc::ESRCH));
        }
    }
    Ok(())
}

/// Runs in the child, between fork and exec.
fn prepare(parent: i32, source: i32) -> io::Result<()> {
    die_with_parent(parent)?;
    // SAFETY: plain system calls without pointers to memory of ours.
    unsafe {
        // Whatever a library left open without close-on-exec stays with us.
        libc::syscall(libc::SYS_close_range, SOURCE_FD, u32::MAX, libc::CLOSE_RANGE_CLOEXEC);
        if source == SOURCE_FD {
            if libc::fcntl(source, libc::F_SETFD, 0) < 0 {
                return Err(io::Error::last_os_error());
            }
        } else if libc::dup2(source, SOURCE_FD) < 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
}

/// One page: a child that announces outputs faster than they are taken waits after a few dozen, so
/// that few files wait on disk.
fn shrink_pipe(pipe: &ChildStdout) {
    // SAFETY: the descriptor is open for the length of the call. A kernel that refuses leaves a
    // larger pipe.
    unsafe { libc::fcntl(pipe.as_raw_fd(), libc::F_SETPIPE_SZ, 4096) };
}

/// Waits for the child, ends what is left of its group, then reaps it.
fn reap(child: &mut Child, group: &Group) -> io::Result<ExitStatus> {
    loop {
        // SAFETY: an all-zero siginfo_t is a valid value to be written over; WNOWAIT leaves the
        // child unreaped.
        let rc = unsafe {
            let mut info: libc::siginfo_t = std::mem::zeroed();
            libc::waitid(libc::P_PID, child.id(), &mut info, libc::WEXITED | libc::WNOWAIT)
        };
        if rc == 0 {
            break;
        }
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
    group.kill();
    let mut id = group.0.lock().unwrap_or_else(PoisonError::into_inner);
    let status = child.wait();
    *id = None;
    status
}

/// A source for a task that reads none.
pub fn no_source() -> io::Result<OwnedFd> {
    Ok(File::open("/dev/null")?.into())
}
