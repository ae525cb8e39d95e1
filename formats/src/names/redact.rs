//! Text without names.

use std::ops::Range;

use super::matcher::Names;
use super::tokens::PLACEHOLDER;

/// Some pieces in sequence that a name joined to one, and their text without it.
#[derive(Debug, PartialEq, Eq)]
pub struct Joined {
    /// Indices of the pieces.
    pub pieces: Range<usize>,
    /// Their text.
    pub text: String,
    /// Whether there was a name.
    pub has_name: bool,
}

impl Names {
    /// Returns a text with `[name]` in place of each name.
    pub fn redact(&self, text: &str) -> String {
        replace(text, 0..text.len(), &self.find(text))
    }

    /// The same for words in sequence, with their punctuation. A name of several words becomes one.
    pub fn redact_words(&self, words: &[&str], uses_spaces: bool) -> Vec<Joined> {
        let (text, ranges) = join(words, if uses_spaces { " " } else { "" });
        let mut names = self.find(&text);
        if !uses_spaces {
            // Latin words in such a language have lost the space between them.
            names = union(names, self.find_apart(words, &ranges));
        }
        let mut joined: Vec<Joined> = Vec::new();
        let mut at = 0;
        while at < ranges.len() {
            let from = at;
            // A name that begins in the last word goes on in the next.
            let goes_on = |end: usize| {
                let next = names.partition_point(|name| name.end <= end);
                names.get(next).is_some_and(|name| name.start < end)
            };
            while at + 1 < ranges.len() && goes_on(ranges[at].end) {
                at += 1;
            }
            at += 1;
            let span = ranges[from].start..ranges[at - 1].end;
            let first = names.partition_point(|name| name.start < span.start);
            let has_name = names.get(first).is_some_and(|name| name.end <= span.end);
            joined.push(Joined { pieces: from..at, text: replace(&text, span, &names), has_name });
        }
        joined
    }

    /// Finds names in words as if there were spaces between them; `ranges` are those of the words
    /// without.
    fn find_apart(&self, words: &[&str], ranges: &[Range<usize>]) -> Vec<Range<usize>> {
        let (text, apart) = join(words, " ");
        let without_spaces = |at: usize| {
            let word = apart.partition_point(|word| word.end <= at);
            Some(ranges.get(word)?.start + at.checked_sub(apart.get(word)?.start)?)
        };
        let found = self.find(&text).into_iter();
        found
            .filter_map(|name| Some(without_spaces(name.start)?..without_spaces(name.end - 1)? + 1))
            .collect()
    }

    /// The same for the lines of captions. A name that goes on in the next line is removed there.
    pub fn redact_lines(&self, lines: &[&str]) -> Vec<String> {
        let (text, ranges) = join(lines, "\n");
        let names = self.find(&text);
        ranges.into_iter().map(|range| replace(&text, range, &names).trim().to_owned()).collect()
    }
}

/// Ranges of two lists, in order and without overlaps.
fn union(mut one: Vec<Range<usize>>, other: Vec<Range<usize>>) -> Vec<Range<usize>> {
    one.extend(other);
    one.sort_by_key(|range| range.start);
    let mut united: Vec<Range<usize>> = Vec::with_capacity(one.len());
    for range in one {
        match united.last_mut() {
            Some(last) if range.start < last.end => last.end = last.end.max(range.end),
            _ => united.push(range),
        }
    }
    united
}

fn join(pieces: &[&str], separator: &str) -> (String, Vec<Range<usize>>) {
    let (mut text, mut ranges) = (String::new(), Vec::with_capacity(pieces.len()));
    for piece in pieces {
        if !text.is_empty() {
            text.push_str(separator);
        }
        ranges.push(text.len()..text.len() + piece.len());
        text.push_str(piece);
    }
    (text, ranges)
}

/// A part of a text without the names, of which each is replaced in the part where it begins.
fn replace(text: &str, part: Range<usize>, names: &[Range<usize>]) -> String {
    let mut out = String::with_capacity(part.len());
    let mut from = part.start;
    let first = names.partition_point(|name| name.end <= part.start);
    for name in names[first..].iter().take_while(|name| name.start < part.end) {
        if name.start >= part.start {
            out.push_str(text.get(from..name.start).unwrap_or_default());
            out.push_str(PLACEHOLDER);
        }
        from = name.end.min(part.end);
    }
    out.push_str(text.get(from..part.end).unwrap_or_default());
    out
}
