//! Edit lists: several parts, other speeds, pauses. What they cut away must not be seen.

use super::maker::Maker;
use super::mp4::{set_edits, set_lengths, timescale};
use super::scene::Scene;
use super::variant::Variant;
use crate::ground_truth::{FfmpegError, GroundTruth};

/// An edit: length in s, start in the media in s or none for a pause, speed.
type Edit = (f64, Option<f64>, f64);

/// Lists of edits of a recording of 12 s.
const LISTS: [&[Edit]; 10] = [
    &[(3.0, Some(0.0), 1.0), (4.0, Some(3.0), 0.5), (2.0, Some(5.0), 1.0)],
    &[(4.0, Some(2.0), 1.0)],
    &[(3.0, Some(0.0), 1.0), (3.0, Some(6.0), 1.0)],
    &[(2.0, None, 1.0), (6.0, Some(0.0), 1.0)],
    &[(2.0, Some(0.0), 1.0), (3.0, Some(2.0), 2.0), (2.0, Some(8.0), 1.0)],
    &[(2.0, Some(4.0), 1.0), (2.0, Some(0.0), 1.0), (2.0, Some(8.0), 1.0)],
    &[(8.0, Some(0.0), 0.5)],
    &[(5.0, Some(0.0), 2.0)],
    &[(3.0, Some(0.0), 1.0), (2.0, None, 1.0), (3.0, Some(4.0), 1.0)],
    &[(1.5, Some(0.5), 1.0), (1.5, Some(2.5), 1.0), (1.5, Some(4.5), 1.0), (1.5, Some(6.5), 1.0)],
];

/// The lists above in turn, then their parts from other places.
pub fn make(maker: &mut Maker, index: usize) -> Variant {
    let mut edits = LISTS[index % LISTS.len()].to_vec();
    if index >= LISTS.len() {
        let by_s = maker.any(&[0.2, 0.4, 1.0]);
        edits.iter_mut().for_each(|edit| edit.1 = edit.1.map(|start_s| start_s + by_s));
    }
    let size = maker.any(&[(320, 180), (640, 360)]);
    let scene = Scene::new(size, maker.any(&["25", "30"]), 12.0);
    let container = maker.any(&["mov", "mp4"]);
    let codec = maker.any(&["libx264 -preset veryfast -bf 0", "libx264 -preset veryfast -bf 2"]);
    let good = maker.ffmpeg(
        &format!("{} -c:v {codec} -pix_fmt yuv420p -g 30 -c:a pcm_s16le -f mov", scene.inputs()),
        &format!("good.{container}"),
    );
    let mut bytes = std::fs::read(good).unwrap();
    // B-frames are presented later than decoded, by what the file's own edit list says.
    for (handler, shift) in [(b"vide", first_start(&bytes, b"vide")), (b"soun", first_start(&bytes, b"soun"))]
    {
        let scale = f64::from(timescale(&bytes, handler));
        let list: Vec<(u32, i32, u32)> = edits
            .iter()
            .map(|(length_s, start_s, speed)| {
                let start = start_s.map_or(-1, |start_s| (start_s * scale).round() as i32 + shift);
                ((length_s * 1000.0) as u32, start, (speed * 65536.0) as u32)
            })
            .collect();
        set_edits(&mut bytes, handler, &list);
    }
    let length_s: f64 = edits.iter().map(|(length_s, ..)| length_s).sum();
    set_lengths(&mut bytes, (length_s * 1000.0) as u32);
    let how = format!("good.{container} with edits (length s, start s, speed) {edits:?} in both tracks");
    let file = maker.write(&format!("edits.{container}"), &bytes, &how);
    // A recording starts with its first frame or sample: a pause before it is left out.
    if edits[0].1.is_none() {
        edits.remove(0);
    }
    let length_s: f64 = edits.iter().map(|(length_s, ..)| length_s).sum();
    let moved = |times: &[f64]| presented(&edits, times);
    let flashes_s = moved(&scene.flashes_s);
    let quiet = |at: &f64| flashes_s.iter().all(|flash| (flash - at).abs() > 0.4);
    let truth = GroundTruth {
        length_s: Some(length_s),
        beeps_s: moved(&scene.beeps_s),
        slowed_beeps_s: slowed(&edits, &moved(&scene.beeps_s)),
        upright_s: [0.3, 0.6, 0.85].iter().map(|share| share * length_s).filter(quiet).collect(),
        flashes_s,
        // It plays every edit at normal speed.
        misread: vec![FfmpegError::Ends, FfmpegError::Frames, FfmpegError::Audio],
        ..GroundTruth::default()
    };
    Variant { file, truth }
}

/// Where a track's only edit starts, in its ticks.
fn first_start(bytes: &[u8], handler: &[u8; 4]) -> i32 {
    let track = super::mp4::track(bytes, handler);
    super::mp4::below(bytes, &track, &[b"edts", b"elst"])
        .map_or(0, |list| super::mp4::be32(bytes, list.start + 20) as i32)
}

/// When moments of the media are presented.
fn presented(edits: &[Edit], times_s: &[f64]) -> Vec<f64> {
    let (mut all, mut from_s) = (Vec::new(), 0.0);
    for (length_s, start_s, speed) in edits {
        if let Some(start_s) = start_s {
            let inside = |at_s: &&f64| **at_s >= *start_s && **at_s + 0.05 < start_s + length_s * speed;
            all.extend(times_s.iter().filter(inside).map(|at_s| from_s + (at_s - start_s) / speed));
        }
        from_s += length_s;
    }
    all
}

/// Those of some moments that are in a part of another speed.
fn slowed(edits: &[Edit], times_s: &[f64]) -> Vec<f64> {
    let (mut all, mut from_s) = (Vec::new(), 0.0);
    for (length_s, _, speed) in edits {
        let inside = |at_s: &&f64| **at_s >= from_s && **at_s < from_s + length_s && *speed != 1.0;
        all.extend(times_s.iter().filter(inside));
        from_s += length_s;
    }
    all
}
