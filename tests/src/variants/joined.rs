//! Two recordings in one file, one after the other: the recorder was stopped and started.

use super::maker::Maker;
use super::scene::Scene;
use super::variant::Variant;
use crate::ground_truth::{FfmpegError, GroundTruth};

/// Codecs and container; without video where there is no codec for it.
const KINDS: [(Option<&str>, &str, &str); 12] = [
    (Some("libvpx -deadline realtime -b:v 500k"), "libopus", "webm"),
    (Some("libx264 -preset ultrafast -pix_fmt yuv420p"), "aac", "mkv"),
    (Some("libx264 -preset ultrafast -pix_fmt yuv420p"), "aac", "mp4"),
    (Some("libx264 -preset ultrafast -pix_fmt yuv420p"), "aac", "ts"),
    (None, "libopus", "ogg"),
    (None, "pcm_s16le", "wav"),
    (None, "libmp3lame", "mp3"),
    (None, "aac", "aac"),
    (Some("libx264 -preset ultrafast -pix_fmt yuv420p"), "aac", "flv"),
    (Some("mpeg4 -q:v 3"), "libmp3lame", "avi"),
    (None, "libvorbis", "ogg"),
    (Some("libvpx-vp9 -deadline realtime -cpu-used 8 -b:v 500k"), "libopus", "webm"),
];

/// The containers above in turn.
pub fn make(maker: &mut Maker, index: usize) -> Variant {
    let (video, audio, container) = KINDS[index % KINDS.len()];
    let lengths_s = maker.any(&[(4.0, 4.0), (5.0, 4.0), (4.0, 6.0)]);
    let (mut bytes, mut first_part_s) = (Vec::new(), 0.0);
    let mut truth = GroundTruth::default();
    for (n, length_s) in [lengths_s.0, lengths_s.1].into_iter().enumerate() {
        let scene = Scene::new((320, 180), "25", length_s);
        let arguments = video.map_or_else(
            || format!("-f lavfi -i {} -c:a {audio}", scene.audio()),
            |codec| format!("{} -c:v {codec} -c:a {audio}", scene.inputs()),
        );
        let part = maker.ffmpeg(&arguments, &format!("part{n}.{container}"));
        bytes.extend(std::fs::read(part).unwrap());
        let moved = |times: &[f64]| times.iter().map(|at_s| at_s + first_part_s).collect::<Vec<f64>>();
        if video.is_some() {
            truth.flashes_s.extend(moved(&scene.flashes_s));
            // Flashes begin at odd seconds.
            truth.upright_s.push(first_part_s + 2.0 * (0.25 * length_s).round());
        }
        truth.beeps_s.extend(moved(&scene.beeps_s));
        if n == 0 {
            first_part_s = length_s;
        }
    }
    let how = format!("cat part0.{container} part1.{container}");
    let file = maker.write(&format!("joined.{container}"), &bytes, &how);
    let truth = GroundTruth {
        length_s: Some(lengths_s.0 + lengths_s.1),
        first_part_s: Some(first_part_s),
        seam_s: 0.15,
        // It stops, or starts its clock again.
        misread: vec![FfmpegError::Ends, FfmpegError::Frames, FfmpegError::Audio],
        ..truth
    };
    Variant { file, truth }
}
