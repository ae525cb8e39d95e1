//! The upload clients that platforms use, unchanged: tus-js-client and Uppy in a page of another
//! site, and tuspy.

use std::collections::BTreeMap;

use chalkstream_tests::node;
use chalkstream_tests::stack::Stack;
use chalkstream_tests::uploads::{Seeded, sha256, stored_sha256, tuspy};
use serde_json::{Value, json};

/// Cases of tests/uploads/clients.mjs, which says what each of them does.
const PAGE: [&str; 13] = [
    "tus",
    "tus_override",
    "tus_retry",
    "tus_creation",
    "tus_stream",
    "tus_parallel",
    "tus_parallel_retry",
    "tus_killed",
    "tus_parallel_killed",
    "uppy",
    "uppy_creation",
    "uppy_parallel",
    "uppy_retry",
];
/// Cases of tests/uploads/clients.py.
const TUSPY: [&str; 4] = ["tuspy", "tuspy_chunks", "tuspy_resumed", "tuspy_async"];

async fn clients_upload(mut stack: Stack, seed: u64) {
    let server = stack.server().await;
    let client = stack.client(&server);
    let mut random = Seeded::new(seed);
    let mut hashes = BTreeMap::new();
    let mut asked = |cases: &[&str], size: usize| {
        let mut files = BTreeMap::new();
        for case in cases {
            // Below and above the size of one part of an object on either storage.
            let length = size + random.number() as usize % (4 << 20);
            let bytes = random.bytes(length);
            let path = stack.folder().join(format!("{case} 授業.mov"));
            std::fs::write(&path, &bytes).unwrap();
            hashes.insert((*case).to_owned(), sha256(&bytes));
            files.insert((*case).to_owned(), path);
        }
        json!({ "url": client.url, "key": client.key, "files": files })
    };
    let (pages, scripts) = (asked(&PAGE, 5 << 20), asked(&TUSPY, 2 << 20));
    let pages = node::run("../uploads/clients.mjs", &pages);
    let scripts = tuspy(&scripts);

    let mut urls: BTreeMap<String, Value> = BTreeMap::new();
    for (case, result) in pages.as_object().unwrap() {
        let statuses = result["statuses"].to_string();
        assert!(!statuses.contains("409"), "{case} was refused where the server let it go on: {statuses}");
        assert_eq!(result["without_version"], 0, "{case}: answers without Tus-Resumable");
        urls.insert(case.clone(), result["url"].clone());
    }
    urls.extend(scripts.as_object().unwrap().clone());
    assert_eq!(urls.len(), PAGE.len() + TUSPY.len());
    for (case, url) in &urls {
        let recording = url.as_str().unwrap().rsplit('/').next().unwrap();
        let expected = &hashes[case];
        assert_eq!(stored_sha256(&stack, recording), (expected.clone(), expected.clone()), "{case}");
        let recording_view = client.recording(recording).await;
        assert_eq!(recording_view["state"], "queued", "{case}: {recording_view}");
    }
    let list = client.get("/v1/recordings?limit=100").await;
    let states: Vec<&str> =
        list["recordings"].as_array().unwrap().iter().map(|r| r["state"].as_str().unwrap()).collect();
    let queued = states.iter().filter(|state| **state == "queued").count();
    assert_eq!(queued, urls.len(), "each file is one recording, and no part is one: {list}");
}

#[tokio::test(flavor = "multi_thread")]
async fn upload_clients_work_unchanged_on_a_folder() {
    clients_upload(Stack::fs().await, 3).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn upload_clients_work_unchanged_on_s3() {
    clients_upload(Stack::s3().await, 4).await;
}
