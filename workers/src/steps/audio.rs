//! `sound`: decodes the audio into its renditions, and into what speech recognition reads.

use chalkstream_pipeline::limits::Limits;
use chalkstream_pipeline::media::{MediaInfo, Warning};
use chalkstream_pipeline::step::Step;
use chalkstream_pipeline::steps::audio::{AudioReport, AudioRequest};
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
pub fn plan(media: &MediaInfo, limits: &Limits) -> Step {
    let (media, limits) = (media.clone(), limits.clone());
    Step::Audio(AudioRequest { media, limits, vad_model_path: None })
}

/// Paths of the audio that was prepared for speech recognition, and the fence of the attempt that
/// made it.
pub fn speech_parts(results: &Results) -> Result<(Vec<String>, u64), StepFailure> {
    let report: AudioReport =
        results.report(NAME)?.ok_or_else(|| StepFailure::ours("there is no audio to transcribe"))?;
    Ok((report.speech, results.fence(NAME)))
}

fn request(ctx: &RequestContext<'_>) -> Result<Step, StepFailure> {
    let mut step = planned(ctx)?;
    if let Step::Audio(request) = &mut step {
        request.vad_model_path = vad_model(ctx.settings);
    }
    Ok(step)
}

fn verify(report: &Value, outputs: &CollectedOutputs, media: Option<&MediaInfo>) -> Result<(), String> {
    verify::playlists(outputs)?;
    let report: AudioReport = verify::read(report)?;
    let renditions = report.renditions.iter();
    let renditions = renditions.map(|made| (&*made.name, &*made.playlist, made.duration_ms));
    verify::renditions("audio", renditions, report.duration_ms, outputs)?;
    if report.speech.is_empty() {
        return Err("there is no audio for speech recognition".into());
    }
    report.speech.iter().try_for_each(|part| verify::made(part, outputs))?;
    let is_lossy = media.is_some_and(verify::is_lossy) || report.warnings.iter().any(Warning::is_loss);
    let expected_ms = media.and_then(|media| media.audio.as_ref()).map(|track| track.end_ms);
    verify::duration("audio", expected_ms, report.duration_ms, is_lossy)
}
