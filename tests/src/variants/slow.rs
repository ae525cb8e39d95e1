//! One frame per second and less: slides, document cameras, screen recorders that write a frame
//! when something changes.

use std::fmt::Write;

use super::maker::Maker;
use super::variant::Variant;
use crate::ground_truth::{FfmpegError, GroundTruth, Level};

/// A rate, and the codec and container it comes in.
const RATES: [(&str, f64, &str, &str); 10] = [
    ("1/4", 0.25, "libx264 -preset ultrafast -pix_fmt yuv420p", "mp4"),
    ("1", 1.0, "libvpx -b:v 300k -deadline realtime", "webm"),
    ("1/5", 0.2, "libx264 -preset veryfast -pix_fmt yuv420p", "ts"),
    ("1/2", 0.5, "mjpeg -pix_fmt yuvj420p -q:v 3", "avi"),
    ("1", 1.0, "wmv2 -b:v 400k", "wmv"),
    ("1/10", 0.1, "libx264 -preset ultrafast -pix_fmt yuv420p", "mkv"),
    ("1/30", 1.0 / 30.0, "libx264 -preset ultrafast -pix_fmt yuv420p", "mov"),
    ("3/2", 1.5, "libx264 -preset ultrafast -pix_fmt yuv420p", "ts"),
    ("1/3", 1.0 / 3.0, "libvpx-vp9 -b:v 300k -deadline realtime -cpu-used 8", "webm"),
    ("1", 1.0, "libx264 -preset veryfast -pix_fmt yuv420p", "flv"),
];

/// Every third has frames at uneven times.
pub fn make(maker: &mut Maker, index: usize) -> Variant {
    let has_audio = index % 5 != 4;
    let (width, height) =
        if index == 0 { (1920, 1080) } else { maker.any(&[(160, 90), (640, 360), (360, 640), (1280, 720)]) };
    let even = index % 3 != 2;
    let row = if even { index - index / 3 } else { index };
    let (rate, per_s, codec, kind) = RATES[row % RATES.len()];
    let (times, length_s, rate) = if even {
        let count = if per_s < 0.05 {
            3
        } else if per_s < 0.2 {
            4
        } else {
            (per_s * 16.0) as usize
        };
        let times: Vec<f64> = (0..count).map(|n| n as f64 / per_s).collect();
        (times, count as f64 / per_s, rate)
    } else {
        // Bursts and long pauses, in tenths of a second.
        let (mut times, mut at) = (vec![0], 0);
        for _ in 0..7 {
            at += maker.any(&[1, 2, 7, 20, 55, 90]);
            times.push(at);
        }
        let length = at + maker.any(&[5, 15, 40]);
        (times.iter().map(|&at| f64::from(at) / 10.0).collect(), f64::from(length) / 10.0, "10")
    };
    // Audio before it makes ffmpeg's ASF start its video later.
    let late_s = if kind == "wmv" && has_audio { 0.043 } else { 0.0 };
    let levels: Vec<Level> = times
        .iter()
        .enumerate()
        .map(|(n, &at_s)| Level { at_s: at_s + late_s, grey: 40 + (n * 67 % 170) as u8 })
        .collect();
    // Each frame has its grey; of uneven ones only those are kept at which it changes.
    let mut grey = "0".to_owned();
    for (n, level) in levels.iter().enumerate() {
        let end_s = times.get(n + 1).copied().unwrap_or(1e6);
        let _ = write!(grey, "+{}*gte(T\\,{:.4})*lt(T\\,{:.4})", level.grey, times[n] - 0.001, end_s - 0.001);
    }
    let kept = if even {
        String::new()
    } else {
        let each = times.iter().map(|at_s| format!("between(t\\,{:.4}\\,{:.4})", at_s - 0.01, at_s + 0.01));
        format!(",select={}", each.collect::<Vec<_>>().join("+"))
    };
    let audio =
        if has_audio { format!("-f lavfi -i sine=f=440:d={length_s}:r=48000") } else { String::new() };
    let audio_codec = match kind {
        "webm" => "libopus",
        "wmv" => "wmav2",
        _ => "aac",
    };
    // Made small and enlarged: only the brightness counts.
    let file = maker.ffmpeg(
        &format!(
            "-f lavfi -i color=c=black:s=32x18:r={rate}:d={length_s},format=rgb24,geq=r='{grey}':g='{grey}':b='{grey}',\
             scale={width}:{height}:flags=neighbor{kept} {audio} -fps_mode vfr -c:v {codec} -c:a {audio_codec}"
        ),
        &format!("slow.{kind}"),
    );
    let tone_hz = (!audio.is_empty()).then_some(440.0);
    // The last of uneven frames lasts as long as the audio; without audio, as long as the one
    // before it.
    let length_s = (even || tone_hz.is_some()).then_some(length_s);
    // Frames that are decoded long before they are presented move all of ffmpeg's times.
    let misread =
        if kind == "ts" && !even { vec![FfmpegError::Ends, FfmpegError::Frames] } else { Vec::new() };
    Variant { file, truth: GroundTruth { length_s, levels, tone_hz, misread, ..GroundTruth::default() } }
}
