//! Two hundred names over HTTP: in corrections, uploaded captions, moments and search.
#![allow(clippy::unwrap_used)]

use std::path::Path;

use bytes::Bytes;
use chalkstream_store::layout;
use http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::testing::{Server, TENANT, World, lesson, until};

/// Names of pupils, and their inflected forms.
fn pupils() -> Vec<(&'static str, Vec<&'static str>)> {
    let text = include_str!("../../../tests/fixtures/names.txt");
    let rows = text.lines().filter(|line| !line.starts_with('#'));
    let pupils = rows.map(|row| {
        let mut columns = row.split(" | ");
        (columns.next().unwrap(), columns.next().unwrap().split(", ").collect())
    });
    pupils.collect()
}

async fn json_of(response: reqwest::Response) -> Value {
    serde_json::from_slice(&response.bytes().await.unwrap()).unwrap()
}

async fn put(server: &Server, list: impl Into<reqwest::Body>) -> (u16, Value) {
    let response = server.request(Method::PUT, "/v1/names").body(list).send().await.unwrap();
    (response.status().as_u16(), json_of(response).await)
}

/// Corrects the first cue of a recording.
async fn correct(server: &Server, id: &str, text: &str) -> (u16, Value) {
    let cue = format!("/v1/recordings/{id}/transcript/cues/1");
    let body = json!({ "text": text, "author": "ann" });
    let request = server.request(Method::PATCH, &cue).header("if-match", "*").json(&body);
    let response = request.send().await.unwrap();
    (response.status().as_u16(), json_of(response).await)
}

async fn upload(server: &Server, id: &str, captions: String) -> (u16, Value) {
    let path = format!("/v1/recordings/{id}/transcript/captions?author=ann");
    let response = server.request(Method::PUT, &path).body(captions).send().await.unwrap();
    (response.status().as_u16(), json_of(response).await)
}

/// The lines of a file of captions, each with its time.
fn captions(lines: &[String], is_vtt: bool) -> String {
    let separator = if is_vtt { '.' } else { ',' };
    let mut text = String::from(if is_vtt { "WEBVTT\n\n" } else { "" });
    for (n, line) in lines.iter().enumerate() {
        let at = |ms: usize| format!("00:00:{:02}{separator}{:03}", ms / 1000, ms % 1000);
        text += &format!("{n}\n{} --> {}\n{line}\n\n", at(n * 60), at(n * 60 + 50));
    }
    text
}

/// Every file below a folder, as text.
pub fn files(folder: &Path, found: &mut Vec<(String, String)>) {
    for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let path = entry.path();
        if path.is_dir() {
            files(&path, found);
        } else if let Ok(bytes) = std::fs::read(&path) {
            found.push((path.display().to_string(), String::from_utf8_lossy(&bytes).into_owned()));
        }
    }
}

/// Whether a text has a form as a word of its own.
fn has_word(text: &str, form: &str) -> bool {
    let text = text.to_lowercase();
    let form = form.to_lowercase();
    text.match_indices(&form).any(|(at, _)| {
        let is_letter = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
        !is_letter(text[..at].chars().next_back()) && !is_letter(text[at + form.len()..].chars().next())
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_names_are_in_no_correction_caption_moment_or_index() {
    let world = World::new().await;
    let lesson = lesson(&world.store, TENANT).await;
    let server = world.server("a").await;
    let pupils = pupils();
    let list: Vec<&str> = pupils.iter().map(|(name, _)| *name).collect();
    assert_eq!(put(&server, json!(list).to_string()).await, (200, json!({ "count": 200, "silence": false })));
    let forms: Vec<&str> =
        pupils.iter().flat_map(|(name, forms)| [*name].into_iter().chain(forms.clone())).collect();

    // Captions of both kinds, with a word that is said once for each line.
    for is_vtt in [true, false] {
        let lines: Vec<String> = forms
            .iter()
            .take(240)
            .enumerate()
            .map(|(n, form)| format!("I asked {form}'s pear{n}x."))
            .collect();
        let (status, body) = upload(&server, &lesson.id, captions(&lines, is_vtt)).await;
        assert_eq!((status, body), (200, json!({ "cues": 240 })));
    }
    // Corrections: the first cue gets all forms, some at a time.
    for some in forms.chunks(60) {
        let (status, cue) = correct(&server, &lesson.id, &some.join(", then ")).await;
        assert_eq!(status, 200, "{cue}");
        assert!(cue["text"].as_str().unwrap().starts_with("[name], then [name]"), "{cue}");
    }
    let body = json!({ "start_ms": 0, "end_ms": 15_000, "author": "ann" });
    let path = format!("/v1/recordings/{}/moments", lesson.id);
    let minted = server.request(Method::POST, &path).json(&body).send().await.unwrap();
    assert_eq!(minted.status(), StatusCode::CREATED);

    let search = async |query: &str| {
        let request = server.request(Method::GET, "/v1/search").query(&[("q", query), ("viewer", "coach-1")]);
        json_of(request.send().await.unwrap()).await
    };
    until("search has the captions", || async {
        search("pear239x").await["moments"].as_array()?.first().map(drop)
    })
    .await;
    for (name, _) in &pupils {
        for moment in search(&format!("\"{name}\"")).await["moments"].as_array().unwrap() {
            let text = moment["text"].as_str().unwrap();
            assert!(!has_word(text, name), "{name} is found in {text}");
        }
    }
    let mut stored = Vec::new();
    files(world.folder.path(), &mut stored);
    stored.retain(|(path, _)| !path.ends_with("_names/list.json"));
    assert!(stored.iter().any(|(path, text)| path.contains("corrections-") && text.contains("[name]")));
    assert!(stored.iter().any(|(path, text)| path.contains("/moments/") && text.contains("[name]")));
    assert!(stored.iter().any(|(path, _)| path.contains("/a/")), "the index is there");
    for form in forms {
        // Of words of everyday language others may be in these files.
        if form.chars().count() < 3
            || ["will", "mark", "rose", "hope"].contains(&form.to_lowercase().as_str())
        {
            continue;
        }
        for (path, text) in &stored {
            assert!(!has_word(text, form), "{form} is in {path}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_that_cannot_be_read_lets_nothing_be_stored() {
    let world = World::new().await;
    let lesson = lesson(&world.store, TENANT).await;
    let server = world.server("a").await;
    let broken = Bytes::from_static(br#"{"version":1,"names":"Maria"}"#);
    world.store.put(&layout::names_key(TENANT), broken).await.unwrap();
    let prefix = layout::recording_prefix(TENANT, &lesson.id);
    let before = world.store.list(&prefix, None, 1_000).await.unwrap();

    let refused = |(status, body): (u16, Value)| {
        assert_eq!((status, &body["code"]), (503, &json!("names_unreadable")), "{body}");
        assert!(!body.to_string().contains("Maria"), "{body}");
    };
    refused(correct(&server, &lesson.id, "Maria is right").await);
    refused(upload(&server, &lesson.id, captions(&["Maria is right".to_owned()], true)).await);
    let path = format!("/v1/recordings/{}/moments", lesson.id);
    let body = json!({ "start_ms": 0, "end_ms": 1_000, "author": "ann" });
    let response = server.request(Method::POST, &path).json(&body).send().await.unwrap();
    refused((response.status().as_u16(), json_of(response).await));
    let response = server.request(Method::GET, "/v1/names").send().await.unwrap();
    refused((response.status().as_u16(), json_of(response).await));
    let after = world.store.list(&prefix, None, 1_000).await.unwrap();
    assert_eq!(after, before, "nothing was stored");

    // A new list puts it right.
    assert_eq!(put(&server, "Maria\n").await.0, 200);
    let (status, cue) = correct(&server, &lesson.id, "Maria is right").await;
    assert_eq!((status, &cue["text"]), (200, &json!("[name] is right")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_is_a_tenants_own_and_bounded() {
    let world = World::new().await;
    let server = world.server("a").await;
    let get = async |key: &str| {
        let request = server.client.get(server.url("/v1/names")).bearer_auth(key);
        json_of(request.send().await.unwrap()).await
    };
    assert_eq!(get(&world.key).await, json!({ "names": [], "silence": false }));
    assert_eq!(
        put(&server, "José Núñez\r\n\nMaria\nMaria\n").await,
        (200, json!({ "count": 2, "silence": false }))
    );
    assert_eq!(get(&world.key).await, json!({ "names": ["José Núñez", "Maria"], "silence": false }));
    assert_eq!(get(&world.other_key).await, json!({ "names": [], "silence": false }), "another tenant");

    let long = "é".repeat(101);
    for (list, code, detail) in [
        (
            "[\"Maria\", 5]".to_owned(),
            "invalid_json",
            "The JSON body is not a list of strings: line 1, column 11.",
        ),
        (format!("Maria\n{long}"), "names", "Entry 2 of the list has more than 100 characters."),
        ("Maria\n42".to_owned(), "names", "Entry 2 of the list has fewer than two letters."),
    ] {
        let (status, body) = put(&server, list).await;
        assert_eq!((status, &body["code"], &body["detail"]), (400, &json!(code), &json!(detail)));
    }
    let many = |count: usize| (0..count).map(|n| format!("{n} {}\n", "é".repeat(90))).collect::<String>();
    assert_eq!(put(&server, many(20_000)).await, (200, json!({ "count": 20_000, "silence": false })));
    assert_eq!(put(&server, many(20_001)).await.0, 400);
    assert_eq!(put(&server, many(60_000)).await.0, 413);

    let removed = server.request(Method::DELETE, "/v1/names").send().await.unwrap();
    assert_eq!(removed.status(), StatusCode::NO_CONTENT);
    assert_eq!(get(&world.key).await, json!({ "names": [], "silence": false }));
    let open = server.open(Method::GET, "/v1/names").send().await.unwrap();
    assert_eq!(open.status(), StatusCode::UNAUTHORIZED);
}
