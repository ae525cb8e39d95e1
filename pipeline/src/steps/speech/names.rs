//! Words without the names of a list.

use chalkstream_formats::names::{NameList, Names};

use super::words::Word;

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
        assert_eq!(redact(&words, &NameList::default(), true), words);
        let chinese = [word(0, "王", 0.5), word(500, "伟", 0.6), word(900, "好", 0.7)];
        let texts: Vec<String> = redact(&chinese, &NameList::from_lines("王伟").unwrap(), false)
            .into_iter()
            .map(|word| word.text)
            .collect();
        assert_eq!(texts, ["[name]", "好"]);
    }
}
