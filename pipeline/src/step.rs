//! The one entry to media work: a step, run in a child process on one source, writing files to one folder.

use std::path::Path;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::context::StepContext;
use crate::error::{Error, Result};
use crate::source::Source;
use crate::steps::{audio, inspect, source_rendition, speech, stills, transcode};

/// What a child process reads as one JSON document on its standard input.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct StepRequest {
    /// What to do.
    pub step: Step,
    /// How the source is reached, through inherited descriptor 3.
    pub source: SourceHandle,
}

/// How a child reads the source through inherited descriptor 3.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum SourceHandle {
    /// Descriptor 3 is the file itself.
    File,
    /// Descriptor 3 is a unix stream socket on which the parent answers range reads.
    Ranges {
        /// Size of the source, in bytes.
        size_bytes: u64,
    },
}

/// A unit of media work.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "step", rename_all = "snake_case")]
pub enum Step {
    /// Says what the file is, or refuses it.
    Inspect(inspect::InspectRequest),
    /// Indexes the source, so that it can be played as it is.
    #[serde(rename = "package_source")]
    SourceRendition(source_rendition::SourceRenditionRequest),
    /// Decodes the sound: two renditions and 16 kHz mono for speech.
    #[serde(rename = "sound")]
    Audio(audio::AudioRequest),
    /// Decodes the picture once and makes the ladder.
    Transcode(transcode::TranscodeRequest),
    /// Poster and storyboard.
    Stills(stills::StillsRequest),
    /// Speech to cues. The source is the 16 kHz WAV that `sound` made.
    Transcribe(speech::TranscribeRequest),
}

impl Step {
    /// The step's name in plans, logs and metrics.
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
    // Speech and the index need no GStreamer; everything else does, from the first caps it names.
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

/// Opens the source a child inherited as descriptor 3.
pub fn open_source(handle: &SourceHandle) -> Result<Source> {
    let descriptor = Path::new("/proc/self/fd/3");
    match handle {
        SourceHandle::File => Ok(Arc::new(crate::source::FileSource::open(descriptor)?)),
        SourceHandle::Ranges { size_bytes } => {
            Ok(Arc::new(crate::source::RangeSource::inherited(3, *size_bytes)?))
        }
    }
}
