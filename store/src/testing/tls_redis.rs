//! A Redis that speaks TLS alone. It is the machine's own: others that tests name may lack TLS.

use std::process::{Child, Command, Stdio};

use chalkstream_config as config;

use super::private_ca::PrivateCa;
use super::redis_process::free_ports;

pub(crate) struct TlsRedis {
    _folder: tempfile::TempDir,
    process: Child,
    port: u16,
}

impl TlsRedis {
    pub(crate) fn start(ca: &PrivateCa, asks_clients: bool) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let [port] = free_ports();
        let mut command = Command::new("redis-server");
        command.args(["--port", "0", "--save", "", "--bind", "127.0.0.1", "--tls-port", &port.to_string()]);
        command.args(["--tls-auth-clients", if asks_clients { "yes" } else { "no" }]);
        let files = [
            ("--tls-cert-file", ca.cert_path()),
            ("--tls-key-file", ca.key_path()),
            ("--tls-ca-cert-file", ca.ca_path()),
            ("--dir", folder.path().to_owned()),
        ];
        for (option, path) in files {
            command.arg(option).arg(path);
        }
        let process = command.stdout(Stdio::null()).spawn().unwrap();
        Self { _folder: folder, process, port }
    }

    pub(crate) fn settings(&self) -> config::Redis {
        let url = format!("rediss://127.0.0.1:{}", self.port);
        config::Redis { url: config::Secret::new(url), ..config::Redis::default() }
    }
}

impl Drop for TlsRedis {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
