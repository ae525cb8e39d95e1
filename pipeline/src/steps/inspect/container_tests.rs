//! Containers, and files of several recordings: made by ffmpeg, read by the step and the decoder.

#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use super::run;
use crate::context::StepContext;
use crate::error::Result;
use crate::gst::{MultiPartDecoder, TrackKind};
use crate::limits::Limits;
use crate::media::{MediaInfo, Rational};
use crate::source::{FileSource, Source};

const AUDIO: &str = "-f lavfi -i sine=f=440:r=48000:d=2";

fn video(size: &str, rate: &str) -> String {
    format!("-f lavfi -i testsrc2=s={size}:r={rate}:d=2")
}

pub(super) fn ffmpeg(arguments: &str, out: &Path) -> PathBuf {
    let output = Command::new("ffmpeg")
        .args(["-v", "error", "-y"])
        .args(arguments.split_whitespace())
        .arg(out)
        .output()
        .expect("these tests need ffmpeg: install Debian's package ffmpeg");
    assert!(output.status.success(), "{arguments}: {}", String::from_utf8_lossy(&output.stderr));
    out.to_owned()
}

pub(super) fn context(folder: &Path) -> StepContext {
    StepContext { out_dir: folder.into(), emit: Arc::new(|_| ()), cancel: Arc::default() }
}

pub(super) fn inspected(file: &Path) -> Result<MediaInfo> {
    crate::gst::init()?;
    let request = serde_json::from_value(serde_json::json!({ "limits": Limits::default() })).unwrap();
    run(&request, Arc::new(FileSource::open(file)?), &context(file.parent().unwrap()))
}

/// Times of all decoded buffers of a track, in ms, and when the last one ends.
fn decoded(file: &Path, media: &MediaInfo, kind: TrackKind) -> (Vec<i64>, i64) {
    let source: Source = Arc::new(FileSource::open(file).unwrap());
    let limits = Limits::default();
    let mut sequence = MultiPartDecoder::open(source, media, kind, &limits, Vec::new()).unwrap();
    sequence.start().unwrap();
    let (mut times, mut end_ns) = (Vec::new(), 0);
    while let Some(decoded) = sequence.next(&context(file.parent().unwrap())).unwrap() {
        times.push(decoded.time_ns / 1_000_000);
        end_ns = decoded.time_ns + decoded.duration_ns.unwrap_or(0) as i64;
    }
    (times, end_ns / 1_000_000)
}

/// Checks that inspected and decoded tracks end within a frame or a packet of `end_ms`.
fn check(file: &Path, container: &str, kinds: &[TrackKind], end_ms: i64) -> MediaInfo {
    let name = file.file_name().unwrap().to_string_lossy().into_owned();
    let media = inspected(file).unwrap_or_else(|e| panic!("{name}: {}: {e}", e.code));
    assert_eq!(media.container, container, "{name}");
    for kind in kinds {
        let inspected_ms = match kind {
            TrackKind::Video => media.video.as_ref().map(|track| track.end_ms),
            TrackKind::Audio => media.audio.as_ref().map(|track| track.end_ms),
        };
        let inspected_ms = inspected_ms.unwrap_or_else(|| panic!("{name}: {kind:?} is missing")) as i64;
        assert!((inspected_ms - end_ms).abs() < 70, "{name}: {kind:?} ends at {inspected_ms} ms by inspect");
        let (times, last_ms) = decoded(file, &media, *kind);
        assert!((last_ms - end_ms).abs() < 70, "{name}: {kind:?} ends at {last_ms} ms decoded");
        // Clipping may leave less than a millisecond of a first packet.
        let forward = |pair: &[i64]| pair[0] < pair[1] || (*kind == TrackKind::Audio && pair[0] == pair[1]);
        assert!(times.windows(2).all(forward), "{name}: {kind:?} jumps back: {times:?}");
    }
    media
}

const BOTH: [TrackKind; 2] = [TrackKind::Video, TrackKind::Audio];

#[test]
fn containers_with_a_demuxer_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let made = |arguments: String, name: &str| ffmpeg(&arguments, &folder.path().join(name));
    let pcm = "-c:a pcm_s16le";
    for (codec, name) in [
        ("-c:v mpeg2video -bf 2", "mpeg2.mxf"),
        ("-c:v libx264 -bf 2", "h264.mxf"),
        ("-c:v dnxhd -profile:v dnxhr_lb -pix_fmt yuv422p", "dnx.mxf"),
    ] {
        check(&made(format!("{} {AUDIO} {codec} {pcm}", video("320x180", "25")), name), "mxf", &BOTH, 2000);
    }
    for (size, rate, format, name) in
        [("720x576", "25", "yuv420p", "pal.dv"), ("720x480", "30000/1001", "yuv411p", "ntsc.dv")]
    {
        let dv = format!("{} {AUDIO} -c:v dvvideo -pix_fmt {format} -ac 2", video(size, rate));
        check(&made(dv, name), "dv", &BOTH, 2000);
    }
    check(
        &made(format!("{} -c:v libvpx", video("320x180", "15")), "vp8.ivf"),
        "ivf",
        &[TrackKind::Video],
        2000,
    );
    check(&made(video("160x90", "12"), "raw.y4m"), "y4m", &[TrackKind::Video], 2000);
}

#[test]
fn frames_of_a_program_stream_have_the_rate_it_states() {
    let folder = tempfile::tempdir().unwrap();
    let made = format!("{} {AUDIO} -c:v mpeg2video -c:a mp2 -f vob", video("320x180", "25"));
    let media = inspected(&ffmpeg(&made, &folder.path().join("stream.vob"))).unwrap();
    assert_eq!(media.video.map(|video| video.frame_rate), Some(Rational::new(25, 1)));
}

#[test]
fn jpeg_in_matroska_is_decoded() {
    let folder = tempfile::tempdir().unwrap();
    let made = format!("{} {AUDIO} -c:v mjpeg -pix_fmt yuvj420p -c:a libopus", video("320x180", "25"));
    check(&ffmpeg(&made, &folder.path().join("jpeg.mkv")), "matroska", &BOTH, 2000);
}

#[test]
fn vp9_with_alpha_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let file = ffmpeg(
        "-f lavfi -i testsrc2=s=160x120:r=5:d=1,format=yuva420p -c:v libvpx-vp9 -cpu-used 8",
        &folder.path().join("alpha.webm"),
    );
    check(&file, "matroska", &[TrackKind::Video], 1000);
}

#[test]
fn bare_streams_have_times_by_their_number() {
    let folder = tempfile::tempdir().unwrap();
    for (rate, codec, container) in [
        ("25", "libx264 -bf 3", "h264"),
        ("30000/1001", "libx264 -bf 0", "h264"),
        ("10", "libx264 -bf 2 -bsf:v h264_metadata=aud=insert", "h264"),
        ("50", "libx265 -x265-params log-level=none", "h265"),
        ("25", "mpeg2video -bf 2", "mpegvideo"),
    ] {
        let raw = match container {
            "h264" => "h264",
            "h265" => "hevc",
            _ => "mpeg2video",
        };
        let file = folder.path().join(format!("{}.{container}", rate.replace('/', "_")));
        ffmpeg(&format!("{} -c:v {codec} -f {raw}", video("320x180", rate)), &file);
        let media = check(&file, container, &[TrackKind::Video], 2000);
        assert_eq!(media.warnings, [], "{container} says its rate");
    }
    // The stream has no time of a frame. These parameters also remove its rate.
    let file = folder.path().join("no-rate.h264");
    let parameters = "-x264-params vfr-input=1:force-cfr=0 -bsf:v h264_metadata=tick_rate=0";
    ffmpeg(&format!("{} -c:v libx264 {parameters} -f h264", video("320x180", "25")), &file);
    check(&file, "h264", &[TrackKind::Video], 2000);
}

#[test]
fn audio_files_of_recorders_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let made =
        |arguments: &str, name: &str| ffmpeg(&format!("{AUDIO} {arguments}"), &folder.path().join(name));
    for (codec, name) in [
        ("pcm_s16be", "s16be.caf"),
        ("pcm_s16le -ac 2", "s16le.caf"),
        ("pcm_s24be", "s24be.caf"),
        ("pcm_f32be", "f32be.caf"),
        ("pcm_mulaw -ar 8000", "mulaw.caf"),
        ("alac", "alac.caf"),
        ("adpcm_ima_qt -ac 2", "ima4.caf"),
        ("libopus", "opus.caf"),
    ] {
        check(&made(&format!("-c:a {codec}"), name), "caf", &[TrackKind::Audio], 2000);
    }
    for (codec, name) in [("pcm_s16le", "s16.w64"), ("pcm_s24le -ac 2", "s24.w64"), ("pcm_f32le", "f32.w64")]
    {
        check(&made(&format!("-c:a {codec}"), name), "w64", &[TrackKind::Audio], 2000);
    }
    check(&made("-c:a pcm_s16le -rf64 always", "rf64.wav"), "wav", &[TrackKind::Audio], 2000);
    for (codec, name) in [("adpcm_ima_wav -ar 16000", "ima.wav"), ("adpcm_ms -ac 2", "ms.wav")] {
        check(&made(&format!("-c:a {codec}"), name), "wav", &[TrackKind::Audio], 2000);
    }
    check(&made("-c:a pcm_s16be", "s16.au"), "au", &[TrackKind::Audio], 2000);
    check(&made("", "tone.wv"), "wavpack", &[TrackKind::Audio], 2000);
    check(&made("-c:a dca -strict -2", "tone.dts"), "dts", &[TrackKind::Audio], 2000);
}

#[test]
fn a_stream_cut_out_of_another_is_read() {
    let folder = tempfile::tempdir().unwrap();
    for (arguments, container, skip) in
        [("-c:a aac", "aac", 101), ("-c:a libmp3lame", "mp3", 1333), ("-c:a ac3", "ac3", 200)]
    {
        let file = ffmpeg(
            &format!("{AUDIO} {arguments} -f {}", if container == "aac" { "adts" } else { container }),
            &folder.path().join(container),
        );
        let bytes = std::fs::read(&file).unwrap();
        std::fs::write(&file, &bytes[skip..]).unwrap();
        check(&file, container, &[TrackKind::Audio], 1960);
    }
}

/// Writes files one after the other into one.
fn appended(folder: &Path, parts: &[&Path]) -> PathBuf {
    let file = folder.join("appended");
    std::fs::write(&file, parts.iter().flat_map(|part| std::fs::read(part).unwrap()).collect::<Vec<_>>())
        .unwrap();
    file
}

#[test]
fn recordings_that_follow_one_another_play_as_one() {
    let folder = tempfile::tempdir().unwrap();
    let made = |arguments: String, name: &str| ffmpeg(&arguments, &folder.path().join(name));
    let one = |codecs: &str, name: &str| made(format!("{} {AUDIO} {codecs}", video("320x180", "25")), name);
    let vp8 = one("-c:v libvpx -c:a libopus -f webm", "vp8");
    let live = one("-c:v libvpx-vp9 -deadline realtime -c:a libopus -live 1 -f webm", "live");
    let mkv = one("-c:v libx264 -bf 2 -c:a aac -f matroska", "mkv");
    let mp4 = one("-c:v libx264 -c:a aac -f mp4", "mp4");
    let fast = one("-c:v libx264 -c:a aac -movflags faststart -f mp4", "fast");
    let fragments = one("-c:v libx264 -g 25 -c:a aac -movflags frag_keyframe+empty_moov -f mp4", "fragments");
    let avi = one("-c:v mpeg4 -c:a libmp3lame -f avi", "avi");
    let flv = one("-c:v libx264 -c:a aac -f flv", "flv");
    let wmv = one("-c:v wmv2 -c:a wmav2 -f asf", "wmv");
    let ogg = made(format!("{AUDIO} -c:a libvorbis -f ogg"), "ogg");
    let wav = made(format!("{AUDIO} -c:a pcm_s16le -f wav"), "wav");
    for (first, second, container, kinds) in [
        (&vp8, &vp8, "matroska", &BOTH[..]),
        (&live, &vp8, "matroska", &BOTH),
        (&vp8, &live, "matroska", &BOTH),
        (&mkv, &live, "matroska", &BOTH),
        (&mp4, &fast, "mp4", &BOTH),
        (&fragments, &fragments, "mp4", &BOTH),
        (&avi, &avi, "avi", &BOTH),
        (&flv, &flv, "flv", &BOTH),
        (&wmv, &wmv, "asf", &BOTH),
        (&ogg, &ogg, "ogg", &BOTH[1..]),
        (&wav, &wav, "wav", &BOTH[1..]),
    ] {
        let file = appended(folder.path(), &[first, second]);
        let end_ms = [first, second].iter().map(|file| inspected(file).unwrap().duration_ms as i64).sum();
        let media = check(&file, container, kinds, end_ms);
        assert_eq!(media.parts.len(), 2, "{container}");
        assert_eq!(media.warnings.iter().map(|w| w.code.as_str()).collect::<Vec<_>>(), ["appended"]);
    }
}

#[test]
fn recordings_that_follow_one_another_may_differ() {
    let folder = tempfile::tempdir().unwrap();
    let made = |arguments: String, name: &str| ffmpeg(&arguments, &folder.path().join(name));
    let small = made(format!("{} {AUDIO} -c:v libvpx -c:a libopus -f webm", video("160x90", "15")), "small");
    let large =
        made(format!("{} -c:v libvpx-vp9 -deadline realtime -f webm", video("640x360", "30")), "large");
    let audio = made(format!("{AUDIO} -c:a libvorbis -f webm"), "audio");
    let media =
        check(&appended(folder.path(), &[&small, &large, &audio]), "matroska", &[TrackKind::Audio], 6020);
    assert_eq!(media.parts.iter().map(|p| p.video_index).collect::<Vec<_>>(), [Some(0), Some(0), None]);
    assert_eq!(media.parts.iter().map(|p| p.audio_index).collect::<Vec<_>>(), [Some(0), None, Some(0)]);
    let video = media.video.as_ref().unwrap();
    assert_eq!((video.width, video.height), (640, 360));
    let file = folder.path().join("appended");
    let (frames, end_ms) = decoded(&file, &media, TrackKind::Video);
    assert_eq!(frames.len(), 30 + 60);
    assert!((end_ms - 4020).abs() < 70, "{end_ms}");
}

#[test]
fn a_recording_that_cannot_be_read_is_left_out_with_a_warning() {
    let folder = tempfile::tempdir().unwrap();
    let made = format!("{} {AUDIO} -c:v libvpx -c:a libopus -f webm", video("160x90", "15"));
    let good = ffmpeg(&made, &folder.path().join("good"));
    let bad = folder.path().join("bad");
    let bytes = std::fs::read(&good).unwrap();
    std::fs::write(&bad, &bytes[..60]).unwrap();
    let media = inspected(&appended(folder.path(), &[&good, &bad])).unwrap();
    assert_eq!(media.parts.len(), 1);
    assert_eq!(media.warnings.iter().map(|w| w.code.as_str()).collect::<Vec<_>>(), ["appended_not_read"]);
}

fn codes(media: &MediaInfo) -> Vec<&str> {
    media.warnings.iter().map(|warning| warning.code.as_str()).collect()
}

#[test]
fn what_follows_a_recording_and_is_none_is_reported() {
    let folder = tempfile::tempdir().unwrap();
    let junk: Vec<u8> = (0..40_000_u32).flat_map(|n| n.wrapping_mul(2_654_435_761).to_be_bytes()).collect();
    let other = std::fs::read(ffmpeg(AUDIO, &folder.path().join("other.au"))).unwrap();
    let h264 = format!("{} {AUDIO} -c:v libx264 -preset ultrafast -c:a aac", video("160x90", "25"));
    let mpeg_4 = format!("{} {AUDIO} -c:v mpeg4 -c:a pcm_s16le", video("160x90", "25"));
    // Damaged pages and tags are skipped, so after them only recognised content is reported.
    for (name, arguments, reports_junk) in [
        ("a.mp4", h264.as_str(), true),
        ("a.mkv", &h264, true),
        ("a.flv", &format!("{h264} -ar 44100"), false),
        ("a.avi", &mpeg_4, true),
        ("a.wav", AUDIO, true),
        ("a.aiff", AUDIO, true),
        ("a.w64", AUDIO, true),
        ("a.caf", AUDIO, true),
        ("a.ogg", &format!("{AUDIO} -c:a libopus"), false),
    ] {
        let file = ffmpeg(arguments, &folder.path().join(name));
        assert_eq!(codes(&inspected(&file).unwrap()), [""; 0], "{name}");
        let plain = std::fs::read(&file).unwrap();
        for (tail, is_reported) in [(&junk, reports_junk), (&vec![0; 200_000], true), (&other, true)] {
            std::fs::write(&file, [&plain[..], tail].concat()).unwrap();
            let media = inspected(&file).unwrap();
            let has = codes(&media).contains(&"appended_not_read");
            assert!(has || !is_reported, "{name} {:?} {:?}", &tail[..4], media.warnings);
        }
        // A program adds only few bytes of notes.
        std::fs::write(&file, [&plain[..], &junk[..5000]].concat()).unwrap();
        assert!(!codes(&inspected(&file).unwrap()).contains(&"appended_not_read"), "{name}");
    }
}

#[test]
fn joined_flac_plays_as_one() {
    let folder = tempfile::tempdir().unwrap();
    let file = ffmpeg(AUDIO, &folder.path().join("a.flac"));
    let plain = std::fs::read(&file).unwrap();
    std::fs::write(&file, plain.repeat(3)).unwrap();
    assert_eq!(codes(&check(&file, "flac", &[TrackKind::Audio], 6000)), ["appended"]);
}

#[test]
fn a_flac_that_was_cut_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let file = ffmpeg("-f lavfi -i sine=f=440:r=48000:d=10", &folder.path().join("a.flac"));
    assert_eq!(codes(&inspected(&file).unwrap()), [""; 0]);
    let plain = std::fs::read(&file).unwrap();
    std::fs::write(&file, &plain[..plain.len() * 7 / 10]).unwrap();
    assert_eq!(codes(&inspected(&file).unwrap()), ["cut_short"]);
}

#[test]
fn an_mxf_that_was_cut_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let arguments = format!("{} {AUDIO} -c:v mpeg2video -c:a pcm_s16le", video("160x90", "25"));
    let file = ffmpeg(&arguments, &folder.path().join("a.mxf"));
    assert_eq!(codes(&inspected(&file).unwrap()), [""; 0]);
    let plain = std::fs::read(&file).unwrap();
    for part in [2, 4, 9] {
        std::fs::write(&file, &plain[..plain.len() * part / 10]).unwrap();
        assert_eq!(codes(&inspected(&file).unwrap()), ["not_closed"], "{part} tenths");
    }
}
