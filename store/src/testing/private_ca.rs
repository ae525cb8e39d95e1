//! A certificate authority of the test's own, with a certificate for servers of this machine.

use std::path::{Path, PathBuf};
use std::process::Command;

pub(crate) struct PrivateCa(tempfile::TempDir);

impl PrivateCa {
    pub(crate) fn new() -> Self {
        let ca = Self(tempfile::tempdir().unwrap());
        let key = "-new -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2";
        ca.openssl(&format!("req -x509 {key} -subj /CN=authority -keyout ca.key -out ca.pem"));
        let names = "-addext subjectAltName=IP:127.0.0.1 -addext basicConstraints=critical,CA:FALSE";
        let by = "-CA ca.pem -CAkey ca.key";
        ca.openssl(&format!("req -x509 {key} -subj /CN=server {names} {by} -keyout key.pem -out cert.pem"));
        ca
    }

    fn openssl(&self, arguments: &str) {
        let done = Command::new("openssl").args(arguments.split(' ')).current_dir(self.path()).output();
        let done = done.unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    /// The authority's own certificate.
    pub(crate) fn ca_path(&self) -> PathBuf {
        self.path().join("ca.pem")
    }

    /// The certificate of servers and clients.
    pub(crate) fn cert_path(&self) -> PathBuf {
        self.path().join("cert.pem")
    }

    /// Its key.
    pub(crate) fn key_path(&self) -> PathBuf {
        self.path().join("key.pem")
    }
}
