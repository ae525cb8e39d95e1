//! `transcript.json`, as the transcribe step writes it, cut into the passages that are indexed.

use chalkstream_meaning::{EmbeddedPassage, Vector};
use serde::{Deserialize, Deserializer, Serialize};

use super::words;

/// A lesson's words.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct SpokenLesson {
    /// Language spoken, a BCP 47 tag.
    #[serde(default)]
    pub language: String,
    /// The cues, in order.
    #[serde(default)]
    pub cues: Vec<SpokenCue>,
    /// The vectors of its passages; none if it was made without a model of meaning.
    #[serde(skip)]
    pub embedded: Vec<EmbeddedPassage>,
}

impl SpokenLesson {
    /// Returns the embedded passages with their words, which may have been corrected since. Those
    /// that have lost all words are left out.
    pub fn similar_passages(&self, recording: &str) -> impl Iterator<Item = (Vector, SimilarPassage)> {
        self.embedded.iter().filter_map(move |passage| {
            let (start_ms, end_ms) = (u64::from(passage.start_ms), u64::from(passage.end_ms));
            let own = self.cues.iter().filter(|cue| (start_ms..end_ms).contains(&cue.start_ms));
            let texts: Vec<_> = own.map(|cue| cue.text.trim()).filter(|text| !text.is_empty()).collect();
            let recording = recording.to_owned();
            let stored = SimilarPassage { recording, start_ms, end_ms, text: texts.join(" ") };
            (!texts.is_empty()).then(|| (passage.vector.clone(), stored))
        })
    }
}

/// A passage of about half a minute, as it is found by its meaning.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SimilarPassage {
    /// Its recording.
    pub recording: String,
    /// Start of its first cue, in ms.
    pub start_ms: u64,
    /// End of its last cue, in ms.
    pub end_ms: u64,
    /// Its words.
    pub text: String,
}

/// One caption.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
pub struct SpokenCue {
    /// Start in ms.
    pub start_ms: u64,
    /// End in ms.
    pub end_ms: u64,
    /// The caption's text.
    pub text: String,
    /// Its words with their times.
    #[serde(default)]
    pub words: Vec<SpokenWord>,
    /// How doubtful the words are, in percent; 0 if the transcript does not say.
    #[serde(default, rename = "doubt", deserialize_with = "percent")]
    pub doubt_percent: u8,
}

/// Reads a share as a percentage.
fn percent<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u8, D::Error> {
    let share = f64::deserialize(deserializer)?;
    Ok((share.clamp(0.0, 1.0) * 100.0).round() as u8)
}

/// One word with its time.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct SpokenWord {
    /// Start in ms.
    pub start_ms: u64,
    /// End in ms.
    pub end_ms: u64,
    /// The word, maybe with punctuation.
    pub text: String,
}

/// The words of a query must lie within so many words of the lesson.
pub const MAX_SPAN_WORDS: usize = 24;
/// Own words of a passage; more where its last cue has more.
const MIN_PASSAGE_WORDS: usize = 96;
/// A longer silence than this ends a passage, and nothing is found across it.
pub const MAX_GAP_MS: u64 = 3_000;

/// The unit of the index: some cues in sequence, and those after them that a match may reach into.
///
/// Every span of [`MAX_SPAN_WORDS`] words lies completely in the passage that owns its first cue.
/// So one entry decides on a match, and no match is found twice.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Passage {
    /// Number of its first cue among the lesson's cues with text.
    pub first: usize,
    /// Number of its own cues. Those after them belong to the next passage too.
    pub own: usize,
    /// The cues.
    pub cues: Vec<SpokenCue>,
}

impl Passage {
    /// Cuts the passage to a window. Cues that begin before `from_ms` go. So does the first cue
    /// that ends after `to_ms`, with all that follow; of that cue the words inside the window stay,
    /// for matches that begin before it.
    pub fn cut(&mut self, from_ms: Option<u64>, to_ms: Option<u64>) {
        if let Some(from_ms) = from_ms {
            let early = self.cues.iter().take_while(|cue| cue.start_ms < from_ms).count();
            self.cues.drain(..early);
            self.first += early;
            self.own = self.own.saturating_sub(early);
        }
        let Some(to_ms) = to_ms else { return };
        let Some(at) = self.cues.iter().position(|cue| cue.end_ms > to_ms) else { return };
        self.cues.truncate(at + 1);
        self.own = self.own.min(at);
        let Some(mut cut) = self.cues.pop() else { return };
        cut.words.retain(|word| word.end_ms <= to_ms);
        if let (Some(last), true) = (cut.words.last(), cut.start_ms <= to_ms) {
            cut.end_ms = last.end_ms;
            cut.text = cut.words.iter().map(|word| word.text.trim()).collect::<Vec<_>>().join(" ");
            self.cues.push(cut);
        }
    }
}

/// Cuts a transcript into passages. Cues without text are left out.
pub fn passages(transcript: &SpokenLesson) -> Vec<Passage> {
    let cues: Vec<(&SpokenCue, usize)> = transcript
        .cues
        .iter()
        .filter(|cue| !cue.text.trim().is_empty())
        .map(|cue| (cue, words::split(&cue.text).len()))
        .collect();
    let mut passages = Vec::new();
    let mut first = 0;
    while first < cues.len() {
        let own = take(&cues, first, MIN_PASSAGE_WORDS);
        let is_end = cues.get(own).is_none_or(|(next, _)| is_apart(cues[own - 1].0, next));
        let end = if is_end { own } else { take(&cues, own, MAX_SPAN_WORDS - 1) };
        let cut = cues[first..end].iter().map(|(cue, _)| (*cue).clone()).collect();
        passages.push(Passage { first, own: own - first, cues: cut });
        first = own;
    }
    passages
}

/// The end of the cues from `first` on that have this many words together, without a silence
/// between.
fn take(cues: &[(&SpokenCue, usize)], first: usize, words: usize) -> usize {
    let mut total = 0;
    let mut end = first;
    while end < cues.len() && total < words && (end == first || !is_apart(cues[end - 1].0, cues[end].0)) {
        total += cues[end].1;
        end += 1;
    }
    end
}

/// True if a silence lies between two cues.
pub fn is_apart(cue: &SpokenCue, next: &SpokenCue) -> bool {
    next.start_ms.saturating_sub(cue.end_ms) > MAX_GAP_MS
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn lesson(lengths: &[(usize, u64)]) -> SpokenLesson {
        let mut at = 0;
        let cues = lengths.iter().map(|&(words, gap_ms)| {
            let start_ms = at + gap_ms;
            at = start_ms + 1_000;
            SpokenCue { start_ms, end_ms: at, text: vec!["word"; words].join(" "), ..SpokenCue::default() }
        });
        SpokenLesson { language: "en".into(), cues: cues.collect(), ..SpokenLesson::default() }
    }

    #[test]
    fn every_span_lies_in_the_passage_that_owns_its_first_cue() {
        let lengths: Vec<_> = (0..200).map(|n| (n * 7 % 13, if n % 50 == 49 { 4_000 } else { 0 })).collect();
        let transcript = lesson(&lengths);
        let spoken: Vec<&SpokenCue> = transcript.cues.iter().filter(|cue| !cue.text.is_empty()).collect();
        let mut next = 0;
        for passage in passages(&transcript) {
            assert_eq!(passage.first, next, "each cue is owned once");
            next += passage.own;
            let end = passage.first + passage.cues.len();
            let ahead: usize =
                passage.cues[passage.own..].iter().map(|cue| words::split(&cue.text).len()).sum();
            let is_end = end == spoken.len() || is_apart(spoken[end - 1], spoken[end]);
            assert!(is_end || ahead >= MAX_SPAN_WORDS - 1, "{ahead} words ahead");
            assert!(passage.cues.windows(2).all(|pair| !is_apart(&pair[0], &pair[1])));
        }
        assert_eq!(next, spoken.len());
    }

    #[test]
    fn the_doubt_of_a_cue_is_read_where_there_is_one() {
        let cues = r#"{"cues": [{"start_ms": 0, "end_ms": 1, "text": "a", "doubt": 0.873},
            {"start_ms": 1, "end_ms": 2, "text": "b"}]}"#;
        let lesson: SpokenLesson = serde_json::from_str(cues).unwrap();
        assert_eq!(lesson.cues.iter().map(|cue| cue.doubt_percent).collect::<Vec<_>>(), [87, 0]);
    }

    #[test]
    fn a_window_leaves_whole_cues_and_the_words_before_its_end() {
        let word = |start_ms, text: &str| SpokenWord { start_ms, end_ms: start_ms + 400, text: text.into() };
        let cue = |n: u64| {
            let words = vec![word(n * 1_000, "one"), word(n * 1_000 + 500, "two")];
            let text = "one two".into();
            SpokenCue { start_ms: n * 1_000, end_ms: n * 1_000 + 1_000, text, words, doubt_percent: 0 }
        };
        let mut passage = Passage { first: 4, own: 3, cues: (0..4).map(cue).collect() };
        passage.cut(Some(500), Some(2_450));
        assert_eq!((passage.first, passage.own, passage.cues.len()), (5, 1, 2));
        assert_eq!((passage.cues[1].text.as_str(), passage.cues[1].end_ms), ("one", 2_400));
        passage.cut(None, Some(10));
        assert!(passage.cues.is_empty() && passage.own == 0);
    }
}
