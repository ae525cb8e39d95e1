//! Files of several containers, codecs and rates whose timestamps ffmpeg has changed: they are
//! decoded, and their tone is measured.

use std::process::Command;
use std::sync::Arc;

use super::decode;
use super::sample_rate::RATE_HZ;
use crate::limits::Limits;
use crate::media::MediaInfo;
use crate::source::FileSource;
use crate::steps::inspect::{self, InspectRequest};

/// Makes a file of 20 s with a tone of 440 Hz, and decodes it. `stamps`, an expression of ffmpeg's
/// filter `setts`, changes its timestamps in ms.
fn decoded(file: &str, codec: &str, rate_hz: u32, stamps: &str) -> (MediaInfo, Vec<[f32; 2]>) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join(file);
    let tone = format!("sine=f=440:r={rate_hz}:d=20,volume=6");
    let output = Command::new("ffmpeg")
        .args(["-v", "error", "-f", "lavfi", "-i", &tone, "-c:a", codec, "-b:a", "96k"])
        .args(["-bsf:a", &format!("setts={stamps}"), "-avoid_negative_ts", "disabled"])
        .arg(&path)
        .output()
        .expect("these tests need ffmpeg: install Debian's package ffmpeg");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let (ctx, _) = crate::context::capturing_context(&folder.path().join("out"));
    let source: crate::source::Source = Arc::new(FileSource::open(&path).expect("a file"));
    let limits = Limits::default();
    let media =
        inspect::run(&InspectRequest { limits: limits.clone(), vad_model_path: None }, source.clone(), &ctx)
            .unwrap_or_else(|error| panic!("{file}: {error}"));
    let mut out = Vec::new();
    let pass = decode::decode_track(source, &media, &limits, &ctx, |frames| {
        out.extend_from_slice(frames);
        Ok(())
    })
    .unwrap_or_else(|error| panic!("{file}: {error}"));
    assert_eq!((pass.frames, pass.warnings), (out.len() as u64, vec![]), "{file}");
    (media, out)
}

/// Files for `decoded`: name, codec, rate.
const FILES: [(&str, &str, u32); 5] = [
    ("opus.mkv", "libopus", 48_000),
    ("aac.mkv", "aac", 44_100),
    ("mp3.mkv", "libmp3lame", 22_050),
    ("pcm.mkv", "pcm_s16le", 44_100),
    ("flac.mkv", "flac", 16_000),
];

#[test]
fn jittering_time_stamps_leave_a_tone_steady() {
    for (file, codec, rate_hz) in FILES {
        // Later by up to 80 ms, without a pattern: 40 ms before and after the average.
        let (media, out) = decoded(file, codec, rate_hz, "pts=PTS+random(1)*80");
        let steady = &out[24_000..19 * 48_000];
        assert_eq!(super::timeline::tests::flaws(steady), (0, 0), "{file}");
        let (end_ms, expected_ms) = (out.len() as u64 / 48, media.audio.as_ref().map_or(0, |a| a.end_ms));
        assert!(end_ms.abs_diff(expected_ms) < 120, "{file}: {end_ms} ms, {expected_ms} ms expected");
    }
}

#[test]
fn drifting_time_stamps_stretch_a_tone_evenly() {
    for (file, codec, rate_hz) in FILES {
        for factor in [0.98, 1.02] {
            let (media, out) = decoded(file, codec, rate_hz, &format!("ts=PTS*{factor}"));
            let steady = &out[24_000..19 * 48_000];
            assert_eq!(super::timeline::tests::flaws(steady), (0, 0), "{file} at {factor}");
            let (end_ms, expected_ms) = (out.len() as u64 / 48, media.audio.as_ref().map_or(0, |a| a.end_ms));
            assert!(end_ms.abs_diff(expected_ms) < 60, "{file}: {end_ms} ms, {expected_ms} ms expected");
        }
    }
}

#[test]
fn a_gap_is_as_long_and_where_the_time_stamps_say() {
    for (file, codec, rate_hz) in FILES {
        let (_, out) = decoded(file, codec, rate_hz, "ts=PTS+gte(PTS\\,10000)*1500");
        let silent: Vec<usize> =
            (48_000..20 * 48_000).filter(|&i| out[i][0].abs() < 1e-4 && out[i + 1][0].abs() < 1e-4).collect();
        let (first, last) = (silent[0], silent[silent.len() - 1]);
        assert!((silent.len() as f64 / 48.0 - 1500.0).abs() < 30.0, "{file}: {}", silent.len());
        assert!(first.abs_diff(480_000) < 5000 && last.abs_diff(552_000) < 5000, "{file}: {first} to {last}");
        assert!(out.len().abs_diff(21_500 * RATE_HZ as usize / 1000) < 4800, "{file}: {}", out.len());
    }
}
