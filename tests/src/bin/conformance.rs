//! `conformance DIR…`: every recording below the folders through `chalkstream process`, refereed; a table and an
//! exit code of 1 where something is wrong.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use chalkstream_tests::process::chalkstream;
use chalkstream_tests::stack::models;
use chalkstream_tests::stream;

/// Beside the recordings lie texts and truths, which are not for us.
const NOT_MEDIA: [&str; 6] = ["json", "txt", "md", "vtt", "srt", "tsv"];

fn main() -> ExitCode {
    let mut files: Vec<PathBuf> = Vec::new();
    for argument in std::env::args().skip(1) {
        let path = PathBuf::from(argument);
        if path.is_dir() {
            files.extend(std::fs::read_dir(path).unwrap().flatten().map(|entry| entry.path()));
        } else {
            files.push(path);
        }
    }
    files.retain(|path| {
        path.is_file() && !NOT_MEDIA.iter().any(|e| path.extension().is_some_and(|x| x == *e))
    });
    files.sort();
    let (mut passed, mut failed) = (0, 0);
    for file in &files {
        let wrong = check(file);
        let name = file.file_name().unwrap().to_string_lossy();
        if wrong.is_empty() {
            passed += 1;
            println!("ok    {name}");
        } else {
            failed += 1;
            println!("WRONG {name}");
            for line in wrong {
                println!("      {line}");
            }
        }
    }
    println!("{passed} passed, {failed} failed");
    if failed == 0 && passed > 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn check(file: &Path) -> Vec<String> {
    let folder = tempfile::TempDir::new().unwrap();
    let out = folder.path().join("out");
    let output = Command::new(chalkstream())
        .env("CHALKSTREAM__SPEECH__MODEL_PATH", models())
        .args(["process", "--json", "--out"])
        .arg(&out)
        .arg(file)
        .output()
        .unwrap();
    if !output.status.success() {
        let text = String::from_utf8_lossy(&output.stdout).replace('\n', " ");
        return vec![format!("{}: {text}", output.status)];
    }
    stream::problems(file, &out)
}
