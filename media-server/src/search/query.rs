//! Queries: words, and phrases in quotes. Any text is a query; none is an error.

use super::words::{self, Analyzer};

/// Limit of a query's characters; the rest is not read.
pub const MAX_QUERY_CHARS: usize = 300;
/// Limit of a query's words; the rest is not read.
pub const MAX_WORDS: usize = 24;

/// A word of the query, as index terms.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Term {
    /// The word itself.
    pub exact: String,
    /// Its stems in the languages that are spoken in the index, without repeats.
    pub stems: Vec<String>,
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
        for (at, piece) in text.split(['"', '\u{201c}', '\u{201d}', '\u{201e}', '«', '»']).enumerate() {
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
        Self { parts }
    }

    /// True if the query contains no word.
    pub fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }
}

fn term(word: &words::Word, analyzers: &mut [Analyzer]) -> Term {
    let exact = analyzers.first_mut().map(|a| a.exact(word)).unwrap_or_default();
    let mut stems: Vec<String> = Vec::new();
    for analyzer in analyzers {
        let stem = analyzer.stem(word);
        if !stems.contains(&stem) {
            stems.push(stem);
        }
    }
    Term { exact, stems }
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

    proptest! {
        #[test]
        fn any_text_is_a_query(text in "\\PC{0,400}") {
            let query = Query::parse(&text, &["en".into(), "fr".into()]);
            let count: usize = query.parts.iter().map(|p| p.terms().len()).sum();
            prop_assert!(count <= MAX_WORDS);
        }
    }
}
