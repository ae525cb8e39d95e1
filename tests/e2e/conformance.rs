//! Recordings of every shape, made here, come out as streams that outside referees accept.

use std::path::Path;
use std::process::Command;

use chalkstream_tests::media::ffmpeg;
use chalkstream_tests::process::chalkstream;
use chalkstream_tests::stack::models;
use chalkstream_tests::stream;
use tempfile::TempDir;

fn processed(name: &str, arguments: &str) {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join(name);
    ffmpeg(arguments, &file);
    check(&file, &folder.path().join("out"));
}

fn check(file: &Path, out: &Path) {
    let output = Command::new(chalkstream())
        .env("CHALKSTREAM__SPEECH__MODEL_PATH", models())
        .args(["process", "--json", "--out"])
        .arg(out)
        .arg(file)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{text}\n{}", String::from_utf8_lossy(&output.stderr));
    let wrong = stream::problems(file, out);
    assert!(wrong.is_empty(), "{}:\n{}", file.display(), wrong.join("\n"));
}

#[test]
fn a_phones_mp4() {
    processed(
        "phone.mp4",
        "-f lavfi -i testsrc2=s=1280x720:r=30:d=8 -f lavfi -i sine=d=8 -c:v libx264 -preset ultrafast -pix_fmt yuv420p -c:a aac",
    );
}

#[test]
fn ntsc_in_matroska_with_opus() {
    processed(
        "ntsc.mkv",
        "-f lavfi -i testsrc2=s=640x480:r=30000/1001:d=8 -f lavfi -i sine=d=8 -c:v libx264 -preset ultrafast -pix_fmt yuv420p -c:a libopus",
    );
}

#[test]
fn film_rate_whose_half_is_off_the_grid() {
    processed(
        "film.mp4",
        "-f lavfi -i testsrc2=s=640x360:r=24:d=11 -c:v libx264 -preset ultrafast -pix_fmt yuv420p",
    );
}

#[test]
fn odd_size_and_one_frame_a_second() {
    processed("slides.webm", "-f lavfi -i testsrc2=s=321x181:r=1:d=12 -c:v libvpx -b:v 200k");
}

#[test]
fn a_gif_is_a_silent_video() {
    processed("animation.gif", "-f lavfi -i testsrc2=s=320x240:r=10:d=4");
}

#[test]
fn sound_alone() {
    processed("voice.mp3", "-f lavfi -i sine=f=300:d=9 -ar 22050 -ac 1");
}
