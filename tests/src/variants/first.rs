//! A first frame that claims to last a minute, in seconds of audio.

use super::maker::Maker;
use super::scene::Scene;
use super::variant::Variant;
use crate::ground_truth::{FfmpegError, GroundTruth};

/// How long it claims to last, in s, and the container.
const CLAIMS: [(u32, &str); 10] = [
    (60, "mp4"),
    (45, "mov"),
    (300, "mp4"),
    (60, "mkv"),
    (90, "mp4"),
    (3600, "mp4"),
    (120, "mkv"),
    (60, "mov"),
    (75, "mp4"),
    (600, "mkv"),
];

/// The claims above in turn.
pub fn make(maker: &mut Maker, index: usize) -> Variant {
    let (claim_s, container) = CLAIMS[index % CLAIMS.len()];
    let size = maker.any(&[(320, 180), (640, 360)]);
    let scene = Scene::new(size, maker.any(&["25", "30"]), maker.any(&[8.0, 10.0]));
    let good = maker.ffmpeg(
        &format!("{} -c:v libx264 -preset ultrafast -bf 0 -pix_fmt yuv420p -c:a aac", scene.inputs()),
        "good.mp4",
    );
    // All frames but the first come late by what it claims. Units: ms in Matroska, 1/15360 or
    // 1/12800 s in MP4.
    let per_s = match (container, scene.rate) {
        ("mkv", _) => 1000,
        (_, "25") => 12_800,
        _ => 15_360,
    };
    let file = maker.ffmpeg(
        &format!(
            "-i {} -c copy -bsf:v setts=ts=PTS+gt(N\\,0)*{claim_s}*{per_s} -max_interleave_delta 0",
            good.display()
        ),
        &format!("first.{container}"),
    );
    let truth = GroundTruth {
        length_s: Some(scene.length_s),
        flashes_s: scene.flashes_s,
        beeps_s: scene.beeps_s,
        warned: &["first frame", "frame", "video"],
        // It believes the claim.
        misread: vec![FfmpegError::Ends, FfmpegError::Frames],
        ..GroundTruth::default()
    };
    Variant { file, truth }
}
