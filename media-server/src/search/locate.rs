//! Locating a query in a moment: the time of the first matching word, and the matches to highlight.

use std::ops::Range;

use super::query::{Clause, Query, Term};
use super::transcript::{Moment, SpokenWord};
use super::words::{self, Analyzer, Word};

/// The location of a query in a moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Match {
    /// Start of the first word that matches, in ms.
    pub start_ms: u64,
    /// The text to display: the cue, with the words ahead if the match reaches into them.
    pub text: String,
    /// The matches, as ranges of UTF-16 code units of `text` (as in JavaScript), in order.
    pub highlights: Vec<[usize; 2]>,
    /// True if every word of the query occurs exactly.
    pub exact: bool,
}

/// Locates the query in a moment of a transcript in `language`. `None` if the match lies entirely
/// in the words ahead: the next moment has it too, and better. With `needs_all` also if a part of
/// the query does not occur.
pub fn locate(moment: &Moment, language: &str, query: &Query, needs_all: bool) -> Option<Match> {
    let text = moment.text();
    let own = moment.cue.text.len();
    let mut analyzer = Analyzer::new(language);
    let words: Vec<(Word, String, String)> = words::split(&text)
        .into_iter()
        .map(|word| {
            let (exact, stem) = (analyzer.exact(&word), analyzer.stem(&word));
            (word, exact, stem)
        })
        .collect();
    let mut hits: Vec<Range<usize>> = Vec::new();
    for part in &query.parts {
        let found_before = hits.len();
        match part {
            Clause::Word(term) => {
                hits.extend((0..words.len()).filter(|&at| matches(term, &words[at])).map(|at| at..at + 1));
            }
            Clause::Phrase(terms) => {
                let starts = 0..(words.len() + 1).saturating_sub(terms.len());
                hits.extend(
                    starts
                        .filter(|&at| terms.iter().zip(&words[at..]).all(|(term, word)| term.exact == word.1))
                        .map(|at| at..at + terms.len()),
                );
            }
        }
        if needs_all && hits.len() == found_before {
            return None;
        }
    }
    hits.sort_by_key(|hit| hit.start);
    let first = hits.first().filter(|hit| words[hit.start].0.from < own)?;
    let start_ms = word_time(moment, &words, first.start).unwrap_or(moment.cue.start_ms);
    // A match in the words ahead extends the text only if it began in the cue, or if the cue alone
    // does not match.
    let matched = query
        .parts
        .iter()
        .all(|part| part.terms().iter().all(|term| words.iter().any(|w| w.0.to <= own && matches(term, w))));
    let crosses = hits.iter().any(|hit| words[hit.start].0.from < own && words[hit.end - 1].0.to > own);
    let visible = if matched && !crosses { own } else { text.len() };
    let mut marks: Vec<Range<usize>> = Vec::new();
    for hit in &hits {
        let range = words[hit.start].0.from..words[hit.end - 1].0.to;
        if range.end > visible {
            continue;
        }
        match marks.last_mut() {
            Some(last) if range.start < last.end => last.end = last.end.max(range.end),
            _ => marks.push(range),
        }
    }
    let highlights = marks.into_iter().map(|m| [utf16(&text[..m.start]), utf16(&text[..m.end])]).collect();
    let exact = query
        .parts
        .iter()
        .flat_map(Clause::terms)
        .all(|term| words.iter().any(|(word, exact, _)| word.to <= visible && *exact == term.exact));
    Some(Match { start_ms, highlights, text: text[..visible].to_owned(), exact })
}

fn matches(term: &Term, (_, exact, stem): &(Word, String, String)) -> bool {
    term.exact == *exact || term.stems.contains(stem)
}

fn utf16(text: &str) -> usize {
    text.encode_utf16().count()
}

/// The time of the `at`-th word of the moment's text. If the cue's text and its timed words differ
/// (a model may format its text), the nearest timed word with the same text counts.
fn word_time(moment: &Moment, words: &[(Word, String, String)], at: usize) -> Option<u64> {
    let mut analyzer = Analyzer::new("");
    let timed: Vec<(String, u64)> = moment
        .cue
        .words
        .iter()
        .chain(&moment.ahead)
        .flat_map(|spoken: &SpokenWord| words::split(&spoken.text).into_iter().map(|w| (w, spoken.start_ms)))
        .map(|(word, start_ms)| (analyzer.exact(&word), start_ms))
        .collect();
    let wanted = &words.get(at)?.1;
    if timed.len() == words.len() && timed.get(at).is_some_and(|(text, _)| text == wanted) {
        return timed.get(at).map(|(_, start_ms)| *start_ms);
    }
    timed
        .iter()
        .enumerate()
        .filter(|(_, (text, _))| text == wanted)
        .min_by_key(|(index, _)| index.abs_diff(at))
        .map(|(_, (_, start_ms))| *start_ms)
}

#[cfg(test)]
mod tests {
    use super::super::transcript::Cue;
    use super::*;

    fn spoken(text: &str, from_ms: u64) -> Vec<SpokenWord> {
        text.split(' ')
            .enumerate()
            .map(|(n, word)| SpokenWord {
                start_ms: from_ms + n as u64 * 500,
                end_ms: from_ms + n as u64 * 500 + 400,
                text: word.into(),
            })
            .collect()
    }

    fn moment() -> Moment {
        let text = "Why do you think, 👩‍🏫 Ana, that it’s explained";
        let cue = Cue { start_ms: 9_500, end_ms: 15_000, text: text.into(), words: spoken(text, 10_000) };
        Moment { cue, ahead: spoken("by gravity alone", 15_000) }
    }

    fn find(text: &str) -> Option<Match> {
        locate(&moment(), "en", &Query::parse(text, &["en".into()]), false)
    }

    fn lit(found: &Match) -> Vec<String> {
        let units: Vec<u16> = found.text.encode_utf16().collect();
        found.highlights.iter().map(|[a, b]| String::from_utf16_lossy(&units[*a..*b])).collect()
    }

    #[test]
    fn the_first_matching_word_gives_the_time() {
        let found = find("ana thinking").unwrap();
        assert_eq!(found.start_ms, 11_500);
        assert_eq!(lit(&found), ["think", "Ana"]);
        assert_eq!(found.text, moment().cue.text);
        assert_eq!(find("explain").unwrap().start_ms, 14_000);
        assert_eq!(lit(&find("it's").unwrap()), ["it’s"]);
    }

    #[test]
    fn a_phrase_may_reach_into_the_next_cue() {
        let found = find("\"explained by gravity\"").unwrap();
        assert_eq!(found.start_ms, 14_000);
        assert_eq!(lit(&found), ["explained by gravity"]);
        assert!(find("\"explain by gravity\"").is_none(), "quotes mean just these words");
        assert!(find("gravity").is_none(), "the next moment's own");
    }

    #[test]
    fn text_and_timed_words_may_disagree() {
        let mut moment = moment();
        moment.cue.words.remove(1);
        let found = locate(&moment, "en", &Query::parse("ana", &["en".into()]), false).unwrap();
        assert_eq!(found.start_ms, 12_500);
        moment.cue.words.clear();
        let found = locate(&moment, "en", &Query::parse("ana", &["en".into()]), false).unwrap();
        assert_eq!(found.start_ms, 9_500, "without word times the cue's start");
    }
}
