//! The sound, decoded once: loudness, two renditions, and 16 kHz mono for speech.

use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::source::Source;
use crate::step::StepContext;

/// What the step is asked.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SoundRequest {
    /// What the file is.
    pub media: crate::media::MediaInfo,
    /// Limits the sound is held to.
    pub limits: crate::media::Limits,
}

/// Runs the step.
pub fn run(_request: &SoundRequest, _source: Source, _ctx: &StepContext) -> Result<SoundReport> {
    Err(crate::Error::internal("not built yet"))
}

/// One audio rendition as made and measured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AudioReport {
    /// Its name: `a32` or `a96`.
    pub name: String,
    /// Channels.
    pub channels: u32,
    /// RFC 6381 codec string.
    pub codecs: String,
    /// Measured peak over one segment, in bits per second.
    pub bandwidth_bps: u64,
    /// Measured mean, in bits per second.
    pub average_bandwidth_bps: u64,
    /// Path of its media playlist, as announced.
    pub playlist: String,
    /// Number of segments.
    pub segments: u32,
    /// Sum of the segments' durations, in ms.
    pub duration_ms: u64,
}

/// What was made.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SoundReport {
    /// Integrated loudness of the source, in LUFS; none for silence.
    pub loudness_lufs: Option<f64>,
    /// True peak of the source, in dBTP.
    pub true_peak_dbtp: f64,
    /// Gain applied, in dB.
    pub gain_db: f64,
    /// The renditions.
    pub renditions: Vec<AudioReport>,
    /// Language the track says it is in.
    pub language: Option<String>,
    /// Path of the 16 kHz mono WAV for speech.
    pub speech: String,
    /// Length of the sound, in ms.
    pub duration_ms: u64,
}
