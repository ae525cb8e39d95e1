//! `transcript.json`, as the transcribe step writes it, cut into the pieces that are indexed.

use serde::{Deserialize, Serialize};

/// A lesson's words.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Transcript {
    /// Language spoken, a BCP 47 tag.
    #[serde(default)]
    pub language: String,
    /// The cues, in order.
    #[serde(default)]
    pub cues: Vec<Cue>,
}

/// One caption.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Cue {
    /// Start in ms.
    pub start_ms: u64,
    /// End in ms.
    pub end_ms: u64,
    /// The caption's text.
    pub text: String,
    /// Its words with their times.
    #[serde(default)]
    pub words: Vec<SpokenWord>,
}

/// One word with its time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SpokenWord {
    /// Start in ms.
    pub start_ms: u64,
    /// End in ms.
    pub end_ms: u64,
    /// The word, maybe with punctuation.
    pub text: String,
}

/// Words of the next cue that are indexed with a cue, so that a phrase across the two is found.
const OVERLAP_WORDS: usize = 8;
/// A longer silence than this ends a moment.
const OVERLAP_GAP_MS: u64 = 3_000;

/// One indexed moment: a cue, and the first words of the next.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Moment {
    /// The cue.
    pub cue: Cue,
    /// The first words of the next cue; empty if a silence lies between.
    pub ahead: Vec<SpokenWord>,
}

impl Moment {
    /// Drops the words ahead that end after this time. True if there were any.
    pub fn end_by(&mut self, to_ms: u64) -> bool {
        let before = self.ahead.len();
        self.ahead.retain(|word| word.end_ms <= to_ms);
        self.ahead.len() < before
    }

    /// The cue's text with the words ahead. The first `cue.text.len()` bytes are the cue's own.
    pub fn text(&self) -> String {
        let mut text = self.cue.text.clone();
        for word in &self.ahead {
            text.push(' ');
            text.push_str(word.text.trim());
        }
        text
    }
}

/// Cuts a transcript into moments: one per cue, none for cues without words.
pub fn moments(transcript: &Transcript) -> impl Iterator<Item = Moment> {
    let cues = &transcript.cues;
    cues.iter().enumerate().filter(|(_, cue)| !cue.text.trim().is_empty()).map(|(at, cue)| {
        let ahead = cues
            .get(at + 1)
            .filter(|next| next.start_ms.saturating_sub(cue.end_ms) <= OVERLAP_GAP_MS)
            .map(|next| next.words.iter().take(OVERLAP_WORDS).cloned().collect())
            .unwrap_or_default();
        Moment { cue: cue.clone(), ahead }
    })
}
