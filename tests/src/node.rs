//! The browser and the outside checkers: Node scripts in `tests/browser`, run as children, JSON
//! out.

use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::process::tool;

/// The folder of the scripts.
pub fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("browser")
}

/// Errors that the reference parser finds in a WebVTT text of this kind ("subtitles" or
/// "metadata").
pub fn webvtt(name: &str, text: &str, kind: &'static str) -> Vec<String> {
    webvtts([(name.to_owned(), text.to_owned(), kind)])
}

/// As [`webvtt`], for many files at once: names, texts and kinds.
pub fn webvtts(files: impl IntoIterator<Item = (String, String, &'static str)>) -> Vec<String> {
    let files: Vec<Value> = files
        .into_iter()
        .map(|(name, text, kind)| json!({ "name": name, "text": text, "kind": kind }))
        .collect();
    let checked = run("vtt.mjs", &json!({ "files": files }));
    let results = checked["results"].as_array().expect("vtt.mjs answers a list");
    assert_eq!(results.len(), files.len(), "vtt.mjs answers for each file");
    results
        .iter()
        .flat_map(|result| {
            let errors = result["errors"].as_array().expect("vtt.mjs answers a list of errors");
            errors.iter().map(|error| format!("{}: {error}", result["name"])).collect::<Vec<_>>()
        })
        .collect()
}

/// Returns the problem that hls-parser's strict mode finds in a playlist; `None` if it is valid.
pub fn playlist(name: &str, text: &str) -> Option<String> {
    playlists([(name.to_owned(), text.to_owned())]).pop()
}

/// As [`playlist`], for many at once: names and texts.
pub fn playlists(playlists: impl IntoIterator<Item = (String, String)>) -> Vec<String> {
    let playlists: Vec<Value> =
        playlists.into_iter().map(|(name, text)| json!({ "name": name, "text": text })).collect();
    let checked = run("playlists.mjs", &json!({ "playlists": playlists }));
    let results = checked["results"].as_array().expect("playlists.mjs answers a list");
    assert_eq!(results.len(), playlists.len(), "playlists.mjs answers for each playlist");
    results
        .iter()
        .filter(|result| !result["ok"].as_bool().expect("playlists.mjs answers whether it is ok"))
        .map(|result| format!("{}: {}", result["name"], result["error"]))
        .collect()
}

/// Runs a script with one JSON document on its standard input; returns the JSON it printed.
pub fn run(script: &str, input: &Value) -> Value {
    let folder = folder();
    let modules = folder.join("node_modules");
    assert!(modules.exists(), "tests/browser/node_modules is missing: run scripts/setup test");
    let mut child = Command::new(tool("node", "nodejs"))
        .current_dir(&folder)
        .arg(script)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // The scripts read all of it before they write; one that ended early says why below.
    let _ = child.stdin.take().unwrap().write_all(input.to_string().as_bytes());
    let output = child.wait_with_output().unwrap();
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{script} failed:\n{out}\n{err}");
    serde_json::from_str(out.trim())
        .unwrap_or_else(|e| panic!("{script} printed no JSON ({e}):\n{out}\n{err}"))
}
