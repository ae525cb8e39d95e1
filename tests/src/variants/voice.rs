//! Speech that is hard to find: in a later track, opposed or on one side for a part, quiet after a
//! bang.

use super::maker::Maker;
use super::maker::Voice;
use super::scene::Scene;
use super::variant::Variant;
use crate::check::plain;
use crate::ground_truth::{FfmpegError, GroundTruth, Words};

/// Words of a voice that begins at `from_s`. Half of them are enough: names and short words go
/// wrong.
fn words(voice: &Voice, from_s: f64) -> Words {
    let said: Vec<String> = voice
        .said
        .iter()
        .flat_map(|(_, _, text)| text.split_whitespace().map(plain))
        .filter(|word| word.len() > 3)
        .collect();
    Words { at_least: said.len().div_ceil(2), said, first_s: Some(from_s + voice.said[0].0) }
}

/// When there is speech, moved by `from_s`.
fn spans(voice: &Voice, from_s: f64) -> Vec<(f64, f64)> {
    voice.said.iter().map(|(begin_s, end_s, _)| (from_s + begin_s, from_s + end_s)).collect()
}

/// Contents of the tracks before the one with the voice.
const BEFORE: [(&[&str], &str); 10] = [
    (&["anullsrc=r=48000:cl=stereo"], "mkv"),
    (&["anullsrc=r=48000:cl=stereo"], "mp4"),
    (&["anoisesrc=a=0.0001:r=48000"], "mkv"),
    (&["anullsrc=r=48000:cl=stereo", "anullsrc=r=48000:cl=mono"], "mov"),
    (&["sine=f=440:r=48000"], "mkv"),
    (&["anullsrc=r=48000:cl=mono"], "ts"),
    (&["anoisesrc=a=0.02:r=48000:c=pink"], "mp4"),
    (&["anullsrc=r=44100:cl=stereo", "sine=f=220:r=48000"], "mkv"),
    (&["anoisesrc=a=0.0002:r=48000:c=brown"], "mov"),
    (&["aevalsrc=0.2*sin(2*PI*330*t)*(1+sin(2*PI*0.2*t)):s=48000"], "mp4"),
];

/// The voice comes in a later audio track, sometimes with others behind it.
pub fn track(maker: &mut Maker, index: usize) -> Variant {
    let (before, container) = BEFORE[index % BEFORE.len()];
    let voice = maker.voice(8.0);
    let from_s = maker.any(&[0.5, 2.0]);
    let length_s = from_s + voice.length_s + 1.0;
    let behind = maker.any(&[false, true]);
    let video = Scene { flashes_s: Vec::new(), ..Scene::new((320, 180), "15", length_s) }.video();
    let mut inputs = format!("-f lavfi -i {video}");
    let mut maps = "-map 0:v".to_owned();
    for (n, source) in before.iter().enumerate() {
        inputs.push_str(&format!(" -f lavfi -t {length_s:.3} -i {source}"));
        maps.push_str(&format!(" -map {}:a", n + 1));
    }
    let own = before.len() + 1;
    inputs.push_str(&format!(" -i {}", voice.file.display()));
    maps.push_str(" -map [v]");
    if behind {
        inputs.push_str(&format!(" -f lavfi -t {length_s:.3} -i anullsrc=r=48000:cl=mono"));
        maps.push_str(&format!(" -map {}:a", own + 1));
    }
    let late_ms = (from_s * 1000.0) as u32;
    let file = maker.ffmpeg(
        &format!(
            "{inputs} -filter_complex [{own}:a]adelay={late_ms}:all=1,apad=pad_dur=1[v] {maps} \
             -c:v libx264 -preset ultrafast -pix_fmt yuv420p -c:a aac"
        ),
        &format!("track.{container}"),
    );
    let truth = GroundTruth {
        length_s: Some(length_s),
        audio_track: Some(before.len() as u64),
        voice_s: spans(&voice, from_s),
        words: Some(words(&voice, from_s)),
        // Its clock starts with the packets that come before the first sample.
        misread: if container == "ts" { vec![FfmpegError::Ends] } else { Vec::new() },
        ..GroundTruth::default()
    };
    Variant { file, truth }
}

/// How the voice lies on two channels, as ffmpeg's `pan` says it, and what comes before it.
const SIDES: [(&str, &str); 10] = [
    ("c0=c0|c1=-1*c0", "music"),
    ("c0=c0|c1=0*c0", "music"),
    ("c0=0*c0|c1=c0", "silence"),
    ("c0=c0|c1=-0.6*c0", "music"),
    ("c0=-1*c0|c1=c0", "silence"),
    ("c0=c0|c1=0.01*c0", "music"),
    ("c0=0.02*c0|c1=c0", "music"),
    ("c0=0.5*c0|c1=-0.5*c0", "music"),
    ("c0=c0|c1=-0.9*c0", "silence"),
    ("c0=0*c0|c1=0.3*c0", "music"),
];

/// Both channels have the same music or nothing, then the voice lies on them as above.
pub fn sides(maker: &mut Maker, index: usize) -> Variant {
    let (pan, first) = SIDES[index % SIDES.len()];
    let voice = maker.voice(9.0);
    let before_s = maker.any(&[3.0, 5.0, 6.0]);
    let music = "0.15*sin(2*PI*262*t)+0.1*sin(2*PI*330*t)+0.1*sin(2*PI*392*t)*sin(2*PI*1.5*t)";
    let before = if first == "music" { music } else { "0" };
    let (codec, container) = maker.any(&[
        ("aac -b:a 128k", "mp4"),
        ("pcm_s16le", "wav"),
        ("libopus", "webm"),
        ("libmp3lame", "mp3"),
    ]);
    let file = maker.ffmpeg(
        &format!(
            "-f lavfi -i aevalsrc={before}|{before}:s=48000:d={before_s} -i {} -filter_complex \
             [1:a]pan=stereo|{pan}[s];[0:a][s]concat=n=2:v=0:a=1[a] -map [a] -c:a {codec}",
            voice.file.display()
        ),
        &format!("sides.{container}"),
    );
    let truth = GroundTruth {
        length_s: Some(before_s + voice.length_s),
        voice_s: spans(&voice, before_s),
        words: Some(Words { first_s: None, ..words(&voice, before_s) }),
        // Its mono has no voice.
        misread: vec![FfmpegError::Audio],
        ..GroundTruth::default()
    };
    Variant { file, truth }
}

/// Something loud, as ffmpeg makes it, and the voice's level after it.
const BANGS: [(&str, f64); 10] = [
    ("sine=f=880:r=48000:d=2,volume=8", 0.02),
    ("anoisesrc=r=48000:d=0.3:a=1", 0.02),
    ("anoisesrc=r=48000:d=0.05:a=1", 0.02),
    ("sine=f=440:r=48000:d=1,volume=8", 0.03),
    ("anoisesrc=r=48000:d=1.5:a=0.9:c=pink,volume=4", 0.02),
    ("sine=f=1200:r=48000:d=3,volume=7.9", 0.02),
    ("anoisesrc=r=48000:d=0.1:a=1", 0.05),
    ("sine=f=660:r=48000:d=0.5,volume=8", 0.02),
    ("anoisesrc=r=48000:d=0.02:a=1", 0.02),
    ("sine=f=300:r=48000:d=2.5,volume=8", 0.03),
];

/// A bang, then a quiet voice; sometimes the bang comes in the middle or at the end.
pub fn bang(maker: &mut Maker, index: usize) -> Variant {
    let (bang, share) = BANGS[index % BANGS.len()];
    let voice = maker.voice(10.0);
    let last = index % 3 == 2;
    let (codec, container) =
        maker.any(&[("pcm_s16le", "wav"), ("aac -b:a 128k", "m4a"), ("flac", "flac"), ("libopus", "webm")]);
    let order = if last { "[q][b]" } else { "[b][q]" };
    let file = maker.ffmpeg(
        &format!(
            "-f lavfi -i {bang} -i {} -filter_complex [1:a]volume={share}[q];[0:a]aformat=channel_layouts=mono,\
             apad=pad_dur=0.3[b];{order}concat=n=2:v=0:a=1[a] -map [a] -c:a {codec}",
            voice.file.display()
        ),
        &format!("bang.{container}"),
    );
    let length_s = |graph: &str| -> f64 {
        graph.split("d=").nth(1).and_then(|rest| rest.split([',', ':']).next()?.parse().ok()).unwrap_or(0.0)
    };
    let bang_s = length_s(bang) + 0.3;
    let from_s = if last { 0.0 } else { bang_s };
    let truth = GroundTruth {
        length_s: Some(bang_s + voice.length_s),
        voice_s: spans(&voice, from_s),
        words: Some(words(&voice, from_s)),
        ..GroundTruth::default()
    };
    Variant { file, truth }
}
