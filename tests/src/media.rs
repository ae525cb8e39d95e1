//! Recordings for the tests, made here from nothing, or the composed lesson that `scripts/make-lesson` makes.

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
    /// What is said.
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
    /// What is said when.
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

/// A short recording with a moving picture and a tone.
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

/// A recording whose transcode takes a while: noise, 720p.
pub fn heavy_clip(folder: &Path, seconds: u32) -> PathBuf {
    let out = folder.join(format!("heavy-{seconds}.mp4"));
    ffmpeg(
        &format!(
            "-f lavfi -i testsrc2=s=1280x720:r=30:d={seconds},noise=alls=20:allf=t -f lavfi -i sine=f=440:d={seconds} \
             -c:v libx264 -preset ultrafast -b:v 6M -pix_fmt yuv420p -c:a aac -shortest"
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
    struct Truth {
        utterances: Vec<Utterance>,
    }
    let truth: Truth = serde_json::from_str(&truth).unwrap();
    Lesson { file: folder.join("lesson.mp4"), utterances: truth.utterances }
}
