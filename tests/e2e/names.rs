//! Names that are said in a lesson and are nowhere afterwards.

use std::collections::HashSet;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use chalkstream_tests::client::Client;
use chalkstream_tests::media::{ffmpeg, lesson};
use chalkstream_tests::up::Up;
use chalkstream_tests::wait;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::CLIP;

/// Words that are listed as names: how many, and the letters that each has at least.
const WORDS: usize = 8;
const MIN_LETTERS: usize = 5;

#[tokio::test(flavor = "multi_thread")]
async fn listed_words_of_a_lesson_are_in_no_object_index_or_log() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("part.mp4");
    // Small, so that there is little to encode.
    let small = "-t 60 -vf scale=320:180 -c:v libx264 -preset ultrafast -c:a copy";
    ffmpeg(&format!("-i {} {small}", lesson().file.display()), &file);

    // Without a list nothing changes: this is what is recognised.
    let data = folder.path().join("plain");
    let mut up = start(&data).await;
    let (_, heard) = transcribed(&up.client(), &file).await;
    up.process.kill();
    // Our own words are in logs whatever is said.
    let ours = words_of(&files(&data, &|path| is_text(path) && !holds_words(path)));
    let said = heard.split(|c: char| !c.is_alphabetic()).map(str::to_lowercase);
    let mut words: Vec<String> =
        said.filter(|word| word.is_ascii() && word.len() >= MIN_LETTERS && !ours.contains(word)).collect();
    words.sort_by_key(|word| (std::cmp::Reverse(word.len()), word.clone()));
    words.dedup();
    words.truncate(WORDS);
    assert_eq!(words.len(), WORDS, "{heard}");
    let stored = words_of(&files(&data, &|path| is_text(path) && holds_words(path)));
    assert!(words.iter().all(|word| stored.contains(word)), "without a list they are there: {words:?}");

    let data = folder.path().join("redacted");
    let mut up = start(&data).await;
    let mut set = up.command(&["tenant", "names", "set", "--json"]);
    let mut child = set.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(words.join("\n").as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let printed: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(printed["count"], json!(WORDS));

    let client = up.client();
    let (id, redacted) = transcribed(&client, &file).await;
    assert!(redacted.contains("[name]"), "{redacted}");
    let count = |text: &str| text.split(' ').count();
    assert!(count(&redacted) * 2 > count(&heard), "the rest is there: {redacted}");
    let is_plain = |word: &&str| word.len() > 3 && word.bytes().all(|b| b.is_ascii_lowercase());
    let left = redacted.split(' ').find(is_plain).unwrap();
    wait::until("search has the lesson", CLIP, async || {
        let found = search(&client, left).await;
        found.iter().any(|one| one["recording"] == id.as_str()).then_some(())
    })
    .await;
    for word in &words {
        for moment in search(&client, word).await {
            let text = moment["text"].as_str().unwrap().to_lowercase();
            assert!(!text.contains(word.as_str()), "{word} is found in {text}");
        }
    }
    up.process.kill();

    let all = files(&data, &|path| is_text(path) && !path.ends_with("_names/list.json"));
    assert!(all.iter().any(|path| path.ends_with("up.log")) && all.iter().any(|path| holds_words(path)));
    for path in &all {
        let there = words_of(std::slice::from_ref(path));
        let left: Vec<_> = words.iter().filter(|word| there.contains(*word)).collect();
        assert!(left.is_empty(), "{left:?} in {}", path.display());
    }
    println!("{WORDS} names of {} words: in none of {} files", count(&heard), all.len());
}

async fn start(data: &Path) -> Up {
    Up::start(data, &[("LOG__LEVEL", "info,chalkstream_media_server=debug,chalkstream_workers=debug".into())])
        .await
}

/// Uploads a file; returns its id and all that is said in it.
async fn transcribed(client: &Client, file: &Path) -> (String, String) {
    let id = client.upload(file).await;
    client.state(&id, &["ready"], 4 * CLIP).await;
    let transcript = client.get(&format!("/v1/recordings/{id}/transcript.json")).await;
    let cues = transcript["cues"].as_array().unwrap().iter();
    let texts: Vec<&str> = cues.map(|cue| cue["text"].as_str().unwrap()).collect();
    (id, texts.join(" "))
}

async fn search(client: &Client, word: &str) -> Vec<Value> {
    let found = client.get(&format!("/v1/search?viewer=coach-1&q=%22{word}%22")).await;
    found["moments"].as_array().unwrap().clone()
}

/// Whether a file has what is said: transcript, captions and index.
fn holds_words(path: &Path) -> bool {
    let path = path.to_string_lossy();
    ["transcript", "subtitles", "/index/"].iter().any(|part| path.contains(part))
}

/// Whether a file may have text: any but compressed sound and images, and the list of plug-ins.
fn is_text(path: &Path) -> bool {
    let name = path.file_name().unwrap().to_string_lossy();
    let is_media = ["mp4", "m4s", "jpg", "wav"].iter().any(|one| name.ends_with(one));
    !is_media && !name.starts_with("gst-registry")
}

/// Files below a folder.
fn files(folder: &Path, is_wanted: &dyn Fn(&Path) -> bool) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let below = |path: PathBuf| match path.is_dir() {
        true => files(&path, is_wanted),
        false => Some(path).filter(|path| is_wanted(path)).into_iter().collect(),
    };
    entries.flat_map(below).collect()
}

/// The words of files, in lower case.
fn words_of(files: &[PathBuf]) -> HashSet<String> {
    let mut words = HashSet::new();
    for file in files {
        let bytes = std::fs::read(file).unwrap_or_default();
        let text = String::from_utf8_lossy(&bytes).to_lowercase();
        words.extend(text.split(|c: char| !c.is_alphabetic()).map(str::to_owned));
    }
    words
}
