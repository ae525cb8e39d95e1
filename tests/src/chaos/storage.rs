//! Holds what is in storage after a run to what was promised.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde_json::Value;
use sha2::{Digest, Sha256};

use super::client::{Acknowledged, End};
use super::fleet::tenant_name;
use super::violation::Violation;
use crate::uploads::sha256;

/// Manifest of a recording that is being deleted.
const TOMBSTONE: &str = "manifest/18446744073709551615.json";
/// Manifests of a recording that are kept.
const MAX_MANIFESTS: usize = 3;

/// The files below `folder`, by their path relative to it, with their size. Those that are removed
/// meanwhile are left out.
pub fn files(folder: &Path) -> BTreeMap<String, u64> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in std::fs::read_dir(next).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if let (Ok(facts), Ok(relative)) = (entry.metadata(), path.strip_prefix(folder)) {
                found.insert(relative.display().to_string(), facts.len());
            }
        }
    }
    found
}

/// Number, bytes and SHA-256 of a listing, as the receipt of a deletion states them.
pub fn listing(folder: &Path) -> (u64, u64, String) {
    let (mut count, mut bytes, mut hash) = (0, 0, Sha256::new());
    for (key, size) in files(folder) {
        count += 1;
        bytes += size;
        hash.update(format!("{key} {size}\n"));
    }
    (count, bytes, hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}

/// What does not keep a promise, or belongs to nothing.
pub fn check(objects: &Path, recordings: &[Acknowledged]) -> Vec<Violation> {
    let mut violations = Vec::new();
    for recording in recordings {
        let folder = objects.join(tenant_name(recording.tenant)).join(&recording.recording);
        let problems = match recording.end {
            End::Deleted => check_deleted(&folder),
            end => check_kept(&folder, recording, end).unwrap_or_else(|problem| vec![problem]),
        };
        violations.extend(problems.into_iter().map(|what| Violation::about(&recording.recording, what)));
    }
    violations.extend(check_rest(objects, recordings));
    violations
}

fn check_deleted(folder: &Path) -> Vec<String> {
    let left = files(folder).into_keys().filter(|key| key != TOMBSTONE);
    left.map(|key| format!("deleted, but {key} is there")).collect()
}

fn check_kept(folder: &Path, recording: &Acknowledged, end: End) -> Result<Vec<String>, String> {
    let found = files(folder);
    let manifests: Vec<&String> = found.keys().filter(|key| key.starts_with("manifest/")).collect();
    let newest = manifests.last().ok_or("it has no manifest")?;
    let manifest = read_json(&folder.join(newest))?;
    let mut problems = Vec::new();
    let expected = match end {
        End::Ready => "ready",
        End::Cancelled => "cancelled",
        End::Deleted => "deleted",
    };
    if manifest["state"] != expected {
        problems.push(format!("its manifest says {}, not {expected}", manifest["state"]));
    }
    if manifests.len() > MAX_MANIFESTS {
        problems.push(format!("{} manifests are kept", manifests.len()));
    }
    let source = manifest["source"]["key"].as_str().unwrap_or_default();
    if manifest["source"]["sha256"] != recording.sha256.as_str() {
        problems.push("its manifest has another hash for the uploaded file".to_owned());
    }
    let named = named_objects(folder, &manifest)?;
    if !named.contains_key(source) {
        problems.push("its manifest does not name the uploaded file".to_owned());
    }
    for (key, (size, hash)) in &named {
        match std::fs::read(folder.join(key)) {
            Ok(bytes) if bytes.len() as u64 == *size && sha256(&bytes) == *hash => {}
            Ok(bytes) => problems.push(format!("{key}: {} bytes that are not what was written", bytes.len())),
            Err(error) => problems.push(format!("{key}: {error}")),
        }
    }
    let unnamed = found.keys().filter(|key| !named.contains_key(*key) && !key.starts_with("manifest/"));
    problems.extend(unnamed.map(|key| format!("{key} is there, and nothing names it")));
    Ok(problems)
}

/// The objects that a manifest names, itself and through its inventories, with size and hash.
fn named_objects(folder: &Path, manifest: &Value) -> Result<BTreeMap<String, (u64, String)>, String> {
    let mut named = objects_of(manifest)?;
    for reference in manifest["inventories"].as_object().into_iter().flat_map(|all| all.values()) {
        let (Some(key), Some(hash)) = (reference["key"].as_str(), reference["sha256"].as_str()) else {
            return Err(format!("a reference to an inventory is none: {reference}"));
        };
        let path = folder.join(key);
        let size = path.metadata().map_err(|error| format!("{key}: {error}"))?.len();
        named.insert(key.to_owned(), (size, hash.to_owned()));
        let inventory = read_json(&path)?;
        let objects = objects_of(&inventory)?;
        let bytes: u64 = objects.values().map(|(size, _)| size).sum();
        if reference["objects"] != objects.len() || reference["size_bytes"] != bytes {
            return Err(format!("{key} names {} objects of {bytes} bytes: {reference}", objects.len()));
        }
        check_parts(folder, &inventory)?;
        // Intermediate files go when the recording is finished.
        let is_gone = |key: &str| key.starts_with("work/") && !folder.join(key).exists();
        named.extend(objects.into_iter().filter(|(key, _)| manifest["state"] != "ready" || !is_gone(key)));
    }
    Ok(named)
}

fn objects_of(document: &Value) -> Result<BTreeMap<String, (u64, String)>, String> {
    let objects = document["objects"].as_object().ok_or("it names no objects")?;
    let one = |(key, value): (&String, &Value)| {
        Ok((key.clone(), facts(value).ok_or_else(|| format!("{key} has no facts"))?))
    };
    objects.iter().map(one).collect()
}

fn facts(value: &Value) -> Option<(u64, String)> {
    Some((value["size_bytes"].as_u64()?, value["sha256"].as_str()?.to_owned()))
}

/// Segments lie one after another in the objects that they share.
fn check_parts(folder: &Path, inventory: &Value) -> Result<(), String> {
    for (key, object) in inventory["objects"].as_object().into_iter().flatten() {
        let Some(parts) = object["parts"].as_array() else { continue };
        let bytes = std::fs::read(folder.join(key)).map_err(|error| format!("{key}: {error}"))?;
        let mut rest = bytes.as_slice();
        for part in parts {
            let (size, hash) = facts(part).ok_or_else(|| format!("a part of {key} has no facts"))?;
            let own = rest.split_off(..size as usize).ok_or_else(|| format!("{key} is too short"))?;
            if sha256(own) != hash {
                return Err(format!("{} in {key} is not what was written", part["name"]));
            }
        }
        if !rest.is_empty() {
            return Err(format!("{key} has bytes of no part"));
        }
    }
    Ok(())
}

/// What belongs to no recording.
fn check_rest(objects: &Path, recordings: &[Acknowledged]) -> Vec<Violation> {
    let known: BTreeMap<&str, End> = recordings.iter().map(|r| (r.recording.as_str(), r.end)).collect();
    let tenants: BTreeSet<String> = recordings.iter().map(|r| tenant_name(r.tenant)).collect();
    let mut violations = Vec::new();
    for tenant in tenants {
        for key in files(&objects.join(&tenant)).into_keys() {
            let (folder, name) = key.split_once('/').unwrap_or(("", &key));
            let id = name.rsplit('-').take(5).collect::<Vec<_>>();
            let id = id.into_iter().rev().collect::<Vec<_>>().join("-");
            let problem = match folder {
                "_pending" => Some("is still marked as unfinished"),
                "_uploads" if !name.ends_with(".done") => Some("has an unfinished upload"),
                "_refused" => Some("was refused"),
                "_deleted" | "_receipts" => None,
                folder if folder.starts_with('_') => None,
                folder if known.contains_key(folder) => None,
                _ => Some("was acknowledged to no client"),
            };
            let recording = if folder.starts_with('_') { id.as_str() } else { folder };
            violations
                .extend(problem.map(|what| Violation::about(recording, format!("{tenant}/{key}: {what}"))));
        }
    }
    violations
}

/// Temporary files of the fleet: what workers left on their scratch disks.
pub fn temporary_files(scratch: &[PathBuf]) -> Vec<Violation> {
    let left = scratch.iter().flat_map(|folder| {
        let left = files(folder).into_keys();
        left.map(|name| folder.join(name).display().to_string())
    });
    left.map(|path| Violation::general(format!("{path} was left"))).collect()
}

fn read_json(path: &Path) -> Result<Value, String> {
    let body = std::fs::read(path).map_err(|error| error.to_string())?;
    serde_json::from_slice(&body).map_err(|error| error.to_string())
}
