//! The browser and the outside referees: Node scripts in `tests/browser`, run as children, JSON out.

use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;

use crate::process::tool;

/// The folder of the scripts.
pub fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("browser")
}

/// Runs a script with one JSON argument; answers the JSON it printed.
pub fn run(script: &str, input: &Value) -> Value {
    let folder = folder();
    let modules = folder.join("node_modules");
    assert!(modules.exists(), "tests/browser/node_modules is missing: run scripts/setup test");
    let output = Command::new(tool("node", "nodejs"))
        .current_dir(&folder)
        .arg(script)
        .arg(input.to_string())
        .output()
        .unwrap();
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{script} failed:\n{out}\n{err}");
    serde_json::from_str(out.trim())
        .unwrap_or_else(|e| panic!("{script} printed no JSON ({e}):\n{out}\n{err}"))
}
