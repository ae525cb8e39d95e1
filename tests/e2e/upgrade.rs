//! A data folder that an older build wrote is opened by this one, and everything in it goes on.
//! `tests/fixtures/make-data-folder` made it.

use std::path::Path;
use std::process::Command;

use chalkstream_tests::fetched_stream;
use chalkstream_tests::process::tool;
use chalkstream_tests::up::Up;
use serde_json::Value;
use tempfile::TempDir;

use crate::CLIP;

/// Written by commit 0bb32b5: a ready lesson, half an upload of its file with an empty box at the
/// end, and a job that failed because a setting gave it too little time.
const ARCHIVE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/data-folder-0bb32b5.tar.gz");

fn unpack(folder: &Path) -> Value {
    let mut tar = Command::new(tool("tar", "tar"));
    let status = tar.arg("-xzf").arg(ARCHIVE).arg("-C").arg(folder).status().unwrap();
    assert!(status.success(), "{ARCHIVE} cannot be unpacked");
    serde_json::from_str(&std::fs::read_to_string(folder.join("ids.json")).unwrap()).unwrap()
}

fn run(up: &Up, words: &[&str]) -> Value {
    let output = up.command(words).arg("--json").output().unwrap();
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{words:?} failed:\n{out}\n{err}");
    serde_json::from_str(&out).unwrap_or_else(|e| panic!("{words:?} printed no JSON ({e}):\n{out}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_data_folder_of_an_older_build_plays_resumes_searches_and_retries() {
    let folder = TempDir::new().unwrap();
    let ids = unpack(folder.path());
    let id = |name: &str| ids[name].as_str().unwrap();
    let (lesson, failed, recording) = (id("lesson"), id("failed"), id("recording"));
    let data = folder.path().join("data");
    let up = Up::start(&data, &[]).await;
    let client = up.client();

    // The lesson is as it was: its page, its complete stream and its words.
    let shown = client.recording(lesson).await;
    assert_eq!((&shown["state"], &shown["title"]), (&"ready".into(), &"A speech".into()), "{shown}");
    let link = client.link(lesson).await;
    let page = client.text(link["url"].as_str().unwrap()).await;
    assert!(page.contains("A speech"), "{page}");
    let stream = fetched_stream::fetch(&client, lesson, &folder.path().join("served")).await;
    for rendition in ["/source/", "/v240/", "/stills/", "/a32/"] {
        assert!(stream.playlists.iter().any(|(uri, _)| uri.contains(rendition)), "{rendition}");
    }
    assert_eq!(stream.wrong(folder.path()), Vec::<String>::new());
    let found = run(&up, &["search", "country"]);
    let moments = found["moments"].as_array().unwrap();
    assert!(moments.iter().any(|moment| moment["recording"] == lesson), "{found}");

    // The upload goes on where it was, and becomes a lesson.
    let offset = client.offset(id("upload")).await;
    assert_eq!(Some(offset), ids["offset"].as_u64());
    let source = |id: &str| std::fs::read(data.join(format!("objects/default/{id}/source/original.mp4")));
    let mut file = source(lesson).unwrap();
    file.extend_from_slice(b"\0\0\0\x08free");
    let rest = file[offset as usize..].to_vec();
    let sent = client.patch(id("upload"), offset, rest).send().await.unwrap();
    assert_eq!(sent.status(), 204, "{}", sent.text().await.unwrap());
    client.state(recording, &["ready"], CLIP).await;
    assert!(source(recording).unwrap() == file, "both halves fit together");

    // The failed job is listed with its code, and a retry has today's settings.
    let jobs = run(&up, &["jobs", "--failed"]);
    assert_eq!(jobs["jobs"].as_array().map(Vec::len), Some(1), "{jobs}");
    let job = &jobs["jobs"][0];
    assert_eq!(
        (&job["recording"], &job["failure"]["code"]),
        (&failed.into(), &"step_too_slow".into()),
        "{jobs}"
    );
    let shown = client.recording(failed).await;
    assert_eq!(
        (&shown["state"], &shown["failure"]["code"]),
        (&"failed".into(), &"step_too_slow".into()),
        "{shown}"
    );
    run(&up, &["retry", failed]);
    client.state(failed, &["playable", "ready"], CLIP).await;
}
