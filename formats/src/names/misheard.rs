//! Words that sound like a name. Two rules, and either is enough: the same key by sound with few
//! other letters, or next to the same plain spelling.

use std::collections::{HashMap, HashSet};

use super::letters::{is_unspaced, latin};
use super::spelling::{plain, spellings};
use crate::{edits, sound};

/// How sure it is that a word is some name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Evidence {
    /// It is an ordinary word with a capital.
    Ordinary,
    /// It is no ordinary word, but has no capital either.
    Uncommon,
    /// It is no ordinary word, and begins with a capital as names do.
    Capital,
}

/// A name as it may sound.
struct Spoken {
    /// In Latin letters, or in those of its own alphabet.
    letters: String,
    /// In plain spelling.
    plain: String,
    /// Whether these letters are so few, or so much of a guess, that only a capital confirms them.
    needs_capital: bool,
}

/// Names by their sound.
#[derive(Default)]
pub struct Sounds {
    added: HashSet<String>,
    spoken: Vec<Spoken>,
    by_key: HashMap<String, Vec<usize>>,
    /// Whether only a capital confirms it.
    by_plain: HashMap<String, bool>,
    by_start: HashMap<(char, usize), Vec<usize>>,
}

/// Letters of a name of which only a capital shows that a similar word is it.
const SHORT_CHARS: usize = 3;
/// Letters of a spelling that is a guess of ours.
const MIN_GUESS_CHARS: usize = 4;
/// Letters in which one may be another, in alphabets of which no sound is known here.
const MIN_FOREIGN_CHARS: usize = 4;
/// Letters of a plain spelling in which one may be another.
const MIN_NEAR_CHARS: usize = 6;
/// Letters of a plain spelling in which two may be others.
const MIN_FAR_CHARS: usize = 9;

impl Sounds {
    /// Adds a folded name. One that is too short, or in a script of other rules, has no sound.
    pub fn add(&mut self, folded: &str) {
        if folded.chars().count() < SHORT_CHARS || folded.chars().any(is_unspaced) {
            return;
        }
        if !self.added.insert(folded.to_owned()) {
            return;
        }
        let ways = latin(folded).map_or_else(|| vec![folded.to_owned()], |name| spellings(&name));
        for (way, letters) in ways.into_iter().enumerate() {
            let plain = plain(&letters);
            let index = self.spoken.len();
            let key = sound::key(&letters);
            if !key.is_empty() {
                self.by_key.entry(key).or_default().push(index);
            }
            if let Some(first) = plain.chars().next() {
                self.by_start.entry((first, plain.chars().count())).or_default().push(index);
            }
            let is_guess = way > 0 && plain.len() < MIN_GUESS_CHARS;
            let needs_capital = is_guess || letters.chars().count() <= SHORT_CHARS;
            *self.by_plain.entry(plain.clone()).or_insert(true) &= needs_capital;
            self.spoken.push(Spoken { letters, plain, needs_capital });
        }
    }

    /// Whether a folded word sounds like a name.
    pub fn has(&self, folded: &str, evidence: Evidence) -> bool {
        if self.spoken.is_empty() || folded.chars().any(is_unspaced) {
            return false;
        }
        let letters = latin(folded).unwrap_or_else(|| folded.to_owned());
        if letters.chars().count() < SHORT_CHARS {
            return false;
        }
        let plain = plain(&letters);
        let is_alike = self.by_plain.get(&plain);
        is_alike.is_some_and(|needs_capital| !needs_capital || evidence == Evidence::Capital)
            || evidence > Evidence::Ordinary
                && (self.has_key(&letters, evidence) || self.is_near(&plain, evidence))
    }

    fn has_key(&self, letters: &str, evidence: Evidence) -> bool {
        let Some(indices) = self.by_key.get(&sound::key(letters)) else { return false };
        indices.iter().any(|index| {
            let Spoken { letters: name, needs_capital, .. } = &self.spoken[*index];
            (!needs_capital || evidence == Evidence::Capital)
                && edits::is_within(name, letters, max_edits(name.chars().count(), evidence))
        })
    }

    fn is_near(&self, plain: &str, evidence: Evidence) -> bool {
        let Some(first) = plain.chars().next() else { return false };
        let length = plain.chars().count();
        let min = match evidence {
            _ if !plain.is_ascii() => MIN_FOREIGN_CHARS,
            Evidence::Capital => MIN_NEAR_CHARS - 1,
            _ => MIN_NEAR_CHARS,
        };
        if length < min {
            return false;
        }
        let edits = if length >= MIN_FAR_CHARS { 2 } else { 1 };
        (length.saturating_sub(edits).max(min)..=length + edits)
            .filter_map(|length| self.by_start.get(&(first, length)))
            .flatten()
            .any(|index| edits::is_within(&self.spoken[*index].plain, plain, edits))
    }
}

/// Edits by which a word of the same key may differ from a name of so many letters.
fn max_edits(chars: usize, evidence: Evidence) -> usize {
    let edits = match chars {
        0..=SHORT_CHARS => 0,
        4..=7 => 1,
        _ => 2,
    };
    edits + usize::from(evidence >= Evidence::Capital && chars != 4)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_capital_is_evidence_and_short_names_need_it() {
        let mut sounds = Sounds::default();
        for name in ["mia", "maria", "lukasz", "дмитрии", "محمد"] {
            sounds.add(name);
        }
        assert!(sounds.has("mya", Evidence::Capital) && !sounds.has("mya", Evidence::Uncommon));
        assert!(sounds.has("marya", Evidence::Uncommon) && sounds.has("lukash", Evidence::Uncommon));
        assert!(sounds.has("dmitri", Evidence::Capital), "in another alphabet");
        assert!(!sounds.has("marble", Evidence::Capital) && !sounds.has("me", Evidence::Capital));
    }
}
