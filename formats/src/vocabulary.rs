//! Words and names of a subject that a recogniser should know how to spell.

use std::collections::HashSet;
use std::fmt;

use serde::{Deserialize, Serialize};

/// Maximum number of terms of a list.
pub const MAX_TERMS: usize = 200;
/// Maximum size of a term, in bytes of UTF-8.
pub const MAX_TERM_BYTES: usize = 100;
/// Maximum size of all terms together, in bytes of UTF-8; base64 of it fits a tus header.
pub const MAX_TERMS_BYTES: usize = 4_096;

/// Terms, the most important first. They may name people, so neither `Debug` nor an error has any.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<String>", into = "Vec<String>")]
pub struct Vocabulary(Vec<String>);

/// Why a vocabulary is refused. Terms count from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VocabularyError {
    /// It has more than [`MAX_TERMS`].
    TooMany,
    /// A term has more than [`MAX_TERM_BYTES`].
    TooLong(usize),
    /// All terms have more than [`MAX_TERMS_BYTES`].
    TooLarge,
    /// A term has no letter.
    NoLetter(usize),
}

impl Vocabulary {
    /// Makes a list of terms without the spaces around them. Drops empty ones, and those that are
    /// there already.
    ///
    /// # Errors
    /// If a limit is exceeded, or a term has no letter.
    pub fn new(terms: impl IntoIterator<Item = String>) -> Result<Self, VocabularyError> {
        let (mut taken, mut seen, mut size_bytes) = (Vec::new(), HashSet::new(), 0);
        for (index, term) in terms.into_iter().enumerate() {
            let plain: String = term.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
            let term = plain.split_whitespace().collect::<Vec<_>>().join(" ");
            if term.is_empty() || !seen.insert(term.clone()) {
                continue;
            }
            if term.len() > MAX_TERM_BYTES {
                return Err(VocabularyError::TooLong(index + 1));
            }
            if !term.chars().any(char::is_alphabetic) {
                return Err(VocabularyError::NoLetter(index + 1));
            }
            size_bytes += term.len();
            taken.push(term);
            if taken.len() > MAX_TERMS {
                return Err(VocabularyError::TooMany);
            }
            if size_bytes > MAX_TERMS_BYTES {
                return Err(VocabularyError::TooLarge);
            }
        }
        Ok(Self(taken))
    }

    /// Reads terms with commas, semicolons or line breaks between them.
    ///
    /// # Errors
    /// As [`Vocabulary::new`].
    pub fn parse(text: &str) -> Result<Self, VocabularyError> {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        Self::new(text.split([',', ';', '\n', '，', '、', '؛', '،']).map(str::to_owned))
    }

    /// Returns the number of terms.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Iterates over the terms.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }
}

impl TryFrom<Vec<String>> for Vocabulary {
    type Error = VocabularyError;

    fn try_from(terms: Vec<String>) -> Result<Self, VocabularyError> {
        Self::new(terms)
    }
}

impl From<Vocabulary> for Vec<String> {
    fn from(vocabulary: Vocabulary) -> Self {
        vocabulary.0
    }
}

impl fmt::Debug for Vocabulary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Vocabulary({})", self.0.len())
    }
}

impl fmt::Display for VocabularyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooMany => write!(f, "The vocabulary has more than {MAX_TERMS} terms."),
            Self::TooLong(term) => {
                write!(f, "Term {term} of the vocabulary has more than {MAX_TERM_BYTES} bytes.")
            }
            Self::TooLarge => write!(f, "The vocabulary has more than {MAX_TERMS_BYTES} bytes."),
            Self::NoLetter(term) => write!(f, "Term {term} of the vocabulary has no letter."),
        }
    }
}

impl std::error::Error for VocabularyError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terms_are_read_with_commas_or_line_breaks_between_them() {
        let text = "\u{feff}numerator, denominator;Ms  Okafor\r\n\nTalkMoves, numerator,3D、分子";
        let terms = Vocabulary::parse(text).unwrap();
        let expected = ["numerator", "denominator", "Ms Okafor", "TalkMoves", "3D", "分子"];
        assert_eq!(terms.iter().collect::<Vec<_>>(), expected);
        assert!(Vocabulary::parse(" ,\n").unwrap().is_empty());
    }

    #[test]
    fn a_vocabulary_is_bounded_and_says_where_it_is_wrong() {
        let refused = |text: &str| Vocabulary::parse(text).unwrap_err();
        assert_eq!(refused("area, 42"), VocabularyError::NoLetter(2));
        // 51 letters of two bytes each.
        assert_eq!(refused(&format!("area,{}", "é".repeat(51))), VocabularyError::TooLong(2));
        assert_eq!(Vocabulary::parse(&"é".repeat(50)).unwrap().len(), 1);
        let many = |count: usize| Vocabulary::new((0..count).map(|n| format!("term{n}")));
        assert_eq!(many(MAX_TERMS).unwrap().len(), MAX_TERMS);
        assert_eq!(many(MAX_TERMS + 1).unwrap_err(), VocabularyError::TooMany);
        let long = |count: usize| Vocabulary::new((0..count).map(|n| format!("{n:x>64}")));
        assert_eq!(long(64).unwrap().len(), 64);
        assert_eq!(long(65).unwrap_err(), VocabularyError::TooLarge);
        assert_eq!(VocabularyError::TooLarge.to_string(), "The vocabulary has more than 4096 bytes.");
    }

    #[test]
    fn no_term_is_printed() {
        assert_eq!(format!("{:?}", Vocabulary::parse("Ms Okafor, area").unwrap()), "Vocabulary(2)");
    }
}
