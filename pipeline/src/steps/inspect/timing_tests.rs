//! Files whose headers and times are wrong as those of real recorders are: when their samples are
//! presented.
#![allow(clippy::unwrap_used)]

use std::process::Command;
use std::sync::Arc;

use super::{InspectRequest, run};
use crate::context::StepContext;
use crate::gst::{TrackDecoder, TrackKind};
use crate::media::MediaInfo;
use crate::source::Bytes;

const SECOND: i64 = 1_000_000_000;

/// Four seconds of 25 frames a second and a tone, made by ffmpeg.
fn made(name: &str, options: &[&str]) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let to = folder.path().join(name);
    let video = ["-f", "lavfi", "-i", "testsrc2=size=160x90:rate=25:duration=4"];
    let audio = ["-f", "lavfi", "-i", "sine=frequency=440:sample_rate=48000:duration=4"];
    let mut ffmpeg = Command::new("ffmpeg");
    ffmpeg.args(["-v", "error"]).args(video).args(audio).args(options).arg(&to);
    assert!(ffmpeg.status().expect("ffmpeg is missing").success(), "{name} {options:?}");
    std::fs::read(to).unwrap()
}

const H264: [&str; 8] = ["-c:v", "libx264", "-preset", "ultrafast", "-bf", "2", "-c:a", "aac"];

fn ctx() -> StepContext {
    StepContext { out_dir: "out".into(), emit: Arc::new(|_| ()), cancel: Arc::default() }
}

fn inspected(file: &[u8]) -> MediaInfo {
    crate::gst::init().unwrap();
    let request = InspectRequest { limits: Default::default(), vad_model_path: None };
    run(&request, Arc::new(Bytes(file.to_vec())), &ctx()).unwrap()
}

fn codes(info: &MediaInfo) -> Vec<&str> {
    info.warnings.iter().map(|warning| warning.code.as_str()).collect()
}

/// Start and end of video and audio, in hundredths of a second.
fn spans(info: &MediaInfo) -> [(u64, u64); 2] {
    let (video, audio) = (info.video.as_ref().unwrap(), info.audio.as_ref().unwrap());
    [(video.start_ms, video.end_ms), (audio.start_ms, audio.end_ms)].map(|(from, to)| (from / 10, to / 10))
}

/// Times of all decoded frames, in ns.
fn frames(file: &[u8], info: &MediaInfo) -> Vec<i64> {
    let source = Arc::new(Bytes(file.to_vec()));
    let mut decoding =
        TrackDecoder::open(source, info, TrackKind::Video, &Default::default(), Vec::new()).unwrap();
    decoding.start().unwrap();
    std::iter::from_fn(|| decoding.next(&ctx()).unwrap()).map(|decoded| decoded.time_ns).collect()
}

/// Offsets of the fields of all boxes of a type.
fn field_offsets(file: &[u8], kind: &[u8; 4]) -> Vec<usize> {
    file.windows(4).enumerate().filter(|(_, window)| window == kind).map(|(at, _)| at + 4).collect()
}

fn write_u32(file: &mut [u8], at: usize, word: u32) {
    file[at..at + 4].copy_from_slice(&word.to_be_bytes());
}

#[test]
fn headers_do_not_say_how_long_an_mp4_is() {
    let plain = made("plain.mp4", &H264);
    // Lengths of the movie, the tracks, their media and their edits.
    let fields = [(b"mvhd", 16), (b"tkhd", 20), (b"mdhd", 16), (b"elst", 8)];
    let lie = |change: &dyn Fn(u32) -> u32, which: &[&[u8; 4]]| {
        let mut file = plain.clone();
        for (kind, at) in fields.iter().filter(|(kind, _)| which.contains(kind)) {
            for field in field_offsets(&plain, kind) {
                let ticks = u32::from_be_bytes(plain[field + at..field + at + 4].try_into().unwrap());
                write_u32(&mut file, field + at, change(ticks));
            }
        }
        file
    };
    let all = fields.map(|(kind, _)| kind);
    for (name, change) in [
        ("long", &(|ticks: u32| ticks * 15) as &dyn Fn(u32) -> u32),
        ("short", &|ticks: u32| ticks / 15),
        ("none", &|_| 0),
        ("unknown", &|_| u32::MAX),
    ] {
        for which in [&all[..1], &all[1..2], &all[2..3], &all[3..], &all[..]] {
            let info = inspected(&lie(change, which));
            assert_eq!(spans(&info), [(0, 400), (0, 400)], "{name} {which:?}");
            assert!(!codes(&info).contains(&"cut_short"), "{name} {which:?}");
        }
    }
}

#[test]
fn tracks_in_fragments_keep_their_own_start() {
    let flags = ["-movflags", "frag_keyframe+empty_moov+default_base_moof+negative_cts_offsets"];
    let plain = made("fragments.mp4", &[&H264[..], &flags].concat());
    for late_ms in [0_u32, 320, 2500, 3_600_000] {
        let mut file = plain.clone();
        for field in field_offsets(&plain, b"tfdt") {
            // The track ID is in the box before; the time has eight bytes.
            let track = field_offsets(&plain[..field], b"tfhd").pop().map(|at| plain[at + 7]).unwrap();
            let (ticks, late) = if track == 2 { (48, late_ms) } else { (0, 0) };
            let at = field + 4;
            let before = u64::from_be_bytes(plain[at..at + 8].try_into().unwrap());
            file[at..at + 8].copy_from_slice(&(before + u64::from(late) * ticks).to_be_bytes());
        }
        let info = inspected(&file);
        let (video, audio) = (info.video.as_ref().unwrap(), info.audio.as_ref().unwrap());
        assert_eq!((video.start_ms, u64::from(late_ms)), (0, audio.start_ms), "{late_ms}");
        assert_eq!(video.end_ms / 10, 400, "{late_ms}");
        assert_eq!(frames(&file, &info).first(), Some(&0), "{late_ms}");
    }
}

#[test]
fn reordered_frames_of_an_avi_are_evenly_spaced() {
    for (codec, bitstream) in
        [("libx264", "h264_mp4toannexb"), ("mpeg4", "null"), ("mpeg4", "mpeg4_unpack_bframes")]
    {
        let options =
            ["-c:v", codec, "-bf", "2", "-bsf:v", bitstream, "-c:a", "pcm_s16le", "-pix_fmt", "yuv420p"];
        let file = made("reordered.avi", &options);
        let info = inspected(&file);
        let times = frames(&file, &info);
        let even = (0..100).map(|frame| frame * SECOND / 25);
        let off = times.iter().zip(even).map(|(time, even)| (time - even).abs()).max();
        assert_eq!(times.len(), 100, "{codec} {bitstream}");
        assert!(off < Some(SECOND / 50), "{codec} {bitstream}: {off:?}");
        assert_eq!(codes(&info), [""; 0]);
    }
}

#[test]
fn the_delay_of_an_encoder_is_no_pause_in_an_avi() {
    // libxvid packs frames, and muxes a chunk without data for each frame that it holds back.
    for reordered in ["1", "2"] {
        let file =
            made("packed.avi", &["-c:v", "libxvid", "-bf", reordered, "-q:v", "3", "-c:a", "pcm_s16le"]);
        let info = inspected(&file);
        let times = frames(&file, &info);
        let even = (0..100).map(|frame| frame * SECOND / 25);
        let off = times.iter().zip(even).map(|(time, even)| (time - even).abs()).max();
        assert!(off < Some(SECOND / 50), "{reordered}: {:?}", &times[..5]);
        assert!(times.len() >= 98, "{reordered}: {} frames", times.len());
        assert_eq!(codes(&info), [""; 0]);
    }
}

#[test]
fn a_file_that_was_not_closed_says_so() {
    let avi = made("open.avi", &["-c:v", "mjpeg", "-c:a", "pcm_s16le"]);
    let info = inspected(&avi[..avi.len() * 6 / 10]);
    assert_eq!(codes(&info), ["not_closed"]);
    assert!((2000..3000).contains(&info.duration_ms), "{}", info.duration_ms);
    assert_eq!(codes(&inspected(&avi)), [""; 0]);
    // A browser closes no file.
    let webm = made("live.webm", &["-c:v", "libvpx", "-c:a", "libopus", "-live", "1"]);
    assert_eq!(codes(&inspected(&webm)), [""; 0]);
}

#[test]
fn a_frame_of_a_minute_does_not_move_the_others() {
    let late = ["-vf", "setpts=if(eq(N\\,0)\\,0\\,PTS+60/TB)", "-vsync", "passthrough"];
    for name in ["long.mp4", "long.mkv"] {
        let file = made(name, &[&H264[..], &late].concat());
        let info = inspected(&file);
        assert_eq!(codes(&info), ["long_frame"], "{name}");
        let [video, _] = spans(&info);
        assert!((390..=410).contains(&video.1), "{name}: {video:?}");
        let times = frames(&file, &info);
        assert!((times[1] - SECOND / 25).abs() < SECOND / 50, "{name}: {:?}", &times[..3]);
        assert_eq!(times.len(), 100, "{name}");
    }
}
