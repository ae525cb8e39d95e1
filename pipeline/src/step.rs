//! The entry point of media work: runs one step on one source, and writes files to one folder.

use std::path::Path;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::context::StepContext;
use crate::error::{Error, Result};
use crate::source::Source;
use crate::steps::{audio, inspect, source_rendition, speech, stills, transcode};

/// The request that a child process reads from its standard input, as one JSON document.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct StepRequest {
    /// The step to run.
    pub step: Step,
    /// Access to the source, through inherited descriptor 3.
    pub source: SourceHandle,
}

/// The way in which a child reads the source through inherited descriptor 3.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum SourceHandle {
    /// Descriptor 3 is the file itself.
    File,
    /// Descriptor 3 is a unix stream socket on which the parent serves range reads.
    Ranges {
        /// Size of the source, in bytes.
        size_bytes: u64,
    },
}

/// A unit of media work.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "step", rename_all = "snake_case")]
pub enum Step {
    /// Inspects the file, or refuses it.
    Inspect(inspect::InspectRequest),
    /// Indexes the source, so that it can be played unchanged.
    #[serde(rename = "package_source")]
    SourceRendition(source_rendition::SourceRenditionRequest),
    /// Decodes the audio, and makes two renditions and 16 kHz mono for speech.
    #[serde(rename = "sound")]
    Audio(audio::AudioRequest),
    /// Decodes the video once and makes the ladder.
    Transcode(transcode::TranscodeRequest),
    /// Makes poster and storyboard.
    Stills(stills::StillsRequest),
    /// Transcribes speech to cues. The source is the 16 kHz WAV of the audio step.
    Transcribe(speech::TranscribeRequest),
}

impl Step {
    /// Returns the step's name in plans, logs and metrics.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Inspect(_) => "inspect",
            Self::SourceRendition(_) => "package_source",
            Self::Audio(_) => "sound",
            Self::Transcode(_) => "transcode",
            Self::Stills(_) => "stills",
            Self::Transcribe(_) => "transcribe",
        }
    }
}

/// Runs a step and returns its report as JSON.
pub fn run(step: &Step, source: Source, ctx: &StepContext) -> Result<Value> {
    fn json<T: Serialize>(report: T) -> Result<Value> {
        serde_json::to_value(report)
            .map_err(|e| Error::internal("the report could not be written").with_source(e))
    }
    // Only transcription and the source index do without GStreamer.
    if !matches!(step, Step::Transcribe(_) | Step::SourceRendition(_)) {
        crate::gst::init()?;
    }
    match step {
        Step::Inspect(request) => json(inspect::run(request, source, ctx)?),
        Step::SourceRendition(request) => {
            json(source_rendition::run(request, request.media.source(source), ctx)?)
        }
        Step::Audio(request) => json(audio::run(request, request.media.source(source), ctx)?),
        Step::Transcode(request) => json(transcode::run(request, request.media.source(source), ctx)?),
        Step::Stills(request) => json(stills::run(request, request.media.source(source), ctx)?),
        Step::Transcribe(request) => json(speech::run(request, source, ctx)?),
    }
}

/// Opens the source that a child has inherited as descriptor 3.
pub fn open_source(handle: &SourceHandle) -> Result<Source> {
    let descriptor = Path::new("/proc/self/fd/3");
    match handle {
        SourceHandle::File => Ok(Arc::new(crate::source::FileSource::open(descriptor)?)),
        SourceHandle::Ranges { size_bytes } => {
            Ok(Arc::new(crate::source::RangeSource::from_descriptor(3, *size_bytes)?))
        }
    }
}
