//! A Redis of the test's own, on a unix socket, that can be stopped, started again and flushed.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::process::{Process, tool};
use crate::wait;

/// A private Redis server.
pub struct Redis {
    folder: PathBuf,
    process: Mutex<Option<Process>>,
}

impl Redis {
    /// Starts one with its files in `folder`.
    pub async fn start(folder: &Path) -> Self {
        std::fs::create_dir_all(folder).unwrap();
        let redis = Self { folder: folder.to_owned(), process: Mutex::new(None) };
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

    /// Starts it again on the same files.
    pub async fn up(&self) {
        let mut command = Command::new(tool("redis-server", "redis-server"));
        command.args([
            "--port",
            "0",
            "--save",
            "",
            "--appendonly",
            "yes",
            "--appendfsync",
            "always",
            "--dir",
        ]);
        command.arg(&self.folder).arg("--unixsocket").arg(self.socket());
        let process = Process::start("redis-server", command, self.folder.join("redis.log"));
        *self.process.lock().unwrap_or_else(PoisonError::into_inner) = Some(process);
        wait::until("redis answers", Duration::from_secs(20), || async move {
            (self.command(&["PING"]) == "PONG").then_some(())
        })
        .await;
    }

    /// Kills it without warning.
    pub fn down(&self) {
        *self.process.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Runs one command and returns what `redis-cli` printed.
    pub fn command(&self, words: &[&str]) -> String {
        let output = Command::new(tool("redis-cli", "redis-tools"))
            .arg("-s")
            .arg(self.socket())
            .args(words)
            .output()
            .unwrap();
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }
}
