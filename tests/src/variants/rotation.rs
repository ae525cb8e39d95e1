//! Video that is stored turned or mirrored: what says so stands in boxes, in elements or in
//! messages of the codec.

use super::ebml;
use super::maker::Maker;
use super::mp4::{below, track};
use super::scene::Scene;
use super::variant::Variant;
use crate::ground_truth::{FfmpegError, GroundTruth};

/// Where it is said, how many degrees clockwise a player has to turn, and whether it then mirrors
/// left to right.
const HOW: [(&str, u32, bool); 14] = [
    ("poseroll", 90, false),
    ("sei264", 90, false),
    ("matrix", 270, false),
    ("poseroll", 180, false),
    ("sei264", 180, false),
    ("sei265", 90, false),
    ("poseroll", 270, false),
    ("matrix", 0, true),
    ("sei264", 270, false),
    ("sei264", 0, true),
    ("sei265", 180, false),
    ("matrix", 180, false),
    ("matrix", 90, true),
    ("sei265", 270, false),
];

/// The ways above in turn.
pub fn make(maker: &mut Maker, index: usize) -> Variant {
    let (carrier, turn, mirrored) = HOW[index % HOW.len()];
    let size = maker.any(&[(640, 360), (360, 640), (480, 320)]);
    let scene = Scene::new(size, "25", 5.0);
    // Stored the other way round, so that turning makes it upright.
    let mut stored = String::new();
    if mirrored {
        stored.push_str(",hflip");
    }
    stored.push_str(match turn {
        90 => ",transpose=cclock",
        180 => ",hflip,vflip",
        270 => ",transpose=clock",
        _ => "",
    });
    let inputs = format!("-f lavfi -i {}{stored} -f lavfi -i {}", scene.video(), scene.audio());
    let avc = "libx264 -preset ultrafast -pix_fmt yuv420p -g 25";
    let mut misread = Vec::new();
    let file = match carrier {
        "poseroll" => {
            let codec = maker.any(&[
                "libvpx -deadline realtime -b:v 500k",
                "libvpx-vp9 -deadline realtime -cpu-used 8 -b:v 500k",
            ]);
            let good = maker.ffmpeg(&format!("{inputs} -c:v {codec} -c:a libopus"), "good.webm");
            let roll = if turn == 270 { 90.0 } else { -f64::from(turn) };
            let bytes = ebml::with_roll(&std::fs::read(good).unwrap(), roll);
            maker.write("rotation.webm", &bytes, &format!("good.webm with ProjectionPoseRoll {roll}"))
        }
        "matrix" => {
            let good = maker.ffmpeg(&format!("{inputs} -c:v {avc} -c:a aac"), "good.mp4");
            let mut bytes = std::fs::read(good).unwrap();
            let header = below(&bytes, &track(&bytes, b"vide"), &[b"tkhd"]).expect("a track header");
            let (width, height) = if turn % 180 == 90 { (size.1, size.0) } else { size };
            let matrix = matrix(turn, mirrored, width as i32, height as i32);
            for (n, value) in matrix.iter().enumerate() {
                let at = header.start + 48 + 4 * n;
                bytes[at..at + 4].copy_from_slice(&value.to_be_bytes());
            }
            maker.write("rotation.mp4", &bytes, &format!("good.mp4 with the matrix {matrix:x?}"))
        }
        "sei264" => {
            let container = maker.any(&["mp4", "mkv", "ts"]);
            let flip = if mirrored { ":flip=horizontal" } else { "" };
            // The message counts counter-clockwise.
            let degrees = (360 - turn) % 360;
            misread.push(FfmpegError::Frames);
            maker.ffmpeg(
                &format!(
                    "{inputs} -c:v {avc} -c:a aac \
                     -bsf:v h264_metadata=display_orientation=insert:rotate={degrees}{flip}"
                ),
                &format!("rotation.{container}"),
            )
        }
        _ => {
            let raw = maker.ffmpeg(
                &format!(
                    "{inputs} -map 0:v -c:v libx265 -preset ultrafast -pix_fmt yuv420p \
                     -x265-params log-level=none:keyint=25:bframes=0 -f hevc"
                ),
                "good.h265",
            );
            let bytes = with_orientation(&std::fs::read(raw).unwrap(), (360 - turn) % 360);
            let turned = maker.write(
                "turned.h265",
                &bytes,
                &format!("good.h265 with display orientation {} before each keyframe", (360 - turn) % 360),
            );
            let container = maker.any(&["mp4", "mkv"]);
            misread.push(FfmpegError::Frames);
            maker.ffmpeg(
                &format!("-r 25 -i {} -f lavfi -i {} -c:v copy -c:a aac", turned.display(), scene.audio()),
                &format!("rotation.{container}"),
            )
        }
    };
    let truth = GroundTruth { size: Some(size), misread, ..scene.truth() };
    Variant { file, truth }
}

/// A display matrix that turns clockwise and then mirrors, for stored frames of this size.
fn matrix(turn: u32, mirrored: bool, width: i32, height: i32) -> [i32; 9] {
    let one = 0x1_0000;
    let (a, b, c, d, x, y) = match turn {
        90 => (0, one, -one, 0, height, 0),
        180 => (-one, 0, 0, -one, width, height),
        270 => (0, -one, one, 0, 0, width),
        _ => (one, 0, 0, one, 0, 0),
    };
    let shown_width = if turn % 180 == 90 { height } else { width };
    let (a, c, x) = if mirrored { (-a, -c, shown_width - x) } else { (a, c, x) };
    [a, b, 0, c, d, 0, x << 16, y << 16, 0x4000_0000]
}

/// An H.265 stream with a message of display orientation in front of each keyframe (H.265, annex
/// D.2.17): degrees counter-clockwise.
fn with_orientation(stream: &[u8], degrees: u32) -> Vec<u8> {
    // Not cancelled, not flipped, 16 bits of angle, persistent; then the end of the payload.
    let angle = u64::from(degrees) * 65536 / 360;
    let bits = angle << 1 | 1;
    let payload = [(bits >> 12) as u8 & 0x1f, (bits >> 4) as u8, ((bits & 0xf) << 4) as u8 | 0x08];
    let message = [&[0, 0, 0, 1, 0x4e, 0x01, 47, 3][..], &payload, &[0x80]].concat();
    let mut out = Vec::new();
    let mut at = 0;
    while at < stream.len() {
        let starts = stream[at..].starts_with(&[0, 0, 1]);
        if starts {
            let kind = stream.get(at + 3).map_or(0, |byte| byte >> 1 & 0x3f);
            let first_slice = stream.get(at + 5).is_some_and(|byte| byte & 0x80 != 0);
            if (16..=21).contains(&kind) && first_slice {
                // A start code of four bytes begins with the zero before.
                if out.last() == Some(&0) {
                    out.pop();
                }
                out.extend(&message);
                out.push(0);
            }
        }
        out.push(stream[at]);
        at += 1;
    }
    out
}
