//! A cue as the API returns it.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::layer::Correction;
use super::transcript::TranscriptCue;
use crate::clock::rfc3339;

/// The persons whom a response names.
#[derive(Clone, Copy, Debug)]
pub enum Revealed<'a> {
    /// All authors.
    All,
    /// This viewer alone.
    Only(&'a str),
}

impl Revealed<'_> {
    fn name(self, author: &str) -> Option<String> {
        let is_revealed = match self {
            Revealed::All => true,
            Revealed::Only(viewer) => viewer == author,
        };
        is_revealed.then(|| author.to_owned())
    }
}

/// A cue and its versions.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Cue)]
pub struct CueView {
    /// Its number in the transcript.
    id: u64,
    /// Start in ms.
    start_ms: u64,
    /// End in ms.
    end_ms: u64,
    /// The text that applies.
    text: String,
    /// The text before the first correction; absent if there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    recognised: Option<String>,
    /// Its corrections, oldest first; the last 32.
    versions: Vec<VersionView>,
}

/// One correction of a cue.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = CueVersion)]
pub struct VersionView {
    /// The number of the change among all of the recording.
    number: u64,
    /// The text.
    text: String,
    /// The person who wrote it. Absent for viewers who did not.
    #[serde(skip_serializing_if = "Option::is_none")]
    author: Option<String>,
    /// When (RFC 3339).
    at: String,
    /// Whether it was taken back.
    undone: bool,
}

impl CueView {
    /// A cue with its correction. Authors that are not `revealed` are left out.
    pub fn new(cue: &TranscriptCue, correction: Option<&Correction>, revealed: Revealed<'_>) -> Self {
        let versions = correction.into_iter().flat_map(|one| &one.versions);
        Self {
            id: cue.id,
            start_ms: cue.start_ms,
            end_ms: cue.end_ms,
            text: cue.text.clone(),
            recognised: correction.map(|one| one.anchor.quote.clone()),
            versions: versions
                .map(|version| VersionView {
                    number: version.number,
                    text: version.text.clone(),
                    author: revealed.name(&version.author),
                    at: rfc3339(version.at_ms / 1000),
                    undone: version.undone.is_some(),
                })
                .collect(),
        }
    }
}

/// The new text of a cue.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CueText {
    /// At most 1,000 characters; line breaks become spaces. Empty if nothing was said.
    pub text: String,
}
