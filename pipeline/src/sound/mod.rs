//! The sound, decoded once: loudness, two renditions, and 16 kHz mono for speech.

mod aac;
mod decode;
mod fir;
mod limiter;
mod loudness;
mod pcm;
mod rendition;
mod shape;
mod timeline;

#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::source::Source;
use crate::step::StepContext;

/// What the step is asked.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SoundRequest {
    /// What the file is.
    pub media: crate::media::MediaInfo,
    /// Limits the sound is held to.
    pub limits: crate::media::Limits,
}

/// Runs the step: one pass decodes and measures, a second one over the decoded sound makes everything.
pub fn run(request: &SoundRequest, source: Source, ctx: &StepContext) -> Result<SoundReport> {
    let track = request
        .media
        .audio
        .as_ref()
        .ok_or_else(|| Error::internal("a recording without sound was given to the sound step"))?;
    let pcm = ctx.tmp()?.join("sound.pcm");
    let total_ms = track.end_ms.max(1);
    let halves = Halves { ctx, total_ms };
    let pass = decode::decode(source, &request.media, &request.limits, &pcm, ctx, |frames| {
        halves.report(timeline::ms_of_frames(frames).min(total_ms) / 2);
    })?;
    let language = track.language.as_deref().and_then(language_code);
    let renditions = shape::shape(&pcm, pass.frames, &pass.loudness, language, ctx, |frames| {
        halves.report(total_ms / 2 + total_ms * frames / pass.frames.max(1) / 2);
    })?;
    std::fs::remove_file(&pcm)?;
    ctx.progress(total_ms, total_ms);
    Ok(SoundReport {
        loudness_lufs: pass.loudness.integrated_lufs,
        true_peak_dbtp: pass.loudness.true_peak_dbtp,
        gain_db: pass.loudness.gain_db(),
        renditions,
        language: track.language.clone(),
        speech: shape::SPEECH_PATH.to_owned(),
        duration_ms: timeline::ms_of_frames(pass.frames),
        warnings: pass.warnings,
    })
}

/// Progress over two passes.
struct Halves<'a> {
    ctx: &'a StepContext,
    total_ms: u64,
}

impl Halves<'_> {
    fn report(&self, done_ms: u64) {
        self.ctx.progress(done_ms, self.total_ms);
    }
}

/// The three letters MP4 wants, of a tag that has them already.
fn language_code(tag: &str) -> Option<[u8; 3]> {
    tag.as_bytes().try_into().ok().filter(|code: &[u8; 3]| code.iter().all(u8::is_ascii_lowercase))
}

/// One audio rendition as made and measured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AudioReport {
    /// Its name: `a32` or `a96`.
    pub name: String,
    /// Channels.
    pub channels: u32,
    /// RFC 6381 codec string.
    pub codecs: String,
    /// Measured peak over one segment, in bits per second.
    pub bandwidth_bps: u64,
    /// Measured mean, in bits per second.
    pub average_bandwidth_bps: u64,
    /// Path of its media playlist, as announced.
    pub playlist: String,
    /// Number of segments.
    pub segments: u32,
    /// Sum of the segments' durations, in ms.
    pub duration_ms: u64,
}

/// What was made.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SoundReport {
    /// Integrated loudness of the source, in LUFS; none for silence.
    pub loudness_lufs: Option<f64>,
    /// True peak of the source, in dBTP.
    pub true_peak_dbtp: f64,
    /// Gain applied, in dB.
    pub gain_db: f64,
    /// The renditions.
    pub renditions: Vec<AudioReport>,
    /// Language the track says it is in.
    pub language: Option<String>,
    /// Path of the 16 kHz mono WAV for speech.
    pub speech: String,
    /// Length of the sound, in ms.
    pub duration_ms: u64,
    /// What was odd.
    #[serde(default)]
    pub warnings: Vec<crate::media::Warning>,
}
