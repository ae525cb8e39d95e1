//! Recordings for the tests, made here from nothing, or the composed lesson that
//! `scripts/make-lesson` makes.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde::Deserialize;

use crate::process::tool;

/// One utterance of the composed lesson, with its true times.
#[derive(Clone, Debug, Deserialize)]
pub struct Utterance {
    /// True start of the first word, in ms.
    pub start_ms: u64,
    /// End, in ms.
    pub end_ms: u64,
    /// The words.
    pub text: String,
    /// Its first word.
    pub word: String,
    /// Whether the lesson says that word only once.
    pub unique: bool,
}

/// The composed lesson.
pub struct Lesson {
    /// The recording.
    pub file: PathBuf,
    /// The words and their times.
    pub utterances: Vec<Utterance>,
}

/// Runs ffmpeg quietly with `arguments` and then `out`.
pub fn ffmpeg(arguments: &str, out: &Path) {
    let status = Command::new(tool("ffmpeg", "ffmpeg"))
        .args(["-v", "error", "-nostdin", "-y"])
        .args(arguments.split_whitespace())
        .arg(out)
        .status()
        .unwrap();
    assert!(status.success(), "ffmpeg could not make {}", out.display());
}

/// A short recording with a moving video and a tone.
pub fn clip(folder: &Path, seconds: u32) -> PathBuf {
    let out = folder.join(format!("clip-{seconds}.mp4"));
    ffmpeg(
        &format!(
            "-f lavfi -i testsrc2=s=640x360:r=25:d={seconds} -f lavfi -i sine=f=440:d={seconds} \
             -c:v libx264 -preset ultrafast -pix_fmt yuv420p -c:a aac -shortest"
        ),
        &out,
    );
    out
}

/// White flashes on black and beeps that begin with them, each 2.56 s from 2.56 s on: a turn of
/// 20.48 s, repeated as often as said. That is an integer number of frames of video and audio at
/// both the full and the half frame rate. `uneven` leaves out frames here and there, as phones do,
/// but no flash's first. Returns its length in seconds too.
pub fn flashes(folder: &Path, turns: u32, uneven: bool) -> (PathBuf, f64) {
    let (turn, out) = (folder.join("flashes-turn.mp4"), folder.join("flashes.mp4"));
    let on = |length: f64| format!("lt(mod(t\\,2.56)\\,{length})*gt(t\\,1)");
    let kept = if uneven { ",select=eq(mod(n\\,64)\\,0)+lt(mod(n\\,7)\\,5)" } else { "" };
    ffmpeg(
        &format!(
            "-f lavfi -i color=black:s=320x180:r=25:d=20.48,drawbox=t=fill:c=white:enable='{}'{kept} \
             -f lavfi -i aevalsrc=0.5*sin(2*PI*1000*t)*{}:s=48000:d=20.48 \
             -fps_mode vfr -c:v libx264 -preset ultrafast -g 50 -pix_fmt yuv420p -c:a aac -b:a 96k",
            on(0.159),
            on(0.16)
        ),
        &turn,
    );
    let loops = turns.saturating_sub(1);
    ffmpeg(&format!("-stream_loop {loops} -i {} -c copy -movflags +faststart", turn.display()), &out);
    (out, f64::from(turns) * 20.48)
}

/// A recording whose transcode takes a while: noise, 480 lines.
pub fn heavy_clip(folder: &Path, seconds: u32) -> PathBuf {
    let out = folder.join(format!("heavy-{seconds}.mp4"));
    ffmpeg(
        &format!(
            "-f lavfi -i testsrc2=s=640x480:r=30:d={seconds},noise=alls=20:allf=t -f lavfi -i sine=f=440:d={seconds} \
             -c:v libx264 -preset ultrafast -b:v 3M -pix_fmt yuv420p -c:a aac -shortest"
        ),
        &out,
    );
    out
}

/// The composed lesson of `scripts/make-lesson`, made once and kept in the cache folder.
pub fn lesson() -> Lesson {
    let folder = std::env::var_os("CHALKSTREAM_LESSON")
        .map(PathBuf::from)
        .expect("CHALKSTREAM_LESSON is not set: run the tests with scripts/test, which makes the lesson");
    let truth = std::fs::read_to_string(folder.join("lesson.truth.json")).unwrap();
    #[derive(Deserialize)]
    struct GroundTruth {
        utterances: Vec<Utterance>,
    }
    let truth: GroundTruth = serde_json::from_str(&truth).unwrap();
    Lesson { file: folder.join("lesson.mp4"), utterances: truth.utterances }
}
