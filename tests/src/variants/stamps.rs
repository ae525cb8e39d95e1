//! Audio whose time stamps jitter, or drift against its own clock.

use super::maker::Maker;
use super::scene::Scene;
use super::variant::Variant;
use crate::ground_truth::{FfmpegError, GroundTruth};

/// Codec and container of the audio, and the length of its packets in ms.
const AUDIO_FORMATS: [(&str, &str, f64); 5] = [
    ("libopus -frame_duration 20 -b:a 96k", "mkv", 20.0),
    ("libopus -frame_duration 60 -b:a 96k", "webm", 60.0),
    ("aac -b:a 128k", "mkv", 21.3),
    ("pcm_s16le", "mkv", 21.3),
    ("aac -b:a 128k", "mp4", 21.3),
];

/// A steady tone with stamps up to 40 ms off their time.
pub fn jitter(maker: &mut Maker, index: usize) -> Variant {
    let (codec, container, packet_ms) = AUDIO_FORMATS[index % AUDIO_FORMATS.len()];
    let hz = maker.any(&[220.0, 440.0, 300.0, 523.0]);
    let most_ms = [15.0, 40.0, 25.0, 8.0][index % 4];
    let length_s = 10.0;
    // By chance within what keeps packets in order, upon a slow wave that takes the rest.
    let chance_ms = f64::min(most_ms, packet_ms * 0.45);
    let wave_ms = most_ms - chance_ms;
    let seed = maker.between(1.0, 9.0).floor();
    let video = Scene::new((320, 180), "15", length_s).video();
    let video_codec = if container == "webm" {
        "libvpx -deadline realtime -b:v 300k"
    } else {
        "libx264 -preset ultrafast -pix_fmt yuv420p"
    };
    // Stamps are in ms in Matroska, and in samples in MP4.
    let ticks = if container == "mp4" { 48 } else { 1 };
    let step = format!("setts=ts=round(PTS+({wave_ms}*sin(N/9)+{chance_ms}*sin({seed}+N*N*{seed}))*{ticks})");
    let file = maker.ffmpeg(
        &format!(
            "-f lavfi -i {video} -f lavfi -i sine=f={hz}:r=48000:d={length_s} -c:v {video_codec} \
             -c:a {codec} -bsf:a {step}"
        ),
        &format!("jitter.{container}"),
    );
    let truth = GroundTruth {
        length_s: Some(length_s),
        tone_hz: Some(hz),
        flashes_s: Scene::new((320, 180), "15", length_s).flashes_s,
        // It leaves holes where the stamps do.
        misread: vec![FfmpegError::Audio, FfmpegError::Ends],
        ..GroundTruth::default()
    };
    Variant { file, truth }
}

/// An audio clock up to 2% fast or slow: the stamps are right, and there are more or fewer samples
/// than they say.
pub fn drift(maker: &mut Maker, index: usize) -> Variant {
    let (codec, container, _) = AUDIO_FORMATS[index % AUDIO_FORMATS.len()];
    let share = [0.02, -0.02, 0.005, -0.005, 0.001, -0.01, 0.013, -0.015, 0.02, -0.002][index % 10];
    let tone = index % 3 == 2;
    let length_s = 20.0;
    let scene = Scene::new((320, 180), "30", length_s);
    // What belongs at t lies at t / (1 + share) of the samples' own clock.
    let own = Scene {
        length_s: length_s / (1.0 + share),
        beeps_s: scene.beeps_s.iter().map(|at_s| at_s / (1.0 + share)).collect(),
        ..scene.clone()
    };
    let own_s = own.length_s;
    let audio = if tone { format!("sine=f=440:r=48000:d={own_s}") } else { own.audio() };
    let video_codec = if container == "webm" {
        "libvpx -deadline realtime -b:v 300k"
    } else {
        "libx264 -preset ultrafast -pix_fmt yuv420p"
    };
    let file = maker.ffmpeg(
        &format!(
            "-f lavfi -i {} -f lavfi -i {audio} -c:v {video_codec} -c:a {codec} -bsf:a setts=ts=round(PTS*{})",
            scene.video(),
            1.0 + share
        ),
        &format!("drift.{container}"),
    );
    let truth = GroundTruth {
        length_s: Some(length_s),
        beeps_s: if tone { Vec::new() } else { scene.beeps_s.clone() },
        tone_hz: tone.then_some(440.0),
        // It leaves holes or cuts samples.
        misread: vec![FfmpegError::Audio, FfmpegError::Ends],
        ..scene.truth()
    };
    Variant { file, truth }
}
