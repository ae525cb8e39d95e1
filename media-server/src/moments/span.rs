//! A span of speech: minted from a time, and found again by its words. Pure.

use std::ops::Range;

use crate::corrections::{Anchor, TranscriptDocument, TranscriptWord, join, locate, words_of, words_within};

/// Characters of the text on either side that a quote carries.
const CONTEXT_CHARS: usize = 32;

/// A span of a transcript.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Span {
    /// Start in ms.
    pub start_ms: u64,
    /// End in ms.
    pub end_ms: u64,
    /// Its words.
    pub exact: String,
    /// Some of the text before it.
    pub prefix: String,
    /// Some of the text after it.
    pub suffix: String,
}

/// The words that are said in a time. Without any, the span has no text.
pub fn at_time(transcript: &TranscriptDocument, start_ms: u64, end_ms: u64) -> Span {
    let words = words(transcript);
    let range = words_within(&words.iter().collect::<Vec<_>>(), start_ms, end_ms);
    Span { start_ms, end_ms, ..quoted(transcript, &words, range) }
}

/// The span that was minted with these words at this time, as it is now; `None` if nothing is said
/// there any more.
pub fn find(transcript: &TranscriptDocument, anchor: &Anchor) -> Option<Span> {
    if anchor.quote.is_empty() {
        return Some(at_time(transcript, anchor.start_ms, anchor.end_ms));
    }
    let words = words(transcript);
    let all: Vec<&TranscriptWord> = words.iter().collect();
    let range = locate(&all, anchor, &anchor.quote, transcript.uses_spaces())?;
    let (first, last) = (words.get(range.start)?, words.get(range.end.checked_sub(1)?)?);
    let (start_ms, end_ms) = (first.start_ms, last.end_ms);
    Some(Span { start_ms, end_ms, ..quoted(transcript, &words, range) })
}

fn words(transcript: &TranscriptDocument) -> Vec<TranscriptWord> {
    let uses_spaces = transcript.uses_spaces();
    transcript.cues.iter().flat_map(|cue| words_of(cue, uses_spaces)).collect()
}

fn quoted(transcript: &TranscriptDocument, words: &[TranscriptWord], range: Range<usize>) -> Span {
    let text = |words: &[TranscriptWord]| join(words, transcript.uses_spaces());
    // A word has at least a character, so these hold enough.
    let before = text(&words[range.start.saturating_sub(CONTEXT_CHARS)..range.start]);
    let after = text(&words[range.end..(range.end + CONTEXT_CHARS).min(words.len())]);
    let skipped = before.chars().count().saturating_sub(CONTEXT_CHARS);
    Span {
        start_ms: 0,
        end_ms: 0,
        exact: text(&words[range]),
        prefix: before.chars().skip(skipped).collect(),
        suffix: after.chars().take(CONTEXT_CHARS).collect(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::*;

    fn said(text: &str, from_ms: u64) -> TranscriptDocument {
        let words: Vec<_> = text
            .split(' ')
            .enumerate()
            .map(|(n, word)| {
                let at = from_ms + 500 * n as u64;
                json!({ "start_ms": at, "end_ms": at + 400, "text": word })
            })
            .collect();
        let cue =
            json!({ "id": 1, "start_ms": from_ms, "end_ms": from_ms + 60_000, "text": text, "words": words });
        serde_json::from_value(json!({ "cues": [cue] })).unwrap()
    }

    #[test]
    fn a_span_is_found_again_after_another_recognition() {
        let span = at_time(&said("now why do you think that is so", 10_000), 10_500, 12_400);
        assert_eq!((span.exact.as_str(), span.prefix.as_str()), ("why do you think", "now"));
        assert_eq!(span.suffix, "that is so");
        let anchor = Anchor { start_ms: span.start_ms, end_ms: span.end_ms, quote: span.exact };
        let again = find(&said("So, now: Why do you sink that is so?", 10_200), &anchor).unwrap();
        assert_eq!((again.exact.as_str(), again.start_ms, again.end_ms), ("Why do you sink", 11_200, 13_100));
        assert_eq!(find(&said("much later", 90_000), &anchor), None);
    }

    #[test]
    fn a_silence_is_a_span_too() {
        let span = at_time(&said("before", 0), 5_000, 9_000);
        assert_eq!((span.exact.as_str(), span.start_ms, span.end_ms), ("", 5_000, 9_000));
        assert_eq!(span.prefix, "before");
        let anchor = Anchor { start_ms: 5_000, end_ms: 9_000, quote: String::new() };
        assert_eq!(find(&said("before", 0), &anchor).unwrap(), span);
    }
}
