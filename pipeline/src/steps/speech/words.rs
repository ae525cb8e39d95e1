//! Words from the model's tokens.

use serde::{Deserialize, Serialize};

/// A token of the model's output.
#[derive(Clone, Debug, PartialEq)]
pub struct Token {
    /// Its text in UTF-8; one character may be spread over several tokens.
    pub bytes: Vec<u8>,
    /// Its start by the model's coarse estimate, in ms from the chunk's start.
    pub start_ms: u64,
}

/// A word with its time in the recording.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Word {
    /// Start, in ms.
    pub start_ms: u64,
    /// End, in ms.
    pub end_ms: u64,
    /// The word with its punctuation, without spaces around it.
    pub text: String,
}

/// Whether the language is written with spaces between words.
pub fn uses_spaces(language: &str) -> bool {
    !matches!(language, "zh" | "yue" | "ja" | "th" | "lo" | "my" | "km" | "bo")
}

/// Joins tokens to words. In languages written without spaces, every complete character or token is
/// a word.
///
/// A word's time is the model's estimate, in ms from the chunk's start. The alignment sets its end.
pub fn join_tokens(tokens: &[Token], language: &str) -> Vec<Word> {
    let has_spaces = uses_spaces(language);
    let mut words: Vec<(u64, Vec<u8>)> = Vec::new();
    for token in tokens {
        let is_start = match words.last() {
            None => true,
            Some((_, bytes)) if has_spaces => {
                token.bytes.first().is_some_and(u8::is_ascii_whitespace) && std::str::from_utf8(bytes).is_ok()
            }
            Some((_, bytes)) => std::str::from_utf8(bytes).is_ok(),
        };
        match words.last_mut() {
            Some((_, bytes)) if !is_start => bytes.extend_from_slice(&token.bytes),
            _ => words.push((token.start_ms, token.bytes.clone())),
        }
    }
    let mut out: Vec<Word> = Vec::new();
    for (start_ms, bytes) in words {
        let text = String::from_utf8_lossy(&bytes).replace('\u{fffd}', "");
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        let is_punctuation = !text.chars().any(char::is_alphanumeric);
        match out.last_mut() {
            _ if text.is_empty() => {}
            // A dash or a quotation mark alone belongs to the word before.
            Some(last) if is_punctuation && !is_stage_direction(&text) => {
                if has_spaces && text.starts_with(['-', '–', '—']) {
                    last.text.push(' ');
                }
                last.text.push_str(&text);
            }
            _ => out.push(Word { start_ms, end_ms: start_ms, text }),
        }
    }
    out
}

/// Whether marks open or close a stage direction. It stays a word of its own, so that it can be
/// removed.
fn is_stage_direction(text: &str) -> bool {
    text.contains(['[', ']', '(', ')', '*', '♪', '♫'])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(text: &str, start_ms: u64) -> Token {
        Token { bytes: text.as_bytes().to_vec(), start_ms }
    }

    fn texts(tokens: &[Token], language: &str) -> Vec<String> {
        join_tokens(tokens, language).into_iter().map(|w| w.text).collect()
    }

    #[test]
    fn a_space_starts_a_word() {
        let tokens =
            [token(" Don", 10), token("'t", 20), token(" stop", 30), token(",", 40), token(" -", 50)];
        let words = join_tokens(&tokens, "en");
        assert_eq!(words.len(), 2);
        assert_eq!((words[0].text.as_str(), words[0].start_ms), ("Don't", 10));
        assert_eq!((words[1].text.as_str(), words[1].start_ms), ("stop, -", 30));
    }

    #[test]
    fn a_character_spread_over_tokens_stays_intact() {
        let bytes = "é".as_bytes();
        let split = [
            token(" caf", 0),
            Token { bytes: vec![bytes[0]], start_ms: 1 },
            Token { bytes: vec![bytes[1]], start_ms: 2 },
        ];
        assert_eq!(texts(&split, "fr"), ["café"]);
        let chinese = "脚".as_bytes();
        let split = [
            token("自己", 0),
            Token { bytes: chinese[..1].to_vec(), start_ms: 1 },
            Token { bytes: chinese[1..].to_vec(), start_ms: 2 },
        ];
        assert_eq!(texts(&split, "zh"), ["自己", "脚"]);
    }

    #[test]
    fn directions_stay_words_and_empty_tokens_vanish() {
        assert_eq!(
            texts(&[token(" [", 0), token("Music", 0), token("]", 0), token(" ", 0)], "en"),
            ["[Music]"]
        );
        assert_eq!(texts(&[token("", 0)], "en"), Vec::<String>::new());
    }
}
