//! Bad input ends in a plain sentence and a stable code within ten seconds, and is never tried
//! again.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use chalkstream_tests::media::{clip, ffmpeg};
use chalkstream_tests::process::chalkstream;
use chalkstream_tests::stack::Stack;
use chalkstream_tests::wait;
use serde_json::Value;
use tempfile::TempDir;

use crate::CLIP;

/// A clip whose headers promise 100,000 × 100,000 pixels: AVI says sizes in 32 bits.
fn header_lie(folder: &Path) -> PathBuf {
    let out = folder.join("huge.avi");
    ffmpeg("-f lavfi -i testsrc2=s=320x240:r=10:d=1 -c:v mpeg4", &out);
    let mut bytes = std::fs::read(&out).unwrap();
    let mut promise = |at: usize| bytes[at..at + 4].copy_from_slice(&100_000_u32.to_le_bytes());
    // `avih` holds width and height at 32 and 36 of its body, `strf` (BITMAPINFOHEADER) at 4 and 8.
    let (avih, strf) = {
        let bytes = std::fs::read(&out).unwrap();
        (find(&bytes, b"avih").expect("an avih chunk"), find(&bytes, b"strf").expect("a strf chunk"))
    };
    for at in [avih + 8 + 32, avih + 8 + 36, strf + 8 + 4, strf + 8 + 8] {
        promise(at);
    }
    std::fs::write(&out, bytes).unwrap();
    out
}

fn find(bytes: &[u8], needle: &[u8]) -> Option<usize> {
    bytes.windows(needle.len()).position(|window| window == needle)
}

/// The bad files, with the code each must end in.
fn bad_files(folder: &Path) -> Vec<(PathBuf, &'static str)> {
    let write = |name: &str, bytes: &[u8]| {
        let out = folder.join(name);
        std::fs::write(&out, bytes).unwrap();
        out
    };
    let complete = std::fs::read(clip(folder, 3)).unwrap();
    let moov = find(&complete, b"moov").expect("a moov box") - 4;
    let image = folder.join("picture.jpg");
    ffmpeg("-f lavfi -i testsrc2=s=640x360:d=1 -frames:v 1", &image);
    let image = std::fs::read(image).unwrap();
    vec![
        (write("empty.mp4", b""), "empty_file"),
        (write("text.mp4", "Dear diary, this is not a lesson at all.\n".repeat(40).as_bytes()), "not_media"),
        (write("cut.mp4", &complete[..moov]), "truncated_no_index"),
        (write("picture.mp4", &image), "image_not_video"),
        (write("script.mp4", b"#EXTM3U\n#EXTINF:1,\nhttp://127.0.0.1:9/x.ts\n"), "playlist_not_media"),
        (header_lie(folder), "too_many_pixels"),
        (write("packed.mp4", b"PK\x03\x04\x14\0\0\0\0\0 and a lesson"), "archive_not_media"),
        (write("page.mp4", b"<!DOCTYPE html>\n<html><title>Sign in</title></html>"), "page_not_media"),
        (
            write(
                "form.mp4",
                &[&b"--x7\r\nContent-Disposition: form-data; name=f\r\n\r\n"[..], &complete].concat(),
            ),
            "form_not_media",
        ),
        (write("._lesson.mov", b"\0\x05\x16\x07\0\x02\0\0Mac OS X        "), "sidecar_not_media"),
        (write("lesson.nut", b"nut/multimedia container\0NM"), "unsupported_container"),
    ]
}

#[test]
fn process_refuses_bad_files_with_the_inputs_fault_code() {
    let folder = TempDir::new().unwrap();
    for (file, code) in bad_files(folder.path()) {
        let out = folder.path().join("out");
        let started = Instant::now();
        let output = std::process::Command::new(chalkstream())
            .args(["process", "--json", "--out"])
            .args([&out, &file])
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert_eq!(output.status.code(), Some(3), "{}: {text}", file.display());
        let answer: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(answer["code"], code, "{}: {answer}", file.display());
        let message = answer["message"].as_str().unwrap();
        assert!(message.ends_with('.') && message.len() > 10, "a plain sentence: {message}");
        assert!(started.elapsed() < Duration::from_secs(10), "{}", file.display());
        assert!(!out.join("hls").exists(), "nothing is left");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_api_refuses_bad_files_and_keeps_their_source() {
    let mut stack = Stack::fs().await;
    let server = stack.server().await;
    let _worker = stack.worker();
    let client = stack.client(&server);
    for (file, code) in bad_files(stack.folder()) {
        let started = Instant::now();
        let recording = client.upload(&file).await;
        let recording_view = client.state(&recording, &["failed"], Duration::from_secs(20)).await;
        assert!(started.elapsed() < Duration::from_secs(10), "{}: {:?}", file.display(), started.elapsed());
        assert_eq!(recording_view["failure"]["code"], code, "{recording_view}");
        assert!(recording_view["failure"]["message"].as_str().unwrap().ends_with('.'), "{recording_view}");
        assert_eq!(recording_view["failure"]["blame"], "input", "{recording_view}");
        let folder = stack.objects().join("district").join(&recording);
        let files = |part: &str| folder.join(part).read_dir().map_or(0, Iterator::count);
        let has_source = code != "empty_file";
        assert_eq!(files("source"), usize::from(has_source), "{code}: the teacher's only file is kept");
        // The refusal is published first, then its objects go.
        for part in ["hls", "stills", "transcript", "work"] {
            wait::until(&format!("{code}: {part} is gone"), Duration::from_secs(10), || async {
                (files(part) == 0).then_some(())
            })
            .await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sound_alone_is_an_audio_lesson_and_a_silent_video_has_no_transcript() {
    let mut stack = Stack::fs().await;
    let server = stack.server().await;
    let _worker = stack.worker();
    let client = stack.client(&server);
    let audio = stack.folder().join("sound.m4a");
    ffmpeg("-f lavfi -i sine=f=300:d=5 -c:a aac", &audio);
    let silent = stack.folder().join("silent.mp4");
    ffmpeg("-f lavfi -i testsrc2=s=320x240:r=15:d=5 -c:v libx264 -pix_fmt yuv420p", &silent);

    let id = client.upload(&audio).await;
    client.state(&id, &["ready"], CLIP).await;
    let link = client.link(&id).await;
    let master = client.text(link["master_url"].as_str().unwrap()).await;
    assert!(!master.contains("RESOLUTION") && master.contains("mp4a.40.2"), "{master}");

    let id = client.upload(&silent).await;
    client.state(&id, &["ready"], CLIP).await;
    let link = client.link(&id).await;
    let master = client.text(link["master_url"].as_str().unwrap()).await;
    assert!(
        master.contains("RESOLUTION") && !master.contains("mp4a") && !master.contains("SUBTITLES"),
        "{master}"
    );
}
