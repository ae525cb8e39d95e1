//! Lists a folder as if it were a bucket: keys in byte order, folders only where they hold an
//! object.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::Listed;
use crate::{Error, Result};

/// At most `limit` objects whose key starts with `prefix` and is greater than `after`.
pub(super) fn list(root: &Path, prefix: &str, after: &str, limit: usize) -> Result<Vec<Listed>> {
    let mut found = Vec::new();
    let folder = prefix.rsplit_once('/').map_or("", |(folder, _)| folder);
    let folder = if folder.is_empty() { String::new() } else { format!("{folder}/") };
    walk(root, &folder, &mut FolderWalk { prefix, after, limit, found: &mut found })?;
    Ok(found)
}

/// Names of the folders right under `prefix` that hold an object.
pub(super) fn list_dirs(root: &Path, prefix: &str) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in entries(root, prefix)? {
        if let Some(name) = entry.name.strip_suffix('/')
            && holds_object(&root.join(prefix).join(name))?
        {
            names.push(name.to_string());
        }
    }
    names.sort_unstable();
    Ok(names)
}

/// True if there is an object somewhere in a folder. It stops at the first one: a folder may hold
/// a hundred thousand.
fn holds_object(folder: &Path) -> Result<bool> {
    let failed = |e| Error::io("cannot list objects", e);
    let listing = match std::fs::read_dir(folder) {
        Ok(listing) => listing,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(e) => return Err(failed(e)),
    };
    for entry in listing {
        let entry = entry.map_err(failed)?;
        if entry.file_name().to_str().is_none_or(|name| name.starts_with('.')) {
            continue;
        }
        if !entry.file_type().map_err(failed)?.is_dir() || holds_object(&entry.path())? {
            return Ok(true);
        }
    }
    Ok(false)
}

struct FolderWalk<'a> {
    prefix: &'a str,
    after: &'a str,
    limit: usize,
    found: &'a mut Vec<Listed>,
}

fn walk(root: &Path, folder: &str, walk_of: &mut FolderWalk<'_>) -> Result<()> {
    for entry in entries(root, folder)? {
        if walk_of.found.len() >= walk_of.limit {
            return Ok(());
        }
        let key = format!("{folder}{}", entry.name);
        let Some((size_bytes, tag)) = entry.facts else {
            // A folder all of whose keys come before what is wanted, or none of whose can match, is
            // not entered.
            let done = walk_of.after > key.as_str() && !walk_of.after.starts_with(&key);
            let fits = key.starts_with(walk_of.prefix) || walk_of.prefix.starts_with(&key);
            if !done && fits {
                walk(root, &key, walk_of)?;
            }
            continue;
        };
        if key.starts_with(walk_of.prefix) && key.as_str() > walk_of.after {
            walk_of.found.push(Listed { key, size_bytes, tag });
        }
    }
    Ok(())
}

struct FolderEntry {
    /// With a slash at the end where it is a folder: that gives the byte order of complete keys
    /// (`a-b` < `a/b`).
    name: String,
    /// Size and tag of a file.
    facts: Option<(u64, u64)>,
}

/// Content of a folder, in the order of keys; empty if there is no such folder. Hidden
/// entries are ours.
fn entries(root: &Path, folder: &str) -> Result<Vec<FolderEntry>> {
    let failed = |e| Error::io("cannot list objects", e);
    let listing = match std::fs::read_dir(root.join(folder)) {
        Ok(listing) => listing,
        Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return Ok(Vec::new());
        }
        Err(e) => return Err(failed(e)),
    };
    let mut entries = Vec::new();
    for entry in listing {
        let entry = entry.map_err(failed)?;
        let Some(name) = entry.file_name().to_str().map(String::from) else { continue };
        if name.starts_with('.') {
            continue;
        }
        // Known from the listing itself, without a look at the folder.
        if entry.file_type().map_err(failed)?.is_dir() {
            entries.push(FolderEntry { name: name + "/", facts: None });
            continue;
        }
        match entry.metadata() {
            Ok(facts) if facts.is_dir() => entries.push(FolderEntry { name: name + "/", facts: None }),
            Ok(facts) => entries.push(FolderEntry { name, facts: Some((facts.len(), tag(&facts))) }),
            // Removed since it was listed.
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            Err(e) => return Err(failed(e)),
        }
    }
    entries.sort_unstable_by(|a, b| a.name.cmp(&b.name));
    Ok(entries)
}

/// A file is never changed, only replaced by another one: its number and time differ.
fn tag(facts: &std::fs::Metadata) -> u64 {
    super::tag(&(facts.ino(), facts.mtime(), facts.mtime_nsec()))
}
