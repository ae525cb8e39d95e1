//! Uploads as clients make them, and what is stored of them.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;
use sha2::{Digest, Sha256};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::client::Client;
use crate::stack::Stack;

/// Pseudo-random bytes and numbers, the same for the same seed.
pub struct Seeded(u64);

impl Seeded {
    /// A sequence of its own for each seed.
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    /// The next number (xorshift64*).
    pub fn number(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    /// The next `length` bytes.
    pub fn bytes(&mut self, length: usize) -> Vec<u8> {
        let mut bytes: Vec<u8> = (0..length.div_ceil(8)).flat_map(|_| self.number().to_le_bytes()).collect();
        bytes.truncate(length);
        bytes
    }
}

/// A PATCH on a connection of its own that sends `bytes` of a longer body, and then nothing more.
pub async fn unfinished_patch(client: &Client, path: &str, from: u64, size: u64, bytes: &[u8]) -> TcpStream {
    let address = client.url.strip_prefix("http://").unwrap();
    let mut line = TcpStream::connect(address).await.unwrap();
    let head = format!(
        "PATCH {path} HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {}\r\ntus-resumable: 1.0.0\r\n\
         upload-offset: {from}\r\ncontent-type: application/offset+octet-stream\r\ncontent-length: {}\r\n\r\n",
        client.key,
        size - from
    );
    line.write_all(head.as_bytes()).await.unwrap();
    line.write_all(bytes).await.unwrap();
    line
}

/// SHA-256 as lower-case hex.
pub fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// SHA-256 of a recording's stored file, and as its manifest has it.
pub fn stored_sha256(stack: &Stack, recording: &str) -> (String, String) {
    let folder = stack.objects().join("district").join(recording);
    // Their names sort by age.
    let manifests = std::fs::read_dir(folder.join("manifest")).unwrap();
    let newest = manifests.map(|entry| entry.unwrap().path()).max().unwrap();
    let manifest: Value = serde_json::from_slice(&std::fs::read(newest).unwrap()).unwrap();
    let source = &manifest["source"];
    let bytes = std::fs::read(folder.join(source["key"].as_str().unwrap())).unwrap();
    (sha256(&bytes), source["sha256"].as_str().unwrap().to_owned())
}

/// Runs tuspy on files by the name of the case; returns the upload's address by that name.
pub fn tuspy(input: &Value) -> Value {
    let cache = std::env::var_os("CHALKSTREAM_CACHE").map_or_else(
        || PathBuf::from(std::env::var_os("HOME").unwrap()).join(".cache/chalkstream"),
        PathBuf::from,
    );
    let python = cache.join("tools/bin/python3");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("uploads/clients.py");
    let mut child = Command::new(&python)
        .arg(script)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|e| panic!("{} does not run ({e}): run scripts/setup test", python.display()));
    // The script reads all of it before it writes; one that ended early says why below.
    let _ = std::io::Write::write_all(&mut child.stdin.take().unwrap(), input.to_string().as_bytes());
    let output = child.wait_with_output().unwrap();
    let err = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "tuspy failed:\n{err}");
    serde_json::from_slice(&output.stdout).unwrap()
}
