//! The source rendition over HTTP: its segments are assembled from an index and the uploaded file.
#![allow(clippy::unwrap_used)]

use bytes::Bytes;
use chalkstream_formats::source_index::{IndexWriter, Run, SegmentRecord};
use chalkstream_formats::{Coding, NalFraming};
use chalkstream_store::{ObjectFacts, Revision, layout, objects, write_manifest};
use reqwest::{Method, StatusCode};
use serde_json::json;

use super::tests::{get, header, session};
use crate::testing::{Lesson, Server, TENANT, World, lesson};

/// Interleaved as by a phone: a run of video, one of audio, and so on.
const VIDEO: [(u64, &[RunPair]); 3] =
    [(10, &[(0, 300), (20, 200)]), (600, &[(0, 500)]), (1200, &[(0, 1), (7, 90), (3, 9)])];
const AUDIO: [(u64, &[RunPair]); 3] = [(310, &[(0, 20)]), (530, &[(0, 70)]), (1100, &[(0, 50), (10, 40)])];

const MASTER: &str = "#EXTM3U\n#EXT-X-VERSION:7\n\
#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"source\",NAME=\"audio\",DEFAULT=YES,URI=\"../source/9/audio/index.m3u8\"\n\
#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"a32\",NAME=\"audio\",DEFAULT=YES,URI=\"../audio/9/a32/index.m3u8\"\n\
#EXT-X-STREAM-INF:BANDWIDTH=190000,AUDIO=\"a32\"\n../video/9/v240/index.m3u8\n\
#EXT-X-STREAM-INF:BANDWIDTH=9500000,AUDIO=\"source\"\n../source/9/video/index.m3u8\n";

/// Bytes to skip and to take.
type RunPair = (u32, u32);

/// An index object: of each segment its `moof`, where its runs begin, and the runs.
fn index_object(
    framing: Option<NalFraming>,
    init: &str,
    source_bytes: u64,
    segments: &[(&[u8], u64, &[RunPair])],
) -> Vec<u8> {
    let out = std::io::Cursor::new(Vec::new());
    let mut writer = IndexWriter::new(out, init.into(), segments.len() as u32).unwrap();
    for (number, &(moof, source_offset, runs)) in segments.iter().enumerate() {
        let runs: Vec<Run> = runs.iter().map(|&(skip, take)| Run::new(skip, take)).collect();
        let start = number as u64 * 3200;
        let record = SegmentRecord { start, duration: 3200, source_offset, runs: &runs, moof };
        writer.add(&record).unwrap();
    }
    writer.finish(1000, source_bytes, framing).unwrap().into_inner()
}

fn moof(track: &str, number: usize) -> Vec<u8> {
    format!("moof {number} of {track} ").repeat(9).into_bytes()
}

/// A lesson whose source is a rendition of three segments.
async fn packaged(world: &World) -> Lesson {
    named_by(world, &[(layout::master_relative(3), MASTER)]).await
}

/// The same, with these multivariant playlists.
async fn named_by(world: &World, playlists: &[(String, &str)]) -> Lesson {
    let mut lesson = lesson(&world.store, TENANT).await;
    let source_bytes = lesson.manifest.source.as_ref().unwrap().size_bytes;
    let playlists = playlists.iter().map(|(key, text)| (key.clone(), text.as_bytes().to_vec()));
    let mut put: Vec<_> = playlists.collect();
    for (track, runs) in [("video", VIDEO), ("audio", AUDIO)] {
        let moofs: Vec<_> = (1..=3).map(|number| moof(track, number)).collect();
        let segments: Vec<_> =
            moofs.iter().zip(runs).map(|(moof, (offset, runs))| (&moof[..], offset, runs)).collect();
        put.push((
            format!("index/9/{track}"),
            index_object(None, &format!("init of {track}"), source_bytes, &segments),
        ));
        let text = "#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-TARGETDURATION:4\n#EXT-X-PLAYLIST-TYPE:VOD\n\
            #EXT-X-MAP:URI=\"init.mp4\"\n#EXTINF:3.200000,\n00001.m4s\n#EXTINF:3.200000,\n00002.m4s\n\
            #EXTINF:3.200000,\n00003.m4s\n#EXT-X-ENDLIST\n";
        put.push((format!("hls/source/9/{track}/index.m3u8"), text.into()));
    }
    for (key, body) in put {
        let facts = ObjectFacts { size_bytes: body.len() as u64, sha256: objects::sha256_hex(&body) };
        world.store.put(&layout::object_key(TENANT, &lesson.id, &key), Bytes::from(body)).await.unwrap();
        lesson.manifest.objects.insert(key, facts);
    }
    lesson.manifest.fence = 10;
    lesson.manifest.revision = Some(Revision { id: 3, master: layout::master_relative(3), is_live: false });
    write_manifest(&world.store, &lesson.manifest).await.unwrap();
    lesson
}

/// The expected bytes of a segment.
fn expected(lesson: &Lesson, track: &str, number: usize) -> Vec<u8> {
    let source = lesson.content("source/original.mp4");
    let (offset, runs) = if track == "video" { VIDEO[number - 1] } else { AUDIO[number - 1] };
    let mut made = moof(track, number);
    let mut at = offset as usize;
    for (skip, take) in runs {
        at += *skip as usize;
        made.extend(&source[at..at + *take as usize]);
        at += *take as usize;
    }
    made
}

async fn ask(server: &Server, method: Method, path: &str, headers: &[(&str, &str)]) -> reqwest::Response {
    let request = headers.iter().fold(server.open(method, path), |request, (k, v)| request.header(*k, *v));
    request.send().await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn segments_of_the_source_are_joined_and_answered_like_any_other() {
    let world = World::new().await;
    let lesson = packaged(&world).await;
    let server = world.server("a").await;
    let base = session(&server, json!({ "recording": lesson.id })).await;
    let mut tags = std::collections::BTreeSet::new();
    for track in ["video", "audio"] {
        let folder = format!("{base}hls/source/9/{track}");
        let init = get(&server, &format!("{folder}/init.mp4")).await;
        assert_eq!(header(&init, "content-type"), format!("{track}/mp4"));
        tags.insert(header(&init, "etag"));
        assert_eq!(init.bytes().await.unwrap(), format!("init of {track}"));
        for number in 1..=3 {
            let (path, complete) = (format!("{folder}/{number:05}.m4s"), expected(&lesson, track, number));
            let response = get(&server, &path).await;
            assert_eq!(response.status(), StatusCode::OK, "{path}");
            assert_eq!(header(&response, "content-length"), complete.len().to_string());
            assert_eq!(header(&response, "content-type"), "video/iso.segment");
            assert_eq!(header(&response, "cache-control"), "private, max-age=31536000, immutable");
            let etag = header(&response, "etag");
            assert!(etag.starts_with('"'), "strong: {etag}");
            assert_eq!(response.bytes().await.unwrap(), complete, "{path}");

            let head = ask(&server, Method::HEAD, &path, &[]).await;
            assert_eq!(
                (head.status(), header(&head, "content-length")),
                (StatusCode::OK, complete.len().to_string())
            );
            assert!(head.bytes().await.unwrap().is_empty());
            let same = ask(&server, Method::GET, &path, &[("if-none-match", &etag)]).await;
            assert_eq!(same.status(), StatusCode::NOT_MODIFIED);
            // Ranges from the header into the runs, over a gap, of a single byte, and at the end.
            let last = complete.len() - 1;
            let header_bytes = moof(track, number).len();
            for (from, to) in
                [(0, 3), (header_bytes - 2, header_bytes + 5), (header_bytes, last), (last, last), (5, last)]
            {
                let part =
                    ask(&server, Method::GET, &path, &[("range", &format!("bytes={from}-{to}"))]).await;
                assert_eq!(part.status(), StatusCode::PARTIAL_CONTENT);
                assert_eq!(header(&part, "content-range"), format!("bytes {from}-{to}/{}", complete.len()));
                assert_eq!(part.bytes().await.unwrap(), complete[from..=to], "{path} {from}-{to}");
            }
            let behind = ask(&server, Method::GET, &path, &[("range", "bytes=99999-")]).await;
            assert_eq!(behind.status(), StatusCode::RANGE_NOT_SATISFIABLE);
            tags.insert(etag);
        }
    }
    assert_eq!(tags.len(), 8, "no two answers share a tag: {tags:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_reaches_of_the_source_what_its_playlists_name() {
    let world = World::new().await;
    let lesson = packaged(&world).await;
    let server = world.server("a").await;
    let status = async |base: &str, key: &str| get(&server, &format!("{base}{key}")).await.status().as_u16();

    let base = session(&server, json!({ "recording": lesson.id })).await;
    for key in [
        "hls/source/9/video/00004.m4s",
        "hls/source/9/video/1.m4s",
        "hls/source/8/video/00001.m4s",
        "hls/source/9/text/00001.m4s",
        "hls/index/9/video",
        "hls/source/original.mp4",
    ] {
        assert_eq!(status(&base, key).await, 403, "{key}");
    }
    let capped = session(&server, json!({ "recording": lesson.id, "max_bps": 200_000 })).await;
    for key in ["index.m3u8", "init.mp4", "00001.m4s"] {
        assert_eq!(status(&capped, &format!("hls/source/9/video/{key}")).await, 403, "{key}");
        assert_eq!(status(&capped, &format!("hls/source/9/audio/{key}")).await, 403, "{key}");
    }
    assert_eq!(status(&capped, "hls/video/9/v240/00001.m4s").await, 200);

    let window = json!({ "recording": lesson.id, "start_ms": 3_300, "end_ms": 6_300 });
    let window = session(&server, window).await;
    for (name, expected) in [("init.mp4", 200), ("00001.m4s", 403), ("00002.m4s", 200), ("00003.m4s", 403)] {
        for track in ["video", "audio"] {
            assert_eq!(
                status(&window, &format!("hls/source/9/{track}/{name}")).await,
                expected,
                "{track}/{name}"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_h265_source_is_reached_by_its_own_playlist() {
    let world = World::new().await;
    let small = MASTER.split_once("#EXT-X-STREAM-INF:BANDWIDTH=95").unwrap().0;
    let hevc = "#EXTM3U\n#EXT-X-VERSION:7\n\
        #EXT-X-STREAM-INF:BANDWIDTH=9500000,CODECS=\"hvc1.2.4.L120.B0\",RESOLUTION=1920x1080,FRAME-RATE=29.970,\
        VIDEO-RANGE=HLG\n../source/9/video/index.m3u8\n\
        #EXT-X-STREAM-INF:BANDWIDTH=33000,CODECS=\"mp4a.40.2\"\n../audio/9/a32/index.m3u8\n";
    let (alone, _) = hevc.rsplit_once("#EXT-X-STREAM-INF").unwrap();
    for hevc in [hevc, alone] {
        an_h265_source_is_reached(&world, small, hevc).await;
    }
}

async fn an_h265_source_is_reached(world: &World, small: &str, hevc: &str) {
    let playlists = [(layout::master_relative(3), small), (layout::hevc_relative(3), hevc)];
    let lesson = named_by(world, &playlists).await;
    let server = world.server("a").await;
    let offer = async |base: &str| {
        let response = get(&server, &format!("{base}lesson.json")).await;
        response.json::<serde_json::Value>().await.unwrap()["original"].clone()
    };
    let segment = "hls/source/9/video/00001.m4s";

    let base = session(&server, json!({ "recording": lesson.id })).await;
    assert_eq!(get(&server, &format!("{base}hls/3/hevc.m3u8")).await.text().await.unwrap(), hevc);
    let response = get(&server, &format!("{base}{segment}")).await;
    assert_eq!(response.bytes().await.unwrap(), expected(&lesson, "video", 1));
    let original = offer(&base).await;
    assert_eq!((&original["master"], &original["range"]), (&json!("hls/3/hevc.m3u8"), &json!("HLG")));

    // A session with a low cap is not offered it.
    let capped = session(&server, json!({ "recording": lesson.id, "max_bps": 200_000 })).await;
    for key in [segment, "hls/source/9/video/index.m3u8"] {
        assert_eq!(get(&server, &format!("{capped}{key}")).await.status(), StatusCode::FORBIDDEN, "{key}");
    }
    assert!(offer(&capped).await.is_null());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_index_of_another_source_gives_no_bytes() {
    let world = World::new().await;
    let mut lesson = packaged(&world).await;
    lesson.manifest.source.as_mut().unwrap().size_bytes += 1;
    lesson.manifest.fence = 11;
    write_manifest(&world.store, &lesson.manifest).await.unwrap();
    let server = world.server("a").await;
    let base = session(&server, json!({ "recording": lesson.id })).await;
    let response = get(&server, &format!("{base}hls/source/9/video/00001.m4s")).await;
    assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
}

fn boxed(kind: &[u8; 4], content: &[u8]) -> Vec<u8> {
    [&(content.len() as u32 + 8).to_be_bytes()[..], kind, content].concat()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_camera_says_between_pictures_is_given_to_nobody() {
    let world = World::new().await;
    let mut lesson = packaged(&world).await;
    let sample = |units: &[&[u8]]| -> Vec<u8> {
        units.iter().flat_map(|unit| [&(unit.len() as u32).to_be_bytes()[..], unit].concat()).collect()
    };
    let said = b"\x06\x05\x14+48.8584+002.2945/ GPS\x80";
    let first = sample(&[said, b"\x65 a picture"]);
    let second = sample(&[b"\x41 another", b"\x1f+48.8584"]);
    // Audio lies between them.
    let mut source = lesson.content("source/original.mp4").to_vec();
    source[10..10 + first.len()].copy_from_slice(&first);
    source[100..100 + second.len()].copy_from_slice(&second);
    let words = [0x201_u32, 2, 0, first.len() as u32, second.len() as u32];
    let run = boxed(b"trun", &words.iter().flat_map(|word| word.to_be_bytes()).collect::<Vec<_>>());
    let moof = [boxed(b"moof", &boxed(b"traf", &run)), b"....mdat".to_vec()].concat();
    let runs = [(0, first.len() as u32), (90 - first.len() as u32, second.len() as u32)];
    let index = index_object(
        Some(NalFraming { coding: Coding::Avc, length_bytes: 4 }),
        "init",
        source.len() as u64,
        &[(&moof, 10, &runs)],
    );
    let facts = ObjectFacts { size_bytes: index.len() as u64, sha256: objects::sha256_hex(&index) };
    for (key, body) in [("index/9/video", index), ("source/original.mp4", source)] {
        let key = layout::object_key(TENANT, &lesson.id, key);
        world.store.put(&key, Bytes::from(body)).await.unwrap();
    }
    lesson.manifest.objects.insert("index/9/video".into(), facts);
    lesson.manifest.fence = 11;
    write_manifest(&world.store, &lesson.manifest).await.unwrap();

    let server = world.server("a").await;
    let base = session(&server, json!({ "recording": lesson.id })).await;
    let path = format!("{base}hls/source/9/video/00001.m4s");
    let complete = get(&server, &path).await.bytes().await.unwrap();
    assert_eq!(complete.len(), moof.len() + first.len() + second.len());
    let kept = |part: &[u8]| complete.windows(part.len()).any(|found| found == part);
    assert!(kept(b"\x65 a picture") && kept(b"\x41 another") && !kept(b"48.8") && !kept(b"GPS"));
    // Any range of it is the same range of the complete segment.
    for from in 0..complete.len() {
        let part = ask(&server, Method::GET, &path, &[("range", &format!("bytes={from}-"))]).await;
        assert_eq!(part.bytes().await.unwrap(), complete.slice(from..), "from {from}");
    }
}
