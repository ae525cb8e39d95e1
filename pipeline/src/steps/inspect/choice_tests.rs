//! The choice among audio tracks, in files that ffmpeg makes of the lesson and of synthetic audio.

#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use super::{InspectRequest, run};
use crate::limits::Limits;
use crate::media::AudioTrack;
use crate::source::FileSource;

/// Length of the files, in s.
const LENGTH_S: u32 = 40;

/// Makes a file with these audio tracks, each a filter graph over the voice, input 0.
fn made(folder: &Path, name: &str, codecs: &str, tracks: &[&str]) -> PathBuf {
    let lesson = std::env::var_os("CHALKSTREAM_LESSON").map(PathBuf::from).unwrap().join("lesson.mp4");
    let file = folder.join(name);
    let graph: Vec<String> = tracks.iter().enumerate().map(|(i, track)| format!("{track}[t{i}]")).collect();
    let mut ffmpeg = Command::new("ffmpeg");
    ffmpeg.args(["-v", "error", "-nostdin", "-y", "-i"]).arg(lesson);
    ffmpeg.args(["-f", "lavfi", "-i", "testsrc2=s=160x120:r=5", "-filter_complex", &graph.join(";")]);
    if !name.ends_with(".m4a") && !name.ends_with(".ogg") {
        ffmpeg.args(["-map", "1:v"]);
    }
    for index in 0..tracks.len() {
        ffmpeg.args(["-map", &format!("[t{index}]")]);
    }
    ffmpeg.args(codecs.split_whitespace()).args(["-t", &LENGTH_S.to_string()]).arg(&file);
    assert!(ffmpeg.status().expect("ffmpeg is needed: scripts/setup test installs it").success(), "{name}");
    file
}

/// What is chosen of a file, by the network or by the envelope.
fn chosen(file: &Path, with_model: bool) -> AudioTrack {
    let folder = tempfile::tempdir().unwrap();
    let (ctx, _) = crate::context::capturing_context(folder.path());
    crate::gst::init().unwrap();
    let vad_model_path = with_model.then(crate::voice::test_model);
    let request = InspectRequest { limits: Limits::default(), vad_model_path };
    run(&request, Arc::new(FileSource::open(file).unwrap()), &ctx).unwrap().audio.unwrap()
}

const VOICE: &str = "[0:a]aresample=48000";
const SILENCE: &str = "anullsrc=r=48000";
const NOISE: &str = "anoisesrc=r=48000:a=0.1";
/// A held chord that swells: loud, and no speech for either method.
const MUSIC: &str = "aevalsrc='0.2*(sin(440*PI*t)+sin(554*PI*t)+sin(659*PI*t))*(0.6+0.4*sin(PI*t))':s=48000";
/// A voice that a far microphone has, with noise of its own.
const QUIET: &str = "[0:a]aresample=48000,volume=-22dB";
/// A voice that is gone after the first fifth.
const MUTED: &str = "[0:a]aresample=48000,volume=enable='gt(t,8)':volume=0";
/// A voice that starts at the middle.
const LATE: &str = "[0:a]aresample=48000,adelay=20000:all=1";
const SURROUND: &str = "[0:a]aresample=48000,pan=5.1|FC=c0";

#[test]
fn the_track_with_the_voice_is_taken_in_every_container() {
    let folder = tempfile::tempdir().unwrap();
    let x264_aac = "-c:v libx264 -preset ultrafast -c:a aac";
    let cases: [(&str, &str, &[&str], u32, &str); 14] = [
        ("silent.mkv", x264_aac, &[SILENCE, VOICE], 1, "only_audible"),
        ("silent.mp4", x264_aac, &[SILENCE, VOICE, NOISE], 1, "only_speech"),
        ("silent.m4a", "-c:a aac", &[SILENCE, SILENCE, QUIET], 2, "only_audible"),
        ("music.mkv", x264_aac, &[MUSIC, QUIET], 1, "only_speech"),
        ("music.ts", x264_aac, &[MUSIC, VOICE], 1, "only_speech"),
        ("music.avi", "-c:v mpeg4 -c:a libmp3lame", &[MUSIC, VOICE], 1, "only_speech"),
        ("music.ogg", "-c:a libvorbis", &[MUSIC, VOICE], 1, "only_speech"),
        (
            "music.webm",
            "-c:v libvpx -deadline realtime -cpu-used 8 -c:a libopus",
            &[MUSIC, QUIET],
            1,
            "only_speech",
        ),
        ("noise.mov", "-c:v libx264 -preset ultrafast -c:a pcm_s16le", &[NOISE, VOICE], 1, "only_speech"),
        (
            "late.mp4",
            "-c:v libx264 -preset ultrafast -c:a aac -movflags empty_moov+frag_keyframe",
            &[NOISE, LATE],
            1,
            "only_speech",
        ),
        ("muted.mkv", "-c:v libx264 -preset ultrafast -g 1000 -c:a aac", &[MUTED, VOICE], 1, "most_speech"),
        ("first.mp4", x264_aac, &[VOICE, MUSIC], 0, "only_speech"),
        ("equal.mp4", x264_aac, &[SURROUND, VOICE], 0, "first_in_file"),
        ("alone.mkv", x264_aac, &[VOICE], 0, ""),
    ];
    for (name, codecs, tracks, index, code) in cases {
        let file = made(folder.path(), name, codecs, tracks);
        for with_model in [true, false] {
            let audio = chosen(&file, with_model);
            let reason = audio.chosen.as_ref().map_or("", |choice| choice.code.as_str());
            assert_eq!((audio.stream_index, reason), (index, code), "{name}, model: {with_model}");
        }
    }
}
