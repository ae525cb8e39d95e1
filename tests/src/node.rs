//! The browser and the outside referees: Node scripts in `tests/browser`, run as children, JSON out.

use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::process::tool;

/// The folder of the scripts.
pub fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("browser")
}

/// What the reference parser says is wrong with a WebVTT text of this kind («subtitles» or «metadata»).
pub fn webvtt(name: &str, text: &str, kind: &str) -> Vec<String> {
    let file = json!({ "name": name, "text": text, "kind": kind });
    let checked = run("vtt.mjs", &json!({ "files": [file] }));
    let errors = checked["results"][0]["errors"].as_array().expect("vtt.mjs answers a list of errors");
    errors.iter().map(|error| format!("{name}: {error}")).collect()
}

/// What hls-parser's strict mode says is wrong with a playlist.
pub fn playlist(name: &str, text: &str) -> Option<String> {
    let checked = run("playlists.mjs", &json!({ "playlists": [{ "name": name, "text": text }] }));
    let result = &checked["results"][0];
    let ok = result["ok"].as_bool().expect("playlists.mjs answers whether it is ok");
    (!ok).then(|| format!("{name}: {}", result["error"]))
}

/// Runs a script with one JSON document on its standard input; answers the JSON it printed.
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
