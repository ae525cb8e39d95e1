//! Codecs of still images and of editing programs as moving video.

use super::maker::Maker;
use super::scene::Scene;
use super::variant::Variant;
use crate::ground_truth::GroundTruth;

/// Codec and container.
const CODECS: [(&str, &str); 16] = [
    ("png", "mov"),
    ("mjpeg -q:v 3 -pix_fmt yuvj420p", "mov"),
    ("qtrle", "mov"),
    ("png", "avi"),
    ("png", "mkv"),
    ("jpeg2000 -pix_fmt yuv420p", "mov"),
    ("mjpeg -q:v 3 -pix_fmt yuvj422p", "mkv"),
    ("ffv1", "mkv"),
    ("huffyuv -pix_fmt yuv422p", "avi"),
    ("rawvideo -pix_fmt yuv420p", "avi"),
    ("prores", "mov"),
    ("utvideo -pix_fmt yuv420p", "avi"),
    ("rawvideo -pix_fmt uyvy422", "mov"),
    ("tiff -pix_fmt rgb24", "mov"),
    ("mjpeg -q:v 3 -pix_fmt yuvj420p", "avi"),
    ("dnxhd -profile:v dnxhr_sq -pix_fmt yuv422p", "mov"),
];

/// Codecs of these that no decoder here reads: the audio is played, with a warning that names the
/// codec.
const UNREAD: [&str; 1] = ["utvideo"];

/// The pairs above in turn, at several rates and sizes.
pub fn make(maker: &mut Maker, index: usize) -> Variant {
    let (codec, container) = CODECS[index % CODECS.len()];
    let size = maker.any(&[(320, 180), (180, 320), (160, 120), (352, 288)]);
    let scene = Scene::new(size, maker.any(&["10", "15", "25"]), maker.any(&[3.0, 4.0]));
    let audio_codec = maker.any(&["pcm_s16le", "pcm_s16le -ar 22050"]);
    let file = maker.ffmpeg(
        &format!("{} -c:v {codec} -c:a {audio_codec}", scene.inputs()),
        &format!("codecs.{container}"),
    );
    let truth = scene.truth();
    if UNREAD.iter().any(|name| codec.starts_with(name)) {
        // GStreamer gives the decoder no four-character code, without which it decodes nothing.
        let audio =
            GroundTruth { length_s: truth.length_s, beeps_s: truth.beeps_s, ..GroundTruth::default() };
        return Variant { file, truth: GroundTruth { warned: &["ut video"], ..audio } };
    }
    Variant { file, truth: GroundTruth { size: Some(size), ..truth } }
}
