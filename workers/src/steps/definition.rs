//! Definition of a step kind.

use std::time::Duration;

use chalkstream_config::Settings;
use chalkstream_pipeline::media::MediaInfo;
use chalkstream_pipeline::step::Step;
use chalkstream_store::{MediaFacts, Notice};
use serde_json::Value;

use super::cost::Cost;
use super::request::RequestContext;
use crate::failure::StepFailure;
use crate::outputs::CollectedOutputs;

/// Everything that the worker knows about one kind of step.
pub struct StepDefinition {
    /// Name in the queue, in manifests, logs and the API.
    pub name: &'static str,
    /// When it runs.
    pub class: Class,
    /// Whether the recording is complete without it.
    pub optional: bool,
    /// Capabilities that a worker needs for it.
    pub requires: &'static [&'static str],
    /// What it takes of a machine.
    pub cost: Cost,
    /// How it runs.
    pub execution: Execution,
    /// Checks the report against what was made; an error says what is wrong.
    pub verify: fn(&Value, &CollectedOutputs, Option<&MediaInfo>) -> Result<(), String>,
    /// Returns what its report adds to the manifest.
    pub contribute: fn(&Value) -> Result<Contribution, StepFailure>,
}

/// When a step runs: its priority in the queue and its niceness on the processor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// It looks at the file, or publishes: next to no work, and others wait for it.
    Look,
    /// It makes audio or stills.
    AudioAndStills,
    /// It makes the weak line's rendition.
    WeakLine,
    /// It makes the transcript.
    Words,
    /// It makes the rest of the ladder.
    Ladder,
    /// It waits until nothing else is to be done.
    Idle,
}

impl Class {
    /// Priority in the queue: lower goes first. Earlier builds had 0, 1 and 2, which the queue
    /// still knows.
    pub const fn priority(self) -> i64 {
        match self {
            Self::Look => 0,
            Self::AudioAndStills => 10,
            Self::WeakLine => 20,
            Self::Words => 30,
            Self::Ladder => 40,
            Self::Idle => 50,
        }
    }

    /// Whether the slot for short steps takes it.
    pub const fn is_short(self) -> bool {
        matches!(self, Self::Look | Self::AudioAndStills)
    }

    /// Whether its child leaves the processor to whatever else wants it.
    pub const fn is_background(self) -> bool {
        matches!(self, Self::Words | Self::Ladder | Self::Idle)
    }
}

/// How a step runs.
pub enum Execution {
    /// In a child process.
    Child {
        /// How long it may take.
        deadline: Deadline,
        /// Its input.
        input: Input,
        /// Completes the planned step with results and with the settings of this worker.
        request: fn(&RequestContext<'_>) -> Result<Step, StepFailure>,
    },
    /// In the worker itself: it publishes a revision.
    Publish,
}

/// How the time that a step may take is bounded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deadline {
    /// By `worker.inspect_deadline_ms`, because someone waits for the answer.
    Inspection,
    /// By a base and a multiple of the recording's duration.
    PerDuration,
}

impl Deadline {
    /// Longest time that a step may work on a recording.
    pub fn of_media(self, media: Option<&MediaInfo>, settings: &Settings) -> Duration {
        let worker = &settings.worker;
        match self {
            Self::Inspection => Duration::from_millis(worker.inspect_deadline_ms),
            Self::PerDuration => {
                let duration_ms = media.map_or(0, |media| media.duration_ms) as f64;
                let extra_ms = (duration_ms * worker.step_deadline_per_media.max(0.0)) as u64;
                Duration::from_millis(worker.step_deadline_base_ms.saturating_add(extra_ms))
            }
        }
    }
}

/// Input of a child.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Input {
    /// The uploaded file.
    Source,
    /// The audio that was prepared for speech recognition.
    SpeechAudio,
}

/// Additions of a step's report to the manifest.
#[derive(Debug, Default)]
pub struct Contribution {
    /// Facts about the media.
    pub media: Option<MediaFacts>,
    /// Why the uploaded file itself is not among what can be watched.
    pub source_declined: Option<Notice>,
    /// Files by logical name, as the step announced them.
    pub files: Vec<(&'static str, String)>,
    /// Images that one of the files names. Each has the last part of its path as logical name.
    pub images: Vec<String>,
}

/// For steps that add nothing to the manifest but their objects.
pub fn no_contribution(_report: &Value) -> Result<Contribution, StepFailure> {
    Ok(Contribution::default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bad_file_is_refused_within_ten_seconds() {
        let deadline = Deadline::Inspection.of_media(None, &Settings::default());
        assert!(deadline < Duration::from_secs(10));
    }
}
