//! Words without the names of a list, and the spans in which names are said.

use chalkstream_formats::names::{NameList, Names, PLACEHOLDER};

use super::words::Word;

/// Time before and after a name that is silenced with it, in ms: words are seldom further off.
const MARGIN_MS: u64 = 250;
/// Minimum time between two spans, in ms; what is shorter is silenced too.
const MIN_GAP_MS: u64 = 100;
/// Maximum number of spans, which are kept with the job.
const MAX_SPANS: usize = 2_000;

/// Returns the words with `[name]` in place of each name, which has the time of all its words. It
/// is as probable as the least probable of them.
pub fn redact(words: &[Word], list: &NameList, uses_spaces: bool) -> Vec<Word> {
    let texts: Vec<&str> = words.iter().map(|word| word.text.as_str()).collect();
    let joined = Names::new(list).redact_words(&texts, uses_spaces);
    let redacted = joined.into_iter().filter_map(|one| {
        let of_it = words.get(one.pieces)?;
        let (first, last) = (of_it.first()?, of_it.last()?);
        Some(Word {
            start_ms: first.start_ms,
            end_ms: last.end_ms,
            text: one.text,
            probability: of_it.iter().map(|word| word.probability).fold(1.0, f32::min),
            doubt: of_it.iter().map(|word| word.doubt).fold(0.0, f32::max),
        })
    });
    redacted.collect()
}

/// Returns the spans in which names are said, in ms: those of every `[name]` with a margin. Spans
/// that nearly touch are one, and more of them if there are too many.
pub fn spans(words: &[Word]) -> Vec<(u64, u64)> {
    let names = words.iter().filter(|word| word.text.contains(PLACEHOLDER));
    let mut spans: Vec<_> = names
        .map(|name| (name.start_ms.saturating_sub(MARGIN_MS), name.end_ms.max(name.start_ms) + MARGIN_MS))
        .collect();
    spans.sort_unstable();
    let mut min_gap_ms = MIN_GAP_MS;
    loop {
        spans.dedup_by(|next, last| {
            let is_near = next.0 < last.1 + min_gap_ms;
            if is_near {
                last.1 = last.1.max(next.1);
            }
            is_near
        });
        if spans.len() <= MAX_SPANS {
            return spans;
        }
        min_gap_ms *= 2;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_one_word_with_the_time_of_all() {
        let word = |start_ms: u64, text: &str, probability: f32| Word {
            start_ms,
            end_ms: start_ms + 400,
            text: text.to_owned(),
            probability,
            doubt: 0.0,
        };
        let words =
            [word(0, "So", 0.9), word(500, "An", 0.4), word(1000, "na's", 0.7), word(1500, "turn?", 0.8)];
        let list = NameList::from_lines("Anna").unwrap();
        let redacted = redact(&words, &list, true);
        let expected = Word { end_ms: 1400, ..word(500, "[name]'s", 0.4) };
        assert_eq!(redacted, [words[0].clone(), expected, words[3].clone()]);
        assert_eq!(spans(&redacted), [(250, 1650)]);
        assert_eq!(spans(&words), []);
        assert_eq!(redact(&words, &NameList::default(), true), words);
        let chinese = [word(0, "王", 0.5), word(500, "伟", 0.6), word(900, "好", 0.7)];
        let texts: Vec<String> = redact(&chinese, &NameList::from_lines("王伟").unwrap(), false)
            .into_iter()
            .map(|word| word.text)
            .collect();
        assert_eq!(texts, ["[name]", "好"]);
    }

    #[test]
    fn spans_are_apart_and_not_too_many() {
        let said = |starts_ms: &[u64]| {
            let word = |start_ms: &u64| Word {
                start_ms: *start_ms,
                end_ms: start_ms + 300,
                text: "[name],".to_owned(),
                probability: 1.0,
                doubt: 0.0,
            };
            spans(&starts_ms.iter().map(word).collect::<Vec<_>>())
        };
        assert_eq!(said(&[100, 5_000]), [(0, 650), (4_750, 5_550)], "nothing is before the start");
        // The margins leave 99 ms, and 100 ms.
        assert_eq!(said(&[1_000, 1_899]), [(750, 2_449)]);
        assert_eq!(said(&[1_000, 1_900]), [(750, 1_550), (1_650, 2_450)]);
        let many: Vec<u64> = (0..5_000).map(|n| n * 2_000).collect();
        let few = said(&many);
        assert!(few.len() <= MAX_SPANS, "{}", few.len());
        let covers = |ms: u64| few.iter().any(|(start, end)| *start <= ms && ms + 300 <= *end);
        assert!(many.iter().all(|ms| covers(*ms)), "none is left out");
    }
}
