//! A list of names, as a tenant writes it.

use std::collections::HashSet;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::letters::is_unspaced;

/// Names of a list.
pub const MAX_NAMES: usize = 20_000;
/// Characters of a name.
pub const MAX_NAME_CHARS: usize = 100;

/// Names of pupils. Neither its `Debug` text nor an error about it has any of them.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<String>", into = "Vec<String>")]
pub struct NameList(Vec<String>);

/// Why a list is not taken. Entries count from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NameListError {
    /// It has more than [`MAX_NAMES`].
    TooMany,
    /// An entry has more than [`MAX_NAME_CHARS`].
    TooLong(usize),
    /// An entry is no name: it has no letter, or one alone, which every text has.
    NoName(usize),
}

impl NameList {
    /// Takes names without the spaces around them. Drops empty ones, and those that are there
    /// already.
    ///
    /// # Errors
    /// If there are too many, or one is too long or none.
    pub fn new(names: impl IntoIterator<Item = String>) -> Result<Self, NameListError> {
        let (mut taken, mut seen) = (Vec::new(), HashSet::new());
        for (index, name) in names.into_iter().enumerate() {
            let plain: String = name.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
            let name = plain.split_whitespace().collect::<Vec<_>>().join(" ");
            if name.is_empty() {
                continue;
            }
            if name.chars().count() > MAX_NAME_CHARS {
                return Err(NameListError::TooLong(index + 1));
            }
            let letters = name.chars().filter(|c| c.is_alphabetic());
            let (letters, unspaced) = letters.fold((0, false), |(n, any), c| (n + 1, any || is_unspaced(c)));
            if letters < 2 && !unspaced {
                return Err(NameListError::NoName(index + 1));
            }
            if seen.insert(name.clone()) {
                taken.push(name);
            }
            if taken.len() > MAX_NAMES {
                return Err(NameListError::TooMany);
            }
        }
        Ok(Self(taken))
    }

    /// Reads a name a line.
    ///
    /// # Errors
    /// As [`NameList::new`].
    pub fn from_lines(text: &str) -> Result<Self, NameListError> {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        Self::new(text.lines().map(str::to_owned))
    }

    /// Returns the number of names.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Iterates over the names.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }
}

impl TryFrom<Vec<String>> for NameList {
    type Error = NameListError;

    fn try_from(names: Vec<String>) -> Result<Self, NameListError> {
        Self::new(names)
    }
}

impl From<NameList> for Vec<String> {
    fn from(list: NameList) -> Self {
        list.0
    }
}

impl fmt::Debug for NameList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NameList({})", self.0.len())
    }
}

impl fmt::Display for NameListError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooMany => write!(f, "The list has more than {MAX_NAMES} names."),
            Self::TooLong(entry) => {
                write!(f, "Entry {entry} of the list has more than {MAX_NAME_CHARS} characters.")
            }
            Self::NoName(entry) => write!(f, "Entry {entry} of the list has fewer than two letters."),
        }
    }
}

impl std::error::Error for NameListError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_bounded_and_says_where_it_is_wrong() {
        let list = NameList::from_lines("\u{feff}Maria\r\n\n  Jo   Ann \nMaria\n王").unwrap();
        assert_eq!(list.iter().collect::<Vec<_>>(), ["Maria", "Jo Ann", "王"]);
        let wrong = |text: &str| NameList::from_lines(text).unwrap_err();
        assert_eq!(wrong("Maria\n42"), NameListError::NoName(2));
        assert_eq!(wrong("J."), NameListError::NoName(1));
        assert_eq!(wrong(&"é".repeat(101)), NameListError::TooLong(1));
        assert_eq!(NameList::from_lines(&"é".repeat(100)).unwrap().len(), 1);
        let many = |count: usize| NameList::new((0..count).map(|n| format!("Name {n}")));
        assert_eq!(many(MAX_NAMES).unwrap().len(), MAX_NAMES);
        assert_eq!(many(MAX_NAMES + 1).unwrap_err(), NameListError::TooMany);
    }

    #[test]
    fn no_name_is_printed() {
        let list = NameList::from_lines("Maria\nJo Ann").unwrap();
        assert_eq!(format!("{list:?}"), "NameList(2)");
    }
}
