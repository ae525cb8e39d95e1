//! The kinds of steps, one file each: name, class, cost, request, verification, and contribution to
//! the manifest. A new kind is a file here, a variant of [`StepKind`], and a place in the planner's
//! graph.

pub mod audio;
pub mod cost;
mod definition;
pub mod finish;
pub mod inspect;
pub mod ladder;
pub mod publish;
pub mod request;
pub mod result;
pub mod silenced_audio;
pub mod source_rendition;
pub mod stills;
pub mod transcribe;
pub mod verify;
pub mod weak_line;

use chalkstream_pipeline::media::MediaInfo;
use serde_json::Value;

pub use definition::{Class, Contribution, Execution, Input, StepDefinition};

use crate::outputs::CollectedOutputs;

/// A kind of step. Its name in the queue and in manifests is [`StepDefinition::name`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StepKind {
    /// Says what the file is.
    Inspect,
    /// Indexes the source, so that it is a rendition.
    SourceRendition,
    /// Publishes the source rendition.
    PublishSource,
    /// Decodes the audio.
    Audio,
    /// Decodes the audio for speech recognition alone.
    SpeechAudio,
    /// Makes poster and storyboard, and the rendition of stills.
    Stills,
    /// Publishes audio and stills.
    PublishStills,
    /// Makes the weak line's rendition.
    WeakLine,
    /// Publishes the weak line's rendition.
    PublishWeakLine,
    /// Makes the rest of the ladder.
    Ladder,
    /// Makes the renditions that may wait for idle time.
    LadderTop,
    /// Publishes the ladder.
    PublishLadder,
    /// Makes the transcript.
    Transcribe,
    /// Decodes the audio, and silences names in it.
    SilencedAudio,
    /// Publishes the last revision.
    Finish,
}

impl StepKind {
    /// All kinds.
    pub const ALL: [Self; 15] = [
        Self::Inspect,
        Self::SourceRendition,
        Self::PublishSource,
        Self::Audio,
        Self::SpeechAudio,
        Self::Stills,
        Self::PublishStills,
        Self::WeakLine,
        Self::PublishWeakLine,
        Self::Ladder,
        Self::LadderTop,
        Self::PublishLadder,
        Self::Transcribe,
        Self::SilencedAudio,
        Self::Finish,
    ];

    /// Everything about the kind.
    pub fn definition(self) -> &'static StepDefinition {
        match self {
            Self::Inspect => &inspect::DEFINITION,
            Self::SourceRendition => &source_rendition::DEFINITION,
            Self::PublishSource => &publish::SOURCE,
            Self::Audio => &audio::DEFINITION,
            Self::SpeechAudio => &audio::SPEECH,
            Self::Stills => &stills::DEFINITION,
            Self::PublishStills => &publish::STILLS,
            Self::WeakLine => &weak_line::DEFINITION,
            Self::PublishWeakLine => &publish::WEAK_LINE,
            Self::Ladder => &ladder::DEFINITION,
            Self::LadderTop => &ladder::TOP,
            Self::PublishLadder => &publish::LADDER,
            Self::Transcribe => &transcribe::DEFINITION,
            Self::SilencedAudio => &silenced_audio::DEFINITION,
            Self::Finish => &finish::DEFINITION,
        }
    }

    /// Returns the kind with a name; `None` if this program has none.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// Name in the queue, in manifests, logs and the API.
    pub fn name(self) -> &'static str {
        self.definition().name
    }

    /// Whether the step publishes a revision.
    pub fn is_publication(self) -> bool {
        matches!(self.definition().execution, Execution::Publish)
    }

    /// Checks what a step made against its report.
    pub fn verify(
        self,
        report: &Value,
        outputs: &CollectedOutputs,
        media: Option<&MediaInfo>,
    ) -> Result<(), String> {
        verify::no_empty_files(outputs)?;
        (self.definition().verify)(report, outputs, media)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_are_unique_and_lead_back_to_their_kind() {
        let names: BTreeSet<&str> = StepKind::ALL.into_iter().map(StepKind::name).collect();
        assert_eq!(names.len(), StepKind::ALL.len());
        for kind in StepKind::ALL {
            assert_eq!(StepKind::from_name(kind.name()), Some(kind));
        }
        assert_eq!(StepKind::from_name("other"), None);
        assert_eq!(StepKind::Inspect.name(), chalkstream_store::StepSpec::FIRST);
    }
}
