//! Times for the words of a corrected text. Unchanged words keep theirs; new ones are spread over
//! the time of the words that they replace.

use super::transcript::{TranscriptCue, TranscriptWord, normalized};

/// A word of the new text without room gets so much of the word before it, in ms.
const MIN_WORD_MS: u64 = 60;

/// A word of the corrected text, and the one that it was before if it is unchanged.
#[derive(Clone, Debug, PartialEq)]
pub struct Retimed {
    /// The word.
    pub word: TranscriptWord,
    /// Index of the unchanged word.
    pub kept: Option<usize>,
}

/// Gives the words of `text` times within `span_ms`, in order and without overlap. `old` are the
/// words in its place, in order and within the span.
pub fn retime(old: &[TranscriptWord], text: &str, span_ms: (u64, u64), uses_spaces: bool) -> Vec<Retimed> {
    let texts = split(text, uses_spaces);
    let pairs = common(old, &texts);
    let mut out: Vec<Retimed> = Vec::with_capacity(texts.len());
    let (mut old_at, mut new_at) = (0, 0);
    for (old_kept, new_kept) in pairs.into_iter().chain([(old.len(), texts.len())]) {
        let replaced = &old[old_at..old_kept];
        let next_ms = old.get(old_kept).map_or(span_ms.1, |word| word.start_ms);
        spread(&mut out, &texts[new_at..new_kept], replaced, (span_ms.0, next_ms), old_kept < old.len());
        if let (Some(word), Some(text)) = (old.get(old_kept), texts.get(new_kept)) {
            out.push(Retimed {
                word: TranscriptWord { text: text.clone(), ..word.clone() },
                kept: Some(old_kept),
            });
        }
        (old_at, new_at) = (old_kept + 1, new_kept + 1);
    }
    out
}

/// Appends new words in the time of those that they replace, or in the gap between their
/// neighbours.
fn spread(
    out: &mut Vec<Retimed>,
    texts: &[String],
    replaced: &[TranscriptWord],
    (span_start_ms, next_ms): (u64, u64),
    has_next: bool,
) {
    if texts.is_empty() {
        return;
    }
    let previous_ms = out.last().map_or(span_start_ms, |last| last.word.end_ms);
    let (mut from_ms, to_ms) = match (replaced.first(), replaced.last()) {
        (Some(first), Some(last)) => (first.start_ms.max(previous_ms), last.end_ms.min(next_ms)),
        // Before all others they end where these begin; after all, they begin where these end.
        _ => (previous_ms.min(next_ms), next_ms),
    };
    let wanted_ms = MIN_WORD_MS * texts.len() as u64;
    if to_ms.saturating_sub(from_ms) < wanted_ms
        && let Some(last) = out.last_mut()
    {
        // The start of an unchanged word is sought, its end is not.
        let half_ms = last.word.start_ms + (last.word.end_ms - last.word.start_ms) / 2;
        from_ms = from_ms.min(half_ms.max(to_ms.saturating_sub(wanted_ms)));
        last.word.end_ms = last.word.end_ms.min(from_ms);
    } else if !has_next && replaced.is_empty() {
        // Words after the last one: not over all of the silence behind it.
        let letters: u64 = texts.iter().map(|text| text.chars().count() as u64 + 1).sum();
        let to_ms = to_ms.min(from_ms + letters * MIN_WORD_MS);
        return fill(out, texts, from_ms, to_ms);
    }
    fill(out, texts, from_ms, to_ms);
}

/// Spreads words over a time, by their length.
fn fill(out: &mut Vec<Retimed>, texts: &[String], from_ms: u64, to_ms: u64) {
    let room_ms = to_ms.saturating_sub(from_ms);
    let letters = |text: &String| text.chars().count() as u64 + 1;
    let total: u64 = texts.iter().map(letters).sum();
    let mut before = 0;
    for text in texts {
        let start_ms = from_ms + room_ms * before / total;
        before += letters(text);
        let end_ms = from_ms + room_ms * before / total;
        let word = TranscriptWord { start_ms, end_ms, text: text.clone(), ..TranscriptWord::default() };
        out.push(Retimed { word, kept: None });
    }
}

/// The words of a cue. One without times for them has its time spread over its text.
pub fn words_of(cue: &TranscriptCue, uses_spaces: bool) -> Vec<TranscriptWord> {
    if cue.words.is_empty() {
        let spread = retime(&[], &cue.text, (cue.start_ms, cue.end_ms), uses_spaces);
        return spread.into_iter().map(|one| one.word).collect();
    }
    if uses_spaces {
        return cue.words.clone();
    }
    // Characters are what is compared where no spaces are.
    let in_characters = cue.words.iter().flat_map(|word| {
        let parts = split(&word.text, false);
        let (count, length_ms) = (parts.len() as u64, word.end_ms.saturating_sub(word.start_ms));
        let at = move |n: u64| word.start_ms + length_ms * n / count.max(1);
        parts.into_iter().zip(0_u64..).map(move |(text, n)| TranscriptWord {
            start_ms: at(n),
            end_ms: at(n + 1),
            text,
            rest: word.rest.clone(),
        })
    });
    in_characters.collect()
}

/// Splits a text into words. Without spaces each character is one, but for runs of ASCII letters.
pub fn split(text: &str, uses_spaces: bool) -> Vec<String> {
    if uses_spaces {
        return text.split_whitespace().map(str::to_owned).collect();
    }
    let mut words: Vec<String> = Vec::new();
    let mut run = false;
    for c in text.chars() {
        let is_run = c.is_ascii_alphanumeric() || !c.is_alphanumeric();
        match words.last_mut() {
            Some(last) if is_run && (run || !c.is_alphanumeric()) => last.push(c),
            _ => words.push(c.into()),
        }
        run = c.is_ascii_alphanumeric();
    }
    words.into_iter().map(|word| word.trim().to_owned()).filter(|word| !word.is_empty()).collect()
}

/// The longest common subsequence of words, as pairs of indices.
fn common(old: &[TranscriptWord], texts: &[String]) -> Vec<(usize, usize)> {
    let old: Vec<String> = old.iter().map(|word| normalized(&word.text)).collect();
    let new: Vec<String> = texts.iter().map(|text| normalized(text)).collect();
    let same = |a: usize, b: usize| !old[a].is_empty() && old[a] == new[b];
    let width = new.len() + 1;
    let mut longest = vec![0_u32; (old.len() + 1) * width];
    for a in (0..old.len()).rev() {
        for b in (0..new.len()).rev() {
            longest[a * width + b] = if same(a, b) {
                longest[(a + 1) * width + b + 1] + 1
            } else {
                longest[(a + 1) * width + b].max(longest[a * width + b + 1])
            };
        }
    }
    let (mut a, mut b, mut pairs) = (0, 0, Vec::new());
    while a < old.len() && b < new.len() {
        if same(a, b) {
            pairs.push((a, b));
            (a, b) = (a + 1, b + 1);
        } else if longest[(a + 1) * width + b] >= longest[a * width + b + 1] {
            a += 1;
        } else {
            b += 1;
        }
    }
    pairs
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn said(text: &str) -> Vec<TranscriptWord> {
        let word = |(n, text): (usize, &str)| {
            let start_ms = 1000 + 500 * n as u64;
            TranscriptWord {
                start_ms,
                end_ms: start_ms + 400,
                text: text.into(),
                ..TranscriptWord::default()
            }
        };
        text.split(' ').enumerate().map(word).collect()
    }

    fn times(old: &str, new: &str) -> Vec<(String, u64, u64)> {
        let words = retime(&said(old), new, (900, 9000), true);
        words.into_iter().map(|one| (one.word.text, one.word.start_ms, one.word.end_ms)).collect()
    }

    #[test]
    fn unchanged_words_keep_their_times_and_new_ones_take_those_of_the_old() {
        let word = |text: &str, start_ms, end_ms| (text.to_owned(), start_ms, end_ms);
        assert_eq!(
            times("a new murder here", "a numerator, here"),
            [word("a", 1000, 1400), word("numerator,", 1500, 2400), word("here", 2500, 2900)]
        );
        assert_eq!(
            times("murder here", "new murders here"),
            [word("new", 1000, 1133), word("murders", 1133, 1400), word("here", 1500, 1900)]
        );
        // Case and marks alone change no time.
        assert_eq!(times("so you", "So, you."), [word("So,", 1000, 1400), word("you.", 1500, 1900)]);
        assert_eq!(times("so you", ""), []);
    }

    #[test]
    fn a_word_without_room_takes_the_end_of_the_word_before() {
        let old: Vec<TranscriptWord> = [(0, 500, "one"), (500, 900, "three")]
            .map(|(start_ms, end_ms, text)| TranscriptWord {
                start_ms,
                end_ms,
                text: text.into(),
                ..TranscriptWord::default()
            })
            .into();
        let new = retime(&old, "one two three", (0, 900), true);
        let times: Vec<_> = new.iter().map(|one| (one.word.start_ms, one.word.end_ms)).collect();
        assert_eq!(times, [(0, 440), (440, 500), (500, 900)]);
    }

    #[test]
    fn scripts_without_spaces_are_split_into_characters() {
        assert_eq!(split("砸自己 的HLS脚。", false), ["砸", "自", "己", "的", "HLS", "脚。"]);
    }

    proptest! {
        #[test]
        fn times_are_in_order_within_the_span_and_unchanged_words_keep_their_start(
            old in proptest::collection::vec(("[abc]{1,3}", 0u64..300, 0u64..400), 0..12),
            new in proptest::collection::vec("[abc]{1,3}", 0..12),
            lead in 0u64..400, linger in 0u64..400,
        ) {
            let mut now = lead;
            let old: Vec<TranscriptWord> = old.into_iter().map(|(text, gap, length)| {
                let start_ms = now + gap;
                now = start_ms + length;
                TranscriptWord { start_ms, end_ms: now, text, ..TranscriptWord::default() }
            }).collect();
            let span = (0, now + linger);
            let words = retime(&old, &new.join(" "), span, true);
            let texts: Vec<_> = words.iter().map(|one| one.word.text.clone()).collect();
            prop_assert_eq!(&texts, &new);
            let mut last = 0;
            for one in &words {
                prop_assert!(last <= one.word.start_ms, "{:?}", words);
                prop_assert!(one.word.start_ms <= one.word.end_ms && one.word.end_ms <= span.1, "{:?}", words);
                last = one.word.end_ms;
                if let Some(kept) = one.kept {
                    prop_assert_eq!(one.word.start_ms, old[kept].start_ms);
                    prop_assert!(one.word.end_ms <= old[kept].end_ms);
                }
            }
            // The same text again changes nothing.
            let same: Vec<_> = old.iter().map(|word| word.text.clone()).collect();
            let again = retime(&old, &same.join(" "), span, true);
            prop_assert!(again.iter().map(|one| &one.word).eq(old.iter()));
        }
    }
}
