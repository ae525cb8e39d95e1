//! A cluster for tests: `osmem-server`, started by the test, or that of
//! `CHALKSTREAM_TEST_OPENSEARCH`.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::{LazyLock, OnceLock};
use std::time::Duration;

use chalkstream_config::{OpenSearch as Settings, Secret};
use reqwest::Method;
use serde_json::Value;
use tokio::runtime::{Handle, Runtime};

use super::super::{Error, OpenSearch};

/// An OpenSearch in memory, ended when dropped, or with the test's process.
pub struct Osmem {
    child: Child,
    url: String,
    /// Open as long as the program may write.
    _output: BufReader<ChildStdout>,
}

impl Osmem {
    /// Starts it on a port, or on a free one.
    pub fn start(port: u16) -> Self {
        let mut child = Command::new(program())
            .args(["--addr", &format!("127.0.0.1:{port}"), "--no-ja"])
            // It ends when this pipe does: also one that is never dropped ends with the test.
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("osmem-server does not run ({error}): run scripts/setup test"));
        let mut line = String::new();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        output.read_line(&mut line).unwrap();
        let ready: Value = serde_json::from_str(&line).expect("osmem-server did not start");
        Self { child, url: ready["url"].as_str().unwrap().to_owned(), _output: output }
    }

    /// Its address.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.url.rsplit(':').next().unwrap().parse().unwrap()
    }
}

impl Drop for Osmem {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The program, as `scripts/setup test` installs it.
fn program() -> PathBuf {
    let cache = std::env::var_os("CHALKSTREAM_CACHE").map_or_else(
        || PathBuf::from(std::env::var_os("HOME").unwrap()).join(".cache/chalkstream"),
        PathBuf::from,
    );
    cache.join("tools/bin/osmem-server")
}

/// The address of a real cluster, if the tests are to run on one: `http://user:password@host:port`.
pub fn real_cluster() -> Option<String> {
    std::env::var("CHALKSTREAM_TEST_OPENSEARCH").ok().filter(|url| !url.is_empty())
}

/// Settings for the cluster at an address. Indexes have the folder's name, so tests share none.
pub fn settings(url: &str, folder: &Path) -> Settings {
    let (scheme, rest) = url.split_once("://").unwrap();
    let (user, host) = rest.rsplit_once('@').unwrap_or(("", rest));
    let (username, password) = user.split_once(':').unwrap_or((user, ""));
    let name = folder.file_name().unwrap().to_string_lossy().to_ascii_lowercase();
    Settings {
        url: format!("{scheme}://{host}"),
        username: username.into(),
        password: Secret::new(password),
        index_prefix: format!("test-{}", name.replace(|c: char| !c.is_ascii_alphanumeric(), "")),
        ..Settings::default()
    }
}

/// A runtime for the requests of tests that have none.
pub fn runtime() -> Handle {
    static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| Runtime::new().unwrap());
    RUNTIME.handle().clone()
}

fn shared_url() -> String {
    static OSMEM: OnceLock<Osmem> = OnceLock::new();
    real_cluster().unwrap_or_else(|| OSMEM.get_or_init(|| Osmem::start(0)).url().to_owned())
}

/// An engine whose data belongs to a folder.
pub fn open(folder: &Path) -> Result<OpenSearch, Error> {
    OpenSearch::open(&settings(&shared_url(), folder), folder, runtime())
}

/// A client that does not wait for ever.
pub fn http() -> reqwest::Client {
    reqwest::Client::builder().timeout(Duration::from_secs(10)).build().unwrap()
}

/// Deletes the data that belongs to a folder.
pub fn delete(folder: &Path) {
    let settings = settings(&shared_url(), folder);
    let send = |method, path: &str| {
        let request = http().request(method, format!("{}/{path}", settings.url));
        let request = match settings.username.as_str() {
            "" => request,
            name => request.basic_auth(name, Some(settings.password.expose())),
        };
        runtime().block_on(async { request.send().await?.json::<Value>().await }).unwrap_or_default()
    };
    for pattern in [format!("{}_*", settings.index_prefix), format!("{}.*", settings.index_prefix)] {
        // Many clusters delete nothing by a pattern.
        let listed = send(Method::GET, &format!("_cat/indices/{pattern}?format=json&h=index"));
        for index in listed.as_array().into_iter().flatten().filter_map(|index| index["index"].as_str()) {
            send(Method::DELETE, index);
        }
    }
}
