//! What a session reaches, over HTTP.
#![allow(clippy::unwrap_used)]

use chalkstream_store::objects::sha256_hex;
use chalkstream_store::{
    Inventory, InventoryObject, InventoryPart, ObjectFacts, Revision, inventory, layout, write_manifest,
};
use reqwest::{Method, Response, StatusCode};
use serde_json::{Value, json};

use crate::testing::{Lesson, OTHER, Server, TENANT, World, lesson, lesson_of_an_earlier_build, until};

async fn mint(server: &Server, more: Value) -> Value {
    let mut body = json!({ "viewer": "coach-1" });
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let response = server.request(Method::POST, "/v1/links").json(&body).send().await.unwrap();
    assert_eq!(response.status(), StatusCode::CREATED);
    response.json().await.unwrap()
}

fn path_of(url: &Value) -> String {
    let url = url.as_str().unwrap();
    url[url.find("://").unwrap() + 3..].split_once('/').map(|(_, path)| format!("/{path}")).unwrap()
}

/// `/s/{session}/{recording}/` of a fresh session.
pub(crate) async fn session(server: &Server, more: Value) -> String {
    let link = mint(server, more).await;
    let master = server.open(Method::GET, &path_of(&link["master_url"])).send().await.unwrap();
    assert_eq!(master.status(), StatusCode::OK);
    assert_eq!(header(&master, "cache-control"), "private, no-store");
    let text = master.text().await.unwrap();
    let child = text.lines().find(|line| line.starts_with("/s/")).unwrap();
    child[..child.find("hls/").unwrap()].to_owned()
}

pub(super) async fn get(server: &Server, path: &str) -> Response {
    server.open(Method::GET, path).send().await.unwrap()
}

pub(super) fn header(response: &Response, name: &str) -> String {
    response.headers().get(name).map(|value| value.to_str().unwrap().to_owned()).unwrap_or_default()
}

fn uris(text: &str) -> Vec<String> {
    let of = |line: &str| match line.split_once("URI=\"") {
        Some((_, rest)) => rest.split('"').next().map(Into::into),
        None => (!line.starts_with('#') && !line.is_empty()).then(|| line.to_owned()),
    };
    text.lines().filter_map(of).collect()
}

/// Every path that a player reaches from a session's master by relative URIs.
async fn walk(server: &Server, base: &str) -> Vec<String> {
    let join = |from: &str, uri: &str| {
        let url = reqwest::Url::parse("http://h").unwrap().join(from).unwrap().join(uri).unwrap();
        url.path().to_owned()
    };
    let master = format!("{base}hls/2/master.m3u8");
    let mut all = vec![master.clone()];
    for child in uris(&get(server, &master).await.text().await.unwrap()) {
        let child = join(&master, &child);
        let text = get(server, &child).await.text().await.unwrap();
        all.push(child.clone());
        all.extend(uris(&text).iter().map(|uri| join(&child, uri)));
    }
    all
}

pub(super) struct Stage {
    pub world: World,
    pub server: Server,
    pub one: Lesson,
    pub two: Lesson,
    pub foreign: Lesson,
}

pub(super) async fn stage() -> Stage {
    let world = World::new().await;
    let one = lesson(&world.store, TENANT).await;
    let two = lesson(&world.store, TENANT).await;
    let foreign = lesson(&world.store, OTHER).await;
    let server = world.server("a").await;
    Stage { world, server, one, two, foreign }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_good_session_plays_everything_its_playlists_name() {
    let world = World::new().await;
    let server = world.server("a").await;
    for one in [lesson(&world.store, TENANT).await, lesson_of_an_earlier_build(&world.store, TENANT).await] {
        plays_everything(&server, &one).await;
    }
}

async fn plays_everything(server: &Server, one: &Lesson) {
    let base = session(server, json!({ "recording": one.id })).await;
    let all = walk(server, &base).await;
    assert_eq!(all.len(), 1 + 5 + 5 * 5 + 4, "{all:?}");
    for path in &all {
        let key = path.strip_prefix(&base).unwrap();
        let response = get(server, path).await;
        assert_eq!(response.status(), StatusCode::OK, "{key}");
        assert_eq!(header(&response, "referrer-policy"), "no-referrer");
        assert_eq!(header(&response, "access-control-allow-origin"), "*");
        let kind = header(&response, "content-type");
        let cached = header(&response, "cache-control");
        if key.ends_with(".m3u8") {
            assert_eq!(
                (kind.as_str(), cached.as_str()),
                ("application/vnd.apple.mpegurl", "private, no-store")
            );
        } else {
            // The text of captions may be corrected.
            let is_fixed = !key.ends_with(".vtt");
            assert_eq!(cached.contains("immutable"), is_fixed, "{key}: {cached}");
            assert_eq!(response.bytes().await.unwrap(), one.content(key), "{key}");
        }
        // HEAD has the same length and no body.
        let head = server.open(Method::HEAD, path).send().await.unwrap();
        assert_eq!(head.status(), StatusCode::OK);
        let size_bytes = one.resources[key].size_bytes.to_string();
        assert_eq!(header(&head, "content-length"), size_bytes, "{key}");
        assert_eq!(header(&head, "content-type"), kind);
        assert!(head.bytes().await.unwrap().is_empty());
    }
    // A segment is a resource of its own, wherever it lies.
    let segment = |number: u32| format!("hls/video/9/v240/{number:05}.m4s");
    let etag = header(&get(server, &format!("{base}{}", segment(2))).await, "etag");
    let sha256 = &one.resources[&segment(2)].sha256;
    assert_eq!(etag, format!("\"{}\"", &sha256[..32]));
    for number in [2, 4] {
        let path = format!("{base}{}", segment(number));
        let bytes = one.content(&segment(number));
        let part = server.open(Method::GET, &path).header("range", "bytes=5-24").send().await.unwrap();
        assert_eq!(part.status(), StatusCode::PARTIAL_CONTENT);
        assert_eq!(header(&part, "content-range"), format!("bytes 5-24/{}", bytes.len()));
        assert_eq!(part.bytes().await.unwrap(), &bytes[5..25]);
        let end = server.open(Method::GET, &path).header("range", "bytes=-7").send().await.unwrap();
        assert_eq!(end.bytes().await.unwrap(), &bytes[bytes.len() - 7..]);
        let beyond = server.open(Method::GET, &path).header("range", format!("bytes={}-", bytes.len()));
        assert_eq!(beyond.send().await.unwrap().status(), StatusCode::RANGE_NOT_SATISFIABLE);
    }
    let again = server.open(Method::GET, &format!("{base}{}", segment(2))).header("if-none-match", etag);
    assert_eq!(again.send().await.unwrap().status(), StatusCode::NOT_MODIFIED);
    // The files that segments share are no resources, and neither are inventories.
    for key in ["hls/video/9/v240/segments-001.m4s", "inventory/9/ladder.json", "hls/video/9/v240/00006.m4s"]
    {
        let status = get(server, &format!("{base}{key}")).await.status();
        assert!(matches!(status, StatusCode::FORBIDDEN | StatusCode::NOT_FOUND), "{key}: {status}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revision_that_grows_is_read_again_and_its_audio_keeps_step() {
    let Stage { world, server, one, .. } = stage().await;
    let key = |relative: &str| layout::object_key(TENANT, &one.id, relative);
    let put = async |relative: &str, text: &str| {
        world.store.put(&key(relative), text.to_owned().into()).await.unwrap();
    };
    // The attempt with fence 12 still runs: the manifest knows only its multivariant playlist.
    let master = "#EXTM3U\n#EXT-X-START:TIME-OFFSET=0\n\
        #EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"a32\",NAME=\"audio\",URI=\"../audio/9/a32/index.m3u8\"\n\
        #EXT-X-STREAM-INF:BANDWIDTH=150000,AUDIO=\"a32\"\n../video/12/v240/growing.m3u8\n\
        #EXT-X-STREAM-INF:BANDWIDTH=60000,AUDIO=\"a32\"\n../video/9/v240/index.m3u8\n";
    let mut manifest = one.manifest.clone();
    let facts = ObjectFacts { size_bytes: master.len() as u64, sha256: sha256_hex(master.as_bytes()) };
    manifest.objects.insert(layout::master_relative(3), facts);
    manifest.revision = Some(Revision { id: 3, master: layout::master_relative(3), is_live: true });
    manifest.fence = 12;
    put(&layout::master_relative(3), master).await;
    for name in ["init.mp4", "00001.m4s", "00002.m4s", "00003.m4s"] {
        put(&format!("hls/video/12/v240/{name}"), name).await;
    }
    let growing = "#EXTM3U\n#EXT-X-PLAYLIST-TYPE:EVENT\n#EXT-X-MAP:URI=\"init.mp4\"\n#EXTINF:3.2,\n00001.m4s\n\
        #EXTINF:3.2,\n00002.m4s\n";
    put("hls/video/12/v240/growing.m3u8", growing).await;
    write_manifest(&world.store, &manifest).await.unwrap();
    let base = session(&server, json!({ "recording": one.id })).await;

    let picture = format!("{base}hls/video/12/v240/");
    let sound = format!("{base}hls/audio/9/a32/");
    let text = async |path: &str| get(&server, path).await.text().await.unwrap();
    let status = async |path: &str| get(&server, path).await.status();
    assert_eq!(text(&format!("{picture}growing.m3u8")).await, growing);
    // The complete renditions next to it, audio and another video, are cut to the same length.
    for complete in [format!("{sound}index.m3u8"), format!("{base}hls/video/9/v240/index.m3u8")] {
        let other_playlist = text(&complete).await;
        assert_eq!(other_playlist.matches("#EXTINF").count(), 2, "{other_playlist}");
        assert!(
            other_playlist.contains("TYPE:EVENT") && !other_playlist.contains("ENDLIST"),
            "{other_playlist}"
        );
    }
    let segment = get(&server, &format!("{picture}00002.m4s")).await;
    assert!(header(&segment, "cache-control").contains("immutable") && !header(&segment, "etag").is_empty());
    assert_eq!(segment.text().await.unwrap(), "00002.m4s");
    assert_eq!(status(&format!("{picture}init.mp4")).await, StatusCode::OK);
    assert_eq!(status(&format!("{picture}00003.m4s")).await, StatusCode::FORBIDDEN, "not named yet");
    assert_eq!(status(&format!("{sound}00001.m4s")).await, StatusCode::OK);
    assert_eq!(status(&format!("{base}hls/video/9/v480/index.m3u8")).await, StatusCode::FORBIDDEN);
    // The window is applied once, to the result: only the second of two segments is inside.
    let late = session(&server, json!({ "recording": one.id, "start_ms": 3300 })).await;
    for name in ["video/12/v240/growing.m3u8", "audio/9/a32/index.m3u8"] {
        let text = text(&format!("{late}hls/{name}")).await;
        assert!(text.matches("#EXTINF").count() == 1 && text.ends_with("00002.m4s\n"), "{name}: {text}");
    }

    put("hls/video/12/v240/growing.m3u8", &format!("{growing}#EXTINF:1.0,\n00003.m4s\n#EXT-X-ENDLIST\n"))
        .await;
    until("the playlist is read again", async || {
        (status(&format!("{picture}00003.m4s")).await == StatusCode::OK).then_some(())
    })
    .await;
    assert!(text(&format!("{sound}index.m3u8")).await.ends_with("00005.m4s\n#EXT-X-ENDLIST\n"));

    // Its step is over: its segments move into one file, before this server reads the new manifest.
    let names = ["00001.m4s", "00002.m4s", "00003.m4s"];
    let facts = |text: &str| ObjectFacts::from_bytes(text.as_bytes());
    let parts = names.map(|name| InventoryPart { name: name.into(), facts: facts(name) }).into();
    let shared = InventoryObject { facts: facts(&names.concat()), parts };
    let objects = [("hls/video/12/v240/segments-001.m4s".to_owned(), shared)].into();
    put("hls/video/12/v240/segments-001.m4s", &names.concat()).await;
    let inventory = Inventory::new(12, "weak_line", objects);
    let inventory = inventory::write(&world.store, TENANT, &one.id, &inventory).await.unwrap();
    assert_eq!(text(&format!("{picture}00001.m4s")).await, "00001.m4s");
    manifest.inventories.insert(12, inventory);
    manifest.fence = 13;
    write_manifest(&world.store, &manifest).await.unwrap();
    for name in names {
        world.store.delete(&key(&format!("hls/video/12/v240/{name}"))).await.unwrap();
    }
    for name in names {
        assert_eq!(text(&format!("{picture}{name}")).await, name);
    }

    // Taken back: a new viewer is sent to the complete revision.
    session(&server, json!({ "recording": one.id })).await;
    manifest.revision.clone_from(&one.manifest.revision);
    write_manifest(&world.store, &manifest).await.unwrap();
    let complete = until("a link leads to what is whole", async || {
        let complete = session(&server, json!({ "recording": one.id })).await;
        (status(&format!("{complete}hls/2/master.m3u8")).await == StatusCode::OK).then_some(complete)
    })
    .await;
    assert_eq!(status(&format!("{complete}hls/3/master.m3u8")).await, StatusCode::FORBIDDEN);
    // A page that was loading is sent there too.
    let lesson: Value = get(&server, &format!("{base}lesson.json")).await.json().await.unwrap();
    assert_eq!((&lesson["revision"], &lesson["master"]), (&json!(2), &json!("hls/2/master.m3u8")));
    assert_eq!(
        get(&server, &format!("{}hls/2/master.m3u8", lesson["base"].as_str().unwrap())).await.status(),
        StatusCode::OK
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn segments_answer_ranges_and_conditions() {
    let Stage { world: _world, server, one, .. } = stage().await;
    let base = session(&server, json!({ "recording": one.id })).await;
    let key = "hls/video/9/v240/00002.m4s";
    let (path, complete) = (format!("{base}{key}"), one.content(key));
    let ask = |method: Method, headers: &[(&str, &str)]| {
        let mut request = server.open(method, &path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.send()
    };
    let etag = header(&ask(Method::GET, &[]).await.unwrap(), "etag");
    assert!(etag.starts_with('"') && etag.len() == 34, "{etag}");
    let part = ask(Method::GET, &[("range", "bytes=10-19")]).await.unwrap();
    assert_eq!(part.status(), StatusCode::PARTIAL_CONTENT);
    assert_eq!(header(&part, "content-range"), format!("bytes 10-19/{}", complete.len()));
    assert_eq!(part.bytes().await.unwrap(), complete[10..20]);
    let head = ask(Method::HEAD, &[("range", "bytes=10-19")]).await.unwrap();
    assert_eq!((head.status(), header(&head, "content-length")), (StatusCode::PARTIAL_CONTENT, "10".into()));
    let behind = ask(Method::GET, &[("range", "bytes=999999-")]).await.unwrap();
    assert_eq!(behind.status(), StatusCode::RANGE_NOT_SATISFIABLE);
    assert_eq!(header(&behind, "content-range"), format!("bytes */{}", complete.len()));
    let same = ask(Method::GET, &[("if-none-match", &etag)]).await.unwrap();
    assert_eq!(same.status(), StatusCode::NOT_MODIFIED);
    assert_eq!(header(&same, "etag"), etag);
    let other = ask(Method::GET, &[("range", "bytes=10-19"), ("if-range", "\"old\"")]).await.unwrap();
    assert_eq!((other.status(), other.bytes().await.unwrap().len()), (StatusCode::OK, complete.len()));
    // Segments are never compressed, whatever the client accepts; playlists are.
    let packed = ask(Method::GET, &[("accept-encoding", "gzip, br")]).await.unwrap();
    assert_eq!(header(&packed, "content-encoding"), "");
    let preflight = server
        .open(Method::OPTIONS, &path)
        .header("origin", "https://platform.example")
        .header("access-control-request-method", "GET")
        .header("access-control-request-headers", "range")
        .send()
        .await
        .unwrap();
    assert_eq!(preflight.status(), StatusCode::NO_CONTENT);
    assert!(header(&preflight, "access-control-allow-headers").contains("range"));
    let playlist = server.open(Method::GET, &format!("{base}hls/2/master.m3u8"));
    let playlist = playlist.header("accept-encoding", "gzip").send().await.unwrap();
    assert_eq!(header(&playlist, "content-encoding"), "gzip");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cap_and_a_window_are_kept_on_segments_too() {
    let Stage { world: _world, server, one, .. } = stage().await;
    let capped = session(&server, json!({ "recording": one.id, "max_bps": 200_000 })).await;
    let text = get(&server, &format!("{capped}hls/2/master.m3u8")).await.text().await.unwrap();
    assert!(text.contains("v240") && !text.contains("v480") && !text.contains("a96"), "{text}");
    for key in [
        "hls/video/9/v480/index.m3u8",
        "hls/video/9/v480/00001.m4s",
        "hls/video/9/v480/init.mp4",
        "hls/audio/9/a96/00001.m4s",
    ] {
        assert_eq!(get(&server, &format!("{capped}{key}")).await.status(), StatusCode::FORBIDDEN, "{key}");
    }
    assert_eq!(get(&server, &format!("{capped}hls/video/9/v240/00001.m4s")).await.status(), StatusCode::OK);

    let window = json!({ "recording": one.id, "start_ms": 3_300, "end_ms": 6_400 });
    let window = session(&server, window).await;
    for (name, status) in [("00001", 403), ("00002", 200), ("00003", 403), ("00005", 403)] {
        for track in ["video/9/v240", "audio/9/a96"] {
            let response = get(&server, &format!("{window}hls/{track}/{name}.m4s")).await;
            assert_eq!(response.status(), status, "{track}/{name}");
        }
        let words = get(&server, &format!("{window}hls/subtitles/9/en/{name}.vtt")).await;
        assert_eq!(words.status(), status, "words of {name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_expire_and_are_taken_back_within_five_seconds() {
    let Stage { world, server, one, two, foreign } = stage().await;
    let second = world.server("b").await;
    let link = mint(&server, json!({ "recording": one.id, "expires_s": 1 })).await;
    let path = path_of(&link["master_url"]);
    until("the link expires", || async {
        let response = get(&server, &path).await;
        (response.status() == 403).then_some(response)
    })
    .await;
    let problem: Value = get(&server, &path).await.json().await.unwrap();
    assert_eq!(problem["code"], "token_expired");

    let by_viewer = session(&server, json!({ "recording": one.id, "viewer": "gone" })).await;
    let by_recording = session(&server, json!({ "recording": two.id })).await;
    let kept = session(&server, json!({ "recording": one.id })).await;
    let listening = get(&server, &format!("{by_viewer}events")).await;
    assert_eq!(listening.status(), StatusCode::OK);
    for target in [json!({ "viewer": "gone" }), json!({ "recording": two.id })] {
        let response = server.request(Method::POST, "/v1/revocations").json(&target).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::CREATED);
    }
    let started = std::time::Instant::now();
    for base in [&by_viewer, &by_recording] {
        let segment = format!("{base}hls/video/9/v240/00001.m4s");
        assert_eq!(get(&server, &segment).await.status(), StatusCode::FORBIDDEN, "here at once");
        until("revoked on the other server", || async {
            (get(&second, &segment).await.status() == 403).then_some(())
        })
        .await;
    }
    listening.bytes().await.expect("the open event stream ends");
    assert!(started.elapsed().as_secs() < 5, "{:?}", started.elapsed());
    assert_eq!(get(&second, &format!("{kept}hls/2/master.m3u8")).await.status(), StatusCode::OK);

    // A recording of another tenant cannot be linked to.
    let response =
        server.request(Method::POST, "/v1/links").json(&json!({ "recording": foreign.id, "viewer": "v" }));
    assert_eq!(response.send().await.unwrap().status(), StatusCode::NOT_FOUND);
}
