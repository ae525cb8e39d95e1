//! Uploads in parts, in a folder. Parts that come in order, as an upload's do, are written one
//! after the other into one file, which gets its name at the end: nothing is copied, however long
//! it is. Any other part is a file of its own until then.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::fs_files::Files;
use super::{Part, sha256_hex};
use crate::{Error, Result};

/// Folder of uploads that are open. No key begins with a dot, so none reaches it.
pub(super) const FOLDER: &str = ".multipart";
/// The parts that came in order.
const JOINED: &str = "joined";
/// How many bytes each of them has, a line a part.
const SIZES: &str = "sizes";

fn folder(store: &Files, upload: &str) -> Result<PathBuf> {
    // The id comes back from a client's upload state: it must not become a path.
    let plain = upload.len() == 36 && upload.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-');
    let folder = store.root.join(FOLDER).join(upload);
    if plain && folder.is_dir() { Ok(folder) } else { Err(Error::not_found("no such upload")) }
}

fn part_path(folder: &Path, number: u32) -> PathBuf {
    folder.join(format!("{number:05}"))
}

fn sizes(folder: &Path) -> Result<Vec<u64>> {
    let broken = |e| Error::io("cannot read an upload's parts", e);
    match std::fs::read_to_string(folder.join(SIZES)) {
        Ok(text) => {
            let size = |line: &str| line.parse().map_err(|e| broken(io::Error::other(e)));
            text.lines().map(size).collect()
        }
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(e) => Err(broken(e)),
    }
}

pub(super) fn create(store: &Files, _target: &Path) -> Result<String> {
    let id = uuid::Uuid::now_v7().to_string();
    let made = std::fs::create_dir_all(store.root.join(FOLDER).join(&id))
        .and_then(|()| File::open(store.root.join(FOLDER))?.sync_all());
    made.map_err(|e| Error::io("cannot start an upload", e))?;
    Ok(id)
}

pub(super) fn put(store: &Files, upload: &str, number: u32, body: &[u8]) -> Result<Part> {
    let folder = folder(store, upload)?;
    let mut sizes = sizes(&folder)?;
    // The next one, or the last one again, as after a lost answer.
    let index = (number as usize)
        .checked_sub(1)
        .filter(|index| (sizes.len()..=sizes.len() + 1).contains(&(index + 1)));
    match index.filter(|_| !part_path(&folder, number).exists()) {
        Some(index) => {
            sizes.truncate(index);
            write_at(&folder.join(JOINED), sizes.iter().sum(), body)
                .map_err(|e| Error::io("cannot write a part", e))?;
            sizes.push(body.len() as u64);
            let lines: String = sizes.iter().map(|size| format!("{size}\n")).collect();
            store.write(lines.as_bytes(), &folder.join(SIZES))?;
        }
        None => store.write(body, &part_path(&folder, number))?,
    }
    Ok(Part { number, etag: sha256_hex(body), size_bytes: body.len() as u64 })
}

fn write_at(path: &Path, offset: u64, body: &[u8]) -> io::Result<()> {
    let file = File::options().create(true).truncate(false).write(true).open(path)?;
    file.write_all_at(body, offset)?;
    file.sync_all()
}

pub(super) fn complete(store: &Files, upload: &str, parts: &[Part], target: &Path) -> Result<()> {
    let folder = folder(store, upload)?;
    let sizes = sizes(&folder)?;
    // Where each part is: a file, and from where in it.
    let mut sources = Vec::with_capacity(parts.len());
    for part in parts {
        let own = part_path(&folder, part.number);
        let before = (part.number as usize).checked_sub(1).filter(|&before| before < sizes.len());
        let (path, offset, size_bytes) = match (std::fs::metadata(&own), before) {
            (Ok(facts), _) => (own, 0, facts.len()),
            (_, Some(before)) => (folder.join(JOINED), sizes[..before].iter().sum(), sizes[before]),
            _ => return Err(absent()),
        };
        if size_bytes != part.size_bytes {
            return Err(absent());
        }
        sources.push((path, offset, size_bytes));
    }
    let joined = folder.join(JOINED);
    let mut end = 0;
    let in_order = sources.iter().all(|(path, offset, size_bytes)| {
        let follows = *path == joined && *offset == end;
        end += size_bytes;
        follows
    });
    if in_order {
        let file = match File::options().write(true).open(&joined) {
            // It has its name already, and the process that gave it came no further.
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                abort(store, upload)?;
                return Err(Error::not_found("no such upload"));
            }
            opened => opened.map_err(|e| Error::io("cannot name an upload", e))?,
        };
        let named = file.set_len(end).and_then(|()| store.name(&file, &joined, target));
        named.map_err(|e| Error::io("cannot name an upload", e))?;
    } else {
        let (mut joined, tmp) = store.tmp()?;
        let copied = sources.iter().try_for_each(|(path, offset, size_bytes)| {
            let mut from = File::open(path)?;
            from.seek(SeekFrom::Start(*offset))?;
            io::copy(&mut from.take(*size_bytes), &mut joined).map(|_| ())
        });
        if let Err(e) = copied {
            let _ = std::fs::remove_file(&tmp);
            return Err(Error::io("cannot join the parts of an upload", e));
        }
        store.publish(joined, &tmp, target)?;
    }
    abort(store, upload)
}

fn absent() -> Error {
    Error::invalid("a part of the upload is not there")
}

pub(super) fn abort(store: &Files, upload: &str) -> Result<()> {
    let Ok(folder) = folder(store, upload) else { return Ok(()) };
    match std::fs::remove_dir_all(folder) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(Error::io("cannot drop an upload", e)),
        _ => Ok(()),
    }
}
