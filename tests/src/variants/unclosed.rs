//! Files that were never closed: the device lost power, or the browser's page went away.

use super::maker::Maker;
use super::scene::Scene;
use super::variant::Variant;
use crate::ground_truth::{FfmpegError, GroundTruth};

/// The damage, the codecs and the container.
const HOW: [(&str, &str, &str); 10] = [
    ("no index, sizes 0, cut", "-c:v mjpeg -q:v 4 -pix_fmt yuvj420p -c:a pcm_s16le", "avi"),
    ("cut", "-c:v libx264 -preset ultrafast -pix_fmt yuv420p -g 25 -c:a aac", "mkv"),
    ("cut", "-c:v mpeg4 -q:v 3 -c:a libmp3lame", "avi"),
    ("cut", "-vn -c:a pcm_s16le", "wav"),
    ("cut", "-c:v libx264 -preset ultrafast -pix_fmt yuv420p -g 25 -c:a aac", "flv"),
    ("no index, sizes 0, cut", "-c:v mpeg4 -q:v 3 -c:a pcm_s16le", "avi"),
    ("cut", "-c:v libx264 -preset ultrafast -pix_fmt yuv420p -g 25 -c:a aac -movflags +faststart", "mp4"),
    ("cut", "-c:v libx264 -preset ultrafast -pix_fmt yuv420p -g 25 -c:a pcm_s16le", "mkv"),
    ("no index, sizes 0, cut", "-c:v mjpeg -q:v 4 -pix_fmt yuvj420p -c:a pcm_u8 -ar 11025", "avi"),
    ("cut", "-vn -c:a flac", "flac"),
];

/// The ways above in turn. What is left is played, with a warning that it ends early.
pub fn make(maker: &mut Maker, index: usize) -> Variant {
    let (what, codecs, container) = HOW[index % HOW.len()];
    let scene = Scene::new((320, 180), maker.any(&["10", "25"]), 10.0);
    let good = maker.ffmpeg(&format!("{} {codecs}", scene.inputs()), &format!("good.{container}"));
    let mut bytes = std::fs::read(good).unwrap();
    let share = maker.between(0.55, 0.75);
    bytes.truncate((bytes.len() as f64 * share) as usize);
    if what.starts_with("no index") {
        // As it is while a device records: the sizes are written last. Both are of four bytes.
        let movi = bytes.windows(4).position(|name| name == b"movi").expect("the list of frames");
        bytes[4..8].fill(0);
        bytes[movi - 4..movi].fill(0);
        // The number of frames in the header, too.
        let main = bytes.windows(4).position(|name| name == b"avih").expect("the main header");
        bytes[main + 24..main + 28].fill(0);
    }
    let file = maker.write(
        &format!("unclosed.{container}"),
        &bytes,
        &format!("the first {:.0}% of good.{container}, {what}", share * 100.0),
    );
    let truth = GroundTruth {
        warned: &["ends", "closed", "cut", "missing", "damaged", "complete"],
        // A last frame that is half there counts for it.
        misread: vec![FfmpegError::Ends],
        ..GroundTruth::default()
    };
    Variant { file, truth }
}
