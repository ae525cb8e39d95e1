//! Uploads in parts, in a folder: each part a file, the whole made of them at the end.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::fs::FsObjects;
use super::{Part, sha256_hex};
use crate::{Error, Result};

/// Folder of uploads that are open. No key begins with a dot, so none reaches it.
pub(super) const FOLDER: &str = ".multipart";

fn folder(store: &FsObjects, upload: &str) -> Result<PathBuf> {
    // The id comes back from a client's upload state: it must not become a path.
    let plain = upload.len() == 36 && upload.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-');
    if !plain {
        return Err(Error::not_found("no such upload"));
    }
    Ok(store.root.join(FOLDER).join(upload))
}

fn part_path(folder: &Path, number: u32) -> PathBuf {
    folder.join(format!("{number:05}"))
}

pub(super) fn create(store: &FsObjects, _target: &Path) -> Result<String> {
    let id = uuid::Uuid::now_v7().to_string();
    let folder = folder(store, &id)?;
    let made =
        std::fs::create_dir_all(&folder).and_then(|()| File::open(store.root.join(FOLDER))?.sync_all());
    made.map_err(|e| Error::io("cannot start an upload", e))?;
    Ok(id)
}

pub(super) fn put(store: &FsObjects, upload: &str, number: u32, body: &[u8]) -> Result<Part> {
    let folder = folder(store, upload)?;
    if !folder.is_dir() {
        return Err(Error::not_found("no such upload"));
    }
    let (mut file, tmp) = store.tmp()?;
    if let Err(e) = file.write_all(body) {
        let _ = std::fs::remove_file(&tmp);
        return Err(Error::io("cannot write a part", e));
    }
    store.publish(file, &tmp, &part_path(&folder, number))?;
    Ok(Part { number, etag: sha256_hex(body), size_bytes: body.len() as u64 })
}

pub(super) fn complete(store: &FsObjects, upload: &str, parts: &[Part], target: &Path) -> Result<()> {
    let folder = folder(store, upload)?;
    if !folder.is_dir() {
        return Err(Error::not_found("no such upload"));
    }
    for part in parts {
        let facts = std::fs::metadata(part_path(&folder, part.number));
        if !facts.is_ok_and(|f| f.len() == part.size_bytes) {
            return Err(Error::invalid("a part of the upload is not there"));
        }
    }
    let (mut whole, tmp) = store.tmp()?;
    let joined = parts.iter().try_for_each(|part| {
        io::copy(&mut File::open(part_path(&folder, part.number))?, &mut whole).map(|_| ())
    });
    if let Err(e) = joined {
        let _ = std::fs::remove_file(&tmp);
        return Err(Error::io("cannot join the parts of an upload", e));
    }
    store.publish(whole, &tmp, target)?;
    abort(store, upload)
}

pub(super) fn abort(store: &FsObjects, upload: &str) -> Result<()> {
    let Ok(folder) = folder(store, upload) else { return Ok(()) };
    match std::fs::remove_dir_all(folder) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(Error::io("cannot drop an upload", e)),
        _ => Ok(()),
    }
}
