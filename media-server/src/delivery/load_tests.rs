//! What viewers cost: reads of storage, and memory.
#![allow(clippy::unwrap_used)]

use std::cell::Cell;
use std::path::Path;
use std::time::{Duration, Instant};

use chalkstream_config::Secret;
use chalkstream_store::{EventKind, Events, Manifest, MediaFacts, ObjectFacts, Revision, State, layout};
use reqwest::{Method, StatusCode};
use serde_json::json;

use super::tests::{get, session};
use crate::manifests::{MAX_AGE_S, Manifests};
use crate::testing::{Server, TENANT, World, lesson, until};

/// How long a viewer is watched: `CHALKSTREAM_TEST_WATCHED_S` seconds, or 20.
fn watched() -> Duration {
    let seconds = std::env::var("CHALKSTREAM_TEST_WATCHED_S").ok().map(|text| text.parse().unwrap());
    Duration::from_secs(seconds.unwrap_or(20))
}

/// Margin of a time limit on a busy machine.
const MARGIN: Duration = Duration::from_secs(5);

/// Reads of a recording, apart from its segments.
fn reads(requests: &[String], recording: &str) -> usize {
    let is_segment = |request: &&String| [".m4s", ".mp4", ".vtt"].iter().any(|end| request.contains(end));
    requests.iter().filter(|request| request.contains(recording) && !is_segment(request)).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_viewer_costs_storage_one_read_a_minute_apart_from_segments() {
    let (world, s3) = World::on_s3().await;
    let lesson = lesson(&world.store, TENANT).await;
    let server = world.server("a").await;
    correct(&server, &lesson.id).await;
    let base = opened(&server, &lesson.id).await;
    let path = format!("{base}transcript.json?from_ms=0&to_ms=4000");
    assert!(get(&server, &path).await.text().await.unwrap().contains("Decimals"));
    let watched = watched();
    let watch = async |without_events: Option<&Manifests>| {
        s3.take_requests();
        let (started, mut segments) = (Instant::now(), 0);
        while started.elapsed() < watched {
            match without_events {
                Some(manifests) => drop(manifests.get(TENANT, &lesson.id).await.unwrap()),
                None => {
                    let number = segments % 5 + 1;
                    for path in
                        [format!("video/9/v240/{number:05}.m4s"), format!("subtitles/9/en/{number:05}.vtt")]
                    {
                        let path = format!("{base}hls/{path}");
                        assert_eq!(get(&server, &path).await.status(), StatusCode::OK);
                    }
                    let path = format!("{base}transcript.json?from_ms=0&to_ms=4000");
                    assert_eq!(get(&server, &path).await.status(), StatusCode::OK);
                }
            }
            segments += 1;
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        (reads(&s3.take_requests(), &lesson.id), segments)
    };
    // A machine that is busy elsewhere may read events too late: then storage is asked.
    let (mut with_events, mut segments) = watch(None).await;
    for _ in 0..2 {
        if with_events > 1 {
            (with_events, segments) = watch(None).await;
        }
    }
    let (without_events, _) = watch(Some(&Manifests::new(world.store.clone()))).await;
    println!(
        "in {watched:?} ({segments} segments): {with_events} reads with events, \
         {without_events} without; \
         earlier builds made {} (a listing and a manifest every two seconds)",
        watched.as_secs()
    );
    // Good for a minute, so at most one falls into a third of it.
    let minutes = watched.as_secs().div_ceil(61) as usize;
    assert!(with_events <= minutes, "{with_events}");
    let listings = watched.as_secs() as usize / 2 + 2;
    assert!(without_events <= listings, "a listing every two seconds, and one manifest: {without_events}");
}

/// Corrects the first cue of a lesson.
async fn correct(server: &Server, recording: &str) {
    let path = format!("/v1/recordings/{recording}/transcript/cues/1");
    let request = server.request(Method::PATCH, &path).header("if-match", "*");
    let response = request.json(&json!({ "text": "Decimals", "author": "ann" })).send().await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
}

/// A session that has read all its playlists.
async fn opened(server: &Server, recording: &str) -> String {
    let base = session(server, json!({ "recording": recording })).await;
    for name in ["2/master.m3u8", "video/9/v240/index.m3u8", "subtitles/9/en/index.m3u8"] {
        assert_eq!(get(server, &format!("{base}hls/{name}")).await.status(), StatusCode::OK);
    }
    base
}

#[tokio::test(flavor = "multi_thread")]
async fn captions_and_the_index_list_no_corrections() {
    let (world, s3) = World::on_s3().await;
    let (plain, corrected) = (lesson(&world.store, TENANT).await, lesson(&world.store, TENANT).await);
    chalkstream_store::listing::build::verify(&world.store, TENANT).await.unwrap();
    let writer = world.server("a").await;
    correct(&writer, &corrected.id).await;
    let listings = |requests: &[String], id: &str| {
        requests.iter().filter(|request| request.contains("list-type") && request.contains(id)).count()
    };
    until("the first server has indexed that, and asks for nothing more", || async {
        let request = writer.request(Method::GET, "/v1/search?viewer=coach&q=decimals");
        let found = request.send().await.ok()?.text().await.ok()?;
        found.contains("Decimals").then_some(())
    })
    .await;
    drop(writer);
    s3.take_requests();
    let server = world.server("b").await;
    server.searches().await;
    let requests = s3.take_requests();
    assert_eq!(listings(&requests, &plain.id), 0, "{requests:?}");
    assert_eq!(listings(&requests, &corrected.id), 1, "{requests:?}");

    for (lesson, words) in [(&plain, "Fractions"), (&corrected, "Decimals")] {
        let base = opened(&server, &lesson.id).await;
        s3.take_requests();
        let segment = get(&server, &format!("{base}hls/subtitles/9/en/00001.vtt")).await;
        assert_eq!(segment.status(), StatusCode::OK);
        let transcript = get(&server, &format!("{base}transcript.json?from_ms=0&to_ms=4000")).await;
        assert!(transcript.text().await.unwrap().contains(words));
        let requests = s3.take_requests();
        // A machine that is busy elsewhere may have to ask again whether the manifest has changed.
        let lists =
            requests.iter().filter(|request| request.contains("list-type") && request.contains(&lesson.id));
        assert!(
            lists.clone().count() <= 1 && lists.clone().all(|one| one.contains("manifest%2F")),
            "{requests:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deletion_ends_sessions_on_other_servers_in_time() {
    let (mut world, s3) = World::on_s3().await;
    let (one, two) = (lesson(&world.store, TENANT).await, lesson(&world.store, TENANT).await);
    let (server, other) = (world.server("a").await, world.server("b").await);
    // A server that cannot reach Redis.
    world.settings.redis.url = Secret::new("redis+unix:///nowhere/redis.sock");
    let cut_off = world.server("c").await;
    for (deleting, lesson, limit) in [(&server, &one, 2), (&cut_off, &two, 5)] {
        let base = session(&other, json!({ "recording": lesson.id })).await;
        let path = format!("{base}hls/video/9/v240/00001.m4s");
        let read_at = Cell::new(Instant::now());
        until("its manifest is kept for longer than without events", || async {
            s3.take_requests();
            assert_eq!(get(&other, &path).await.status(), StatusCode::OK);
            if reads(&s3.take_requests(), &lesson.id) > 0 {
                read_at.set(Instant::now());
            }
            (read_at.get().elapsed() > Duration::from_millis(MAX_AGE_S * 1000 + 500)).then_some(())
        })
        .await;
        let request = deleting.request(Method::DELETE, &format!("/v1/recordings/{}", lesson.id));
        assert_eq!(request.send().await.unwrap().status(), StatusCode::ACCEPTED);
        let started = Instant::now();
        until("its sessions end", || async {
            (get(&other, &path).await.status() == StatusCode::FORBIDDEN).then_some(())
        })
        .await;
        println!("sessions ended after {:?}, allowed are {limit} s", started.elapsed());
        assert!(started.elapsed() < Duration::from_secs(limit) + MARGIN);
    }
}

/// Segments of a lesson of 45 minutes.
const SEGMENTS: usize = 844;

/// A lesson of 45 minutes as far as a viewer's server knows it: one segment is enough.
///
/// Its files are written as they are: hundreds of lessons flushed to the disk take minutes.
fn long_lesson(objects: &Path) -> String {
    let mut manifest = Manifest::new(TENANT, layout::new_recording_id());
    let id = manifest.recording.clone();
    (manifest.fence, manifest.state) = (9, State::Ready);
    manifest.media = Some(MediaFacts {
        duration_ms: 45 * 60_000,
        width: 854,
        height: 480,
        has_video: true,
        has_audio: true,
    });
    manifest.revision = Some(Revision { id: 2, master: layout::master_relative(2), is_live: false });
    let master = "#EXTM3U\n#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"a\",NAME=\"a\",URI=\"../audio/9/a32/index.m3u8\"\n\
        #EXT-X-STREAM-INF:BANDWIDTH=190000,AUDIO=\"a\"\n../video/9/v240/index.m3u8\n";
    let mut put = vec![(layout::master_relative(2), master.to_owned())];
    for track in ["video/9/v240", "audio/9/a32"] {
        let mut text = String::from("#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXT-X-MAP:URI=\"init.mp4\"\n");
        for number in 1..=SEGMENTS {
            text.push_str(&format!("#EXTINF:3.200000,\n{number:05}.m4s\n"));
        }
        put.push((format!("hls/{track}/index.m3u8"), text + "#EXT-X-ENDLIST\n"));
        put.push((format!("hls/{track}/00001.m4s"), "segment".repeat(3_000)));
    }
    let write = |key: &str, body: &[u8]| {
        let path = objects.join(key);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, body).unwrap();
    };
    for (key, body) in put {
        manifest.objects.insert(key.clone(), ObjectFacts::from_bytes(body.as_bytes()));
        write(&layout::object_key(TENANT, &id, &key), body.as_bytes());
    }
    // As many objects as a lesson may have.
    for at in manifest.objects.len()..400 {
        let key = format!("hls/video/9/v{}/{at:05}.m4s", at % 5);
        manifest.objects.insert(key.clone(), ObjectFacts::from_bytes(key.as_bytes()));
    }
    let body = serde_json::to_vec(&manifest).unwrap();
    assert!((40_000..64_000).contains(&body.len()), "{}", body.len());
    write(&layout::manifest_key(TENANT, &id, 9), &body);
    id
}

fn resident_mb() -> u64 {
    let pages: u64 =
        std::fs::read_to_string("/proc/self/statm").unwrap().split(' ').nth(1).unwrap().parse().unwrap();
    pages * 4 / 1024
}

async fn watch(server: &Server, base: &str, round: u32) {
    let mut names = vec!["hls/video/9/v240/00001.m4s", "hls/audio/9/a32/00001.m4s"];
    if round == 0 {
        names
            .splice(0..0, ["hls/2/master.m3u8", "hls/video/9/v240/index.m3u8", "hls/audio/9/a32/index.m3u8"]);
    }
    for name in names {
        let response = get(server, &format!("{base}{name}")).await;
        assert_eq!(response.status(), StatusCode::OK, "{name}");
        response.bytes().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn three_hundred_lessons_stay_below_three_hundred_megabytes() {
    let world = World::new().await;
    let lessons: Vec<String> = (0..300).map(|_| long_lesson(&world.settings.store.path)).collect();
    let server = world.server("a").await;
    let events = Events::connect(&world.settings.redis).unwrap();
    let before = resident_mb();
    let mut sessions = Vec::new();
    for id in &lessons {
        sessions.push(session(&server, json!({ "recording": id })).await);
    }
    // In each round everything that was read is too old once.
    for round in 0..4 {
        for (id, base) in lessons.iter().zip(&sessions) {
            let data = json!({ "state": "ready" });
            events.publish(TENANT, id, EventKind::State, data).await.unwrap();
            watch(&server, base, round).await;
        }
        println!("round {round}: {} MB", resident_mb());
    }
    let after = resident_mb();
    println!("before {before} MB, after 300 lessons {after} MB, test included");
    assert!(after <= 300, "{after} MB");
}
