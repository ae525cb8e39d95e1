//! The words with which another voice begins, so that captions keep the words of two people apart.
//!
//! A change of voice is known to a quarter of a second or so, words to a tenth. So it is moved to
//! the boundary of words near it at which it is likeliest.

use super::phrases::{Break, break_between};
use super::speakers::{Turn, Voice};
use super::words::Word;

/// Maximum distance of a change of voice to its words, in ms.
const MAX_DISTANCE_MS: u64 = 600;
/// Pause between two turns above which they may be of one voice, in ms.
const MAX_EXCHANGE_PAUSE_MS: u64 = 500;

/// Returns the times at which another voice begins, in ms.
pub fn find(turns: &[Turn]) -> Vec<u64> {
    let is_change = |before: &Turn, after: &Turn| {
        before.voice != after.voice
            || before.voice == Voice::Other
                && after.start_ms.saturating_sub(before.end_ms) < MAX_EXCHANGE_PAUSE_MS
    };
    let changes = turns.windows(2).filter(|pair| is_change(&pair[0], &pair[1]));
    changes.map(|pair| (pair[0].end_ms + pair[1].start_ms) / 2).collect()
}

/// Returns for each word whether another voice begins with it. `changes_ms` are in order.
pub fn mark(words: &[Word], changes_ms: &[u64]) -> Vec<bool> {
    let mut begins = vec![false; words.len()];
    for &change_ms in changes_ms {
        let from_ms = change_ms.saturating_sub(MAX_DISTANCE_MS);
        let first = words.partition_point(|word| word.start_ms < from_ms).max(1);
        let near = (first..words.len()).take_while(|at| words[at - 1].end_ms <= change_ms + MAX_DISTANCE_MS);
        let costs = near.filter_map(|at| Some((cost(words, at, change_ms)?, at)));
        if let Some((_, at)) = costs.min_by(|a, b| a.0.total_cmp(&b.0)) {
            begins[at] = true;
        }
    }
    begins
}

/// Returns how unlikely it is that the voice changes before a word; `None` after an article and the
/// like.
fn cost(words: &[Word], at: usize, change_ms: u64) -> Option<f32> {
    let (before, after) = (&words[at - 1], &words[at]);
    let distance_ms = match change_ms {
        _ if change_ms < before.end_ms => before.end_ms - change_ms,
        _ if change_ms > after.start_ms => change_ms - after.start_ms,
        _ => 0,
    };
    let of_break = match break_between(&before.text, &after.text) {
        Break::Sentence => 0.0,
        Break::Clause => 0.3,
        Break::Phrase => 0.6,
        Break::Words => 0.8,
        Break::Torn => return None,
    };
    (distance_ms <= MAX_DISTANCE_MS).then(|| of_break + distance_ms as f32 / MAX_DISTANCE_MS as f32)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn turn(start_ms: u64, end_ms: u64, voice: Voice) -> Turn {
        Turn { start_ms, end_ms, voice }
    }

    fn words(text: &str) -> Vec<Word> {
        let word = |(index, text): (usize, &str)| {
            let start_ms = index as u64 * 300;
            Word { start_ms, end_ms: start_ms + 280, text: text.into(), probability: 1.0, doubt: 0.0 }
        };
        text.split_whitespace().enumerate().map(word).collect()
    }

    fn first_words(text: &str, changes_ms: &[u64]) -> Vec<usize> {
        let begins = mark(&words(text), changes_ms);
        (0..begins.len()).filter(|at| begins[*at]).collect()
    }

    #[test]
    fn voices_change_between_turns_and_not_after_the_pause_of_one() {
        let turns = [
            turn(0, 1000, Voice::Main),
            turn(1200, 2000, Voice::Other),
            turn(2100, 3000, Voice::Other),
            turn(4000, 5000, Voice::Other),
            turn(5000, 9000, Voice::Main),
            turn(9800, 12_000, Voice::Main),
        ];
        assert_eq!(find(&turns), [1100, 2050, 5000]);
        assert!(find(&turns[..1]).is_empty() && find(&[]).is_empty());
    }

    #[test]
    fn a_change_comes_with_the_sentence_next_to_it() {
        assert_eq!(first_words("Hello? Hello. Oh hello.", &[250, 700]), [1, 2]);
        assert_eq!(first_words("What do you see? A dog and a cat.", &[1000]), [4]);
        assert_eq!(first_words("What do you see? A dog and a cat.", &[1500]), [4]);
        assert!(first_words("One two three.", &[9000]).is_empty(), "no words are near");
    }

    #[test]
    fn no_voice_changes_between_an_article_and_its_noun() {
        let found = first_words("I see the dog in the yard now", &[890]);
        assert!(found != [3], "{found:?}");
        assert!(first_words("", &[10]).is_empty() && first_words("One.", &[10]).is_empty());
    }
}
