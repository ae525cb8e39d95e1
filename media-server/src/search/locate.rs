//! Locating a query in a passage: the spans that match, and the matches to highlight in their cues.

use std::collections::HashMap;
use std::ops::Range;
use std::rc::Rc;
use std::sync::Arc;

use chalkstream_formats::edits;

use super::query::{Clause, Query, Rank, Term};
use super::transcript::{MAX_SPAN_WORDS, Passage, SpokenCue};
use super::words::{self, Analyzer, Forms, TextWord};

/// Cues in sequence that match.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MatchSpan {
    /// Number of the first cue in the lesson.
    pub first: usize,
    /// The cues.
    pub pieces: Vec<MatchCue>,
}

impl MatchSpan {
    /// The doubt of the most doubtful cue with a match, in percent.
    pub fn doubt_percent(&self) -> u8 {
        let matching = self.pieces.iter().filter(|piece| !piece.marks.is_empty());
        matching.map(|piece| piece.doubt_percent).max().unwrap_or(0)
    }
}

/// One cue of a span.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MatchCue {
    /// Start of the cue in ms.
    pub start_ms: u64,
    /// End of the cue in ms.
    pub end_ms: u64,
    /// Its text.
    pub text: String,
    /// The matches, as ranges of UTF-16 code units of the text (as in JavaScript), in order.
    pub marks: Vec<[usize; 2]>,
    /// Start of the first matching word, in ms.
    pub match_ms: Option<u64>,
    /// True if the first match began in the cue before.
    pub continues: bool,
    /// How doubtful its words are, in percent.
    pub doubt_percent: u8,
}

/// A word of the passage.
struct PassageWord {
    cue: usize,
    /// Number of the word in its cue.
    number: usize,
    word: TextWord,
    known: Rc<KnownWord>,
}

/// What the search makes of a word. Passages repeat most of their words.
struct KnownWord {
    forms: Arc<Forms>,
    /// How it matches each clause that is a word.
    ranks: Vec<Option<Rank>>,
}

/// A clause found at some words.
#[derive(Clone)]
struct Match {
    clause: usize,
    words: Range<usize>,
    rank: Rank,
}

/// Reads passages in one language, for the searches of one query.
pub struct Locator {
    analyzer: Analyzer,
    /// The rank of the search whose words are known.
    rank: Rank,
    known: HashMap<String, Rc<KnownWord>>,
}

impl Locator {
    /// A locator for passages in `language`.
    pub fn new(language: &str) -> Self {
        Self { analyzer: Analyzer::spare(language), rank: Rank::Phrase, known: HashMap::new() }
    }

    /// Keeps what it knows of the language for the next query.
    pub fn finish(self) {
        self.analyzer.keep();
    }

    /// The spans of just this rank that begin in the passage's own cues. Those of better ranks are
    /// left out: earlier searches have found them.
    pub fn locate(&mut self, passage: &Passage, query: &Query, wanted: Rank) -> Vec<MatchSpan> {
        if self.rank != wanted {
            self.known.clear();
            self.rank = wanted;
        }
        let spoken = self.spoken(passage, query);
        let matches = matches(query, wanted, &spoken);
        let spans: Vec<(Range<usize>, Rank)> = match wanted {
            Rank::Partial => matches.iter().map(|found| (found.words.clone(), Rank::Partial)).collect(),
            _ => covers(&matches, query.parts.len()),
        };
        let is_wanted = |rank| match wanted {
            Rank::Phrase => rank == Rank::Exact,
            wanted => rank == wanted,
        };
        let mut cues: Vec<Range<usize>> = spans
            .into_iter()
            .filter(|(words, rank)| is_wanted(*rank) && spoken[words.start].cue < passage.own)
            .map(|(words, _)| spoken[words.start].cue..spoken[words.end - 1].cue + 1)
            .collect();
        cues.dedup();
        cues.into_iter()
            .map(|cues| MatchSpan {
                first: passage.first + cues.start,
                pieces: cues.map(|cue| self.piece(cue, &passage.cues[cue], &spoken, &matches)).collect(),
            })
            .collect()
    }

    fn spoken(&mut self, passage: &Passage, query: &Query) -> Vec<PassageWord> {
        let mut spoken = Vec::new();
        for (cue, text) in passage.cues.iter().map(|cue| &cue.text).enumerate() {
            for (number, word) in words::split(text).into_iter().enumerate() {
                let known = match self.known.get(&word.text) {
                    Some(known) => known.clone(),
                    None => self.learn(&word, query),
                };
                spoken.push(PassageWord { cue, number, word, known });
            }
        }
        spoken
    }

    fn learn(&mut self, word: &TextWord, query: &Query) -> Rc<KnownWord> {
        // Stems and sounds take most of the time, and most searches end before they count.
        let (forms, allowed) = match self.rank {
            Rank::Phrase | Rank::Exact => {
                (Arc::new(Forms { exact: self.analyzer.exact(word), ..Forms::default() }), Rank::Exact)
            }
            Rank::Partial => (self.analyzer.forms(word), Rank::Stem),
            wanted => (self.analyzer.forms(word), wanted),
        };
        let ranks = query.parts.iter().map(|part| match part {
            Clause::Word(term) => rank(term, &forms, allowed),
            Clause::Phrase(_) => None,
        });
        let known = Rc::new(KnownWord { ranks: ranks.collect(), forms });
        self.known.insert(word.text.clone(), known.clone());
        known
    }

    fn piece(&mut self, at: usize, cue: &SpokenCue, spoken: &[PassageWord], matches: &[Match]) -> MatchCue {
        let mut marks: Vec<Range<usize>> = Vec::new();
        let (mut match_ms, mut continues) = (None, false);
        for found in matches {
            let mut words = found.words.clone().filter(|&word| spoken[word].cue == at);
            let Some(first) = words.next() else { continue };
            let range = spoken[first].word.from..spoken[words.next_back().unwrap_or(first)].word.to;
            if marks.is_empty() {
                continues = first > found.words.start;
                match_ms = self.word_time(cue, &spoken[first]);
            }
            match marks.last_mut() {
                Some(last) if range.start < last.end => last.end = last.end.max(range.end),
                _ => marks.push(range),
            }
        }
        let marks = marks.into_iter().map(|m| [utf16(&cue.text[..m.start]), utf16(&cue.text[..m.end])]);
        MatchCue {
            start_ms: cue.start_ms,
            end_ms: cue.end_ms,
            text: cue.text.clone(),
            marks: marks.collect(),
            match_ms,
            continues,
            doubt_percent: cue.doubt_percent,
        }
    }

    /// The time of a word of a cue. If the cue's text and its timed words differ (a model may
    /// format its text), the nearest timed word with the same text counts, and else the cue's
    /// start.
    fn word_time(&mut self, cue: &SpokenCue, spoken: &PassageWord) -> Option<u64> {
        let mut timed = Vec::new();
        for word in &cue.words {
            for part in words::split(&word.text) {
                timed.push((self.analyzer.exact(&part), word.start_ms));
            }
        }
        let wanted = &spoken.known.forms.exact;
        if let Some((text, start_ms)) = timed.get(spoken.number)
            && text == wanted
        {
            return Some(*start_ms);
        }
        let same = timed.iter().enumerate().filter(|(_, (text, _))| text == wanted);
        let nearest = same.min_by_key(|(number, _)| number.abs_diff(spoken.number));
        Some(nearest.map_or(cue.start_ms, |(_, (_, start_ms))| *start_ms))
    }
}

/// All matches of all clauses, in order of their first word.
fn matches(query: &Query, wanted: Rank, spoken: &[PassageWord]) -> Vec<Match> {
    let mut matches = Vec::new();
    for (clause, part) in query.parts.iter().enumerate() {
        match part {
            Clause::Word(term) => word(clause, term, wanted, spoken, &mut matches),
            Clause::Phrase(terms) => {
                let starts = 0..(spoken.len() + 1).saturating_sub(terms.len());
                let found = starts.filter(|&at| {
                    terms.iter().zip(&spoken[at..]).all(|(term, word)| term.exact == word.known.forms.exact)
                });
                matches.extend(found.map(|at| Match {
                    clause,
                    words: at..at + terms.len(),
                    rank: Rank::Exact,
                }));
            }
        }
    }
    matches.sort_by_key(|found| (found.words.start, found.words.end));
    matches
}

fn word(clause: usize, term: &Term, wanted: Rank, spoken: &[PassageWord], matches: &mut Vec<Match>) {
    for (at, word) in spoken.iter().enumerate() {
        if let Some(rank) = word.known.ranks[clause] {
            matches.push(Match { clause, words: at..at + 1, rank });
        } else if wanted == Rank::Sound
            && let Some(next) = spoken.get(at + 1)
            && is_sound_of(term, &word.known.forms, &next.known.forms)
        {
            matches.push(Match { clause, words: at..at + 2, rank: Rank::Sound });
        }
    }
}

/// How a word matches, if no worse than allowed.
fn rank(term: &Term, forms: &Forms, allowed: Rank) -> Option<Rank> {
    if term.exact == forms.exact {
        return Some(Rank::Exact);
    }
    if allowed >= Rank::Stem && term.stems.contains(&forms.stem) {
        return Some(Rank::Stem);
    }
    if allowed >= Rank::Prefix && term.open && forms.exact.starts_with(&term.exact) {
        return Some(Rank::Prefix);
    }
    let is_misspelt = || term.edits > 0 && edits::is_within(&term.exact, &forms.exact, term.edits);
    if allowed >= Rank::Misspelt && is_misspelt() {
        return Some(Rank::Misspelt);
    }
    (allowed >= Rank::Sound && !term.sound.is_empty() && term.sound == forms.sound).then_some(Rank::Sound)
}

/// True if two words in sequence sound like a word: "new murder" like "numerator".
fn is_sound_of(term: &Term, one: &Forms, other: &Forms) -> bool {
    !one.sound.is_empty()
        && !other.sound.is_empty()
        && term.sound.strip_prefix(one.sound.as_str()) == Some(other.sound.as_str())
}

/// The shortest ranges of words in which every clause matches, with the worst rank in each. Of
/// those that overlap, the shorter one counts.
fn covers(matches: &[Match], clauses: usize) -> Vec<(Range<usize>, Rank)> {
    if clauses == 1 {
        return matches.iter().map(|found| (found.words.clone(), found.rank)).collect();
    }
    let mut covers = Vec::new();
    let mut counts = vec![0_usize; clauses];
    let (mut first, mut missing) = (0, clauses);
    for (last, found) in matches.iter().enumerate() {
        missing -= usize::from(counts[found.clause] == 0);
        counts[found.clause] += 1;
        // The first match goes as long as the others still cover all clauses.
        while missing == 0 {
            let clause = matches[first].clause;
            if counts[clause] == 1 {
                covers.extend(cover(&matches[first..=last]));
                missing += 1;
            }
            counts[clause] -= 1;
            first += 1;
        }
    }
    covers.sort_by_key(|(words, rank): &(Range<usize>, Rank)| (words.len(), *rank, words.start));
    let mut taken = vec![false; covers.iter().map(|(words, _)| words.end).max().unwrap_or(0)];
    covers.retain(|(words, _)| {
        let is_free = !taken[words.clone()].contains(&true);
        if is_free {
            taken[words.clone()].fill(true);
        }
        is_free
    });
    covers.sort_by_key(|(words, _)| words.start);
    covers
}

fn cover(matches: &[Match]) -> Option<(Range<usize>, Rank)> {
    let start = matches.first()?.words.start;
    let end = matches.iter().map(|found| found.words.end).max()?;
    let rank = matches.iter().map(|found| found.rank).max()?;
    (end - start <= MAX_SPAN_WORDS).then_some((start..end, rank))
}

fn utf16(text: &str) -> usize {
    text.encode_utf16().count()
}

#[cfg(test)]
mod tests {
    use super::super::transcript::SpokenWord;
    use super::*;

    fn passage() -> Passage {
        let cue = |at: u64, text: &str| {
            let words = text.split(' ').enumerate().map(|(n, word)| {
                let start_ms = at + n as u64 * 500;
                SpokenWord { start_ms, end_ms: start_ms + 400, text: word.into() }
            });
            let words = words.collect();
            SpokenCue { start_ms: at - 500, end_ms: at + 4_500, text: text.into(), words, doubt_percent: 0 }
        };
        let cues = vec![
            cue(10_000, "Why do you think, 👩‍🏫 Ana, that it’s explained"),
            cue(15_000, "by gravity alone"),
        ];
        Passage { first: 3, own: 1, cues }
    }

    fn locate(passage: &Passage, text: &str, rank: Rank) -> Vec<MatchSpan> {
        Locator::new("en").locate(passage, &Query::parse(text, &["en".into()]), rank)
    }

    fn marked(piece: &MatchCue) -> Vec<String> {
        let units: Vec<u16> = piece.text.encode_utf16().collect();
        piece.marks.iter().map(|[from, to]| String::from_utf16_lossy(&units[*from..*to])).collect()
    }

    #[test]
    fn the_first_matching_word_gives_the_time() {
        let spans = locate(&passage(), "ana thinking", Rank::Stem);
        assert_eq!((spans.len(), spans[0].first, spans[0].pieces.len()), (1, 3, 1));
        assert_eq!(spans[0].pieces[0].match_ms, Some(11_500));
        assert_eq!(marked(&spans[0].pieces[0]), ["think", "Ana"]);
        assert!(locate(&passage(), "ana thinking", Rank::Exact).is_empty());
        assert_eq!(marked(&locate(&passage(), "it's", Rank::Exact)[0].pieces[0]), ["it’s"]);
    }

    #[test]
    fn a_match_may_reach_into_the_next_passage_but_not_begin_there() {
        let spans = locate(&passage(), "\"explained by gravity\"", Rank::Exact);
        let pieces = &spans[0].pieces;
        assert_eq!((pieces[0].match_ms, pieces[1].continues), (Some(14_000), true));
        assert_eq!(
            (marked(&pieces[0]), marked(&pieces[1])),
            (vec!["explained".into()], vec!["by gravity".into()])
        );
        assert!(locate(&passage(), "\"explain by gravity\"", Rank::Exact).is_empty(), "just these words");
        assert!(locate(&passage(), "gravity", Rank::Exact).is_empty());
    }

    #[test]
    fn text_and_timed_words_may_disagree() {
        let mut passage = passage();
        passage.cues[0].words.remove(1);
        assert_eq!(locate(&passage, "ana", Rank::Exact)[0].pieces[0].match_ms, Some(12_500));
        passage.cues[0].words.clear();
        let spans = locate(&passage, "ana", Rank::Exact);
        assert_eq!(spans[0].pieces[0].match_ms, Some(9_500), "without word times the cue's start");
    }

    #[test]
    fn words_far_apart_are_no_match_and_of_overlapping_ones_the_shorter_counts() {
        let cue = |text: String| SpokenCue { text, ..SpokenCue::default() };
        let far = format!("one {}two", "and ".repeat(MAX_SPAN_WORDS - 1));
        let near = format!("one {}two", "and ".repeat(MAX_SPAN_WORDS - 2));
        let count = |text: String| {
            locate(&Passage { first: 0, own: 9, cues: vec![cue(text)] }, "one two", Rank::Exact).len()
        };
        assert_eq!((count(far), count(near)), (0, 1));
        let cues = ["two and one", "two", "one"].map(|text| cue(text.into())).to_vec();
        let spans = locate(&Passage { first: 0, own: 3, cues }, "one two", Rank::Exact);
        assert_eq!(spans.iter().map(|span| (span.first, span.pieces.len())).collect::<Vec<_>>(), [(0, 2)]);
    }
}
