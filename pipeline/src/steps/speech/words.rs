//! Words from the model's tokens.

use serde::{Deserialize, Serialize};

/// How much the words next to a word weigh in its probability.
const NEIGHBOURS: f32 = 0.7;

/// A token of the model's output.
#[derive(Clone, Debug, PartialEq)]
pub struct Token {
    /// Its text in UTF-8; one character may be spread over several tokens.
    pub bytes: Vec<u8>,
    /// Its start by the model's estimate, in ms from the window's start.
    pub start_ms: u64,
    /// Logarithm of its probability.
    pub log_probability: f32,
    /// Number of time tokens before it; it changes between the model's segments.
    pub segment: u32,
}

/// A word with its time in the recording.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Word {
    /// Start, in ms.
    pub start_ms: u64,
    /// End, in ms.
    pub end_ms: u64,
    /// The word with its punctuation, without spaces around it.
    pub text: String,
    /// Its probability, from 0 to 1: the model's, less for every doubt; 1 in transcripts of earlier
    /// builds.
    #[serde(rename = "p", default = "certain", serialize_with = "two_decimals")]
    pub probability: f32,
    /// Doubt for reasons that the model does not know of, from 0 to 1; part of its cue's.
    #[serde(skip)]
    pub doubt: f32,
}

fn certain() -> f32 {
    1.0
}

/// Writes a share with two decimals.
pub fn two_decimals<S: serde::Serializer>(value: &f32, serializer: S) -> Result<S::Ok, S::Error> {
    // In 64 bits: a 32-bit 0.87 is written as it is, but read by others as 0.8700000047683716.
    serializer.serialize_f64((f64::from(*value) * 100.0).round() / 100.0)
}

/// Weighs in each word's probability those of the words next to it: errors come in groups.
pub fn weigh_neighbours(words: &mut [Word]) {
    let own: Vec<f32> = words.iter().map(|word| word.probability).collect();
    for (index, word) in words.iter_mut().enumerate() {
        let before = index.checked_sub(1).and_then(|before| own.get(before));
        let (sum, count) = before
            .into_iter()
            .chain(own.get(index + 1))
            .fold((0.0, 0.0), |(sum, count), probability| (sum + probability, count + 1.0));
        if count > 0.0 {
            word.probability = (own[index] + NEIGHBOURS * sum / count) / (1.0 + NEIGHBOURS);
        }
    }
}

/// Whether the language is written with spaces between words.
pub fn uses_spaces(language: &str) -> bool {
    !matches!(language, "zh" | "yue" | "ja" | "th" | "lo" | "my" | "km" | "bo")
}

/// Joins tokens to words. In languages written without spaces, every complete character or token is
/// a word.
///
/// A word's time is the model's estimate, in ms from the window's start. The alignment sets its
/// end. Its probability is the geometric mean of its tokens'.
pub fn join_tokens(tokens: &[Token], language: &str) -> Vec<Word> {
    let has_spaces = uses_spaces(language);
    let mut words: Vec<Joined> = Vec::new();
    for token in tokens {
        let is_start = match words.last() {
            None => true,
            Some(word) if has_spaces => {
                token.bytes.first().is_some_and(u8::is_ascii_whitespace) && word.is_complete()
            }
            Some(word) => word.is_complete(),
        };
        match words.last_mut() {
            Some(word) if !is_start => word.push(token),
            _ => {
                let mut word = Joined { start_ms: token.start_ms, ..Joined::default() };
                word.push(token);
                words.push(word);
            }
        }
    }
    let mut out: Vec<Word> = Vec::new();
    for Joined { start_ms, bytes, sum, count } in words {
        let probability = (sum / count as f32).exp().min(1.0);
        let text = String::from_utf8_lossy(&bytes).replace('\u{fffd}', "");
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        let is_punctuation = !text.chars().any(char::is_alphanumeric);
        match out.last_mut() {
            _ if text.is_empty() => {}
            // After hints the model may go on with the list.
            None if text.chars().all(|c| matches!(c, ',' | '.' | ';' | ':' | '，' | '。' | '、')) => {}
            // A dash or a quotation mark alone belongs to the word before.
            Some(last) if is_punctuation && !is_stage_direction(&text) => {
                if has_spaces && text.starts_with(['-', '–', '—']) {
                    last.text.push(' ');
                }
                last.text.push_str(&text);
            }
            _ => out.push(Word { start_ms, end_ms: start_ms, text, probability, doubt: 0.0 }),
        }
    }
    out
}

/// Tokens that make a word.
#[derive(Default)]
struct Joined {
    start_ms: u64,
    bytes: Vec<u8>,
    sum: f32,
    count: u32,
}

impl Joined {
    fn is_complete(&self) -> bool {
        std::str::from_utf8(&self.bytes).is_ok()
    }

    fn push(&mut self, token: &Token) {
        self.bytes.extend_from_slice(&token.bytes);
        self.sum += token.log_probability;
        self.count += 1;
    }
}

/// Whether marks open or close a stage direction. It stays a word of its own, so that it can be
/// removed.
pub fn is_stage_direction(text: &str) -> bool {
    text.contains(['[', ']', '(', ')', '*', '♪', '♫'])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(text: &str, start_ms: u64) -> Token {
        bytes(text.as_bytes(), start_ms)
    }

    fn bytes(bytes: &[u8], start_ms: u64) -> Token {
        Token { bytes: bytes.to_vec(), start_ms, log_probability: -0.5, segment: 1 }
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
        assert!((words[0].probability - (-0.5f32).exp()).abs() < 1e-6);
    }

    #[test]
    fn a_word_among_doubtful_ones_is_doubtful() {
        let mut words = join_tokens(&[token(" so", 0), token(" we", 1), token(" go", 2)], "en");
        for (word, probability) in words.iter_mut().zip([0.9, 0.2, 0.5]) {
            word.probability = probability;
        }
        weigh_neighbours(&mut words);
        let hundredths = words.iter().map(|word| (word.probability * 100.0).round() as u32);
        assert_eq!(hundredths.collect::<Vec<_>>(), [61, 41, 38]);
        let mut alone = words.split_off(2);
        weigh_neighbours(&mut alone);
        assert_eq!((alone[0].probability * 100.0).round() as u32, 38);
    }

    #[test]
    fn a_character_spread_over_tokens_stays_intact() {
        let e = "é".as_bytes();
        let split = [token(" caf", 0), bytes(&e[..1], 1), bytes(&e[1..], 2)];
        assert_eq!(texts(&split, "fr"), ["café"]);
        let chinese = "脚".as_bytes();
        let split = [token("自己", 0), bytes(&chinese[..1], 1), bytes(&chinese[1..], 2)];
        assert_eq!(texts(&split, "zh"), ["自己", "脚"]);
    }

    #[test]
    fn text_does_not_start_with_a_comma() {
        assert_eq!(texts(&[token(",", 0), token(" he", 10), token(",", 20)], "en"), ["he,"]);
        assert_eq!(texts(&[token(" ¿", 0), token("Qué", 10), token("?", 20)], "es"), ["¿Qué?"]);
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
