//! A `redis-server` child of its own for each test, on a unix socket in a folder of its own.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use chalkstream_config as config;

pub(crate) struct RedisServer {
    folder: tempfile::TempDir,
    child: Option<Child>,
}

impl RedisServer {
    /// Starts one that keeps everything on disk, as `up` does.
    pub(crate) async fn start() -> Self {
        let folder = tempfile::Builder::new().prefix("cs-redis-").tempdir_in("/tmp").unwrap();
        let mut server = Self { folder, child: None };
        server.resume().await;
        server
    }

    /// Starts it again after [`RedisServer::stop`].
    pub(crate) async fn resume(&mut self) {
        let child = Command::new("redis-server")
            .args(["--port", "0", "--save", "", "--appendonly", "yes", "--appendfsync", "always"])
            .args(["--unixsocket", self.socket().to_str().unwrap()])
            .args(["--dir", self.folder.path().to_str().unwrap()])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("redis-server cannot be started: install the package `redis-server`");
        self.child = Some(child);
        let limit = Instant::now() + Duration::from_secs(20);
        while !self.answers().await {
            assert!(Instant::now() < limit, "redis-server did not come up");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    async fn answers(&self) -> bool {
        let client = redis::Client::open(self.settings().url.expose()).unwrap();
        let Ok(mut connection) = client.get_multiplexed_async_connection().await else { return false };
        redis::cmd("PING").query_async::<String>(&mut connection).await.is_ok()
    }

    /// Kills it: nothing is flushed on the way.
    pub(crate) fn stop(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// Stops it from running without closing a connection, or lets it run on.
    pub(crate) fn freeze(&self, frozen: bool) {
        let id = self.child.as_ref().unwrap().id().to_string();
        let signal = if frozen { "-STOP" } else { "-CONT" };
        assert!(Command::new("kill").args([signal, &id]).status().unwrap().success());
    }

    pub(crate) async fn command(&self, words: &[&str]) -> redis::Value {
        let client = redis::Client::open(self.settings().url.expose()).unwrap();
        let mut connection = client.get_multiplexed_async_connection().await.unwrap();
        let mut command = redis::cmd(words[0]);
        command.arg(&words[1..]);
        command.query_async(&mut connection).await.unwrap()
    }

    pub(crate) async fn flush(&self) {
        self.command(&["FLUSHALL"]).await;
    }

    fn socket(&self) -> std::path::PathBuf {
        self.folder.path().join("s")
    }

    pub(crate) fn settings(&self) -> config::Redis {
        let url = format!("redis+unix://{}", self.socket().to_str().unwrap());
        config::Redis { url: config::Secret::new(url), ..config::Redis::default() }
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
