//! The audio step: loudness, two renditions, and 16 kHz mono audio for transcription.
//!
//! The audio is decoded twice, once to measure it and once to render everything. Decoding costs
//! less than anything else here, and 90 minutes of decoded audio are a gigabyte.

mod aac;
mod channels;
mod decode;
mod drift;
mod fir;
mod jumps;
mod levels;
mod limiter;
mod loudness;
mod render;
mod rendition;
mod sample_rate;
mod silencer;
mod stretch;
mod timeline;
mod timestamp_bypass;
mod wav;

#[cfg(test)]
mod tests;
#[cfg(test)]
mod timing_tests;

use loudness::LoudnessMeter;
pub use render::AudioOutputs;
use render::{AudioRenderer, RenderPlan};
use serde::{Deserialize, Serialize};

use crate::context::StepContext;
use crate::error::{Error, Result};
use crate::media::Warning;
use crate::report::AudioRenditionReport;
use crate::source::Source;

/// Measuring is one part in this many of the work.
const MEASURING_DIVISOR: u64 = 3;

/// Request of the step.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct AudioRequest {
    /// Description of the file.
    pub media: crate::media::MediaInfo,
    /// Limits that apply to the audio.
    pub limits: crate::limits::Limits,
    /// The voice activity model file; without one, the envelope of the signal reveals speech.
    #[serde(default)]
    pub vad_model_path: Option<std::path::PathBuf>,
    /// What is made.
    #[serde(default)]
    pub outputs: AudioOutputs,
    /// Spans that are silent in the renditions, in ms, in order.
    #[serde(default)]
    pub silenced_ms: Vec<(u64, u64)>,
}

/// Runs the step: the first pass measures, the second renders everything.
pub fn run(request: &AudioRequest, source: Source, ctx: &StepContext) -> Result<AudioReport> {
    let track = request
        .media
        .audio
        .as_ref()
        .ok_or_else(|| Error::internal("the audio step got a recording without audio"))?;
    let total_ms = track.end_ms.max(1);
    let (mut meter, mut measured) = (LoudnessMeter::new(request.vad_model_path.as_deref())?, 0);
    let first_pass = decode::decode_track(source.clone(), &request.media, &request.limits, ctx, |frames| {
        measured += frames.len() as u64;
        ctx.report_progress(
            sample_rate::ms_from_frames(measured).min(total_ms) / MEASURING_DIVISOR,
            total_ms,
        );
        meter.add(frames)
    })?;
    let loudness = meter.finish()?;
    let plan = RenderPlan {
        outputs: request.outputs,
        silenced_ms: &request.silenced_ms,
        language: track.language.as_deref().and_then(language_code),
    };
    let (mut renderer, mut rendered) = (AudioRenderer::new(ctx, first_pass.frames, &loudness, &plan)?, 0);
    decode::decode_track(source, &request.media, &request.limits, ctx, |frames| {
        rendered += frames.len() as u64;
        let measured_ms = total_ms / MEASURING_DIVISOR;
        ctx.report_progress(
            measured_ms + (total_ms - measured_ms) * rendered / first_pass.frames.max(1),
            total_ms,
        );
        renderer.push(frames)
    })?;
    let mut warnings = first_pass.warnings;
    if !warnings.iter().any(Warning::is_loss) && !renderer.is_complete() {
        warnings
            .push(Warning::new("damaged", "The sound is damaged: it could not be read the same way twice."));
    }
    let (renditions, speech) = renderer.finish()?;
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
        duration_ms: sample_rate::ms_from_frames(first_pass.frames),
        warnings,
    })
}

/// Returns a tag as MP4's three letters, if it has this form already.
fn language_code(tag: &str) -> Option<[u8; 3]> {
    tag.as_bytes().try_into().ok().filter(|code: &[u8; 3]| code.iter().all(u8::is_ascii_lowercase))
}

/// Report of the step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AudioReport {
    /// Integrated loudness of the source, in LUFS; `None` for silence.
    pub loudness_lufs: Option<f64>,
    /// Loudness of the speech in the source, in LUFS; `None` if there is too little of it. The gain
    /// follows it.
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
    /// Language that the track declares.
    pub language: Option<String>,
    /// Paths of the parts of the 16 kHz mono WAV file for transcription, in order.
    pub speech: Vec<String>,
    /// Duration of the audio, in ms.
    pub duration_ms: u64,
    /// Warnings about damage and repairs.
    #[serde(default)]
    pub warnings: Vec<Warning>,
}
