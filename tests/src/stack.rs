//! Redis, storage, servers and workers as separate processes, as on a fleet.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use crate::client::Client;
use crate::process::{Process, chalkstream, free_port};
use crate::redis::Redis;
use crate::redis_fleet::RedisFleet;
use crate::s3::{ACCESS_KEY, BUCKET, S3, SECRET_KEY};
use crate::wait;

/// How long a worker's lease lasts in tests, in ms.
pub const LEASE_MS: u64 = 3000;

/// A fleet of its own for one test.
pub struct Stack {
    folder: TempDir,
    /// Its Redis.
    pub redis: Redis,
    /// Its S3 API, where storage is not a folder.
    pub s3: Option<S3>,
    settings: Vec<(String, String)>,
    api_key: String,
    counter: usize,
}

/// One server process.
pub struct Server {
    /// The process.
    pub process: Process,
    /// Base URL.
    pub url: String,
}

/// The speech model of the tests: the smallest.
pub const SPEECH_MODEL: &str = "tiny.en";

/// The folder of the speech models.
pub fn models() -> PathBuf {
    std::env::var_os("CHALKSTREAM_TEST_MODELS").map(PathBuf::from).expect(
        "CHALKSTREAM_TEST_MODELS is not set: run the tests with scripts/test, which fetches the speech model",
    )
}

impl Stack {
    /// Storage in a folder.
    pub async fn fs() -> Self {
        Self::start(false, &[]).await
    }

    /// Storage behind the S3 API.
    pub async fn s3() -> Self {
        Self::start(true, &[]).await
    }

    /// Storage in a folder, and a Redis of several servers.
    pub async fn on_redis(fleet: &RedisFleet) -> Self {
        Self::start(false, &fleet.settings).await
    }

    async fn start(with_s3: bool, more: &[(&str, String)]) -> Self {
        let folder = TempDir::new().unwrap();
        let redis = Redis::start(&folder.path().join("redis")).await;
        let s3 = if with_s3 { Some(S3::start(&folder.path().join("s3")).await) } else { None };
        let mut settings = vec![
            ("REDIS__URL".to_owned(), redis.url()),
            ("WORKER__LEASE_MS".to_owned(), LEASE_MS.to_string()),
            ("WORKER__SLOTS".to_owned(), "2".to_owned()),
            ("SPEECH__MODEL_PATH".to_owned(), models().display().to_string()),
            ("SPEECH__MODEL".to_owned(), SPEECH_MODEL.to_owned()),
        ];
        match &s3 {
            Some(s3) => settings.extend([
                ("STORE__KIND".to_owned(), "s3".to_owned()),
                ("STORE__S3__ENDPOINT".to_owned(), s3.endpoint.clone()),
                ("STORE__S3__BUCKET".to_owned(), BUCKET.to_owned()),
                ("STORE__S3__ACCESS_KEY_ID".to_owned(), ACCESS_KEY.to_owned()),
                ("STORE__S3__SECRET_ACCESS_KEY".to_owned(), SECRET_KEY.to_owned()),
                ("STORE__S3__PART_BYTES".to_owned(), (5 << 20).to_string()),
            ]),
            None => settings.extend([
                ("STORE__KIND".to_owned(), "fs".to_owned()),
                ("STORE__PATH".to_owned(), folder.path().join("objects").display().to_string()),
            ]),
        }
        let mut stack = Self { folder, redis, s3, settings, api_key: String::new(), counter: 0 };
        for (key, value) in more {
            stack.set(key, value);
        }
        stack.json(&["tenant", "create", "district"]);
        stack.api_key = stack.new_key("district");
        stack
    }

    /// Makes an API key of a tenant.
    pub fn new_key(&self, tenant: &str) -> String {
        let key = self.json(&["key", "create", "--tenant", tenant]);
        key["api_key"].as_str().unwrap_or_else(|| panic!("no api_key in {key}")).to_owned()
    }

    /// Sets one more setting (`SECTION__KEY`) for what is started from now on.
    pub fn set(&mut self, key: &str, value: &str) {
        self.settings.retain(|(k, _)| k != key);
        self.settings.push((key.to_owned(), value.to_owned()));
    }

    /// The folder of this test.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Keeps the folder when this ends, or removes it then.
    pub fn keep_folder(&mut self, is_kept: bool) {
        self.folder.disable_cleanup(is_kept);
    }

    /// The folder that holds the objects, whichever the storage.
    pub fn objects(&self) -> PathBuf {
        self.s3.as_ref().map_or_else(|| self.folder.path().join("objects"), S3::bucket)
    }

    /// A command of the binary with this fleet's settings.
    pub fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(chalkstream());
        for (key, _) in std::env::vars_os() {
            if key.to_string_lossy().starts_with("CHALKSTREAM__") {
                command.env_remove(key);
            }
        }
        command.args(words).current_dir(self.folder.path()).env("XDG_DATA_HOME", self.folder.path());
        set(&mut command, &self.settings);
        command
    }

    /// Runs a command with `--json` and returns what it printed.
    pub fn json(&self, words: &[&str]) -> Value {
        let output = self.command(words).arg("--json").output().unwrap();
        let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{words:?} failed:\n{out}\n{err}");
        serde_json::from_str(&out)
            .unwrap_or_else(|e| panic!("{words:?} printed no JSON ({e}):\n{out}\n{err}"))
    }

    /// Starts a server and waits until it is ready.
    pub async fn server(&mut self) -> Server {
        self.counter += 1;
        let port = free_port();
        let process = self.start_server(&self.counter.to_string(), port, &[]);
        let server = Server { process, url: format!("http://127.0.0.1:{port}") };
        ready(&server.url).await;
        server
    }

    /// Starts a server with an index of its own by `name`, and more `settings` (`SECTION__KEY`).
    pub fn start_server(&self, name: &str, port: u16, settings: &[(String, String)]) -> Process {
        let mut command = self.command(&["server"]);
        command
            .env("CHALKSTREAM__SERVER__LISTEN", format!("127.0.0.1:{port}"))
            .env("CHALKSTREAM__SERVER__ADMIN_LISTEN", format!("127.0.0.2:{port}"))
            .env("CHALKSTREAM__SERVER__INDEX_PATH", self.folder.path().join(format!("index-{name}")));
        set(&mut command, settings);
        Process::start("server", command, self.folder.path().join(format!("server-{name}.log")))
    }

    /// Starts a worker.
    pub fn worker(&mut self) -> Process {
        self.counter += 1;
        self.start_worker(&self.counter.to_string(), &[])
    }

    /// Starts a worker with a scratch folder of its own by `name`, and more `settings`
    /// (`SECTION__KEY`).
    pub fn start_worker(&self, name: &str, settings: &[(String, String)]) -> Process {
        let mut command = self.command(&["worker"]);
        command.env("CHALKSTREAM__WORKER__SCRATCH_PATH", self.scratch(name));
        set(&mut command, settings);
        Process::start("worker", command, self.folder.path().join(format!("worker-{name}.log")))
    }

    /// The scratch folder of the worker by `name`.
    pub fn scratch(&self, name: &str) -> PathBuf {
        self.folder.path().join(format!("scratch-{name}"))
    }

    /// A client of `server` with this fleet's key.
    pub fn client(&self, server: &Server) -> Client {
        Client::new(&server.url, &self.api_key)
    }
}

fn set(command: &mut Command, settings: &[(String, String)]) {
    for (key, value) in settings {
        command.env(format!("CHALKSTREAM__{key}"), value);
    }
}

/// Waits until the server at `url` is ready.
pub async fn ready(url: &str) {
    let http = reqwest::Client::builder().timeout(Duration::from_secs(5)).build().unwrap();
    let address = format!("{url}/readyz");
    let (http, address) = (&http, &address);
    wait::until("the server is ready", Duration::from_secs(30), || async move {
        http.get(address).send().await.ok().filter(|a| a.status().is_success()).map(|_| ())
    })
    .await;
}
