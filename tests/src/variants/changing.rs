//! Video whose size or shape changes: calls that begin small, phones that are turned.

use super::maker::Maker;
use super::scene::Scene;
use super::variant::Variant;
use crate::ground_truth::{FfmpegError, GroundTruth};

/// Codec and container of parts that are joined as they are.
const CODECS: [(&str, &str); 4] = [
    ("libvpx -deadline realtime -b:v 1M", "webm"),
    ("libvpx-vp9 -deadline realtime -cpu-used 8 -b:v 1M", "webm"),
    ("libx264 -preset ultrafast -pix_fmt yuv420p -bsf:v h264_mp4toannexb", "ts"),
    ("libvpx -deadline realtime -b:v 1M", "mkv"),
];

/// Joins parts of these sizes and lengths.
fn joined(maker: &mut Maker, index: usize, name: &str, parts: &[((usize, usize), f64)]) -> (Variant, f64) {
    let (codec, container) = CODECS[index % CODECS.len()];
    let length_s: f64 = parts.iter().map(|(_, length_s)| length_s).sum();
    let all = Scene::new(parts[0].0, "30", length_s);
    let (mut list, mut from_s) = (String::new(), 0.0);
    for (n, &(size, part_s)) in parts.iter().enumerate() {
        let inside = |at: &&f64| **at >= from_s && **at < from_s + part_s;
        let part = Scene {
            size,
            length_s: part_s,
            flashes_s: all.flashes_s.iter().filter(inside).map(|at_s| at_s - from_s).collect(),
            ..all.clone()
        };
        let file = format!("part{n}.{container}");
        maker.ffmpeg(&format!("-f lavfi -i {} -c:v {codec}", part.video()), &file);
        list.push_str(&format!("file '{file}'\n"));
        from_s += part_s;
    }
    let list = maker.write("parts.txt", list.as_bytes(), "one line per part: file 'partN'");
    let audio_codec = if container == "ts" { "aac" } else { "libopus" };
    let file = maker.ffmpeg(
        &format!(
            "-f concat -i {} -f lavfi -i {} -c:v copy -c:a {audio_codec} -map 0:v -map 1:a",
            list.display(),
            all.audio()
        ),
        &format!("{name}.{container}"),
    );
    // ffmpeg enlarges and stretches all frames to the size of the first.
    let truth = GroundTruth { misread: vec![FfmpegError::Frames], ..all.truth() };
    (Variant { file, truth }, length_s)
}

/// Begins small and grows; the largest size that lasts counts.
pub fn growing(maker: &mut Maker, index: usize) -> Variant {
    let (mut parts, size) = match index % 5 {
        0 => (vec![((160, 90), 1.0), ((320, 180), 1.0), ((1280, 720), 6.0)], (1280, 720)),
        1 => (vec![((320, 180), 3.0), ((640, 360), 5.0)], (640, 360)),
        2 => (vec![((640, 360), 4.0), ((160, 90), 4.0)], (640, 360)),
        3 => (vec![((160, 120), 1.0), ((320, 240), 2.0), ((640, 480), 5.0)], (640, 480)),
        _ => (vec![((90, 160), 2.0), ((360, 640), 6.0)], (360, 640)),
    };
    parts[0].1 += maker.any(&[0.0, 1.0]);
    let (mut made, _) = joined(maker, index, "growing", &parts);
    made.truth.size = Some(size);
    made
}

/// Changes its shape and back; a square stays a square.
pub fn turning(maker: &mut Maker, index: usize) -> Variant {
    let half = maker.any(&[3.0, 4.0, 5.0]);
    let parts = match index % 5 {
        0 => vec![((640, 360), half), ((360, 640), 4.0)],
        1 => vec![((360, 640), half), ((640, 360), 4.0)],
        2 => vec![((640, 480), half), ((640, 360), 4.0)],
        3 => vec![((640, 360), 2.0), ((360, 640), half), ((640, 360), 2.0)],
        _ => vec![((480, 480), half), ((640, 360), 4.0)],
    };
    let (mut made, length_s) = joined(maker, index, "turning", &parts);
    let quiet = |at: &f64| made.truth.flashes_s.iter().all(|flash| (flash - at).abs() > 0.3);
    // Looked at in each part, away from its ends.
    let mut from_s = 0.0;
    let mut looks = Vec::new();
    for (_, part_s) in &parts {
        looks.extend([0.3, 0.5, 0.8].iter().map(|share| from_s + share * part_s));
        from_s += part_s;
    }
    looks.retain(quiet);
    looks.retain(|at_s| *at_s < length_s - 0.2);
    made.truth.squares_s = looks.clone();
    made.truth.upright_s = looks;
    made
}
