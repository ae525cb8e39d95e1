//! Containers of cameras, editors and old devices: played, or refused by name.

use super::maker::Maker;
use super::scene::Scene;
use super::variant::Variant;
use crate::ground_truth::{FfmpegError, Refusal};

/// Codecs, container, and names that a refusal would have.
const KINDS: [(&str, &str, &[&str]); 18] = [
    ("-vn -c:a pcm_s16be", "caf", &["caf", "core audio"]),
    ("-c:v mpeg2video -q:v 3 -c:a pcm_s16le", "mxf", &["mxf"]),
    ("-vn -c:a pcm_s16le", "w64", &["w64", "wave64", "wave 64"]),
    ("-target pal-dv", "dv", &["dv"]),
    ("-map 0:v -c:v libx264 -preset ultrafast -pix_fmt yuv420p", "h264", &["h.264", "h264"]),
    (
        "-map 0:v -c:v libx265 -preset ultrafast -x265-params log-level=none",
        "h265",
        &["h.265", "h265", "hevc"],
    ),
    ("-vn -c:a aac", "aac", &["aac", "adts"]),
    ("-vn -c:a alac", "caf", &["caf", "core audio"]),
    ("-c:v libx264 -preset ultrafast -pix_fmt yuv420p -c:a pcm_s16le", "mxf", &["mxf"]),
    ("-vn -c:a pcm_s24le", "w64", &["w64", "wave64", "wave 64"]),
    ("-vn -c:a pcm_s16be", "aiff", &["aiff"]),
    ("-vn -c:a pcm_s16be", "au", &["au"]),
    ("-map 0:v -c:v mpeg2video -q:v 3", "m2v", &["mpeg"]),
    ("-map 0:v -c:v libvpx -deadline realtime -b:v 500k", "ivf", &["ivf"]),
    ("-c:v mpeg2video -q:v 3 -c:a mp2", "nut", &["nut"]),
    ("-target ntsc-dv", "dv", &["dv"]),
    ("-map 0:v -c:v libx264 -preset veryfast -bf 2 -pix_fmt yuv420p", "h264", &["h.264", "h264"]),
    ("-vn -c:a ac3", "ac3", &["ac-3", "ac3"]),
];

/// The pairs above in turn. Raw AAC begins inside a frame.
pub fn make(maker: &mut Maker, index: usize) -> Variant {
    let (codecs, container, names) = KINDS[index % KINDS.len()];
    let is_dv = container == "dv";
    let (size, rate) = match codecs {
        "-target pal-dv" => ((720, 576), "25"),
        "-target ntsc-dv" => ((720, 480), "30000/1001"),
        // The rate that is assumed where a stream has none.
        _ => ((320, 180), "25"),
    };
    let scene = Scene::new(size, rate, maker.any(&[4.0, 6.0]));
    let mut file = maker.ffmpeg(&format!("{} {codecs}", scene.inputs()), &format!("containers.{container}"));
    if container == "aac" {
        let bytes = std::fs::read(&file).unwrap();
        file = maker.write("inside.aac", &bytes[cut(index)..], "without its first bytes");
    }
    let mut truth = scene.truth();
    if codecs.contains("-vn") || matches!(container, "ac3" | "aac") {
        truth.flashes_s.clear();
        truth.squares_s.clear();
        truth.upright_s.clear();
    }
    if codecs.contains("-map 0:v") {
        truth.beeps_s.clear();
    }
    if is_dv {
        // Its pixels are not square.
        truth.squares_s.clear();
    }
    truth.refusal = Some(Refusal { names, or_played: true });
    // Streams without times of their own: it guesses them, or counts what is before the first
    // frame.
    truth.misread = vec![FfmpegError::Ends, FfmpegError::Frames];
    Variant { file, truth }
}

/// Where a stream that begins inside a frame begins.
const fn cut(index: usize) -> usize {
    37 + index
}
