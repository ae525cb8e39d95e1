//! `sound`: decodes the audio into its renditions, and into what speech recognition reads.
//! `speech_audio`: makes the latter alone, where names are silenced in the renditions.

use chalkstream_pipeline::limits::Limits;
use chalkstream_pipeline::media::{MediaInfo, Warning};
use chalkstream_pipeline::step::Step;
use chalkstream_pipeline::steps::audio::{AudioOutputs, AudioReport, AudioRequest};
use serde_json::Value;

use super::cost::Cost;
use super::definition::{Class, Deadline, Execution, Input, StepDefinition, no_contribution};
use super::request::{RequestContext, planned, vad_model};
use super::result::Results;
use super::verify;
use crate::failure::StepFailure;
use crate::outputs::CollectedOutputs;

/// Name of the step.
pub const NAME: &str = "sound";
/// Name of the step that makes audio for speech recognition alone.
pub const SPEECH_NAME: &str = "speech_audio";

/// The step that makes audio for speech recognition alone.
pub const SPEECH: StepDefinition = StepDefinition { name: SPEECH_NAME, verify: verify_speech, ..DEFINITION };

/// The step.
pub const DEFINITION: StepDefinition = StepDefinition {
    name: NAME,
    class: Class::AudioAndStills,
    optional: false,
    requires: &[],
    cost: Cost::AUDIO,
    execution: Execution::Child { deadline: Deadline::PerDuration, input: Input::Source, request },
    verify,
    contribute: no_contribution,
};

/// The step for a file.
pub fn plan(media: &MediaInfo, limits: &Limits, outputs: AudioOutputs) -> Step {
    let (media, limits) = (media.clone(), limits.clone());
    Step::Audio(AudioRequest { media, limits, vad_model_path: None, outputs, silenced_ms: Vec::new() })
}

/// Name of the step that made the audio for speech recognition.
pub fn speech_step(results: &Results) -> &'static str {
    if results.get(SPEECH_NAME).is_some() { SPEECH_NAME } else { NAME }
}

/// Paths of the audio that was prepared for speech recognition, and the fence of the attempt that
/// made it.
pub fn speech_parts(results: &Results) -> Result<(Vec<String>, u64), StepFailure> {
    let step = speech_step(results);
    let report: AudioReport =
        results.report(step)?.ok_or_else(|| StepFailure::ours("there is no audio to transcribe"))?;
    Ok((report.speech, results.fence(step)))
}

/// The planned step, with the voice activity model of this worker.
pub fn request(ctx: &RequestContext<'_>) -> Result<Step, StepFailure> {
    let mut step = planned(ctx)?;
    if let Step::Audio(request) = &mut step {
        request.vad_model_path = vad_model(ctx.settings);
    }
    Ok(step)
}

fn verify(report: &Value, outputs: &CollectedOutputs, media: Option<&MediaInfo>) -> Result<(), String> {
    let report: AudioReport = verify::read(report)?;
    verify_renditions(&report, outputs)?;
    verify_parts(&report, outputs)?;
    verify_duration(&report, media)
}

fn verify_speech(
    report: &Value,
    outputs: &CollectedOutputs,
    media: Option<&MediaInfo>,
) -> Result<(), String> {
    let report: AudioReport = verify::read(report)?;
    if outputs.files.keys().any(|path| !report.speech.contains(path)) {
        return Err("there is more than audio for speech recognition".into());
    }
    verify_parts(&report, outputs)?;
    verify_duration(&report, media)
}

/// Checks the renditions.
pub fn verify_renditions(report: &AudioReport, outputs: &CollectedOutputs) -> Result<(), String> {
    verify::playlists(outputs)?;
    let renditions = report.renditions.iter();
    let renditions = renditions.map(|made| (&*made.name, &*made.playlist, made.duration_ms));
    verify::renditions("audio", renditions, report.duration_ms, outputs)
}

fn verify_parts(report: &AudioReport, outputs: &CollectedOutputs) -> Result<(), String> {
    if report.speech.is_empty() {
        return Err("there is no audio for speech recognition".into());
    }
    report.speech.iter().try_for_each(|part| verify::made(part, outputs))
}

/// Checks the length against the recording's.
pub fn verify_duration(report: &AudioReport, media: Option<&MediaInfo>) -> Result<(), String> {
    let is_lossy = media.is_some_and(verify::is_lossy) || report.warnings.iter().any(Warning::is_loss);
    let expected_ms = media.and_then(|media| media.audio.as_ref()).map(|track| track.end_ms);
    verify::duration("audio", expected_ms, report.duration_ms, is_lossy)
}
