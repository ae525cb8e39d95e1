//! A folder for one worker's temporary files, and the end of those that dead workers left.

use std::fs::{File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

/// Beginning of the name of a worker's folder.
const PREFIX: &str = "worker-";

/// A worker's own folder, removed with it.
pub struct Scratch {
    folder: PathBuf,
    _lock: File,
}

impl Scratch {
    /// Makes a folder below `root`, and removes those whose worker is gone. A live worker holds its
    /// folder's lock, which the kernel drops with the process, however that ends.
    pub fn new(root: &Path) -> io::Result<Self> {
        std::fs::create_dir_all(root)?;
        for entry in std::fs::read_dir(root)?.flatten() {
            if entry.file_name().to_string_lossy().starts_with(PREFIX) {
                remove_dead(&entry.path());
            }
        }
        let folder = root.join(format!("{PREFIX}{}", uuid::Uuid::now_v7().simple()));
        std::fs::create_dir(&folder)?;
        let lock = File::create(folder.join("lock"))?;
        lock.lock()?;
        Ok(Self { folder, _lock: lock })
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.folder
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.folder) {
            tracing::warn!(%error, "scratch folder was not removed");
        }
    }
}

fn remove_dead(folder: &Path) {
    // One that is just being made has no lock yet.
    let Ok(lock) = File::open(folder.join("lock")) else { return };
    match lock.try_lock() {
        Ok(()) => drop(std::fs::remove_dir_all(folder)),
        Err(TryLockError::WouldBlock | TryLockError::Error(_)) => {}
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn dead_workers_folders_go_and_live_ones_stay() {
        let root = tempfile::tempdir().unwrap();
        let dead = root.path().join("worker-dead");
        std::fs::create_dir(&dead).unwrap();
        std::fs::write(dead.join("lock"), b"").unwrap();
        let live = Scratch::new(root.path()).unwrap();
        let other = Scratch::new(root.path()).unwrap();
        assert!(!dead.exists());
        assert!(live.path().is_dir() && other.path().is_dir());
        let folder = live.path().to_owned();
        drop(live);
        assert!(!folder.exists());
    }
}
