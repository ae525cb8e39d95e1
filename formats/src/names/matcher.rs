//! Finds the names of a list in a text.

use std::collections::HashMap;
use std::fmt;
use std::ops::Range;

use super::common::{is_common, is_function_word, is_particle};
use super::endings::{Inflection, find_base};
use super::list::NameList;
use super::misheard::{Evidence, Sounds};
use super::tokens::{Gap, Token, tokens};

/// Letters of a part of a name that needs no capital.
const MIN_PART_BYTES: usize = 3;
/// Words into which a name may be split by mistake.
const MAX_PIECES: usize = 3;
/// Letters of a name that may be split.
const MIN_SPLIT_CHARS: usize = 4;

/// The names of a list, ready to be found.
pub struct Names {
    known: HashMap<String, Known>,
    sounds: Sounds,
    /// Words of the longest name.
    words: usize,
}

/// A name, by its letters without spaces.
struct Known {
    /// Where it has spaces, in bytes.
    spaces: Vec<usize>,
    /// Whether it is so ordinary a word that only one with a capital is a name.
    needs_capital: bool,
}

/// Words in sequence that may be a name.
struct Window {
    /// Tokens.
    count: usize,
    /// Their letters.
    letters: String,
    /// Where there are spaces between them, in bytes.
    spaces: Vec<usize>,
}

impl Names {
    /// Prepares a list.
    pub fn new(list: &NameList) -> Self {
        let mut names = Self { known: HashMap::new(), sounds: Sounds::default(), words: MAX_PIECES };
        for name in list.iter() {
            names.add(name);
        }
        names
    }

    fn add(&mut self, name: &str) {
        let all = tokens(name);
        let letters = |tokens: &[Token]| tokens.iter().map(|token| token.folded.as_str()).collect::<String>();
        self.words = self.words.max(all.len());
        let (mut spaces, mut at) = (Vec::new(), 0);
        for token in &all {
            if token.gap != Gap::Joined {
                spaces.push(at);
            }
            at += token.folded.len();
        }
        let joined = letters(&all);
        let needs_capital = is_function_word(&joined);
        self.insert(joined, spaces, needs_capital);
        // A pupil of a full name is called by a part of it, and one of a double name too.
        let words = all.chunk_by(|_, next| matches!(next.gap, Gap::Joined | Gap::Hyphen));
        let halves = all.chunk_by(|_, next| next.gap == Gap::Joined);
        for part in words.chain(halves).map(letters) {
            if part.chars().count() < 2 || is_particle(&part) {
                continue;
            }
            let is_short = part.is_ascii() && part.len() < MIN_PART_BYTES;
            let needs_capital = is_short || is_common(&part) || is_function_word(&part);
            self.insert(part, Vec::new(), needs_capital);
        }
    }

    fn insert(&mut self, letters: String, spaces: Vec<usize>, needs_capital: bool) {
        self.sounds.add(&letters);
        let known = self.known.entry(letters).or_insert(Known { spaces: Vec::new(), needs_capital });
        known.needs_capital &= needs_capital;
        known.spaces.extend(spaces);
    }

    /// Returns the bytes of a text that are names, in order. They do not overlap.
    pub fn find(&self, text: &str) -> Vec<Range<usize>> {
        let tokens = tokens(text);
        let mut search = Search {
            names: self,
            has_capitals: tokens.iter().any(|token| token.is_capital),
            tokens: &tokens,
            compared: HashMap::new(),
        };
        let mut found: Vec<Range<usize>> = Vec::new();
        let mut free = 0;
        let mut at = 0;
        while at < tokens.len() {
            let Some(count) = search.name_at(at) else {
                at += 1;
                continue;
            };
            let range = with_hyphened(&tokens, at..at + count, free);
            (free, at) = (range.end, range.end);
            if let (Some(first), Some(last)) = (tokens.get(range.start), tokens.get(range.end - 1)) {
                found.push(first.range.start..last.range.end);
            }
        }
        found
    }
}

/// A name without its names would say in a log who is a pupil.
impl fmt::Debug for Names {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Names")
    }
}

/// A name with what a hyphen joins to it, if that has a capital: the other half of a double name.
fn with_hyphened(tokens: &[Token], range: Range<usize>, free: usize) -> Range<usize> {
    let (mut start, mut end) = (range.start, range.end);
    while start > free && tokens[start].gap == Gap::Hyphen && tokens[start - 1].is_capital {
        start -= 1;
    }
    while tokens.get(end).is_some_and(|token| token.gap == Gap::Hyphen && token.is_capital) {
        end += 1;
    }
    start..end
}

/// The search of one text.
struct Search<'a> {
    names: &'a Names,
    tokens: &'a [Token],
    has_capitals: bool,
    /// Words that were compared by sound.
    compared: HashMap<(String, Evidence), bool>,
}

impl Search<'_> {
    /// Tokens of the name that begins at a token; `None` if none does.
    fn name_at(&mut self, at: usize) -> Option<usize> {
        let windows = self.windows(at);
        let is_one_word = |window: &&Window| window.spaces.is_empty();
        let few = |window: &&Window| window.count <= MAX_PIECES;
        let exact = windows.iter().rev().find(|window| self.is_exact(at, window));
        exact
            .or_else(|| windows.iter().rev().filter(is_one_word).find(|window| self.is_inflected(at, window)))
            .or_else(|| windows.iter().rev().filter(few).find(|window| self.is_split(at, window)))
            .or_else(|| windows.iter().filter(few).find(|window| self.is_misheard(at, window)))
            .map(|window| window.count)
    }

    fn windows(&self, at: usize) -> Vec<Window> {
        let mut windows: Vec<Window> = Vec::new();
        for (index, token) in self.tokens[at..].iter().take(self.names.words).enumerate() {
            if index > 0 && token.gap == Gap::Break {
                break;
            }
            let last = windows.last();
            let mut spaces = last.map_or_else(Vec::new, |window| window.spaces.clone());
            let before = last.map_or("", |window| window.letters.as_str());
            if index > 0 && token.gap == Gap::Space {
                spaces.push(before.len());
            }
            let letters = format!("{before}{}", token.folded);
            windows.push(Window { count: index + 1, letters, spaces });
        }
        windows
    }

    /// Whether a name has what it needs to be one at a token.
    fn is_written_so(&self, at: usize, known: &Known) -> bool {
        !known.needs_capital || !self.has_capitals || self.tokens[at].is_capital
    }

    fn is_exact(&self, at: usize, window: &Window) -> bool {
        self.names.known.get(&window.letters).is_some_and(|known| {
            self.is_written_so(at, known) && window.spaces.iter().all(|space| known.spaces.contains(space))
        })
    }

    fn is_inflected(&self, at: usize, window: &Window) -> bool {
        let plain = window.letters.trim_matches(|c: char| c.is_ascii_digit());
        find_base(plain, |base, inflection| {
            self.names.known.get(base).is_some_and(|known| self.is_written_so(at, known))
                && match inflection {
                    // "Lines" may be some of Lin, but "lines" are not.
                    Inflection::Plural => self.tokens[at].is_capital || is_common(base) || !is_common(plain),
                    Inflection::Case => !is_common(plain),
                }
        }) || plain != window.letters && self.names.known.contains_key(plain)
    }

    /// Whether it is a name with a space too many, such as "An na".
    fn is_split(&self, at: usize, window: &Window) -> bool {
        window.letters.chars().count() >= MIN_SPLIT_CHARS
            && self.names.known.contains_key(&window.letters)
            && self.is_no_phrase(at, window)
    }

    /// Whether words are not all ordinary ones, as "is a" are that spell Isa.
    fn is_no_phrase(&self, at: usize, window: &Window) -> bool {
        let mut pieces = self.tokens[at..at + window.count].iter().filter(|token| token.folded.len() > 1);
        pieces.any(|token| token.is_named() || !is_common(&token.folded))
    }

    fn is_misheard(&mut self, at: usize, window: &Window) -> bool {
        let tokens = &self.tokens[at..at + window.count];
        let is_one_word = window.spaces.is_empty();
        // A word of its own is no part of a name that was split.
        let is_known = |token: &Token| self.names.known.contains_key(&token.folded);
        if !self.is_no_phrase(at, window) || !is_one_word && tokens.iter().any(is_known) {
            return false;
        }
        let evidence = if !is_one_word {
            Evidence::Uncommon
        } else if tokens.iter().all(|token| is_common(&token.folded)) {
            Evidence::Ordinary
        } else if tokens.iter().any(|token| token.is_capital) {
            Evidence::Capital
        } else {
            Evidence::Uncommon
        };
        let key = (window.letters.clone(), evidence);
        let sounds = &self.names.sounds;
        *self.compared.entry(key).or_insert_with_key(|(letters, evidence)| sounds.has(letters, *evidence))
    }
}
