//! `stills`: makes poster and storyboard, and the rendition of stills.

use chalkstream_pipeline::limits::Limits;
use chalkstream_pipeline::media::MediaInfo;
use chalkstream_pipeline::step::Step;
use chalkstream_pipeline::steps::stills::{StillsReport, StillsRequest};
use serde::Deserialize;
use serde_json::Value;

use super::cost::Cost;
use super::definition::{Class, Contribution, Deadline, Execution, Input, StepDefinition};
use super::request::planned;
use super::verify;
use crate::failure::StepFailure;
use crate::outputs::CollectedOutputs;

/// Name of the step.
pub const NAME: &str = "stills";

/// The step.
pub const DEFINITION: StepDefinition = StepDefinition {
    name: NAME,
    class: Class::AudioAndStills,
    optional: true,
    requires: &[],
    cost: Cost::STILLS,
    execution: Execution::Child { deadline: Deadline::PerDuration, input: Input::Source, request: planned },
    verify,
    contribute,
};

/// The step for a file.
pub fn plan(media: &MediaInfo, limits: &Limits) -> Step {
    Step::Stills(StillsRequest { media: media.clone(), limits: limits.clone() })
}

fn verify(report: &Value, outputs: &CollectedOutputs, _media: Option<&MediaInfo>) -> Result<(), String> {
    verify::playlists(outputs)?;
    let report: StillsReport = verify::read(report)?;
    verify::made(&report.poster, outputs)?;
    if let Some(made) = &report.rendition {
        verify::rendition(&made.playlist, made.duration_ms, outputs)?;
    }
    if let Some(storyboard) = &report.storyboard {
        verify::made(&storyboard.vtt, outputs)?;
        storyboard.sheets.iter().try_for_each(|sheet| verify::made(sheet, outputs))?;
    }
    Ok(())
}

fn contribute(report: &Value) -> Result<Contribution, StepFailure> {
    let report = StillsReport::deserialize(report).map_err(StepFailure::ours)?;
    let mut made = Contribution::default();
    made.files.push(("poster", report.poster));
    if let Some(storyboard) = report.storyboard {
        made.files.push(("storyboard.vtt", storyboard.vtt));
        made.images = storyboard.sheets;
    }
    Ok(made)
}
