//! AVI files with reordered frames: their order of decoding is all the container has.

use super::maker::Maker;
use super::scene::Scene;
use super::variant::Variant;
use crate::ground_truth::{FfmpegError, GroundTruth};

/// Codecs that reorder.
const CODECS: [&str; 6] = [
    "mpeg4 -bf 2 -q:v 3 -vtag DIVX",
    "libxvid -bf 2 -q:v 3",
    "libx264 -preset veryfast -bf 3 -pix_fmt yuv420p",
    "mpeg4 -bf 1 -q:v 3 -vtag XVID",
    "libx264 -preset veryfast -bf 2 -b_strategy 0 -pix_fmt yuv420p -x264-params b-pyramid=normal",
    "mpeg4 -bf 3 -b_strategy 0 -q:v 3 -vtag DX50",
];

/// The codecs above in turn, with several kinds of audio.
pub fn make(maker: &mut Maker, index: usize) -> Variant {
    let codec = CODECS[index % CODECS.len()];
    let rate = maker.any(&["25", "30", "30000/1001", "15"]);
    let size = maker.any(&[(320, 240), (640, 360)]);
    let scene = Scene::new(size, rate, maker.any(&[6.0, 8.0]));
    let audio_codec = maker.any(&["libmp3lame", "pcm_s16le", "ac3", "pcm_s16le -ar 22050"]);
    let file = maker.ffmpeg(&format!("{} -c:v {codec} -c:a {audio_codec}", scene.inputs()), "avi.avi");
    // It presents each frame when it is decoded, a frame or more late.
    let truth = GroundTruth { misread: vec![FfmpegError::Ends, FfmpegError::Frames], ..scene.truth() };
    Variant { file, truth }
}
