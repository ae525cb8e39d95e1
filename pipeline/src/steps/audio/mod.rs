//! The sound: loudness, two renditions, and 16 kHz mono for speech. It is decoded twice, once to measure it and once to
//! make everything: decoding costs less than anything else here, and 90 minutes of decoded sound are a gigabyte.

mod aac;
mod channels;
mod decode;
mod drift;
mod fir;
mod jumps;
mod levels;
mod limiter;
mod loudness;
mod packet_times;
mod render;
mod rendition;
mod stretch;
mod timeline;
mod wav;

#[cfg(test)]
mod tests;
#[cfg(test)]
mod timing_tests;

use loudness::Meter;
use render::Shaper;
use serde::{Deserialize, Serialize};

use crate::context::StepContext;
use crate::error::{Error, Result};
use crate::media::Warning;
use crate::report::AudioRenditionReport;
use crate::source::Source;

/// Measuring is one part in so many of the work.
const MEASURING: u64 = 3;

/// What the step is asked.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct AudioRequest {
    /// What the file is.
    pub media: crate::media::MediaInfo,
    /// Limits the sound is held to.
    pub limits: crate::limits::Limits,
    /// The voice activity model file; without one, speech is found by the envelope of the signal.
    #[serde(default)]
    pub vad_model_path: Option<std::path::PathBuf>,
}

/// Runs the step: the first pass measures, the second makes everything.
pub fn run(request: &AudioRequest, source: Source, ctx: &StepContext) -> Result<AudioReport> {
    let track = request
        .media
        .audio
        .as_ref()
        .ok_or_else(|| Error::internal("a recording without sound was given to the sound step"))?;
    let total_ms = track.end_ms.max(1);
    let (mut meter, mut measured) = (Meter::new(request.vad_model_path.as_deref())?, 0);
    let pass = decode::decode(source.clone(), &request.media, &request.limits, ctx, |frames| {
        measured += frames.len() as u64;
        ctx.report_progress(timeline::ms_of_frames(measured).min(total_ms) / MEASURING, total_ms);
        meter.add(frames)
    })?;
    let loudness = meter.finish()?;
    let language = track.language.as_deref().and_then(language_code);
    let (mut shaper, mut made) = (Shaper::new(ctx, pass.frames, &loudness, language)?, 0);
    let again = decode::decode(source, &request.media, &request.limits, ctx, |frames| {
        made += frames.len() as u64;
        let begun_ms = total_ms / MEASURING;
        ctx.report_progress(begun_ms + (total_ms - begun_ms) * made / pass.frames.max(1), total_ms);
        shaper.push(frames)
    })?;
    let mut warnings = pass.warnings;
    if !warnings.iter().any(Warning::is_loss) && !shaper.is_whole() {
        tracing::warn!(first = pass.frames, second = again.frames, "the sound was decoded to two lengths");
        warnings
            .push(Warning::new("damaged", "The sound is damaged: it could not be read the same way twice."));
    }
    let (renditions, speech) = shaper.finish()?;
    ctx.report_progress(total_ms, total_ms);
    Ok(AudioReport {
        loudness_lufs: loudness.integrated_lufs,
        speech_lufs: loudness.speech_lufs,
        speech_share: loudness.speech_share,
        true_peak_dbtp: loudness.true_peak_dbtp,
        gain_db: loudness.gain_db(),
        renditions,
        language: track.language.clone(),
        speech,
        duration_ms: timeline::ms_of_frames(pass.frames),
        warnings,
    })
}

/// The three letters MP4 wants, of a tag that has them already.
fn language_code(tag: &str) -> Option<[u8; 3]> {
    tag.as_bytes().try_into().ok().filter(|code: &[u8; 3]| code.iter().all(u8::is_ascii_lowercase))
}

/// What was made.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AudioReport {
    /// Integrated loudness of the source, in LUFS; none for silence.
    pub loudness_lufs: Option<f64>,
    /// Loudness of the speech in the source, in LUFS; `None` if there is too little of it. The gain follows it.
    #[serde(default)]
    pub speech_lufs: Option<f64>,
    /// Share of the time in which there is speech, from 0 to 1.
    #[serde(default)]
    pub speech_share: f64,
    /// True peak of the source, in dBTP.
    pub true_peak_dbtp: f64,
    /// Gain applied, in dB.
    pub gain_db: f64,
    /// The renditions.
    pub renditions: Vec<AudioRenditionReport>,
    /// Language the track says it is in.
    pub language: Option<String>,
    /// Paths of the parts of the 16 kHz mono WAV for speech, in order.
    pub speech: Vec<String>,
    /// Length of the sound, in ms.
    pub duration_ms: u64,
    /// What was odd.
    #[serde(default)]
    pub warnings: Vec<Warning>,
}
