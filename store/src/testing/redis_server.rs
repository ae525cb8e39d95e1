//! A Redis child of its own for each test, on a unix socket in a folder of its own.

use std::time::{Duration, Instant};

use chalkstream_config as config;

use super::redis_process::{RedisProcess, signal};

pub(crate) struct RedisServer {
    folder: tempfile::TempDir,
    process: Option<RedisProcess>,
}

impl RedisServer {
    /// Starts one that keeps everything on disk, as `up` does.
    pub(crate) async fn start() -> Self {
        let folder = tempfile::Builder::new().prefix("cs-redis-").tempdir_in("/tmp").unwrap();
        let mut server = Self { folder, process: None };
        server.resume().await;
        server
    }

    /// Starts it again after [`RedisServer::stop`].
    pub(crate) async fn resume(&mut self) {
        let socket = self.socket();
        let arguments = ["--port", "0", "--save", "", "--appendonly", "yes", "--appendfsync", "always"];
        let own = ["--unixsocket", socket.to_str().unwrap()];
        self.process = Some(RedisProcess::start(self.folder.path(), &[&arguments[..], &own].concat()));
        let limit = Instant::now() + Duration::from_secs(20);
        while !self.answers().await {
            assert!(Instant::now() < limit, "the Redis server did not come up");
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
        self.process = None;
    }

    /// Stops it from running without closing a connection, or lets it run on.
    pub(crate) fn freeze(&self, frozen: bool) {
        signal(self.process.as_ref().unwrap().id(), if frozen { "-STOP" } else { "-CONT" });
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
