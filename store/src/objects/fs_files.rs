//! Files that get their names only when they are complete and flushed.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::{Error, Result};

/// Temporary files. No key begins with a dot, so none reaches it.
pub(super) const TMP: &str = ".tmp";

/// The folder of a file store.
#[derive(Clone)]
pub(super) struct Files {
    /// Folder of the objects and of our own folders.
    pub(super) root: PathBuf,
}

impl Files {
    /// A new temporary file, and its path.
    pub(super) fn tmp(&self) -> Result<(File, PathBuf)> {
        let path = self.root.join(TMP).join(uuid::Uuid::now_v7().to_string());
        let file = File::create_new(&path).map_err(|e| Error::io("cannot make a temporary file", e))?;
        Ok((file, path))
    }

    /// Writes a file that is there completely or not at all.
    pub(super) fn write(&self, bytes: &[u8], target: &Path) -> Result<()> {
        let (mut file, tmp) = self.tmp()?;
        if let Err(e) = file.write_all(bytes) {
            let _ = std::fs::remove_file(&tmp);
            return Err(Error::io("cannot write an object", e));
        }
        self.publish(file, &tmp, target)
    }

    /// Removes an object's file, and the folders that this leaves empty: folders are not objects.
    pub(super) fn remove(&self, path: &Path) -> Result<()> {
        match std::fs::remove_file(path) {
            Ok(()) => {}
            Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                return Ok(());
            }
            Err(_) if path.is_dir() => return Ok(()),
            Err(e) => return Err(Error::io("cannot remove an object", e)),
        }
        let mut folder = path.parent();
        while let Some(empty) = folder.filter(|f| *f != self.root) {
            if std::fs::remove_dir(empty).is_err() {
                break;
            }
            folder = empty.parent();
        }
        Ok(())
    }

    /// Flushes a temporary file and gives it its name; where that fails it is removed.
    pub(super) fn publish(&self, file: File, tmp: &Path, target: &Path) -> Result<()> {
        self.name(&file, tmp, target).map_err(|e| {
            let _ = std::fs::remove_file(tmp);
            Error::io("cannot write an object", e)
        })
    }

    /// Flushes the file at `path` and gives it its name.
    pub(super) fn name(&self, file: &File, path: &Path, target: &Path) -> io::Result<()> {
        file.sync_all()?;
        let folder = target.parent().unwrap_or(&self.root);
        // A delete may remove the folder between its making and the rename: then it is made again.
        for _ in 0..20 {
            match self.make_folder(folder).and_then(|()| std::fs::rename(path, target)) {
                Ok(()) => return File::open(folder)?.sync_all(),
                Err(e) if e.kind() == io::ErrorKind::NotFound => continue,
                Err(e) => return Err(e),
            }
        }
        Err(io::Error::from(io::ErrorKind::NotFound))
    }

    /// Makes a folder under the root, flushing each one that names a new one.
    fn make_folder(&self, folder: &Path) -> io::Result<()> {
        if folder.is_dir() {
            return Ok(());
        }
        if let Some(parent) = folder.parent()
            && folder != self.root
        {
            self.make_folder(parent)?;
            match std::fs::create_dir(folder) {
                Ok(()) => File::open(parent)?.sync_all()?,
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists => match std::fs::metadata(folder) {
                    Ok(found) if found.is_dir() => {}
                    Ok(_) => return Err(e),
                    // Made and removed again meanwhile.
                    Err(gone) => return Err(gone),
                },
                Err(e) => return Err(e),
            }
        }
        Ok(())
    }
}
