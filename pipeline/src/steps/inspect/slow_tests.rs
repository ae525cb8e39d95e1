//! Video of few frames, and pauses: when samples are presented, by container.
#![allow(clippy::unwrap_used)]

use std::process::Command;
use std::sync::Arc;

use super::{InspectRequest, run};
use crate::context::{StepContext, capturing_context};
use crate::gst::{TrackDecoder, TrackKind};
use crate::ladder::{LadderSettings, Rung, plan};
use crate::media::MediaInfo;
use crate::source::Bytes;
use crate::steps::transcode::TranscodeRequest;

const MS: i64 = 1_000_000;

/// Runs ffmpeg with these inputs and options, separated by spaces.
fn made(name: &str, options: &str) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let to = folder.path().join(name);
    let mut ffmpeg = Command::new("ffmpeg");
    ffmpeg.args(["-v", "error"]).args(options.split_whitespace()).arg(&to);
    assert!(ffmpeg.status().expect("ffmpeg is missing").success(), "{name} {options}");
    std::fs::read(to).unwrap()
}

/// Video of this rate and length in seconds.
fn video(rate: &str, length_s: impl std::fmt::Display) -> String {
    format!("-f lavfi -i testsrc2=size=160x90:rate={rate}:duration={length_s}")
}

fn audio(length_s: u32) -> String {
    format!("-f lavfi -i sine=frequency=440:sample_rate=48000:duration={length_s}")
}

fn ctx() -> StepContext {
    StepContext { out_dir: "out".into(), emit: Arc::new(|_| ()), cancel: Arc::default() }
}

fn inspected(file: &[u8]) -> MediaInfo {
    crate::gst::init().unwrap();
    let request = InspectRequest { limits: Default::default(), vad_model_path: None };
    run(&request, Arc::new(Bytes(file.to_vec())), &ctx()).unwrap()
}

/// Times of all decoded frames or buffers of audio, in ms.
fn times_ms(file: &[u8], info: &MediaInfo, kind: TrackKind) -> Vec<i64> {
    let source = Arc::new(Bytes(file.to_vec()));
    let mut decoding = TrackDecoder::open(source, info, kind, &Default::default(), Vec::new()).unwrap();
    decoding.start().unwrap();
    let next = || decoding.next(&ctx()).unwrap().map(|decoded| (decoded.time_ns + MS / 2).div_euclid(MS));
    std::iter::from_fn(next).collect()
}

const H264: &str = "-c:v libx264 -preset veryfast -pix_fmt yuv420p";

#[test]
fn slow_video_in_a_transport_stream_keeps_its_times() {
    for (rate, frame_ms, length_s) in
        [("1/4", 4000, 24), ("1", 1000, 10), ("3/2", 667, 10), ("1/30", 30_000, 90)]
    {
        for bframes in [3, 0] {
            let options =
                format!("{} {} {H264} -bf {bframes} -c:a aac", video(rate, length_s), audio(length_s));
            let file = made("slow.ts", &options);
            let info = inspected(&file);
            let (video_track, audio_track) = (info.video.as_ref().unwrap(), info.audio.as_ref().unwrap());
            let name = format!("{rate} {bframes}");
            assert!(video_track.end_ms.abs_diff(u64::from(length_s) * 1000) < 100, "{name}: {video_track:?}");
            assert!(audio_track.end_ms.abs_diff(u64::from(length_s) * 1000) < 100, "{name}: {audio_track:?}");
            assert!(
                video_track.start_ms < 50 && audio_track.start_ms < 50,
                "{name}: {video_track:?} {audio_track:?}"
            );
            let times = times_ms(&file, &info, TrackKind::Video);
            let count = (i64::from(length_s) * 1000 + frame_ms / 2) / frame_ms;
            assert_eq!(times.len() as i64, count, "{name}: {times:?}");
            for (number, time) in times.iter().enumerate() {
                assert!((time - number as i64 * frame_ms).abs() < 50, "{name}: {times:?}");
            }
        }
    }
}

#[test]
fn a_pause_in_audio_stays_where_the_recording_has_it() {
    // Each with 5 s in units of the container.
    for (name, codec, ticks) in [
        ("pause.ts", "aac", 450_000),
        ("pause.ts", "mp2", 450_000),
        ("pause.flv", "aac", 5000),
        ("pause.asf", "wmav2", 5000),
        ("pause.mkv", "libopus", 5000),
        ("pause.mp4", "aac", 240_000),
    ] {
        let pause = format!("{} -c:a {codec} -bsf:a setts=ts=PTS+gte(N\\,100)*{ticks}", audio(6));
        let file = made(name, &pause);
        let info = inspected(&file);
        let audio_track = info.audio.as_ref().unwrap();
        assert!((10_950..11_200).contains(&audio_track.end_ms), "{name} {codec}: {audio_track:?}");
        let times = times_ms(&file, &info, TrackKind::Audio);
        let longest = times.windows(2).map(|pair| pair[1] - pair[0]).max();
        assert!((4900..5150).contains(&longest.unwrap()), "{name} {codec}: {longest:?}");
    }
}

#[test]
fn parts_of_a_transport_stream_with_clocks_of_their_own_follow_in_sync() {
    let part =
        |length_s| made("part.ts", &format!("{} {} {H264} -c:a aac", video("25", length_s), audio(length_s)));
    let file = [part(3), part(2)].concat();
    let info = inspected(&file);
    let (video_track, audio_track) = (info.video.as_ref().unwrap(), info.audio.as_ref().unwrap());
    assert!(
        video_track.end_ms.abs_diff(5000) < 100 && audio_track.end_ms.abs_diff(5000) < 100,
        "{video_track:?} {audio_track:?}"
    );
    let times = times_ms(&file, &info, TrackKind::Video);
    assert!(times.len() >= 124 && times.is_sorted(), "{times:?}");
}

#[test]
fn a_frame_of_10_ms_under_audio_is_a_video() {
    for (name, codecs) in [
        ("still.mp4", format!("{H264} -c:a aac")),
        ("still.mov", "-c:v mpeg4 -c:a pcm_s16le".to_owned()),
        ("still.webm", "-c:v libvpx -c:a libopus".to_owned()),
    ] {
        let file = made(name, &format!("{} {} {codecs}", video("100", 0.01), audio(10)));
        let info = inspected(&file);
        assert!(info.video.is_some(), "{name}: {info:?}");
        let times = times_ms(&file, &info, TrackKind::Video);
        // Opus begins before its first sample.
        assert!(times.len() == 1 && times[0] < 10, "{name}: {times:?}");
        assert_eq!(info.duration_ms / 100, 100, "{name}: {info:?}");
    }
    // A cover is not a video, in a track or as metadata.
    let cover = made("cover.mp4", &format!("{} {} -c:v mjpeg -c:a aac", video("100", 0.01), audio(10)));
    assert!(inspected(&cover).video.is_none());
    let cover = made(
        "cover.m4a",
        &format!("{} {} -c:v mjpeg -c:a aac -disposition:v attached_pic", video("100", 0.01), audio(10)),
    );
    assert!(inspected(&cover).video.is_none());
}

#[test]
fn frames_at_uneven_times_keep_them_in_every_container() {
    let at_ms = [0, 100, 200, 3370, 3470, 10_010, 10_110];
    let kept: Vec<_> = at_ms.map(|ms| format!("lt(abs(t*1000-{ms})\\,4)")).into();
    let filter = format!("-vf select={} -fps_mode vfr", kept.join("+"));
    for (name, codecs) in [
        ("screen.ts", format!("{H264} -c:a aac")),
        ("screen.ts", "-c:v mpeg2video -bf 2 -c:a mp2".to_owned()),
        ("screen.flv", format!("{H264} -bf 0 -c:a aac")),
        ("screen.flv", "-c:v flv1 -c:a mp3 -ar 44100".to_owned()),
        ("screen.asf", "-c:v wmv2 -c:a wmav2".to_owned()),
        ("screen.asf", format!("{H264} -bf 0 -c:a wmav2")),
        ("screen.mkv", format!("{H264} -c:a aac")),
        ("screen.mp4", format!("{H264} -c:a aac")),
    ] {
        let file = made(name, &format!("{} {} {filter} {codecs}", video("100", 12), audio(12)));
        let info = inspected(&file);
        let times = times_ms(&file, &info, TrackKind::Video);
        assert_eq!(times.len(), at_ms.len(), "{name} {codecs}: {times:?}");
        for (time, at) in times.iter().zip(at_ms) {
            assert!((time - at).abs() < 50, "{name} {codecs}: {times:?}");
        }
        assert!(info.duration_ms.abs_diff(12_000) < 150, "{name} {codecs}: {info:?}");
    }
}

#[test]
fn the_last_slide_lasts_as_long_as_the_others() {
    let file = made("slides.asf", &format!("{} {} -c:v wmv2 -c:a wmav2", video("1/4", 16), audio(16)));
    let media = inspected(&file);
    let rung = Rung { name: "v90".into(), width: 160, height: 90, max_frame_rate: 30, bitrate_bps: 200_000 };
    let settings = LadderSettings {
        preset: "lesson".into(),
        quality: Some(23),
        drop_redundant: false,
        rungs: vec![rung],
    };
    let ladder = plan(media.video.as_ref().unwrap(), &settings);
    let limits = crate::limits::Limits::default();
    let request = TranscodeRequest { media, ladder, iframes: false, trickplay: false, limits };
    let folder = tempfile::tempdir().unwrap();
    let (ctx, _) = capturing_context(folder.path());
    let report = crate::steps::transcode::run(&request, Arc::new(Bytes(file)), &ctx).unwrap();
    assert!(report.duration_ms.abs_diff(16_000) < 100, "{report:?}");
    assert_eq!(report.warnings, []);
}
