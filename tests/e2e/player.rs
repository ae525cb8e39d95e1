//! The player page on lines that change, over real ladders and real audio.

use std::path::Path;
use std::time::Duration;

use chalkstream_tests::media::{ffmpeg, flashes, heavy_clip};
use chalkstream_tests::node;
use chalkstream_tests::process::built_binary;
use chalkstream_tests::stream::files;
use chalkstream_tests::up::Up;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::CLIP;

/// Uploads a recording without speech and returns a watch link once all of it is made.
async fn watched(up: &Up, file: &Path, limit: Duration) -> String {
    let client = up.client();
    let id = client.upload(file).await;
    client.state(&id, &["ready"], limit).await;
    client.link(&id).await["url"].as_str().unwrap().to_owned()
}

async fn silent(data: &Path) -> Up {
    Up::start(data, &[("SPEECH__ENABLED", "false".to_owned())]).await
}

#[test]
fn what_the_pages_scripts_work_out() {
    let checked = node::run("plans.mjs", &json!({}));
    assert!(checked["checked"].as_u64().is_some_and(|n| n > 0), "{checked}");
}

#[tokio::test(flavor = "multi_thread")]
async fn from_every_level_a_drop_lands_on_the_next_one_down() {
    let folder = TempDir::new().unwrap();
    let up = silent(&folder.path().join("data")).await;
    let file = folder.path().join("moving.mp4");
    ffmpeg(
        // Noise fills every rendition up to its cap, so that the levels are as far apart as the
        // ladder has them.
        "-f lavfi -i testsrc2=s=1280x720:r=25:d=90,noise=alls=50:allf=t -f lavfi -i sine=d=90 -c:v libx264 -preset ultrafast -g 80 \
         -b:v 5M -pix_fmt yuv420p -c:a aac",
        &file,
    );
    let link = watched(&up, &file, 3 * CLIP).await;
    let url = reqwest::Url::parse(&link).unwrap();
    let upstream = format!("127.0.0.1:{}", url.port().unwrap());
    let asked = json!({ "shaper": built_binary("shaper"), "upstream": upstream, "path": url.path() });
    let seen = node::run("levels.mjs", &asked);
    let levels = seen["levels"].as_array().unwrap();
    // The file as it is, 480, 360 and 240 lines, and stills.
    assert_eq!(levels.len(), 5, "{seen}");
    let drops = seen["drops"].as_array().unwrap();
    assert_eq!(drops.len(), levels.len() - 1, "{seen}");
    for drop in drops {
        assert_eq!(drop["to"], drop["expected"], "from {}: {drop}", drop["from"]);
        // On its way down a player may load something of the smallest rendition, which has the
        // small audio, and change the audio twice. A segment that is loaded but not yet in the
        // buffer at such a change is loaded again. What lies in the buffer is not.
        let passed = drop["passed"].as_array().unwrap();
        let through = drop["to"] != "v240" && passed.iter().any(|name| name == "v240");
        let allowed = if through { 2 } else { 0 };
        let twice = drop["sound_twice"].as_array().unwrap().len();
        assert!(twice <= allowed, "audio that was there is loaded again: {drop}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_that_plays_goes_over_to_a_newer_revision_by_itself() {
    let folder = TempDir::new().unwrap();
    let up = silent(&folder.path().join("data")).await;
    let client = up.client();
    // Turned, it is not played as it is: the page begins with stills, and what moves comes while it
    // plays.
    let turned = folder.path().join("turned.mp4");
    let upright = heavy_clip(folder.path(), 90);
    ffmpeg(&format!("-i {} -c copy -metadata:s:v rotate=90", upright.display()), &turned);
    let id = client.upload(&turned).await;
    client.state(&id, &["playable"], CLIP).await;
    let url = client.link(&id).await["url"].as_str().unwrap().to_owned();
    let seen = node::run("revisions.mjs", &json!({ "url": url, "revision": "the next one", "play_s": 2 }));
    let moved = &seen["moved"][0];
    let [before_s, after_s] = ["before_s", "after_s"].map(|key| moved[key].as_f64().unwrap());
    assert!((after_s - before_s).abs() < 0.5, "the same second: {seen}");
    assert_eq!(moved["covered"], true, "the last frame lies over the change: {seen}");
    // Encoders have both processors meanwhile.
    assert!(seen["longest_still_ms"].as_f64().unwrap() < 5000.0, "it goes on: {seen}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_words_of_a_long_lesson_come_in_pages() {
    let folder = TempDir::new().unwrap();
    let data = folder.path().join("data");
    let up = Up::start(&data, &[]).await;
    let client = up.client();
    let file = folder.path().join("long.mp4");
    // Twenty-five minutes of which little is to be made.
    ffmpeg(
        "-f lavfi -i color=gray:s=256x144:r=1:d=1500 -f lavfi -i anullsrc=r=16000:cl=mono -t 1500 -c:v libx264 -g 3 -c:a aac -b:a 16k",
        &file,
    );
    let id = client.upload(&file).await;
    client.state(&id, &["ready"], 4 * CLIP).await;
    // It has no speech: these are its words, one cue each ten seconds.
    let cue = |n: u64| json!({ "start_ms": n * 10_000, "end_ms": n * 10_000 + 9000, "text": format!("sentence {n}"), "words": [] });
    let words =
        json!({ "language": "en", "duration_ms": 1_500_000, "cues": (0..150).map(cue).collect::<Vec<_>>() });
    let found =
        files(&data, "json").into_iter().filter(|path| path.ends_with("transcript.json")).collect::<Vec<_>>();
    assert_eq!(found.len(), 1, "{found:?}");
    std::fs::write(&found[0], words.to_string()).unwrap();

    let url = format!("{}#t=1205", client.link(&id).await["url"].as_str().unwrap());
    let seen = node::run("pages.mjs", &json!({ "url": url, "fails": "from_ms=600000&", "rows": 150 }));
    // Where the playback is, then what is before it, which fails once, then the rest.
    assert_eq!(seen["asked"], json!([1_200_000, 600_000, 600_000, 0]), "{seen}");
    assert_eq!((seen["first"].as_u64(), seen["last"].as_u64()), (Some(1_200_000), Some(0)), "{seen}");
    assert!(
        seen["sorted"] == true && seen["moved_px"].as_f64().unwrap() <= 1.0,
        "what is read stays: {seen}"
    );
    assert!(seen["sought_s"].as_f64().unwrap() < 10.0, "{seen}");
}

/// How often the 20.48 s of flashes are repeated; 176 is an hour.
fn turns() -> u32 {
    std::env::var("CHALKSTREAM_FLASH_TURNS").map_or(8, |turns| turns.parse().expect("a number of turns"))
}

/// How far flashes and beeps come out apart, at the start and at the end: as the file is, or as we
/// make it of uneven frames.
async fn flashes_and_beeps_come_out_together(uneven: bool) {
    let folder = TempDir::new().unwrap();
    let settings =
        [("SPEECH__ENABLED", "false".to_owned()), ("SOURCE_RENDITION__ENABLED", (!uneven).to_string())];
    let up = Up::start(&folder.path().join("data"), &settings).await;
    let (file, length_s) = flashes(folder.path(), turns(), uneven);
    let link = watched(&up, &file, 2 * CLIP + Duration::from_secs_f64(length_s / 4.0)).await;
    let asked = json!({ "url": link, "at_s": [0.0, length_s - 12.0], "flashes": 3 });
    let seen = node::run("avsync.mjs", &asked);
    for place in seen["places"].as_array().unwrap() {
        let offsets: Vec<f64> =
            place["offsets_ms"].as_array().unwrap().iter().filter_map(Value::as_f64).collect();
        assert_eq!(offsets.len(), 3, "{place}");
        assert!(offsets.iter().all(|ms| ms.abs() <= 40.0), "flash − beep in ms: {place}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn flashes_and_beeps_come_out_together_as_the_file_is() {
    flashes_and_beeps_come_out_together(false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn flashes_and_beeps_of_uneven_frames_come_out_together() {
    flashes_and_beeps_come_out_together(true).await;
}
