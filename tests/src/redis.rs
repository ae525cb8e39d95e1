//! A Redis of the test's own, on a unix socket, that can be stopped, started again and flushed.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::process::{Process, tool};
use crate::wait;

/// A private Redis server.
pub struct Redis {
    folder: PathBuf,
    process: Option<Process>,
}

impl Redis {
    /// Starts one with its files in `folder`.
    pub async fn start(folder: &Path) -> Self {
        std::fs::create_dir_all(folder).unwrap();
        let mut redis = Self { folder: folder.to_owned(), process: None };
        redis.up().await;
        redis
    }

    /// Its URL.
    pub fn url(&self) -> String {
        format!("redis+unix://{}", self.socket().display())
    }

    fn socket(&self) -> PathBuf {
        self.folder.join("r.sock")
    }

    /// Starts it again on the same files.
    pub async fn up(&mut self) {
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
        self.process = Some(Process::start("redis-server", command, self.folder.join("redis.log")));
        let this = &*self;
        wait::until("redis answers", Duration::from_secs(20), || async move {
            (this.command(&["PING"]) == "PONG").then_some(())
        })
        .await;
    }

    /// Kills it without warning.
    pub fn down(&mut self) {
        self.process = None;
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
