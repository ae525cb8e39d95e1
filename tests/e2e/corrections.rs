//! Correcting the transcript in the browser.

use std::path::Path;

use chalkstream_tests::client::Client;
use chalkstream_tests::media::{ffmpeg, lesson};
use chalkstream_tests::node;
use chalkstream_tests::up::Up;
use chalkstream_tests::uploads::sha256;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::CLIP;

#[tokio::test(flavor = "multi_thread")]
async fn a_corrected_word_is_in_captions_and_search_and_survives_a_new_recognition() {
    let lesson = lesson();
    let folder = TempDir::new().unwrap();
    let mut up = Up::start(&folder.path().join("data"), &[]).await;
    let client = up.client();
    let file = folder.path().join("part.mp4");
    // Small, so that there is little to encode.
    let small = "-t 20 -vf scale=320:180 -c:v libx264 -preset ultrafast -c:a copy";
    ffmpeg(&format!("-i {} {small}", lesson.file.display()), &file);
    let id = client.upload(&file).await;
    client.state(&id, &["ready"], 4 * CLIP).await;
    let transcript = client.get(&format!("/v1/recordings/{id}/transcript.json")).await;
    let cues = transcript["cues"].as_array().unwrap();
    let text = |cue: &Value| cue["text"].as_str().unwrap().to_owned();
    // A long word of letters alone, said once: page and captions spell it alike.
    let words = cues.iter().map(text).collect::<Vec<_>>().join(" ");
    let plain = words.split(' ').filter(|word| word.bytes().all(|b| b.is_ascii_alphabetic()));
    let once = plain.filter(|word| words.matches(word).count() == 1);
    let from = once.max_by_key(|word| word.len()).unwrap().to_owned();

    let asked = json!({ "url": editor(&client, &id).await, "from": from, "to": "Zwiebelkuchen" });
    let seen = node::run("correct.mjs", &asked);
    checked(&seen, "Zwiebelkuchen");
    assert!(seen["button"].as_str().unwrap().starts_with("Correct the line at "), "{seen}");
    assert!(seen["field"].as_str().unwrap().starts_with("Text of the line at "), "{seen}");
    // Someone whose link does not grant it sees no button.
    let page = client.text(client.link(&id).await["url"].as_str().unwrap()).await;
    assert!(page.contains("&#34;correct&#34;:false"), "{page}");

    // Another recognition hears something else there: the correction stays, and can be changed on.
    up.process.kill();
    recognise_again(&folder.path().join("data/objects"), &id, &from, "marmalade");
    let up = Up::start(&folder.path().join("data"), &[]).await;
    let client = up.client();
    let url = editor(&client, &id).await;
    let asked = json!({ "url": url, "from": "Zwiebelkuchen", "to": "Apfelstrudel", "undo": true });
    let seen = node::run("correct.mjs", &asked);
    checked(&seen, "Apfelstrudel");
    assert_eq!(seen["undone"], seen["before"], "{seen}");
    let text = client.get(&format!("/v1/recordings/{id}/transcript.json")).await.to_string();
    assert!(text.contains("Zwiebelkuchen") && !text.contains("marmalade"), "{text}");
}

/// The address of a page that may correct.
async fn editor(client: &Client, id: &str) -> String {
    let link = json!({ "recording": id, "viewer": "coach-1", "rights": ["correct"] });
    client.post("/v1/links", &link).await["url"].as_str().unwrap().to_owned()
}

/// Line, captions and search had the word in time, and nothing went wrong on the page.
fn checked(seen: &Value, word: &str) {
    for name in ["line", "shown", "again"] {
        assert!(seen[name].as_str().unwrap().contains(word), "{name}: {seen}");
    }
    assert_eq!(seen["focused"], true, "the focus is on the line again: {seen}");
    assert!(seen["found_ms"].as_u64().unwrap() < 5000, "{seen}");
    for wrong in ["errors", "foreign", "refused"] {
        assert_eq!(seen[wrong].as_array().map(Vec::len), Some(0), "{wrong}: {seen}");
    }
}

/// Puts the transcript of another attempt into storage, with `heard` in place of a word.
fn recognise_again(objects: &Path, id: &str, word: &str, heard: &str) {
    let folders = std::fs::read_dir(objects).unwrap().map(|entry| entry.unwrap().path().join(id));
    let folder = folders.into_iter().find(|folder| folder.join("manifest").is_dir()).unwrap();
    let manifests = std::fs::read_dir(folder.join("manifest")).unwrap();
    let is_manifest = |path: &std::path::PathBuf| !path.to_string_lossy().contains("corrections-");
    let newest = manifests.map(|entry| entry.unwrap().path()).filter(is_manifest).max().unwrap();
    let mut manifest: Value = serde_json::from_slice(&std::fs::read(newest).unwrap()).unwrap();
    let fence = manifest["fence"].as_u64().unwrap() + 1;
    let stored = manifest["files"]["transcript.json"].as_str().unwrap().to_owned();
    let body = std::fs::read_to_string(folder.join(stored)).unwrap().replace(word, heard);
    assert!(body.contains(heard), "{body}");

    let key = format!("transcript/{fence}/transcript.json");
    std::fs::create_dir_all(folder.join(&key).parent().unwrap()).unwrap();
    std::fs::write(folder.join(&key), &body).unwrap();
    manifest["fence"] = fence.into();
    manifest["files"]["transcript.json"] = key.clone().into();
    manifest["objects"][key] = json!({ "size_bytes": body.len(), "sha256": sha256(body.as_bytes()) });
    std::fs::write(folder.join(format!("manifest/{fence:020}.json")), manifest.to_string()).unwrap();
}
