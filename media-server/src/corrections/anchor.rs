//! Where an anchored span lies in a transcript that may be another recognition's: by its words if
//! they are still near their time, else by its time alone.

use std::ops::Range;

use super::layer::Anchor;
use super::retime::split;
use super::transcript::{TranscriptWord, normalized};

/// How far the words of a span may have moved in another recognition, in ms.
const MAX_SHIFT_MS: u64 = 2_000;

/// The words of a span. `corrected` is its corrected text: a better recognition may have found
/// that. `None` if there are no words at its time.
pub fn locate(
    words: &[&TranscriptWord],
    anchor: &Anchor,
    corrected: &str,
    uses_spaces: bool,
) -> Option<Range<usize>> {
    let near =
        words_within(words, anchor.start_ms.saturating_sub(MAX_SHIFT_MS), anchor.end_ms + MAX_SHIFT_MS);
    let recognised: Vec<String> = words[near.clone()].iter().map(|word| normalized(&word.text)).collect();
    let starts: Vec<u64> = words[near.clone()].iter().map(|word| word.start_ms).collect();
    let by_words = [anchor.quote.as_str(), corrected]
        .into_iter()
        .filter_map(|text| best_match(&recognised, &starts, &split(text, uses_spaces), anchor.start_ms))
        .min_by_key(|found| (found.permille, found.away_ms));
    if let Some(found) = by_words {
        return Some(near.start + found.range.start..near.start + found.range.end);
    }
    let at_time = words_within(words, anchor.start_ms, anchor.end_ms);
    (!at_time.is_empty()).then_some(at_time)
}

/// The words whose middle lies in a time.
pub fn words_within(words: &[&TranscriptWord], start_ms: u64, end_ms: u64) -> Range<usize> {
    let middle = |word: &TranscriptWord| word.start_ms + word.end_ms.saturating_sub(word.start_ms) / 2;
    let first = words.partition_point(|word| middle(word) < start_ms);
    first..words.partition_point(|word| middle(word) < end_ms).max(first)
}

/// A run of words that resembles a text.
struct MatchedRun {
    range: Range<usize>,
    /// Wrong, missing and extra words for each thousand of the text.
    permille: usize,
    /// By how many words it is longer or shorter: a word in place of another is a mishearing.
    longer: usize,
    /// How far it begins from where it was.
    away_ms: u64,
}

/// Edits, and the word at which the run begins.
type Cell = (usize, usize);

/// The run of `recognised` that needs the fewest edits to be `text`; of equal ones the nearest
/// in time. `None` if fewer than half of the words are right.
fn best_match(recognised: &[String], starts: &[u64], text: &[String], start_ms: u64) -> Option<MatchedRun> {
    let text: Vec<String> = text.iter().map(|word| normalized(word)).filter(|w| !w.is_empty()).collect();
    if text.is_empty() || recognised.is_empty() {
        return None;
    }
    // Row by row of the text; a run may begin and end anywhere.
    let mut row: Vec<Cell> = (0..=recognised.len()).map(|at| (0, at)).collect();
    for (n, word) in text.iter().enumerate() {
        let mut next: Vec<Cell> = Vec::with_capacity(row.len());
        next.push((n + 1, 0));
        for (at, one) in recognised.iter().enumerate() {
            let (edits, from) = row[at];
            let replaced = (edits + usize::from(one != word), from);
            let missing = (row[at + 1].0 + 1, row[at + 1].1);
            let extra = (next[at].0 + 1, next[at].1);
            // Of equal ones the longer run: a word in place of another is a mishearing.
            let best = [replaced, missing, extra].into_iter().min_by_key(|(edits, _)| *edits);
            next.push(best.unwrap_or(replaced));
        }
        row = next;
    }
    let runs = row.into_iter().enumerate().filter(|(to, (edits, from))| from < to && 2 * edits <= text.len());
    runs.map(|(to, (edits, from))| MatchedRun {
        range: from..to,
        permille: 1000 * edits / text.len(),
        longer: (to - from).abs_diff(text.len()),
        away_ms: starts[from].abs_diff(start_ms),
    })
    .min_by_key(|found| (found.permille, found.longer, found.away_ms))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(text: &str, from_ms: u64) -> Vec<TranscriptWord> {
        let word = |(n, text): (usize, &str)| {
            let start_ms = from_ms + 500 * n as u64;
            TranscriptWord {
                start_ms,
                end_ms: start_ms + 400,
                text: text.into(),
                ..TranscriptWord::default()
            }
        };
        text.split(' ').enumerate().map(word).collect()
    }

    fn found(words: &[TranscriptWord], quote: &str, start_ms: u64, end_ms: u64, corrected: &str) -> String {
        let all: Vec<&TranscriptWord> = words.iter().collect();
        let anchor = Anchor { start_ms, end_ms, quote: quote.into() };
        let range = locate(&all, &anchor, corrected, true).unwrap_or_default();
        words[range].iter().map(|word| word.text.as_str()).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn words_are_found_where_they_moved_to() {
        let words = said("so a fraction has a new murder and so on", 10_000);
        // 700 ms later than they are, and with other marks.
        assert_eq!(found(&words, "A new murder.", 12_700, 14_200, "a numerator"), "a new murder");
        // The new recognition has what was corrected.
        let better = said("so a fraction has a numerator and so on", 10_000);
        assert_eq!(found(&better, "a new murder", 12_000, 13_500, "a numerator"), "a numerator");
        // One word was recognised in another way.
        let other = said("so a fraction has a new mother and so on", 10_000);
        assert_eq!(found(&other, "a new murder", 12_000, 13_500, "a numerator"), "a new mother");
    }

    #[test]
    fn of_equal_words_those_nearest_in_time() {
        let words = said("yes yes yes yes yes", 0);
        let all: Vec<&TranscriptWord> = words.iter().collect();
        for (n, word) in words.iter().enumerate() {
            let anchor = Anchor { start_ms: word.start_ms, end_ms: word.end_ms, quote: "Yes.".into() };
            assert_eq!(locate(&all, &anchor, "no", true), Some(n..n + 1));
        }
    }

    #[test]
    fn other_words_at_its_time_and_none_at_another() {
        let words = said("nothing is as it was", 5_000);
        assert_eq!(found(&words, "quite other speech", 5_400, 6_600, "x y"), "is as");
        assert_eq!(found(&words, "quite other speech", 60_000, 61_000, "x y"), "");
    }
}
