//! Child processes: the built binary and the tools next to it, killed when dropped, their log kept.

use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::net::TcpSocket;

use crate::wait;

/// A port nothing listens on. It is bound until this process ends, so no other program gets it, nor
/// does a connection. A server that sets `SO_REUSEADDR` can listen on it all the same.
pub fn free_port() -> u16 {
    static BOUND: Mutex<Vec<TcpSocket>> = Mutex::new(Vec::new());
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_reuseaddr(true).unwrap();
    socket.bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).unwrap();
    let port = socket.local_addr().unwrap().port();
    BOUND.lock().unwrap_or_else(PoisonError::into_inner).push(socket);
    port
}

/// The built `chalkstream` binary.
pub fn chalkstream() -> PathBuf {
    built_binary("chalkstream")
}

/// A built binary of ours: next to this executable, or one folder above where cargo keeps its
/// tests.
pub fn built_binary(name: &str) -> PathBuf {
    let own = std::env::current_exe().unwrap();
    own.ancestors()
        .skip(1)
        .take(2)
        .map(|folder| folder.join(name))
        .find(|path| path.is_file())
        .unwrap_or_else(|| {
            panic!("the binary `{name}` is not built: run `cargo build` first, as scripts/test does")
        })
}

/// A tool that must be on the machine; `package` is what to install otherwise.
pub fn tool(name: &str, package: &str) -> PathBuf {
    std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default())
        .map(|folder| folder.join(name))
        .find(|path| path.is_file())
        .unwrap_or_else(|| {
            panic!("`{name}` is not installed: run scripts/setup test, or `apt-get install {package}`")
        })
}

/// Options before an input that has ffmpeg read on until it has seen its tracks: frames of slides
/// may be half a minute apart.
pub const PATIENTLY: [&str; 4] = ["-analyzeduration", "120M", "-probesize", "100M"];

/// A running child.
pub struct Process {
    name: String,
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts `command` with its output in `log`.
    pub fn start(name: &str, mut command: Command, log: PathBuf) -> Self {
        let out = File::options().create(true).append(true).open(&log).unwrap();
        command.stdin(Stdio::null()).stdout(out.try_clone().unwrap()).stderr(out);
        let child = command.spawn().unwrap_or_else(|e| panic!("{name} did not start: {e}"));
        Self { name: name.to_owned(), child, log }
    }

    /// Its process id.
    pub fn id(&self) -> i32 {
        self.child.id() as i32
    }

    /// Its output.
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Sends a signal.
    pub fn signal(&self, signal: i32) {
        send(self.id(), signal);
    }

    /// Waits for its end.
    pub async fn ended(&mut self, limit: Duration) -> ExitStatus {
        let name = self.name.clone();
        let child = &mut self.child;
        let deadline = std::time::Instant::now() + limit;
        loop {
            if let Some(status) = child.try_wait().unwrap() {
                return status;
            }
            assert!(std::time::Instant::now() < deadline, "{name} did not end within {limit:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// True while it runs.
    pub fn running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Kills it at once, as a power cut would.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // SIGTERM first: a process group of its own children ends with it; a stopped one needs
        // SIGCONT to see it.
        send(self.id(), libc::SIGCONT);
        self.kill();
        if std::thread::panicking() {
            let log = self.log();
            let tail: Vec<&str> = log.lines().rev().take(60).collect();
            let tail: Vec<&str> = tail.into_iter().rev().collect();
            #[allow(clippy::print_stderr)]
            {
                eprintln!("--- last lines of {} ---\n{}", self.name, tail.join("\n"));
            }
        }
    }
}

/// Sends a signal to a process id.
#[allow(unsafe_code)]
pub fn send(pid: i32, signal: i32) {
    // SAFETY: kill(2) takes two integers and touches no memory of ours.
    unsafe {
        libc::kill(pid, signal);
    }
}

/// The command line of every live process below `root`, with its id.
pub fn descendants(root: i32) -> Vec<(i32, String)> {
    let mut found = Vec::new();
    let mut parents = vec![root];
    let all = processes();
    while let Some(parent) = parents.pop() {
        for (pid, ppid, command) in &all {
            if *ppid == parent {
                found.push((*pid, command.clone()));
                parents.push(*pid);
            }
        }
    }
    found
}

/// True while `pid` is alive and not a zombie.
pub fn alive(pid: i32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat"))
        .ok()
        .and_then(|stat| stat.rsplit_once(") ").map(|(_, rest)| !rest.starts_with('Z')))
        .unwrap_or(false)
}

fn processes() -> Vec<(i32, i32, String)> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let Ok(pid) = entry.file_name().to_string_lossy().parse::<i32>() else { continue };
        let Ok(stat) = std::fs::read_to_string(format!("/proc/{pid}/stat")) else { continue };
        let Some((_, rest)) = stat.rsplit_once(") ") else { continue };
        let mut fields = rest.split(' ');
        if fields.next() == Some("Z") {
            continue;
        }
        let ppid = fields.next().and_then(|f| f.parse().ok()).unwrap_or(0);
        let command = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        all.push((pid, ppid, String::from_utf8_lossy(&command).replace('\0', " ")));
    }
    all
}

/// Waits until a step's child named `step` runs below `root`; returns its process id.
pub async fn step_child(root: i32, limit: Duration) -> i32 {
    wait::until("a step's child runs", limit, || async move {
        descendants(root)
            .into_iter()
            .find(|(_, command)| command.split(' ').nth(1) == Some("step"))
            .map(|(pid, _)| pid)
    })
    .await
}
