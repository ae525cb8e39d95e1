//! Queries: words, and phrases in quotes. Any text is a query; none is an error.

use chalkstream_formats::sound;

use super::words::{self, Analyzer};

/// Limit of a query's characters; the rest is not read.
pub const MAX_QUERY_CHARS: usize = 300;
/// Limit of a query's words; the rest is not read.
pub const MAX_WORDS: usize = 24;
/// Characters that the start of a word needs, to stand for all words that begin so.
const MIN_PREFIX_CHARS: usize = 2;
/// From so many letters on, a word may have one wrong letter, and two.
const MIN_LETTERS: [usize; 2] = [4, 8];

/// Marks around a phrase.
pub const QUOTES: [char; 6] = ['"', '\u{201c}', '\u{201d}', '\u{201e}', '«', '»'];

/// How a moment matches, best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rank {
    /// All words just as in the query, and in its sequence.
    Phrase,
    /// All words just as in the query.
    Exact,
    /// Another form of a word.
    Stem,
    /// A word that begins as the last one of the query, which may not be typed to its end.
    Prefix,
    /// A word with a letter or two different.
    Misspelt,
    /// A word, or two in sequence, that sound like one of the query.
    Sound,
    /// Only some of the words.
    Partial,
}

/// A word of the query, as index terms.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Term {
    /// The word itself.
    pub exact: String,
    /// Its stems in the languages that are spoken in the index, without repeats.
    pub stems: Vec<String>,
    /// Its key by sound; empty if it is too short to find by sound.
    pub sound: String,
    /// Letters that may differ.
    pub edits: usize,
    /// True if it may be the start of a word that is still being typed.
    pub open: bool,
}

/// A word or phrase that must occur.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Clause {
    /// A word, or another form of it.
    Word(Term),
    /// Exactly these words in sequence.
    Phrase(Vec<Term>),
}

impl Clause {
    /// Its words.
    pub fn terms(&self) -> &[Term] {
        match self {
            Clause::Word(term) => std::slice::from_ref(term),
            Clause::Phrase(terms) => terms,
        }
    }
}

/// A parsed query.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Query {
    /// All clauses, in the order written.
    pub parts: Vec<Clause>,
}

impl Query {
    /// Parses a query. `languages` are those of the index. The query's own language is unknown, so
    /// each of them provides its stem.
    pub fn parse(text: &str, languages: &[String]) -> Self {
        let text: String = text.chars().take(MAX_QUERY_CHARS).collect();
        let mut analyzers: Vec<Analyzer> = languages.iter().map(|l| Analyzer::new(l)).collect();
        if analyzers.is_empty() {
            analyzers.push(Analyzer::new("en"));
        }
        let mut left = MAX_WORDS;
        let mut parts = Vec::new();
        for (at, piece) in text.split(QUOTES).enumerate() {
            let found: Vec<_> = words::split(piece).into_iter().take(left).collect();
            left -= found.len();
            let mut runs: Vec<Vec<Term>> = Vec::new();
            for word in &found {
                let term = term(word, &mut analyzers);
                match runs.last_mut() {
                    Some(run) if word.joined || at % 2 == 1 => run.push(term),
                    _ => runs.push(vec![term]),
                }
            }
            parts.extend(runs.into_iter().map(|mut run| match run.len() {
                1 => Clause::Word(run.remove(0)),
                _ => Clause::Phrase(run),
            }));
        }
        parts.dedup();
        let is_typing = text.ends_with(char::is_alphanumeric);
        if let (true, Some(Clause::Word(term))) = (is_typing, parts.last_mut()) {
            term.open = term.exact.chars().count() >= MIN_PREFIX_CHARS;
        }
        Self { parts }
    }

    /// True if the query contains no word.
    pub fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }

    /// The searches that answer the query, best results first. A later one finds again what an
    /// earlier one found.
    pub fn searches(&self) -> Vec<(Rank, Query)> {
        let words: Vec<&Term> = self
            .parts
            .iter()
            .filter_map(|part| match part {
                Clause::Word(term) => Some(term),
                Clause::Phrase(_) => None,
            })
            .collect();
        let mut searches = Vec::new();
        if words.len() > 1 && words.len() == self.parts.len() {
            let phrase = Clause::Phrase(words.iter().map(|term| (*term).clone()).collect());
            searches.push((Rank::Phrase, Query { parts: vec![phrase] }));
        }
        let ranks = [
            (Rank::Exact, true),
            (Rank::Stem, !words.is_empty()),
            (Rank::Prefix, words.iter().any(|term| term.open)),
            (Rank::Misspelt, words.iter().any(|term| term.edits > 0)),
            (Rank::Sound, words.iter().any(|term| !term.sound.is_empty())),
            (Rank::Partial, self.parts.len() > 1),
        ];
        searches.extend(
            ranks.into_iter().filter(|(_, is_useful)| *is_useful).map(|(rank, _)| (rank, self.clone())),
        );
        searches
    }
}

fn term(word: &words::TextWord, analyzers: &mut [Analyzer]) -> Term {
    let mut term = Term::default();
    for analyzer in analyzers {
        let forms = analyzer.forms(word);
        if term.exact.is_empty() {
            term.exact = forms.exact.clone();
            term.sound = forms.sound.clone();
        }
        if !term.stems.contains(&forms.stem) {
            term.stems.push(forms.stem.clone());
        }
    }
    if term.sound.len() < sound::MIN_CODES {
        term.sound.clear();
    }
    // One digit more or less is another number.
    if term.exact.chars().all(char::is_alphabetic) {
        let letters = term.exact.chars().count();
        term.edits = MIN_LETTERS.iter().filter(|least| letters >= **least).count();
    }
    term
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn shape(text: &str) -> Vec<Vec<String>> {
        let query = Query::parse(text, &["en".into()]);
        query.parts.iter().map(|p| p.terms().iter().map(|t| t.exact.clone()).collect()).collect()
    }

    #[test]
    fn quotes_make_phrases() {
        assert_eq!(shape("why \"do you think\" so"), [vec!["why"], vec!["do", "you", "think"], vec!["so"]]);
        assert_eq!(shape("“turn and talk”"), [vec!["turn", "and", "talk"]]);
        assert_eq!(shape("\"open end"), [vec!["open", "end"]]);
    }

    #[test]
    fn operators_of_other_engines_are_just_text() {
        assert_eq!(
            shape("tenant:* AND (a OR -b)~2^9"),
            [["tenant"], ["and"], ["a"], ["or"], ["b"], ["2"], ["9"]]
        );
        assert!(shape("   \"\" *:* [ TO ] ").concat().contains(&"to".to_owned()));
        assert!(Query::parse("!!! \" ' ", &[]).is_empty());
    }

    #[test]
    fn the_last_word_may_be_unfinished_and_long_words_may_be_misspelt() {
        let query = Query::parse("cat denominators num", &["en".into()]);
        let terms: Vec<_> = query.parts.iter().flat_map(Clause::terms).collect();
        assert_eq!(terms.iter().map(|t| t.open).collect::<Vec<_>>(), [false, false, true]);
        assert_eq!(terms.iter().map(|t| t.edits).collect::<Vec<_>>(), [0, 2, 0]);
        let ranks = |text: &str| {
            Query::parse(text, &[]).searches().into_iter().map(|(rank, _)| rank).collect::<Vec<_>>()
        };
        assert_eq!(ranks("\"turn and talk\""), [Rank::Exact]);
        assert_eq!(ranks("it "), [Rank::Exact, Rank::Stem]);
        assert_eq!(ranks("it is"), [Rank::Phrase, Rank::Exact, Rank::Stem, Rank::Prefix, Rank::Partial]);
        assert_eq!(ranks("1234 "), [Rank::Exact, Rank::Stem], "a number is not misspelt");
    }

    proptest! {
        #[test]
        fn any_text_is_a_query(text in "\\PC{0,400}") {
            let query = Query::parse(&text, &["en".into(), "fr".into()]);
            let count: usize = query.parts.iter().map(|p| p.terms().len()).sum();
            prop_assert!(count <= MAX_WORDS);
        }
    }
}
