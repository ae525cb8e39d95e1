//! Each refusal is logged once, with a reason that its response does not have.
#![allow(clippy::unwrap_used)]

use std::io;
use std::sync::{Arc, Mutex};

use chalkstream_store::{EventKind, Events, State, layout, write_manifest};
use reqwest::Method;
use serde_json::{Value, json};

use super::tests::{get, session};
use crate::testing::{TENANT, World, lesson, until};
use crate::token::{Link, Window};

/// The log of this process.
#[derive(Clone, Default)]
struct CapturedLog(Arc<Mutex<Vec<u8>>>);

impl io::Write for CapturedLog {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl CapturedLog {
    fn start() -> Self {
        let log = Self::default();
        let writer = log.clone();
        let lines = tracing_subscriber::fmt().json().with_env_filter("chalkstream_media_server=debug");
        lines.with_writer(move || writer.clone()).try_init().unwrap();
        log
    }

    /// Takes all lines and returns the fields of refusals and failures.
    fn take(&self) -> Vec<Value> {
        let text = String::from_utf8(std::mem::take(&mut *self.0.lock().unwrap())).unwrap();
        let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["fields"].take());
        let is_problem = |line: &Value| {
            ["request refused", "request failed"].contains(&line["message"].as_str().unwrap_or_default())
        };
        lines.filter(is_problem).collect()
    }
}

/// A link that a key signed which no tenant has.
fn foreign_link(recording: &str) -> String {
    let link = Link {
        id: "a".into(),
        recording: recording.into(),
        viewer: "v".into(),
        issued_at_s: None,
        expires_at_s: crate::clock::now_s() + 60,
        window: Window::default(),
        max_bps: None,
        may_correct: false,
    };
    link.seal("k9", &[7; 32])
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_is_logged_once_with_its_reason_and_recording() {
    let log = CapturedLog::start();
    let world = World::new().await;
    let (one, two) = (lesson(&world.store, TENANT).await, lesson(&world.store, TENANT).await);
    let server = world.server("a").await;
    let open = session(&server, json!({ "recording": one.id })).await;
    let capped = session(&server, json!({ "recording": one.id, "max_bps": 200_000 })).await;
    let part = session(&server, json!({ "recording": one.id, "end_ms": 3000 })).await;
    let token = open.split('/').nth(2).unwrap();
    let other = format!("/s/{token}/{}/", two.id);
    let altered = format!("/s/{}A/{}/", &token[..token.len() - 1], one.id);
    world
        .store
        .delete(&layout::object_key(TENANT, &one.id, "hls/video/9/v240/segments-002.m4s"))
        .await
        .unwrap();
    log.take();

    let refused = "request refused";
    for (path, status, message, code, reason) in [
        (format!("{other}hls/2/master.m3u8"), 403, refused, "forbidden", "session is for another recording"),
        (format!("{capped}hls/video/9/v480/00001.m4s"), 403, refused, "forbidden", "above the bandwidth cap"),
        (
            format!("{capped}hls/video/9/v480/index.m3u8"),
            403,
            refused,
            "forbidden",
            "above the bandwidth cap",
        ),
        (format!("{part}hls/video/9/v240/00003.m4s"), 403, refused, "forbidden", "outside the window"),
        (format!("{part}poster.jpg"), 403, refused, "forbidden", "outside the window"),
        (
            format!("{open}hls/video/9/v240/secret.m4s"),
            403,
            refused,
            "forbidden",
            "not in the session's playlists",
        ),
        (format!("{open}hls/2/hevc.m3u8"), 403, refused, "forbidden", "not in the manifest"),
        (format!("{open}storyboard.vtt"), 404, refused, "not_found", "unknown id"),
        (format!("{altered}hls/2/master.m3u8"), 403, refused, "token_invalid", "token malformed or altered"),
        (format!("{open}hls/video/9/v240/00005.m4s"), 500, "request failed", "internal", ""),
    ] {
        assert_eq!(get(&server, &path).await.status(), status, "{reason}");
        let lines = log.take();
        let [line] = lines.as_slice() else { panic!("{reason}: {lines:?}") };
        assert_eq!(line["message"], message);
        assert_eq!((&line["code"], &line["status"]), (&json!(code), &json!(status)), "{reason}");
        assert_eq!(line["reason"].as_str().unwrap_or_default(), reason);
        assert!(line["recording_id"] == one.id || line["recording_id"] == two.id, "{line}");
        assert!(!line.to_string().contains(&token[..20]), "no token in a log");
    }

    // The address of the page has no recording; the log has it all the same.
    let mut deleted = one.manifest.clone();
    deleted.state = State::Deleted;
    write_manifest(&world.store, &deleted).await.unwrap();
    let events = Events::connect(&world.settings.redis).unwrap();
    events.publish(TENANT, &one.id, EventKind::State, json!({ "state": "deleted" })).await.unwrap();
    let page = format!("/watch/s/{token}");
    until("the session ends", || async { (get(&server, &page).await.status() == 403).then_some(()) }).await;
    let lines = log.take();
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert_eq!(lines[0]["reason"], "recording deleted");
    assert_eq!(lines[0]["recording_id"], json!(one.id));

    let unknown = foreign_link(&one.id);
    assert_eq!(get(&server, &format!("/p/{unknown}/master.m3u8")).await.status(), 403);
    let lines = log.take();
    assert_eq!(lines[0]["code"], "token_invalid");
    assert_eq!(lines[0]["reason"], "token's key unknown or revoked");

    server.open(Method::GET, "/nothing/here").send().await.unwrap();
    let lines = log.take();
    assert_eq!((&lines[0]["reason"], &lines[0]["route"]), (&json!("no such route"), &json!("none")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cache_in_front_is_answered_as_a_viewer_would_be() {
    let mut world = World::new().await;
    world.settings.server.shared_cache = true;
    let (one, two) = (lesson(&world.store, TENANT).await, lesson(&world.store, TENANT).await);
    let server = world.server("a").await;
    let open = session(&server, json!({ "recording": one.id })).await;
    let capped = session(&server, json!({ "recording": one.id, "max_bps": 200_000 })).await;
    let part = session(&server, json!({ "recording": one.id, "end_ms": 3000 })).await;
    let other = open.replace(&one.id, &two.id);
    let ask = async |uri: &str| {
        let request = server.open(Method::GET, "/authorize").header("x-original-uri", uri);
        request.send().await.unwrap().status().as_u16()
    };
    let segment = "hls/video/9/v240/00003.m4s";
    for (uri, status) in [
        (format!("{open}{segment}"), 204),
        (format!("{open}hls/2/master.m3u8?_HLS=1"), 204),
        (format!("{capped}{segment}"), 204),
        (format!("{capped}hls/video/9/v480/00003.m4s"), 403),
        (format!("{part}{segment}"), 403),
        (format!("{other}{segment}"), 403),
        (format!("{open}hls/video/9/v240/secret.m4s"), 403),
        (format!("{open}transcript.json"), 403),
        (format!("/s/x/{}/{segment}", one.id), 403),
        ("/v1/recordings".into(), 403),
    ] {
        assert_eq!(ask(&uri).await, status, "{uri}");
    }
    assert_eq!(get(&server, "/authorize").await.status(), 403, "without an address");
    let shared = get(&server, &format!("{open}{segment}")).await;
    assert_eq!(shared.headers()["cache-control"], "public, max-age=31536000, immutable");
    let captions = get(&server, &format!("{open}hls/subtitles/9/en/00001.vtt")).await;
    assert!(captions.headers()["cache-control"].to_str().unwrap().starts_with("private"), "windows cut them");
    let revoke = server.request(Method::POST, "/v1/revocations").json(&json!({ "recording": one.id }));
    assert!(revoke.send().await.unwrap().status().is_success());
    assert_eq!(ask(&format!("{open}{segment}")).await, 403, "revoked");
}
