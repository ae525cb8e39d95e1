//! Speech to cues with word times.

use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::source::Source;
use crate::step::StepContext;

/// What the step is asked.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct TranscribeRequest {
    /// The Whisper model file.
    pub model_path: std::path::PathBuf,
    /// The voice activity model file.
    pub vad_model_path: Option<std::path::PathBuf>,
    /// The model's name, for the transcript.
    pub model_name: String,
    /// Language spoken; none to find out.
    pub language: Option<String>,
    /// Threads to use.
    pub threads: u32,
    /// Length of the recording, in ms: captions cover it all.
    pub duration_ms: u64,
}

/// Runs the step.
pub fn run(_request: &TranscribeRequest, _source: Source, _ctx: &StepContext) -> Result<TranscriptReport> {
    Err(crate::Error::internal("not built yet"))
}

/// What was made.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TranscriptReport {
    /// Language of the transcript.
    pub language: String,
    /// Model used.
    pub model: String,
    /// Number of cues; 0 where nobody speaks.
    pub cues: u32,
    /// Number of words.
    pub words: u32,
    /// Time somebody speaks, in ms.
    pub speech_ms: u64,
    /// Path of transcript.json.
    pub json: String,
    /// Path of the WebVTT captions.
    pub vtt: String,
    /// Path of the SRT captions.
    pub srt: String,
    /// Path of the plain text.
    pub text: String,
    /// Path of the subtitles media playlist, where there are cues.
    pub subtitles: Option<String>,
}
