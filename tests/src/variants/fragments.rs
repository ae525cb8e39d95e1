//! Fragmented MP4 files whose tracks begin at different times, as their `tfdt` says.

use super::maker::Maker;
use super::mp4::{be32, be64, below, find, track_id};
use super::scene::Scene;
use super::variant::Variant;
use crate::ground_truth::GroundTruth;

/// How much later than 0 video and audio begin, in ms.
const OFFSETS_MS: [(u32, u32); 10] = [
    (0, 320),
    (320, 0),
    (0, 1500),
    (1500, 0),
    (0, 40),
    (60_000, 60_200),
    (60_250, 60_000),
    (3_600_000, 3_600_500),
    (100, 100),
    (0, 700),
];

/// The offsets above in turn, then others by chance.
pub fn make(maker: &mut Maker, index: usize) -> Variant {
    let (video_ms, audio_ms) = OFFSETS_MS
        .get(index)
        .copied()
        .unwrap_or_else(|| (maker.between(0.0, 900.0) as u32, maker.between(0.0, 900.0) as u32));
    let size = maker.any(&[(320, 180), (640, 360)]);
    let scene = Scene::new(size, maker.any(&["25", "30"]), 8.0);
    let step = maker.any(&["500000", "1000000", "2500000"]);
    let good = maker.ffmpeg(
        &format!(
            "{} -c:v libx264 -preset ultrafast -pix_fmt yuv420p -g 25 -c:a aac \
             -movflags +frag_keyframe+empty_moov+default_base_moof -frag_duration {step} -shortest",
            scene.inputs()
        ),
        "good.mp4",
    );
    let mut bytes = std::fs::read(good).unwrap();
    for (handler, scale, offset_ms) in [(b"vide", None, video_ms), (b"soun", Some(48_000_u64), audio_ms)] {
        let scale = scale.unwrap_or_else(|| u64::from(super::mp4::timescale(&bytes, handler)));
        let id = track_id(&bytes, handler);
        for fragment in find(&bytes, &[b"moof", b"traf"]) {
            let header = below(&bytes, &fragment, &[b"tfhd"]).expect("a fragment header");
            if be32(&bytes, header.start + 12) != id {
                continue;
            }
            let at = below(&bytes, &fragment, &[b"tfdt"]).expect("a decode time").start;
            let added = u64::from(offset_ms) * scale / 1000;
            if bytes[at + 8] == 1 {
                let time = be64(&bytes, at + 12) + added;
                bytes[at + 12..at + 20].copy_from_slice(&time.to_be_bytes());
            } else {
                let time = be32(&bytes, at + 12) + added as u32;
                bytes[at + 12..at + 16].copy_from_slice(&time.to_be_bytes());
            }
        }
    }
    let how = format!("good.mp4 with tfdt {video_ms} ms (video) and {audio_ms} ms (audio) later");
    let file = maker.write("fragments.mp4", &bytes, &how);
    let first_ms = video_ms.min(audio_ms);
    let later = |ms: u32| f64::from(ms - first_ms) / 1000.0;
    let (video_s, audio_s) = (later(video_ms), later(audio_ms));
    let truth = scene.truth();
    let moved = |times: &[f64], by_s: f64| times.iter().map(|at_s| at_s + by_s).collect::<Vec<f64>>();
    let truth = GroundTruth {
        length_s: Some(scene.length_s + video_s.max(audio_s)),
        flashes_s: moved(&truth.flashes_s, video_s),
        beeps_s: moved(&truth.beeps_s, audio_s),
        squares_s: moved(&truth.squares_s, video_s),
        upright_s: moved(&truth.upright_s, video_s),
        ..truth
    };
    Variant { file, truth }
}
