//! Recordings made by ffmpeg whose frames change in the middle, decoded to upright frames.

#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use image::RgbImage;

use super::super::rgb::rgb;
use super::*;
use crate::context::StepContext;
use crate::gst::{TrackDecoder, TrackKind};
use crate::limits::Limits;
use crate::media::MediaInfo;
use crate::source::{FileSource, Source};
use crate::steps::inspect::{self, InspectRequest};

fn ffmpeg(arguments: &str, out: &Path) {
    let output = Command::new("ffmpeg")
        .args(["-v", "error"])
        .args(arguments.split_whitespace())
        .arg(out)
        .output()
        .expect("these tests need ffmpeg: install Debian's package ffmpeg");
    assert!(output.status.success(), "{arguments}: {}", String::from_utf8_lossy(&output.stderr));
}

/// Two seconds of grey with a red quarter at the top left and a white square of 32 by 32 pixels at
/// the bottom right.
fn scene(size: &str) -> String {
    format!(
        "-f lavfi -i color=gray:s={size}:r=10:d=2,format=yuv420p,drawbox=w=iw/2:h=ih/2:c=red:t=fill,\
         drawbox=x=iw*5/8:y=ih*5/8:w=32:h=32:c=white:t=fill"
    )
}

/// The findings of `inspect`, and the first and last frame, upright and in the recording's size.
struct Made {
    media: MediaInfo,
    first: RgbImage,
    last: RgbImage,
}

impl Made {
    fn size(&self) -> (u32, u32) {
        let video = self.media.video.as_ref().unwrap();
        (video.width, video.height)
    }
}

/// Makes a recording of these parts in sequence, each by ffmpeg's arguments.
fn made(parts: &[String], part_extension: &str, extension: &str) -> Made {
    let folder = tempfile::tempdir().unwrap();
    let index = |name: String| folder.path().join(name);
    let mut list = String::new();
    for (number, part) in parts.iter().enumerate() {
        let part_path = index(format!("{number}.{part_extension}"));
        ffmpeg(part, &part_path);
        list += &format!("file '{}'\n", part_path.display());
    }
    let (list_path, path) = (index("list".into()), index(format!("joined.{extension}")));
    std::fs::write(&list_path, list).unwrap();
    ffmpeg(&format!("-f concat -safe 0 -i {} -c copy", list_path.display()), &path);
    let ctx = StepContext { out_dir: index("out".into()), emit: Arc::new(|_| ()), cancel: Arc::default() };
    let source: Source = Arc::new(FileSource::open(&path).unwrap());
    let limits = Limits::default();
    let media =
        inspect::run(&InspectRequest { limits: limits.clone(), vad_model_path: None }, source.clone(), &ctx)
            .unwrap();
    let video = media.video.clone().unwrap_or_else(|| panic!("{extension}: {media:?}"));
    let mut decoding =
        TrackDecoder::open(source, &media, TrackKind::Video, &limits, frame_tail().unwrap()).unwrap();
    decoding.start().unwrap();
    let mut normalizer = FrameNormalizer::new(&video, (video.width, video.height));
    let (mut first, mut last) = (None, None);
    while let Some(decoded) = decoding.next(&ctx).unwrap() {
        let frame = rgb(&normalizer.frame(&decoded).unwrap());
        first.get_or_insert_with(|| frame.clone());
        last = Some(frame);
    }
    assert!(decoding.end_error().is_none(), "{:?}", decoding.end_error());
    Made { media, first: first.unwrap(), last: last.unwrap() }
}

/// Width and height of the area that satisfies `wanted`.
fn extent(frame: &RgbImage, wanted: impl Fn([u8; 3]) -> bool) -> (u32, u32) {
    let found: Vec<_> =
        frame.enumerate_pixels().filter(|(.., p)| wanted(p.0)).map(|(x, y, _)| (x, y)).collect();
    let span = |of: fn(&(u32, u32)) -> u32| {
        found.iter().map(of).max().map_or(0, |max| max + 1 - found.iter().map(of).min().unwrap_or(0))
    };
    (span(|at| at.0), span(|at| at.1))
}

fn white(frame: &RgbImage) -> (u32, u32) {
    extent(frame, |[r, g, b]| r.min(g).min(b) > 190)
}

/// Size of the area without bars.
fn filled(frame: &RgbImage) -> (u32, u32) {
    extent(frame, |[r, g, b]| r.max(g).max(b) > 60)
}

fn is_red(frame: &RgbImage, (x, y): (u32, u32)) -> bool {
    let [r, g, b] = frame.get_pixel(x, y).0;
    r > 110 && g.max(b) < r / 2
}

fn near(found: (u32, u32), wanted: (u32, u32)) -> bool {
    found.0.abs_diff(wanted.0) <= 3 && found.1.abs_diff(wanted.1) <= 3
}

const VP8: &str = "-c:v libvpx -deadline realtime -cpu-used 8 -b:v 1M";
const VP9: &str = "-c:v libvpx-vp9 -deadline realtime -cpu-used 8 -b:v 1M";
const H264: &str = "-c:v libx264 -preset ultrafast -bf 0 -g 5";

#[test]
fn what_grows_is_planned_for_the_larger_size() {
    for (codec, part_extension, extension) in [
        (VP8, "webm", "webm"),
        (VP9, "webm", "webm"),
        (H264, "ts", "ts"),
        (H264, "ts", "mkv"),
        ("-c:v libx265 -preset ultrafast -x265-params log-level=error", "ts", "ts"),
        ("-c:v mpeg2video -q:v 3", "ts", "ts"),
        ("-c:v mjpeg -q:v 3", "avi", "avi"),
        ("-c:v png", "mov", "mov"),
    ] {
        let parts = ["160x90", "640x360"].map(|size| format!("{} {codec}", scene(size)));
        let made = made(&parts, part_extension, extension);
        assert_eq!(made.size(), (640, 360), "{codec} in {extension}");
        assert!(made.media.video.unwrap().changes_size, "{codec} in {extension}");
        assert!(near(white(&made.last), (32, 32)), "{codec}: {:?}", white(&made.last));
        assert!(near(filled(&made.first), (640, 360)), "the smaller one fills all: {codec}");
    }
}

#[test]
fn another_shape_keeps_its_proportions_between_bars() {
    for (codec, part_extension, extension) in [(VP8, "webm", "webm"), (H264, "ts", "ts")] {
        let parts = ["640x360", "360x640"].map(|size| format!("{} {codec}", scene(size)));
        let made = made(&parts, part_extension, extension);
        assert_eq!(made.size(), (640, 360));
        assert!(near(white(&made.first), (32, 32)), "{:?}", white(&made.first));
        assert!(near(white(&made.last), (18, 18)), "{:?}", white(&made.last));
        assert!(near(filled(&made.last), (204, 360)), "{:?}", filled(&made.last));
        assert!(is_red(&made.last, (240, 60)) && !is_red(&made.last, (400, 60)));
    }
}

#[test]
fn a_broadcast_that_changes_its_pixel_shape_keeps_its_proportions() {
    let part = |aspect| format!("{} -c:v mpeg2video -q:v 3 -aspect {aspect}", scene("720x576"));
    let made = made(&[part("4:3"), part("16:9")], "ts", "ts");
    assert_eq!(made.size(), (720, 540));
    assert!(near(filled(&made.first), (720, 540)), "{:?}", filled(&made.first));
    assert!(near(filled(&made.last), (720, 404)), "{:?}", filled(&made.last));
}

#[test]
fn display_orientation_messages_turn_frames_while_they_last() {
    let turned = |codec: &str, filter: &str, rotate: &str| {
        format!("{} {codec} -bsf:v {filter}=display_orientation=insert:rotate={rotate}", scene("640x360"))
    };
    // Anticlockwise: the red quarter is now at the bottom left.
    let all = made(&[turned(H264, "h264_metadata", "90")], "ts", "ts");
    assert_eq!(all.size(), (360, 640));
    assert!(is_red(&all.first, (90, 480)) && is_red(&all.last, (90, 480)));
    let video = all.media.video.unwrap();
    assert!(video.oriented_by_frame && !video.changes_size);
    let parts = [format!("{} {H264}", scene("640x360")), turned(H264, "h264_metadata", "270")];
    for extension in ["ts", "mkv"] {
        let half = made(&parts, "ts", extension);
        assert_eq!(half.size(), (640, 360));
        assert!(is_red(&half.first, (160, 90)) && near(filled(&half.first), (640, 360)));
        // Clockwise: the red quarter is now at the top right.
        assert!(is_red(&half.last, (400, 90)) && near(filled(&half.last), (204, 360)));
    }
}

#[test]
fn formats_that_change_are_read_to_their_end() {
    let frames = |filter: &str, codec: &str| format!("{}{filter} {codec}", scene("640x360"));
    let hlg = "-c:v libx265 -preset ultrafast -pix_fmt yuv420p10le -x265-params \
               log-level=error:colorprim=bt2020:transfer=arib-std-b67:colormatrix=bt2020nc";
    let plain = "-c:v libx265 -preset ultrafast -x265-params log-level=error";
    let fields = |size| format!("{},interlace -c:v mpeg2video -flags +ilme+ildct -q:v 3", scene(size));
    for parts in [
        [frames("", H264), frames(",format=yuv422p10le", H264)],
        [frames("", plain), frames("", hlg)],
        [frames("", hlg), frames("", plain)],
        [format!("{} -c:v mpeg2video -q:v 3", scene("640x360")), fields("640x360")],
        [fields("640x360"), fields("320x180")],
        [fields("320x180"), fields("640x360")],
    ] {
        let made = made(&parts, "ts", "ts");
        assert_eq!(made.size(), (640, 360));
        assert!(is_red(&made.first, (160, 90)) && is_red(&made.last, (160, 90)), "{parts:?}");
        let [r, g, b] = made.last.get_pixel(160, 270).0;
        assert!(
            (100..200).contains(&r) && r.abs_diff(g) < 12 && r.abs_diff(b) < 12,
            "{parts:?}: {r} {g} {b}"
        );
    }
}

#[test]
fn still_image_and_editing_codecs_are_video() {
    for (codec, extension) in [
        ("png", "mov"),
        ("png", "avi"),
        ("png", "mkv"),
        ("qtrle", "mov"),
        ("prores_ks", "mov"),
        ("jpeg2000", "mov"),
        ("tiff", "mov"),
        ("cinepak -s 320x180", "mov"),
        ("svq1", "mov"),
        ("huffyuv", "avi"),
        ("ffv1", "mkv"),
        ("rawvideo", "avi"),
        ("rawvideo -pix_fmt uyvy422", "mov"),
    ] {
        let made = made(&[format!("{} -c:v {codec}", scene("320x180"))], extension, extension);
        assert_eq!(made.size(), (320, 180), "{codec} in {extension}");
        let markers = (is_red(&made.last, (80, 45)), white(&made.last));
        assert!(markers.0 && near(markers.1, (32, 32)), "{codec} in {extension}: {markers:?}");
        // A decoder that adds frames up would leave red and white as they are.
        let grey = made.last.get_pixel(240, 45).0;
        assert!(grey.iter().all(|part| (110..150).contains(part)), "{codec} in {extension}: {grey:?}");
    }
}

#[test]
fn undeclared_colours_are_those_of_small_video_upright_or_not() {
    for codec in [H264, "-c:v libx265 -preset ultrafast -x265-params log-level=error", "-c:v mpeg4 -q:v 3"] {
        for (size, red) in [("640x360", (160, 90)), ("360x640", (90, 160))] {
            let made = made(&[format!("{} {codec}", scene(size))], "mp4", "mp4");
            let [_, green, _] = made.last.get_pixel(red.0, red.1).0;
            // With the matrix of large video it is 24.
            assert!(is_red(&made.last, red) && green < 12, "{size} {codec}: {green}");
        }
    }
}
