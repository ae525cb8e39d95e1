//! `transcript.json` as corrections need it. Fields that this server does not know stay as they
//! are.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// A lesson's words.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TranscriptDocument {
    /// The cues, in order.
    #[serde(default)]
    pub cues: Vec<TranscriptCue>,
    /// All else.
    #[serde(flatten)]
    pub rest: Map<String, Value>,
}

/// One caption.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TranscriptCue {
    /// Number, from 1; 0 if it has none.
    #[serde(default)]
    pub id: u64,
    /// Start in ms.
    pub start_ms: u64,
    /// End in ms.
    pub end_ms: u64,
    /// Its text on one line.
    #[serde(default)]
    pub text: String,
    /// Its words with their times.
    #[serde(default)]
    pub words: Vec<TranscriptWord>,
    /// True if a person wrote some of it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub corrected: bool,
    /// All else.
    #[serde(flatten)]
    pub rest: Map<String, Value>,
}

/// One word with its time.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TranscriptWord {
    /// Start in ms.
    pub start_ms: u64,
    /// End in ms.
    pub end_ms: u64,
    /// The word, maybe with punctuation.
    pub text: String,
    /// All else, such as the recogniser's confidence.
    #[serde(flatten)]
    pub rest: Map<String, Value>,
}

impl TranscriptDocument {
    /// Reads a `transcript.json`.
    ///
    /// # Errors
    /// If it is none.
    pub fn parse(body: &[u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(body)
    }

    /// True if spaces separate the words of its language.
    pub fn uses_spaces(&self) -> bool {
        self.cues.iter().any(|cue| cue.text.trim().contains(' '))
            || self.cues.iter().all(|cue| cue.words.len() < 2)
    }
}

/// The text of words.
pub fn join(words: &[TranscriptWord], uses_spaces: bool) -> String {
    let texts: Vec<&str> = words.iter().map(|word| word.text.trim()).collect();
    texts.join(if uses_spaces { " " } else { "" })
}

/// A word as words are compared: without case and marks. Empty if it has nothing else.
pub fn normalized(word: &str) -> String {
    word.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}
