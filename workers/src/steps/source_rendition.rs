//! `package_source`: indexes the uploaded file, so that it can be watched as it is.

use chalkstream_formats::source_index;
use chalkstream_pipeline::limits::Limits;
use chalkstream_pipeline::media::MediaInfo;
use chalkstream_pipeline::step::Step;
use chalkstream_pipeline::steps::source_rendition::{SourceRenditionReport, SourceRenditionRequest};
use chalkstream_store::Notice;
use serde::Deserialize;
use serde_json::Value;

use super::cost::Cost;
use super::definition::{Class, Contribution, Deadline, Execution, Input, StepDefinition};
use super::request::planned;
use super::verify;
use crate::failure::StepFailure;
use crate::outputs::CollectedOutputs;

/// Name of the step.
pub const NAME: &str = "package_source";

/// The step.
pub const DEFINITION: StepDefinition = StepDefinition {
    name: NAME,
    class: Class::Look,
    optional: true,
    requires: &[],
    cost: Cost::SOURCE_RENDITION,
    execution: Execution::Child { deadline: Deadline::PerDuration, input: Input::Source, request: planned },
    verify,
    contribute,
};

/// Which browsers may play the uploaded file as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Support {
    /// All of them: H.264.
    All,
    /// Some of them: H.265.
    Some,
}

/// Returns which browsers may play the file; `None` if its index is not worth a look.
pub fn support(media: &MediaInfo) -> Option<Support> {
    let video = media.video.as_ref().filter(|_| media.container == "mp4")?;
    match video.codec.as_str() {
        "h264" => Some(Support::All),
        "hevc" => Some(Support::Some),
        _ => None,
    }
}

/// The step for a file, with segments of at most this duration.
pub fn plan(media: &MediaInfo, limits: &Limits, max_segment_ms: u64) -> Step {
    let (media, limits) = (media.clone(), limits.clone());
    Step::SourceRendition(SourceRenditionRequest { media, limits, max_segment_ms })
}

fn verify(report: &Value, outputs: &CollectedOutputs, media: Option<&MediaInfo>) -> Result<(), String> {
    let report: SourceRenditionReport = verify::read(report)?;
    for (path, text) in &outputs.playlists {
        // The server assembles the source's segments: they are no objects.
        match path.starts_with("source/") {
            true => verify::ended(path, text)?,
            false => verify::complete(path, text, outputs)?,
        }
    }
    let video = report.video.as_ref().or(report.hevc.as_ref().map(|hevc| &hevc.video));
    let Some(video) = video else {
        return match (&report.declined, &report.audio, outputs.files.keys().next()) {
            (Some(_), None, None) => Ok(()),
            (Some(_), _, _) => Err("the source was declined, but something was made of it".into()),
            (None, _, _) => Err("the source was neither indexed nor declined".into()),
        };
    };
    let track = |name: &str, playlist: &str, segments: u32, duration_ms: u64| {
        verify::rendition(playlist, duration_ms, outputs)?;
        let index = format!("index/{name}");
        verify::made(&index, outputs)?;
        let text = &outputs.playlists[playlist];
        let named = text.lines().filter(|line| line.starts_with("#EXTINF:")).count() as u64;
        let head_bytes = source_index::HEADER_BYTES + named as usize * source_index::ENTRY_BYTES;
        let is_cut = outputs.files[&index].size_bytes <= head_bytes as u64;
        if named != u64::from(segments) || is_cut {
            return Err(format!("{playlist} names {named} segments, {segments} were reported"));
        }
        Ok(())
    };
    track("video", &video.playlist, video.segments, video.duration_ms)?;
    if let Some(audio) = &report.audio {
        track("audio", &audio.playlist, audio.segments, audio.duration_ms)?;
    }
    let expected_ms = media.and_then(|media| media.video.as_ref()).map(|track| track.end_ms);
    let is_lossy = media.is_some_and(verify::is_lossy);
    verify::duration("video", expected_ms, report.duration_ms, is_lossy)
}

fn contribute(report: &Value) -> Result<Contribution, StepFailure> {
    let report = SourceRenditionReport::deserialize(report).map_err(StepFailure::ours)?;
    let source_declined =
        report.declined.map(|declined| Notice { code: declined.code, message: declined.message });
    Ok(Contribution { source_declined, ..Contribution::default() })
}
