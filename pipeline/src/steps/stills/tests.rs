//! Runs the step on recordings made by ffmpeg.

#![allow(clippy::unwrap_used)]

use std::process::Command;
use std::sync::Arc;

use image::{ImageReader, RgbImage};

use super::*;
use crate::limits::Limits;
use crate::media::{AudioTrack, MediaInfo, Rational, VideoTrack};
use crate::source::FileSource;

struct Made {
    folder: tempfile::TempDir,
    report: StillsReport,
}

impl Made {
    /// Reads a JPEG that we made.
    fn image(&self, path: &str) -> RgbImage {
        let path = self.folder.path().join("out").join(path);
        ImageReader::open(path).unwrap().decode().unwrap().into_rgb8()
    }

    fn text(&self, path: &str) -> String {
        std::fs::read_to_string(self.folder.path().join("out").join(path)).unwrap()
    }
}

/// Runs the step on what ffmpeg makes of `arguments`.
fn made(arguments: &str, container: &str, duration_ms: u64, video_shape: Option<(u32, u32, u16)>) -> Made {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("source");
    let output = Command::new("ffmpeg")
        .args(["-v", "error"])
        .args(arguments.split_whitespace())
        .arg(&path)
        .output()
        .expect("these tests need ffmpeg: install Debian's package ffmpeg");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let video = video_shape.map(|(width, height, rotation_degrees)| VideoTrack {
        frame_rate: Rational::new(5, 1),
        rotation_degrees,
        end_ms: duration_ms,
        ..VideoTrack::for_tests(width, height)
    });
    let audio = video.is_none().then(|| AudioTrack {
        codec: "pcm".to_owned(),
        sample_rate_hz: 16_000,
        end_ms: duration_ms,
        ..AudioTrack::for_tests()
    });
    let media =
        MediaInfo { container: container.to_owned(), duration_ms, ..MediaInfo::for_tests(video, audio) };
    let ctx =
        StepContext { out_dir: folder.path().join("out"), emit: Arc::new(|_| ()), cancel: Arc::default() };
    let source = Arc::new(FileSource::open(&path).unwrap());
    let report = run(&StillsRequest { media, limits: Limits::default() }, source, &ctx).unwrap();
    Made { folder, report }
}

/// Mean colour of a part of an image.
fn mean(image: &RgbImage, x: u32, y: u32, width: u32, height: u32) -> [i32; 3] {
    let part = image::imageops::crop_imm(image, x, y, width, height).to_image();
    let count = i64::from(width * height);
    std::array::from_fn(|c| (part.pixels().map(|p| i64::from(p.0[c])).sum::<i64>() / count) as i32)
}

fn near(found: [i32; 3], wanted: [i32; 3]) -> bool {
    found.iter().zip(wanted).all(|(f, w)| (f - w).abs() < 40)
}

#[test]
fn tiles_show_what_plays_at_their_time() {
    // Five minutes: red, then green from 100 s, then blue from 200 s, with a keyframe every 5 s.
    let colours = "-f lavfi -i color=red:s=320x180:r=5:d=100 -f lavfi -i color=lime:s=320x180:r=5:d=100 \
                   -f lavfi -i color=blue:s=320x180:r=5:d=100 -filter_complex [0][1][2]concat=n=3 \
                   -c:v libx264 -preset ultrafast -pix_fmt yuv420p -g 25 -f mp4";
    let made = made(colours, "mp4", 300_000, Some((320, 180, 0)));
    let storyboard = made.report.storyboard.as_ref().unwrap();
    assert_eq!((storyboard.tile_width, storyboard.tile_height, storyboard.interval_ms), (160, 90, 10_000));
    assert_eq!(storyboard.sheets, ["stills/storyboard-000.jpg", "stills/storyboard-001.jpg"]);
    let vtt = made.text(&storyboard.vtt);
    assert!(vtt.starts_with(
        "WEBVTT\n\n00:00:00.000 --> 00:00:10.000\nstoryboard-000.jpg#xywh=0,0,160,90\n\n\
         00:00:10.000 --> 00:00:20.000\nstoryboard-000.jpg#xywh=160,0,160,90\n"
    ));
    assert!(vtt.ends_with("00:04:50.000 --> 00:05:00.000\nstoryboard-001.jpg#xywh=640,0,160,90\n"));
    let sheets = [made.image(&storyboard.sheets[0]), made.image(&storyboard.sheets[1])];
    assert_eq!(sheets.each_ref().map(RgbImage::dimensions), [(800, 450), (800, 90)]);
    for tile in 0..30u32 {
        let sheet = &sheets[(tile / 25) as usize];
        let found = mean(sheet, tile % 5 * 160 + 20, tile % 25 / 5 * 90 + 20, 100, 50);
        let wanted = [[255, 0, 0], [0, 255, 0], [0, 0, 255]][(tile / 10) as usize];
        assert!(near(found, wanted), "tile {tile}: {found:?}");
    }
    assert!(made.report.placeholder.starts_with("data:image/png;base64,"));
    assert!(made.report.placeholder.len() < 2000);
}

#[test]
fn frames_that_need_others_are_not_decoded_alone() {
    // MPEG-TS still sends every frame if only keyframes are requested. Green begins at the second
    // keyframe, which is not the first frame of its interval.
    let colours = "-f lavfi -i color=red:s=320x180:r=5:d=5.6 -f lavfi -i color=lime:s=320x180:r=5:d=6.4 \
                   -filter_complex [0][1]concat=n=2 -c:v libx264 -preset ultrafast -pix_fmt yuv420p \
                   -x264-params keyint=28:min-keyint=28:scenecut=0 -f mpegts";
    let made = made(colours, "mpegts", 12_000, Some((320, 180, 0)));
    let storyboard = made.report.storyboard.as_ref().unwrap();
    let sheet = made.image(&storyboard.sheets[0]);
    let tile_at = |time_ms: u64| {
        let tile = (time_ms / storyboard.interval_ms) as u32;
        mean(&sheet, tile % 5 * 160 + 20, tile / 5 * 90 + 20, 100, 50)
    };
    assert!(near(tile_at(3000), [255, 0, 0]), "{:?}", tile_at(3000));
    assert!(near(tile_at(11_000), [0, 255, 0]), "{:?}", tile_at(11_000));
}

#[test]
fn a_rotated_recording_has_upright_stills() {
    // Stored sideways: the red left half is at the top after a clockwise quarter turn.
    let halves = "-f lavfi -i color=red:s=160x180:r=5:d=4 -f lavfi -i color=blue:s=160x180:r=5:d=4 \
                  -filter_complex [0][1]hstack -c:v libx264 -preset ultrafast -pix_fmt yuv420p -f matroska";
    let made = made(halves, "matroska", 4000, Some((180, 320, 90)));
    assert_eq!((made.report.width, made.report.height), (180, 320));
    let poster = made.image(&made.report.poster);
    assert!(near(mean(&poster, 20, 20, 140, 100), [255, 0, 0]), "top");
    assert!(near(mean(&poster, 20, 200, 140, 100), [0, 0, 255]), "bottom");
    let storyboard = made.report.storyboard.as_ref().unwrap();
    assert_eq!((storyboard.tile_width, storyboard.tile_height), (90, 160));
}

#[test]
fn the_poster_is_lit_and_light() {
    // Black for the first 10 s, then much detail; Motion JPEG in AVI, every frame a keyframe.
    let source = "-f lavfi -i color=black:s=1920x1080:r=2:d=10 -f lavfi -i testsrc2=s=1920x1080:r=2:d=10 \
                  -filter_complex [0][1]concat -c:v mjpeg -q:v 3 -pix_fmt yuvj420p -f avi";
    let made = made(source, "avi", 20_000, Some((1920, 1080, 0)));
    let poster = made.image(&made.report.poster);
    assert_eq!(poster.dimensions(), (made.report.width, made.report.height));
    assert!(poster.width() <= 1280 && poster.width() >= 300);
    let [r, g, b] = mean(&poster, 0, 0, poster.width(), poster.height());
    assert!(r + g + b > 200, "not the black part");
    let bytes = std::fs::read(made.folder.path().join("out").join(&made.report.poster)).unwrap();
    assert!(bytes.len() <= 12_000, "{} bytes", bytes.len());
    assert!(!bytes.windows(4).any(|w| w == b"Exif"));
}

#[test]
fn audio_alone_gets_a_poster_of_its_waveform() {
    let source = "-f lavfi -i anoisesrc=d=6:r=16000:a=0.3 -af tremolo=f=0.5:d=0.9 -ac 1 -f wav";
    let made = made(source, "wav", 6000, None);
    // All of it is noise: high bars from end to end, which compress worst.
    let (width, height) = (made.report.width, made.report.height);
    assert!(width >= 300 && (height * 16).abs_diff(width * 9) <= 32, "{width}x{height}");
    assert!(made.report.storyboard.is_none());
    let poster = made.image(&made.report.poster);
    let (width, height) = poster.dimensions();
    let [.., green, _] = mean(&poster, width / 10, height * 9 / 20, width * 8 / 10, height / 10);
    let [.., edge, _] = mean(&poster, 0, 0, width, height / 14);
    assert!(green > edge + 40, "bars in the middle: {green}, ground: {edge}");
}
