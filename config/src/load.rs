//! Merges file, environment and flags value by value, so that each problem is reported with its
//! origin.

use std::collections::BTreeMap;
use std::path::Path as FilePath;

use serde_json::Value;

use crate::document::{self, Leaf};
use crate::names::{PathPart, SettingPath, renamed};
use crate::problem::{Origin, Problems, SettingProblem};
use crate::{Settings, checks, show};

/// Variables of this prefix are settings: `CHALKSTREAM__STORE__S3__BUCKET` is `store.s3.bucket`.
const PREFIX: &str = "CHALKSTREAM__";
/// A settings file larger than this is a mistake, in bytes.
const MAX_FILE_BYTES: u64 = 1 << 20;

/// Reads the settings: defaults, then `file`, then the environment, then `flags`
/// (`("server.listen", "0.0.0.0:80")`).
///
/// # Errors
/// Every problem at once: syntax, unknown names, wrong types, and values that contradict each
/// other.
pub fn load(file: Option<&FilePath>, flags: &[(String, String)]) -> Result<Settings, Problems> {
    let mut unreadable = Vec::new();
    let text = file.and_then(|file| {
        let name = file.display().to_string();
        match read_file(file) {
            Ok(text) => Some((name, text)),
            Err(message) => {
                let origin = Origin::File { file: name, line: 0, column: 0 };
                unreadable.push(SettingProblem { origin, key: String::new(), message });
                None
            }
        }
    });
    let environment: Vec<(String, String)> = std::env::vars_os()
        .filter_map(|(name, value)| {
            let name = name.into_string().ok().filter(|name| name.starts_with(PREFIX))?;
            Some((name, value.to_string_lossy().into_owned()))
        })
        .collect();
    let text = text.as_ref().map(|(name, text)| (name.as_str(), text.as_str()));
    match merge(text, &environment, flags) {
        Ok(settings) if unreadable.is_empty() => Ok(settings),
        Ok(_) => Err(Problems(unreadable)),
        Err(Problems(found)) => {
            unreadable.extend(found);
            Err(Problems(unreadable))
        }
    }
}

fn read_file(file: &FilePath) -> Result<String, String> {
    let size_bytes = std::fs::metadata(file).map_err(|error| format!("cannot be read: {error}"))?.len();
    if size_bytes > MAX_FILE_BYTES {
        return Err(format!("is {size_bytes} bytes long; a settings file has at most {MAX_FILE_BYTES}"));
    }
    std::fs::read_to_string(file).map_err(|error| format!("cannot be read: {error}"))
}

/// [`load`] on values: `text` is the file's name and text, the others are name and value.
pub(crate) fn merge(
    text: Option<(&str, &str)>,
    environment: &[(String, String)],
    flags: &[(String, String)],
) -> Result<Settings, Problems> {
    let (mut layers, mut problems) = (Vec::new(), Vec::new());
    if let Some((name, text)) = text {
        let (leaves, found) = document::read(name, text);
        layers.push(leaves);
        problems.extend(found);
    }
    layers.extend(environment.iter().map(|(name, value)| {
        let path = name.trim_start_matches(PREFIX).to_lowercase().replace("__", ".");
        from_text(&SettingPath::dotted(&path), value, &Origin::Environment(name.clone()))
    }));
    layers.extend(
        flags
            .iter()
            .map(|(name, value)| from_text(&SettingPath::dotted(name), value, &Origin::Flag(name.clone()))),
    );

    let mut given = BTreeMap::new();
    for leaves in layers {
        make_room(&mut given, &leaves);
        given.extend(leaves.into_iter().map(|leaf| (leaf.path.clone(), leaf)));
    }

    let mut bad: Vec<SettingPath> = Vec::new();
    let mut root = Value::Object(serde_json::Map::new());
    for leaf in given.values() {
        match try_alone(&leaf.path, &leaf.value) {
            Ok(()) => leaf.path.put(&mut root, leaf.value.clone()),
            Err(message) => {
                bad.push(leaf.path.clone());
                problems.push(SettingProblem {
                    origin: leaf.origin.clone(),
                    key: leaf.path.to_string(),
                    message,
                });
            }
        }
    }
    drop_holes(&mut root);
    let settings: Settings = match serde_json::from_value(root) {
        Ok(settings) => settings,
        // Each value was valid alone. Together they fail only if one is given in two shapes.
        Err(error) => {
            problems.push(SettingProblem {
                origin: Origin::Default,
                key: String::new(),
                message: error.to_string(),
            });
            Settings::default()
        }
    };
    for finding in checks::check(&settings) {
        let path = finding.path;
        if bad.iter().any(|other| other.starts_with(&path) || path.starts_with(other)) {
            continue;
        }
        let origin = origin_of(&given, &path)
            .or_else(|| finding.because.and_then(|because| origin_of(&given, &because)))
            .unwrap_or(Origin::Default);
        problems.push(SettingProblem { origin, key: path.to_string(), message: finding.message });
    }
    if problems.is_empty() {
        return Ok(settings);
    }
    problems.sort();
    problems.dedup();
    Err(Problems(problems))
}

/// A variable or flag is text. It stays text if the setting takes text, and is read as a TOML value
/// otherwise.
fn from_text(path: &SettingPath, text: &str, origin: &Origin) -> Vec<Leaf> {
    let as_text = Value::String(text.to_owned());
    let value = match try_alone(path, &as_text) {
        Ok(()) => as_text,
        Err(_) => document::value(text).unwrap_or(as_text),
    };
    document::split(path, value, origin)
}

/// An array is replaced completely: the elements of a lower layer go before those of a higher one
/// come.
fn make_room(given: &mut BTreeMap<SettingPath, Leaf>, leaves: &[Leaf]) {
    for leaf in leaves {
        let replaced = leaf.path.array().unwrap_or_else(|| leaf.path.clone());
        given.retain(|path, _| !path.starts_with(&replaced));
    }
}

/// Checks that the setting of this name takes this value, by reading a document with nothing else.
fn try_alone(path: &SettingPath, value: &Value) -> Result<(), String> {
    if path.0.iter().any(|part| matches!(part, PathPart::Key(key) if key.is_empty())) {
        return Err("has an empty part in its name".into());
    }
    if let Some(new) = renamed(path) {
        return Err(format!("was renamed to {new}"));
    }
    serde_json::from_value::<Settings>(path.alone(value.clone())).map(|_| ()).map_err(|error| {
        let near_secret = show::secrets().iter().any(|secret| secret.starts_with(path));
        match error.to_string() {
            // serde quotes the value it was given, which may be the secret itself.
            message if near_secret && !message.starts_with("unknown field") => "has the wrong type".into(),
            message => message,
        }
    })
}

/// Origin of `path`, or else of the list element that leaves it out.
fn origin_of(given: &BTreeMap<SettingPath, Leaf>, path: &SettingPath) -> Option<Origin> {
    let under = |path: &SettingPath| {
        let origins = given.iter().filter(|(other, _)| other.starts_with(path)).map(|(_, leaf)| &leaf.origin);
        origins.min()
    };
    under(path).or_else(|| under(&path.element()?)).cloned()
}

/// Drops the holes that list elements without a valid value leave.
fn drop_holes(value: &mut Value) {
    match value {
        Value::Array(items) => {
            items.retain(|item| !item.is_null());
            items.iter_mut().for_each(drop_holes);
        }
        Value::Object(fields) => fields.values_mut().for_each(drop_holes),
        _ => {}
    }
}

#[cfg(test)]
mod tests;
