//! The complete main job on the composed lesson: upload, watch in a browser, find what was said.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use chalkstream_tests::media::{Lesson, Utterance, ffmpeg, lesson};
use chalkstream_tests::playlist;
use chalkstream_tests::process::tool;
use chalkstream_tests::redis::Redis;
use chalkstream_tests::s3::{ACCESS_KEY, BUCKET, S3, SECRET_KEY};
use chalkstream_tests::stack::Stack;
use chalkstream_tests::up::Up;
use chalkstream_tests::{fetched_stream, hostile, metadata_leaks, node, presentation};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::CLIP;

fn run(mut command: Command) -> String {
    let output = command.output().unwrap();
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{command:?}\n{out}\n{err}");
    out.into_owned()
}

fn json_of(command: Command) -> Value {
    let text = run(command);
    serde_json::from_str(&text).unwrap_or_else(|e| panic!("{e}: {text}"))
}

/// `upload --wait`, `link` and `search` by the command line; returns the recording's id and a fresh
/// watch link.
fn through(up: &Up, lesson: &Lesson) -> (String, String) {
    let mut upload = up.command(&["upload", "--wait", "--json", "--title", "Composed lesson"]);
    upload.arg(&lesson.file);
    let uploaded = json_of(upload);
    assert_eq!(uploaded["state"], "ready", "{uploaded}");
    let id = uploaded["id"].as_str().unwrap().to_owned();

    let word = longest_word(&lesson.utterances[0]);
    let found = json_of(up.command(&["search", &word, "--json"]));
    let moments = found["moments"].as_array().unwrap();
    assert!(moments.iter().any(|m| m["recording"] == id.as_str()), "«{word}» is found: {found}");

    let link = json_of(up.command(&["link", &id, "--viewer", "coach-1", "--json"]));
    (id, link["url"].as_str().unwrap().to_owned())
}

fn longest_word(utterance: &Utterance) -> String {
    let words = utterance.text.split(|c: char| !c.is_alphanumeric());
    words.max_by_key(|word| word.len()).unwrap().to_lowercase()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_coach_watches_the_lesson_and_finds_twenty_words() {
    let lesson = lesson();
    let folder = TempDir::new().unwrap();
    let up = Up::start(&folder.path().join("data"), &[]).await;
    let (id, link) = through(&up, &lesson);

    let screenshot = Path::new(env!("CARGO_TARGET_TMPDIR")).join("player.png");
    let first_s = lesson.utterances[0].start_ms as f64 / 1000.0 + 0.3;
    let asked = json!({
        "url": link, "until_s": 10.5, "captions_at_s": first_s, "screenshot": screenshot, "sound_only": true,
    });
    let watched = node::run("watch.mjs", &asked);
    assert!(watched["current_time"].as_f64().unwrap() > 10.0, "{watched}");
    assert!(
        watched["captions"].as_array().is_some_and(|shown| !shown.is_empty()),
        "captions show: {watched}"
    );
    assert!(watched["words_ahead_s"].as_f64().unwrap() >= 10.0, "what can wait waits: {watched}");
    let page_bytes = watched["page_bytes"].as_u64().unwrap();
    assert!((60_000..130_000).contains(&page_bytes), "the page's budget, on the line: {watched}");
    for wrong in ["errors", "foreign", "refused"] {
        assert_eq!(watched[wrong].as_array().map(Vec::len), Some(0), "{wrong}: {watched}");
    }

    // The first word of each utterance whose start is known, where the lesson says that word once.
    let words: Vec<Value> = lesson
        .utterances
        .iter()
        .filter(|utterance| utterance.unique)
        .take(20)
        .map(|u| json!({ "query": u.word, "start_s": u.start_ms as f64 / 1000.0 }))
        .collect();
    assert_eq!(words.len(), 20, "the lesson says 20 first words once");
    let found = node::run("seek.mjs", &json!({ "url": link, "words": words }));
    let results = found["results"].as_array().unwrap();
    let transcript = up.client().get(&format!("/v1/recordings/{id}/transcript.json")).await;
    let cues = transcript["cues"].as_array().unwrap();
    let near = results
        .iter()
        .filter(|r| r["early_s"].as_f64().is_some_and(|early| (-0.2..=0.3).contains(&early)))
        .count();
    let inside = |r: &&Value| {
        let (Some(to), Some(hit)) = (r["to_s"].as_f64(), r["hit_s"].as_f64()) else { return false };
        cues.iter().any(|cue| {
            let (from, till) =
                (cue["start_ms"].as_f64().unwrap() / 1000.0, cue["end_ms"].as_f64().unwrap() / 1000.0);
            (from..till).contains(&hit) && (from..till).contains(&to)
        })
    };
    let in_cue = results.iter().filter(inside).count();
    assert!(near >= 18, "{near} of 20 land from 0.3 s before the word to 0.2 s after: {found:#}");
    let hits = results.iter().filter(|r| r["hit_s"].is_number()).count();
    assert_eq!(in_cue, hits, "all that are found land in their cue: {found:#}");
    // By its meaning: "weasels have eaten our phone system", asked for in Spanish.
    let asked = "los+animales+rompieron+el+sistema+de+tel%C3%A9fonos";
    let found = up.client().get(&format!("/v1/search?viewer=coach-7&recording={id}&q={asked}")).await;
    let nearest = &found["meaning"][0];
    let text = nearest["text"].as_str().unwrap_or_default().to_lowercase();
    assert!(text.contains("phone system"), "{found:#}");
    assert!(nearest["link"].as_str().unwrap().contains("#t=") && nearest["still"].is_string(), "{nearest}");
    // The page lists what is meant before what has only some of the words.
    let listed = node::run(
        "found.mjs",
        &json!({ "url": link, "query": asked.replace('+', " ").replace("%C3%A9", "é") }),
    );
    assert_eq!(listed["rows"][0]["heading"], "Similar in meaning", "{listed:#}");
    let text = listed["rows"][0]["text"].as_str().unwrap().to_lowercase();
    assert!(text.contains("phone system"), "{listed:#}");
    assert!(listed["summary"].as_str().unwrap().starts_with("No moment has "), "{listed:#}");
    // Who speaks: the announcer most of all, before that other voices.
    let announcement = lesson.utterances.iter().find(|u| u.text.starts_with("Nobody is available")).unwrap();
    let at_s = announcement.start_ms as f64 / 1000.0 + 1.0;
    let screenshot = Path::new(env!("CARGO_TARGET_TMPDIR")).join("talk.png");
    let talk = node::run("talk.mjs", &json!({ "url": link, "at_s": at_s, "screenshot": screenshot }));
    let went = talk["clicked"]["to_s"].as_f64().unwrap();
    assert!((at_s - 0.3..at_s + 0.3).contains(&went), "a click seeks there: {talk}");
    assert!(talk["clicked"]["text"].as_str().unwrap().ends_with(", Main voice"), "{talk}");
    let times = up.client().get(&format!("/v1/recordings/{id}/talk")).await;
    let starts =
        times["turns"].as_array().unwrap().iter().map(|turn| turn["start_ms"].as_f64().unwrap() / 1000.0);
    let next_s = starts.into_iter().find(|start_s| *start_s > went).unwrap();
    let pressed = talk["pressed"]["to_s"].as_f64().unwrap();
    assert!((pressed - next_s).abs() < 0.3, "a key goes to the next turn, at {next_s} s: {talk}");
    let share = times["main_share"].as_f64().unwrap();
    assert!((0.5..0.7).contains(&share), "{}", times["total"]);
    let ms = |voice: &str| times["total"][voice].as_f64().unwrap();
    let percent = 100.0 * ms("main_ms") / (ms("main_ms") + ms("other_ms") + ms("group_ms"));
    assert_eq!(talk["shares"][0], format!("Main voice {}%", percent.round()), "{talk}");
    // The source is one of its renditions.
    let watched = fetched_stream::fetch(&up.client(), &id, &folder.path().join("served")).await;
    assert!(watched.playlists.iter().any(|(uri, _)| uri.contains("/source/")), "the source plays as it is");
    assert_eq!(watched.wrong(folder.path()), Vec::<String>::new());
}

/// Hashes of a file's decoded frames.
fn frame_hashes(file: &Path) -> String {
    let mut decode = Command::new(tool("ffmpeg", "ffmpeg"));
    decode.args(["-v", "error", "-i"]).arg(file).args(["-map", "0:v:0", "-fps_mode", "passthrough"]);
    decode.args(["-f", "hash", "-hash", "md5", "-"]);
    run(decode)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_camera_says_between_pictures_is_not_served() {
    let mut stack = Stack::fs().await;
    let server = stack.server().await;
    let _worker = stack.worker();
    let client = stack.client(&server);
    let (raw, file) = (stack.folder().join("raw.h264"), stack.folder().join("placed.mp4"));
    let position = "48.8584N002.2945E";
    let position_message =
        format!("h264_metadata=sei_user_data=086f3693-b7b3-4f2c-9653-21492feee5b8+{position}");
    let video =
        "-f lavfi -i testsrc2=s=640x360:r=25:d=6 -c:v libx264 -preset ultrafast -g 25 -pix_fmt yuv420p";
    ffmpeg(&format!("{video} -x264-params repeat-headers=1 -bsf:v {position_message}"), &raw);
    let audio = "-f lavfi -i sine=f=440:d=6 -c:v copy -c:a aac";
    ffmpeg(&format!("-r 25 -i {} {audio} -metadata location={position}", raw.display()), &file);
    let said = std::fs::read(&file).unwrap();
    let times = said.windows(position.len()).filter(|part| *part == position.as_bytes()).count();
    assert!(times > 5, "the camera says where it is {times} times");

    let recording = client.upload(&file).await;
    client.state(&recording, &["ready"], CLIP).await;
    let copy = stack.folder().join("served");
    let playlists = fetched_stream::fetch(&client, &recording, &copy).await.playlists;
    assert_eq!(metadata_leaks::find(&copy, &[position.to_owned()]), Vec::<String>::new());
    let is_source = |uri: &str| uri.contains("/source/") && uri.contains("/video/");
    let (uri, _) = playlists.iter().find(|(uri, _)| is_source(uri)).unwrap();
    let served = copy.join(uri.split_once("/hls/").unwrap().1);
    let joined = presentation::joined(&served, stack.folder());
    assert_eq!(frame_hashes(&joined), frame_hashes(&file), "every frame is as it was");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_with_s3_and_an_external_redis() {
    let lesson = lesson();
    let folder = TempDir::new().unwrap();
    let redis = Redis::start(&folder.path().join("redis")).await;
    let s3 = S3::start(&folder.path().join("s3")).await;
    let settings = [
        ("REDIS__URL", redis.url()),
        ("STORE__KIND", "s3".to_owned()),
        ("STORE__S3__ENDPOINT", s3.endpoint.clone()),
        ("STORE__S3__BUCKET", BUCKET.to_owned()),
        ("STORE__S3__ACCESS_KEY_ID", ACCESS_KEY.to_owned()),
        ("STORE__S3__SECRET_ACCESS_KEY", SECRET_KEY.to_owned()),
    ];
    let data = folder.path().join("data");
    let up = Up::start(&data, &settings).await;
    let (id, link) = through(&up, &lesson);
    assert!(!data.join("objects").join("_system").exists(), "nothing is kept in the folder");
    let keys = redis.command(&["--scan"]);
    assert!(!keys.is_empty(), "the external Redis is used");
    assert!(s3.bucket().read_dir().unwrap().next().is_some(), "the bucket is used");

    let client = up.client();
    let page = client.text(&link).await;
    let scripts: Vec<&str> = page.split('"').filter(|part| part.contains("/assets/")).collect();
    assert!(scripts.len() > 5, "{page}");
    for script in scripts {
        let answer = client.open(script).await;
        assert_eq!(answer.status(), 200, "{script}");
        assert_eq!(answer.headers()["cache-control"], "public, max-age=31536000, immutable", "{script}");
    }
    let master = client.link(&id).await["master_url"].as_str().unwrap().to_owned();
    assert_eq!(node::playlist("master", &client.text(&master).await), None);
    let vtt = client.request(reqwest::Method::GET, &format!("/v1/recordings/{id}/transcript.vtt"));
    let vtt = vtt.timeout(Duration::from_secs(10)).send().await.unwrap().text().await.unwrap();
    assert_eq!(node::webvtt("transcript", &vtt, "subtitles"), Vec::<String>::new());
}

#[test]
fn picture_and_sound_end_together_where_one_is_much_shorter() {
    let folder = TempDir::new().unwrap();
    for (video, audio) in [(24, 8), (8, 24), (24, 4), (4, 24)] {
        let file = folder.path().join(format!("{video}-{audio}.mp4"));
        ffmpeg(
            &format!(
                "-f lavfi -i testsrc2=s=320x180:r=25:d={video} -f lavfi -i sine=f=440:d={audio} \
                 -c:v libx264 -preset ultrafast -g 50 -pix_fmt yuv420p -c:a aac"
            ),
            &file,
        );
        let out = file.with_extension("out");
        let ended = hostile::run(&file, &out);
        assert_eq!(ended.status.code(), Some(0), "{}", ended.answer);
        for playlist in
            ["hls/video/v240/index.m3u8", "hls/video/stills/index.m3u8", "hls/audio/a32/index.m3u8"]
        {
            let lasts = playlist::seconds(&std::fs::read_to_string(out.join(playlist)).unwrap());
            assert!((lasts - 24.0).abs() < 0.2, "{video} and {audio}: {playlist} lasts {lasts} s");
        }
    }
}
