//! Processes of a Redis: of the machine's own, or of the one that `CHALKSTREAM_TEST_REDIS` names,
//! which may be another version or Valkey.

use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A running server or sentinel, killed when dropped.
pub(crate) struct RedisProcess(Child);

impl RedisProcess {
    /// Starts a server with its files in `folder`.
    pub(crate) fn start(folder: &Path, arguments: &[&str]) -> Self {
        let program = std::env::var_os("CHALKSTREAM_TEST_REDIS").unwrap_or_else(|| "redis-server".into());
        let child = Command::new(&program)
            .args(arguments)
            .args(["--dir", folder.to_str().unwrap()])
            .current_dir(folder)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        Self(child.unwrap_or_else(|error| panic!("{} cannot be started: {error}", program.display())))
    }

    pub(crate) fn id(&self) -> u32 {
        self.0.id()
    }
}

impl Drop for RedisProcess {
    fn drop(&mut self) {
        // One that is frozen dies by this as well.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Sends a signal.
pub(crate) fn signal(id: u32, signal: &str) {
    assert!(Command::new("kill").args([signal, &id.to_string()]).status().unwrap().success());
}

/// Ports that nothing listens on just now.
pub(crate) fn free_ports<const N: usize>() -> [u16; N] {
    let listeners: [TcpListener; N] = std::array::from_fn(|_| TcpListener::bind("127.0.0.1:0").unwrap());
    listeners.map(|listener| listener.local_addr().unwrap().port())
}

/// Sends a command to the server on a port of this machine.
pub(crate) async fn ask(port: u16, words: &[&str]) -> redis::RedisResult<redis::Value> {
    let client = redis::Client::open(format!("redis://127.0.0.1:{port}"))?;
    let mut connection = client.get_multiplexed_async_connection().await?;
    redis::cmd(words[0]).arg(&words[1..]).query_async(&mut connection).await
}

/// Waits until the answer to a command contains a text.
pub(crate) async fn until(port: u16, words: &[&str], wanted: &str) {
    let limit = Instant::now() + Duration::from_secs(30);
    loop {
        let answer = ask(port, words).await;
        if format!("{answer:?}").contains(wanted) {
            return;
        }
        assert!(Instant::now() < limit, "{words:?} at {port}: {answer:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
