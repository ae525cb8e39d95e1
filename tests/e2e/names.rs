//! Names that are said in a lesson and are nowhere afterwards: neither in text nor in audio.

use std::collections::{BTreeMap, HashSet};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use chalkstream_tests::client::Client;
use chalkstream_tests::fetched_stream;
use chalkstream_tests::media::{ffmpeg, lesson};
use chalkstream_tests::up::Up;
use chalkstream_tests::wait;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::CLIP;

/// Words that are listed as names: how many, and the letters that each has at least.
const WORDS: usize = 8;
const MIN_LETTERS: usize = 5;
/// Samples per second in which levels are compared.
const RATE: u64 = 8000;
/// Time in which they are compared, in ms.
const WINDOW_MS: u64 = 100;
/// Time around a name that may be silent with it, in ms.
const BEYOND_MS: u64 = 320;

#[tokio::test(flavor = "multi_thread")]
async fn listed_words_of_a_lesson_are_in_no_object_index_log_or_audio() {
    let folder = TempDir::new().unwrap();
    let first = lesson().utterances[0].clone();
    let first_word = first.word.to_lowercase();
    let file = folder.path().join("part.mp4");
    // Small, so that there is little to encode; browsers play it as it is.
    let small = "-t 60 -vf scale=320:180 -c:v libx264 -preset ultrafast -g 50 -c:a copy";
    ffmpeg(&format!("-i {} {small}", lesson().file.display()), &file);

    // Without a list nothing changes: this is what is recognised.
    let data = folder.path().join("plain");
    let mut up = start(&data).await;
    let (id, plain_text) = transcribed(&up.client(), &file).await;
    let plain = renditions(&up.client(), &id, &folder.path().join("plain-stream")).await;
    let with = up.client().recording(&id).await["playable_with"].clone();
    assert!(with.as_array().unwrap().contains(&json!("source")), "{with}");
    up.process.kill();
    // Our own words are in logs whatever is said.
    let ours = words_of(&files(&data, &|path| is_text(path) && !holds_words(path)));
    let said = plain_text.split(|c: char| !c.is_alphabetic()).map(str::to_lowercase);
    let mut words: Vec<String> =
        said.filter(|word| word.is_ascii() && word.len() >= MIN_LETTERS && !ours.contains(word)).collect();
    words.sort_by_key(|word| (std::cmp::Reverse(word.len()), word.clone()));
    words.dedup();
    // The lesson's script says when this one begins.
    let at = words.iter().position(|word| *word == first_word).unwrap();
    words[..=at].rotate_right(1);
    words.truncate(WORDS);
    assert_eq!(words.len(), WORDS, "{plain_text}");
    let stored = words_of(&files(&data, &|path| is_text(path) && holds_words(path)));
    assert!(words.iter().all(|word| stored.contains(word)), "without a list they are there: {words:?}");

    let data = folder.path().join("redacted");
    let mut up = start(&data).await;
    let mut set = up.command(&["tenant", "names", "set", "--silence", "--json"]);
    let mut child = set.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(words.join("\n").as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let printed: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&printed["count"], &printed["silence"]), (&json!(WORDS), &json!(true)));

    let client = up.client();
    // Its title and file name have a name too.
    let named = folder.path().join(format!("{} reads.mp4", first.word));
    std::fs::rename(&file, &named).unwrap();
    let (id, redacted) = transcribed(&client, &named).await;
    let recording = client.recording(&id).await;
    assert_eq!(recording["title"], "[name] reads.mp4", "{recording}");
    let with = recording["playable_with"].as_array().unwrap();
    assert!(with.contains(&json!("sound")) && !with.contains(&json!("source")), "{recording}");
    assert!(redacted.contains("[name]"), "{redacted}");
    let count = |text: &str| text.split(' ').count();
    assert!(count(&redacted) * 2 > count(&plain_text), "the rest is there: {redacted}");
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
    let silenced = renditions(&client, &id, &folder.path().join("silenced-stream")).await;
    let transcript = client.get(&format!("/v1/recordings/{id}/transcript.json")).await;
    let mut names_ms = named_ms(&transcript);
    let begins = names_ms.iter().any(|(start, _)| start.abs_diff(first.start_ms) < 200);
    assert!(begins, "«{first_word}» begins at {} ms: {names_ms:?}", first.start_ms);
    names_ms.push((first.start_ms, first.start_ms + 200));
    names_ms.sort_unstable();
    assert_eq!(silenced.keys().collect::<Vec<_>>(), ["a32", "a96"]);
    assert!(plain.keys().eq(silenced.keys()));
    for (rendition, samples) in &silenced {
        let changed_db = are_silent(rendition, samples, &plain[rendition], &names_ms);
        println!("{rendition}: {} spans are silent, all else is within {changed_db:.2} dB", names_ms.len());
    }
    wait::until("the audio for recognition is deleted", CLIP, async || {
        (!objects(&data, &id).keys().any(|key| key.starts_with("work/"))).then_some(())
    })
    .await;
    up.process.kill();
    published_after_names_were_known(&objects(&data, &id));

    let all = files(&data, &|path| is_text(path) && !path.ends_with("_names/list.json"));
    assert!(all.iter().any(|path| path.ends_with("up.log")) && all.iter().any(|path| holds_words(path)));
    for path in &all {
        let there = words_of(std::slice::from_ref(path));
        let left: Vec<_> = words.iter().filter(|word| there.contains(*word)).collect();
        assert!(left.is_empty(), "{left:?} in {}", path.display());
    }
    println!("{WORDS} names of {} words: in none of {} files", count(&plain_text), all.len());
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

/// The audio renditions that a viewer gets, decoded, by their names.
async fn renditions(client: &Client, id: &str, folder: &Path) -> BTreeMap<String, Vec<f32>> {
    fetched_stream::fetch(client, id, folder).await;
    let is_audio = |path: &Path| {
        path.ends_with("index.m3u8") && path.components().any(|part| part.as_os_str() == "audio")
    };
    let decoded = files(folder, &is_audio).into_iter().filter_map(|playlist| {
        let name = playlist.parent()?.file_name()?.to_string_lossy().into_owned();
        // The source's own audio has no bitrate in its name.
        name.strip_prefix('a')?.parse::<u32>().ok()?;
        let raw = playlist.with_file_name("decoded.f32");
        ffmpeg(&format!("-i {} -ac 1 -ar {RATE} -f f32le", playlist.display()), &raw);
        let bytes = std::fs::read(raw).unwrap();
        let samples = bytes.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]));
        Some((name, samples.collect()))
    });
    decoded.collect()
}

/// When names are said by the transcript, in ms.
fn named_ms(transcript: &Value) -> Vec<(u64, u64)> {
    let cues = transcript["cues"].as_array().unwrap().iter();
    let words = cues.flat_map(|cue| cue["words"].as_array().unwrap());
    let named = words.filter(|word| word["text"].as_str().unwrap().contains("[name]"));
    named.map(|word| (word["start_ms"].as_u64().unwrap(), word["end_ms"].as_u64().unwrap())).collect()
}

/// Checks that names are silent, and all else is as it was; returns by how many
/// dB that differs on average.
fn are_silent(rendition: &str, samples: &[f32], plain: &[f32], names_ms: &[(u64, u64)]) -> f64 {
    let level = |samples: &[f32], from_ms: u64, to_ms: u64| {
        let part = &samples[(from_ms * RATE / 1000) as usize..(to_ms * RATE / 1000) as usize];
        let energy = part.iter().map(|sample| f64::from(*sample).powi(2)).sum::<f64>() / part.len() as f64;
        10.0 * energy.max(1e-12).log10()
    };
    let mut audible = 0;
    for &(start_ms, end_ms) in names_ms {
        for from_ms in (start_ms..end_ms.saturating_sub(9)).step_by(10) {
            let is = level(samples, from_ms, from_ms + 10);
            assert!(is < -60.0, "{rendition}: {is} dBFS at {from_ms} ms, in {start_ms} to {end_ms} ms");
        }
        audible += usize::from(level(plain, start_ms, end_ms) > -40.0);
    }
    assert!(audible * 10 >= names_ms.len() * 9, "without the list they are audible: {audible}");
    // Beyond margin and fade.
    let apart = |at_ms: u64| {
        names_ms
            .iter()
            .map(|(start, end)| start.saturating_sub(at_ms + WINDOW_MS).max(at_ms.saturating_sub(*end)))
            .min()
            .unwrap()
    };
    let (mut near, mut others, mut changed_db) = (0, 0, 0.0);
    for at_ms in (0..plain.len() as u64 * 1000 / RATE - WINDOW_MS).step_by(WINDOW_MS as usize) {
        let before = level(plain, at_ms, at_ms + WINDOW_MS);
        if apart(at_ms) < BEYOND_MS || before < -45.0 {
            continue;
        }
        let after = level(samples, at_ms, at_ms + WINDOW_MS);
        // The encoder may spend its bits in another way.
        assert!((after - before).abs() < 4.0, "{rendition}: {before} became {after} dBFS at {at_ms} ms");
        changed_db += (after - before).abs();
        near += usize::from(apart(at_ms) < BEYOND_MS + 500);
        others += 1;
    }
    assert!(near >= 10 && others > near, "{near} of {others} windows are near a name");
    let changed_db = changed_db / others as f64;
    assert!(changed_db < 0.5, "{rendition}: {changed_db} dB");
    changed_db
}

/// The objects of a recording, by their keys relative to it.
fn objects(data: &Path, id: &str) -> BTreeMap<String, PathBuf> {
    let own = format!("/{id}/");
    let relative = |path: PathBuf| {
        let key = path.to_str()?.split_once(&own)?.1.to_owned();
        Some((key, path))
    };
    files(&data.join("objects"), &|_| true).into_iter().filter_map(relative).collect()
}

/// Checks that no revision there ever was has audio from before the transcript.
fn published_after_names_were_known(objects: &BTreeMap<String, PathBuf>) {
    let number = |key: &str| key.strip_prefix("manifest/")?.strip_suffix(".json")?.parse::<u64>().ok();
    let newest = objects.keys().filter(|key| number(key).is_some()).max_by_key(|key| number(key)).unwrap();
    let manifest: Value = serde_json::from_slice(&std::fs::read(&objects[newest]).unwrap()).unwrap();
    let fence = |step: &str| manifest["steps"][step]["result"]["fence"].as_u64().unwrap();
    let audio = format!("audio/{}/", fence("silenced_audio"));
    assert!(fence("transcribe") < fence("silenced_audio"), "{manifest}");
    for key in objects.keys() {
        assert!(!key.starts_with("hls/source/") && !key.starts_with("index/"), "{key}");
        assert!(!key.starts_with("hls/audio/") || key.starts_with(&format!("hls/{audio}")), "{key}");
    }
    let masters: Vec<_> = objects.iter().filter(|(key, _)| key.ends_with("master.m3u8")).collect();
    assert!(!masters.is_empty());
    for (key, master) in masters {
        let text = std::fs::read_to_string(master).unwrap();
        assert!(text.contains(&format!("../{audio}a32/")), "{key}: {text}");
    }
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
