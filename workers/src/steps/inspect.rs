//! `inspect`: says what the file is, or refuses it.

use chalkstream_pipeline::media::MediaInfo;
use chalkstream_pipeline::step::Step;
use chalkstream_pipeline::steps::inspect::InspectRequest;
use chalkstream_store::{MediaFacts, StepSpec};
use serde::Deserialize;
use serde_json::Value;

use super::cost::Cost;
use super::definition::{Class, Contribution, Deadline, Execution, Input, StepDefinition};
use super::request::{RequestContext, limits, vad_model};
use super::verify;
use crate::failure::StepFailure;

/// Name of the step.
pub const NAME: &str = StepSpec::FIRST;

/// The step.
pub const DEFINITION: StepDefinition = StepDefinition {
    name: NAME,
    class: Class::Look,
    optional: false,
    requires: &[],
    cost: Cost::INSPECT,
    execution: Execution::Child { deadline: Deadline::Inspection, input: Input::Source, request },
    verify: |_, outputs, _| verify::playlists(outputs),
    contribute,
};

fn request(ctx: &RequestContext<'_>) -> Result<Step, StepFailure> {
    let vad_model_path = vad_model(ctx.settings);
    Ok(Step::Inspect(InspectRequest { limits: limits(ctx.settings), vad_model_path }))
}

fn contribute(report: &Value) -> Result<Contribution, StepFailure> {
    let media = MediaInfo::deserialize(report).map_err(StepFailure::ours)?;
    let video = media.video.as_ref();
    let facts = MediaFacts {
        duration_ms: media.duration_ms,
        width: video.map_or(0, |video| video.width),
        height: video.map_or(0, |video| video.height),
        has_video: video.is_some(),
        has_audio: media.audio.is_some(),
    };
    Ok(Contribution { media: Some(facts), ..Contribution::default() })
}
