//! A Redis of the test's own, on a unix socket, that can be stopped, started again, flushed and
//! replaced by a replica.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::process::{Process, free_port, tool};
use crate::wait;

/// Time limit for a server to answer or to follow.
const MAX_START: Duration = Duration::from_secs(60);

/// Lets no client write for a while, so that a replica can have everything.
pub const PAUSE_WRITES: &[&str] = &["CLIENT", "PAUSE", "60000", "WRITE"];

/// A private Redis server.
pub struct Redis {
    folder: PathBuf,
    state: Mutex<State>,
}

struct State {
    process: Option<Process>,
    /// How often a replica took over: each has a folder of its own.
    failovers: usize,
}

impl Redis {
    /// Starts one with its files in `folder`.
    pub async fn start(folder: &Path) -> Self {
        std::fs::create_dir_all(folder).unwrap();
        let state = Mutex::new(State { process: None, failovers: 0 });
        let redis = Self { folder: folder.to_owned(), state };
        redis.up().await;
        redis
    }

    /// Its URL.
    pub fn url(&self) -> String {
        format!("redis+unix://{}", self.socket().display())
    }

    /// Path of its socket.
    pub fn socket(&self) -> PathBuf {
        self.folder.join("r.sock")
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts it again on the same files.
    pub async fn up(&self) {
        let failovers = self.state().failovers;
        let process = self.start_server(failovers, &self.socket(), &[]);
        self.state().process = Some(process);
        wait::until("redis answers", MAX_START, || async move {
            (self.command(&["PING"]) == "PONG").then_some(())
        })
        .await;
    }

    /// Kills it without warning.
    pub fn down(&self) {
        self.state().process = None;
    }

    /// Kills it while a replica follows it, and has that take over with all that was acknowledged.
    pub async fn fail_over(&self) {
        let port = free_port().to_string();
        self.command(&["CONFIG", "SET", "port", &port]);
        let failovers = self.state().failovers + 1;
        let socket = &self.folder.join("replica.sock");
        let replica = self.start_server(failovers, socket, &["--replicaof", "127.0.0.1", &port]);
        wait::until("the replica follows", MAX_START, || async move {
            let link = ask(socket, &["INFO", "replication"]);
            // It can be started again on its files only once it has written them.
            let files = ask(socket, &["INFO", "persistence"]);
            let has_files = ["aof_rewrite_in_progress:0", "aof_rewrite_scheduled:0"];
            let is_ready =
                link.contains("master_link_status:up") && has_files.iter().all(|f| files.contains(f));
            is_ready.then_some(())
        })
        .await;
        self.command(PAUSE_WRITES);
        wait::until("the replica is in sync", MAX_START, || async move {
            is_in_sync(&self.command(&["INFO", "replication"])).then_some(())
        })
        .await;
        self.down();
        ask(socket, &["REPLICAOF", "NO", "ONE"]);
        std::fs::rename(socket, self.socket()).unwrap();
        *self.state() = State { process: Some(replica), failovers };
    }

    fn start_server(&self, failovers: usize, socket: &Path, more: &[&str]) -> Process {
        let folder = self.folder.join(failovers.to_string());
        std::fs::create_dir_all(&folder).unwrap();
        let mut command = Command::new(tool("redis-server", "redis-server"));
        command.args(["--port", "0", "--save", "", "--appendonly", "yes", "--appendfsync", "always"]);
        command.args(["--repl-diskless-sync-delay", "0", "--dir"]).arg(&folder);
        command.arg("--unixsocket").arg(socket).args(more);
        Process::start("redis-server", command, self.folder.join("redis.log"))
    }

    /// Runs one command and returns what `redis-cli` printed.
    pub fn command(&self, words: &[&str]) -> String {
        ask(&self.socket(), words)
    }
}

/// Whether a primary that reports this about its replication has a replica that lacks nothing.
pub fn is_in_sync(report: &str) -> bool {
    let find = |mark: &str| report.split_once(mark).map(|(_, rest)| rest.split([',', '\r', '\n']).next());
    let written = find("master_repl_offset:");
    report.contains("state=online") && written.is_some() && find(",offset=") == written
}

fn ask(socket: &Path, words: &[&str]) -> String {
    let cli = tool("redis-cli", "redis-tools");
    let output = Command::new(cli).arg("-s").arg(socket).args(words).output().unwrap();
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}
