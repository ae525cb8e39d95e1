//! Speech that no word covers: the model stops early, or skips a sentence.

use super::activity::SpeechSpan;
use super::words::Word;

/// Minimum length of uncovered speech that is worth another attempt, in ms.
const MIN_UNCOVERED_MS: u64 = 1_000;
/// Time that a word covers before its start by the model, in ms: that estimate may be late.
const BEFORE_MS: u64 = 300;
/// Time that a word covers after its start, in ms.
const AFTER_MS: u64 = 500;
/// Further time for each of its letters, in ms; slow readers take as much.
const PER_LETTER_MS: u64 = 120;

/// Returns the speech, in the recording, in which no word is. The words' times count from
/// `audio_start_ms`.
pub fn uncovered(spans: &[SpeechSpan], words: &[Word], audio_start_ms: u64) -> Vec<SpeechSpan> {
    let mut left: Vec<SpeechSpan> = spans.to_vec();
    for word in words {
        let start_ms = audio_start_ms + word.start_ms;
        let letters = word.text.chars().filter(|c| c.is_alphanumeric()).count() as u64;
        let covered = SpeechSpan {
            start_ms: start_ms.saturating_sub(BEFORE_MS),
            end_ms: start_ms + AFTER_MS + letters * PER_LETTER_MS,
        };
        left = left.into_iter().flat_map(|span| without(span, covered)).collect();
    }
    left.retain(|span| span.duration_ms() >= MIN_UNCOVERED_MS);
    left
}

/// Adds words at their time. Words that are there already, next to it, are not added again.
pub fn insert(words: &mut Vec<Word>, found: Vec<Word>) {
    let Some(first) = found.first() else { return };
    let at = words.partition_point(|word| word.start_ms <= first.start_ms);
    let plain =
        |word: &Word| word.text.to_lowercase().chars().filter(|c| c.is_alphanumeric()).collect::<String>();
    let new: Vec<String> = found.iter().map(plain).collect();
    let before: Vec<String> = words[at.saturating_sub(new.len())..at].iter().map(plain).collect();
    let after: Vec<String> = words[at..(at + new.len()).min(words.len())].iter().map(plain).collect();
    // The end of what was found may begin the words after it, and its start end those before.
    let doubled_at_start =
        (1..=before.len()).rev().find(|n| before[before.len() - n..] == new[..*n]).unwrap_or(0);
    let doubled_at_end = (1..=after.len())
        .rev()
        .find(|n| doubled_at_start + n <= new.len() && after[..*n] == new[new.len() - n..])
        .unwrap_or(0);
    let added = found.into_iter().take(new.len() - doubled_at_end).skip(doubled_at_start);
    words.splice(at..at, added);
}

fn without(span: SpeechSpan, covered: SpeechSpan) -> Vec<SpeechSpan> {
    if covered.end_ms <= span.start_ms || covered.start_ms >= span.end_ms {
        return vec![span];
    }
    let before = SpeechSpan { start_ms: span.start_ms, end_ms: covered.start_ms.max(span.start_ms) };
    let after = SpeechSpan { start_ms: covered.end_ms.min(span.end_ms), end_ms: span.end_ms };
    [before, after].into_iter().filter(|part| part.start_ms < part.end_ms).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(start_ms: u64, end_ms: u64) -> SpeechSpan {
        SpeechSpan { start_ms, end_ms }
    }

    fn word(start_ms: u64, text: &str) -> Word {
        Word { start_ms, end_ms: start_ms, text: text.into(), probability: 1.0, doubt: 0.0 }
    }

    fn texts(words: &[Word]) -> Vec<&str> {
        words.iter().map(|word| word.text.as_str()).collect()
    }

    #[test]
    fn speech_after_the_last_word_is_left_over_and_a_breath_is_not() {
        let words = [word(0, "one"), word(900, "two")];
        assert!(uncovered(&[span(5000, 7500)], &words, 5000).is_empty());
        assert_eq!(uncovered(&[span(5000, 7000), span(8000, 11_000)], &words, 5000), [span(8000, 11_000)]);
        assert_eq!(uncovered(&[span(5000, 11_000)], &words, 5000), [span(6760, 11_000)]);
        assert_eq!(uncovered(&[span(0, 2000)], &[], 0), [span(0, 2000)]);
    }

    #[test]
    fn words_are_added_at_their_time_and_never_twice() {
        let mut words = vec![word(0, "One,"), word(500, "two."), word(5000, "five")];
        insert(
            &mut words,
            vec![word(600, "Two"), word(2000, "three"), word(3000, "four"), word(4000, "Five.")],
        );
        assert_eq!(texts(&words), ["One,", "two.", "three", "four", "five"]);
        insert(&mut words, vec![word(2500, "three")]);
        assert_eq!(words.len(), 5);
        insert(&mut words, Vec::new());
        assert_eq!(words.len(), 5);
    }
}
