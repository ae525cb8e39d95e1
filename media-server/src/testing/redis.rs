//! A Redis of the test's own.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// A `redis-server` on a socket, ended when dropped.
pub struct Redis {
    child: Child,
    socket: PathBuf,
}

impl Redis {
    pub async fn start(folder: &Path) -> Self {
        let socket = folder.join("redis.sock");
        let child = Command::new("redis-server")
            .args(["--port", "0", "--save", "", "--appendonly", "no", "--unixsocket"])
            .arg(&socket)
            .current_dir(folder)
            .stdout(Stdio::null())
            .spawn()
            .expect("redis-server is missing: apt-get install redis-server");
        super::until("redis answers", || async { tokio::net::UnixStream::connect(&socket).await.ok() }).await;
        Self { child, socket }
    }

    pub fn url(&self) -> String {
        format!("redis+unix://{}", self.socket.display())
    }

    /// Removes everything.
    pub fn flush(&self) {
        let mut command = Command::new("redis-cli");
        command.arg("-s").arg(&self.socket).arg("FLUSHALL").stdout(Stdio::null());
        assert!(command.status().unwrap().success());
    }

    /// Ends it, as a crash would.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        self.kill();
    }
}
