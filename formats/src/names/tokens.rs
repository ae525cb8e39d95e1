//! The words of a text, as names are compared with them.

use std::ops::Range;

use super::letters::{fold, is_part_of_word, is_unspaced};

/// What stands in place of a name.
pub const PLACEHOLDER: &str = "[name]";

/// A word of a text; in scripts without spaces, a character.
#[derive(Clone, PartialEq, Eq)]
pub struct Token {
    /// Its letters without case and accents.
    pub folded: String,
    /// Its bytes in the text.
    pub range: Range<usize>,
    /// Whether it begins with a capital.
    pub is_capital: bool,
    /// Whether a sentence begins with it, where every word has a capital.
    pub starts_sentence: bool,
    /// What is between it and the token before it.
    pub gap: Gap,
}

/// What separates two words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gap {
    /// Nothing, or an apostrophe.
    Joined,
    /// A hyphen without spaces.
    Hyphen,
    /// Spaces.
    Space,
    /// Anything else: two words around it are no name.
    Break,
}

impl Token {
    /// Whether its capital says that it is a name or the like.
    pub fn is_named(&self) -> bool {
        self.is_capital && !self.starts_sentence
    }
}

/// Splits a text into tokens. What was redacted before is none.
pub fn tokens(text: &str) -> Vec<Token> {
    let mut found: Vec<Token> = Vec::new();
    let mut gap = String::new();
    let mut rest = text.char_indices().peekable();
    while let Some((from, first)) = rest.next() {
        if text.get(from..).is_some_and(|rest| rest.starts_with(PLACEHOLDER)) {
            let _ = rest.nth(PLACEHOLDER.len() - 2);
            gap.push_str(PLACEHOLDER);
            continue;
        }
        if !first.is_alphanumeric() {
            gap.push(first);
            continue;
        }
        let mut token = Token {
            folded: String::new(),
            range: from..from + first.len_utf8(),
            is_capital: first.is_uppercase(),
            starts_sentence: found.is_empty() || gap.contains(['.', '?', '!', '…', '¿', '¡', '。', '？']),
            gap: kind(&gap),
        };
        fold(first, &mut token.folded);
        while let Some(&(at, c)) = rest.peek() {
            let is_same =
                is_part_of_word(c) && (!c.is_alphanumeric() || !is_unspaced(first) && !is_unspaced(c));
            if !is_same {
                break;
            }
            fold(c, &mut token.folded);
            token.range.end = at + c.len_utf8();
            rest.next();
        }
        gap.clear();
        found.push(token);
    }
    found
}

fn kind(gap: &str) -> Gap {
    let is_hyphen = |c: char| matches!(c, '-' | '\u{2010}' | '\u{2011}' | '\u{2043}' | '\u{30fb}');
    let is_apostrophe =
        |c: char| matches!(c, '\'' | '\u{2018}' | '\u{2019}' | '\u{02bc}' | '\u{02bb}' | '`' | '\u{b4}');
    if gap.chars().all(is_apostrophe) {
        Gap::Joined
    } else if gap.chars().all(is_hyphen) {
        Gap::Hyphen
    } else if gap.chars().all(char::is_whitespace) {
        Gap::Space
    } else {
        Gap::Break
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<(String, Gap)> {
        tokens(text).into_iter().map(|token| (token.folded, token.gap)).collect()
    }

    #[test]
    fn words_and_what_is_between_them() {
        let found = words("“Maria-Elena’s friend, O'Brien/Jo\n[name] 你好");
        let expected = [
            ("maria", Gap::Break),
            ("elena", Gap::Hyphen),
            ("s", Gap::Joined),
            ("friend", Gap::Space),
            ("o", Gap::Break),
            ("brien", Gap::Joined),
            ("jo", Gap::Break),
            ("你", Gap::Break),
            ("好", Gap::Joined),
        ];
        assert_eq!(found, expected.map(|(word, gap)| (word.to_owned(), gap)));
    }

    #[test]
    fn a_capital_at_the_start_of_a_sentence_says_nothing() {
        let named = |text| tokens(text).iter().map(Token::is_named).collect::<Vec<_>>();
        assert_eq!(named("Will you? Mark it, Mark."), [false, false, false, false, true]);
    }
}
