//! Removing the names of pupils from text: exact, inflected, and similar in sound.
//!
//! A text is split into words without case and accents ([`tokens`]). A name is found by its letters
//! alone, wherever it has spaces, hyphens or apostrophes ([`matcher`]). An ending of some languages
//! may follow ([`endings`]). A word that only sounds like a name ([`misheard`]) counts unless it is
//! an ordinary one ([`common`]).

mod common;
mod endings;
mod letters;
mod list;
mod matcher;
mod misheard;
mod redact;
mod spelling;
#[cfg(test)]
mod tests;
mod tokens;

pub use list::{MAX_NAME_CHARS, MAX_NAMES, NameList, NameListError};
pub use matcher::Names;
pub use redact::Joined;
pub use tokens::PLACEHOLDER;
