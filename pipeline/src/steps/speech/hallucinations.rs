//! Hallucinations: text that the model writes for noise, music and silence, and its loops.

use super::words::{Token, Word};

/// Maximum length of a phrase that is recognised as a loop, in words or tokens.
const MAX_PHRASE: usize = 12;

/// Words of a doubled sentence for each that may differ.
const MIN_DOUBLE_WORDS: usize = 5;

/// Whether text repeats itself: a short phrase many times in a row, or one sentence twice.
///
/// People repeat a sentence too, but models do it more often. So such text is worth a second
/// attempt, but is not removed.
pub fn is_repetitive(tokens: &[Token]) -> bool {
    let bytes: Vec<u8> = tokens.iter().flat_map(|token| token.bytes.iter().copied()).collect();
    let words: Vec<String> = String::from_utf8_lossy(&bytes).split_whitespace().map(normalise).collect();
    find_loop(&words, DOUBTFUL_ROUNDS).is_some() || find_token_loop(tokens).is_some() || is_double(&words)
}

/// Whether a sentence is there twice, also with a word spelt differently: hints make small models
/// write both spellings.
fn is_double(words: &[String]) -> bool {
    let (first, second) = words.split_at(words.len() / 2);
    let different = first.iter().zip(second).filter(|(a, b)| a != b).count();
    first.len() == second.len() && first.len() >= 3 && different * MIN_DOUBLE_WORDS <= first.len()
}

/// Reduces a loop of tokens to its first round. It may be within a word ("s-y-y-y-y").
pub fn without_loops(tokens: &[Token]) -> Vec<Token> {
    let mut tokens = tokens.to_vec();
    if let Some((at, length, rounds)) = find_token_loop(&tokens) {
        tokens.drain(at + length..at + length * rounds);
    }
    tokens
}

/// Removes hallucinated words. `activity` is the mean probability of speech in the chunk,
/// `confidence` the mean log-probability of the tokens.
pub fn remove(words: Vec<Word>, activity: f32, confidence: f32) -> Vec<Word> {
    let words = without_word_loops(without_stage_directions(words));
    let text: Vec<String> = words.iter().map(|w| normalise(&w.text)).filter(|w| !w.is_empty()).collect();
    if text.is_empty() || is_unlikely(&text.join(" "), activity, confidence) {
        return Vec::new();
    }
    words
}

/// Whether a text is what the model writes for sounds other than speech, or an end title it learnt
/// from the web.
fn is_unlikely(text: &str, activity: f32, confidence: f32) -> bool {
    const TITLES: [&str; 14] = [
        "you",
        "thank you",
        "thank you very much",
        "thanks for watching",
        "thank you for watching",
        "thank you so much for watching",
        "please subscribe",
        "bye",
        "bye bye",
        "the end",
        "so",
        "oh",
        "subtitles by the amara org community",
        "sous titres réalisés par la communauté d amara org",
    ];
    // What it writes for laughter alone.
    const LAUGHTER: [&str; 5] = ["lol", "haha", "ha ha", "hahaha", "ha ha ha"];
    // A speaker may well say "thank you". So it is removed only if it is doubtful that anyone
    // speaks.
    let is_doubtful = activity < 0.75 || confidence < -1.0;
    confidence < -1.6
        || (activity < 0.6 && confidence < -1.0)
        || (is_doubtful && TITLES.contains(&text))
        || LAUGHTER.contains(&text)
}

/// Removes `[noise]`, `(laughs)`, `*sighs*` and notes, also if they span several words.
fn without_stage_directions(words: Vec<Word>) -> Vec<Word> {
    let mut kept = Vec::new();
    let mut waiting_for: Option<char> = None;
    for word in words {
        if let Some(close) = waiting_for {
            if word.text.contains(close) {
                waiting_for = None;
            }
            continue;
        }
        let close = match word.text.trim_start_matches(['-', '"', ' ']).chars().next() {
            Some('[') => Some(']'),
            Some('(') => Some(')'),
            Some('*') => Some('*'),
            Some('♪' | '♫') => Some('♪'),
            _ => None,
        };
        match close {
            Some(close) => {
                // The opening mark may also be the closing one.
                let opens_at = word.text.find(['[', '(', '*', '♪', '♫']).unwrap_or(0);
                let rest = word.text[opens_at..].chars().skip(1).collect::<String>();
                if !rest.contains(close) {
                    waiting_for = Some(close);
                }
            }
            None => kept.push(word),
        }
    }
    kept
}

/// Reduces a loop of words to its first round.
fn without_word_loops(mut words: Vec<Word>) -> Vec<Word> {
    let texts: Vec<String> = words.iter().map(|w| normalise(&w.text)).collect();
    if let Some((at, length, rounds)) = find_loop(&texts, WORD_ROUNDS) {
        words.drain(at + length..at + length * rounds);
    }
    words
}

fn find_token_loop(tokens: &[Token]) -> Option<(usize, usize, usize)> {
    let texts: Vec<String> =
        tokens.iter().map(|token| String::from_utf8_lossy(&token.bytes).to_lowercase()).collect();
    find_loop(&texts, TOKEN_ROUNDS)
}

/// Numbers of rounds that make a loop: of one word or token, of two, of three to five, of more.
type Rounds = [usize; 4];

/// People say a single word up to five times ("no, no, no"), a phrase up to three times.
const WORD_ROUNDS: Rounds = [6, 4, 4, 3];
/// A word said several times is two tokens with its comma.
const TOKEN_ROUNDS: Rounds = [6, 6, 4, 3];
/// Rounds of words that are worth a second attempt.
const DOUBTFUL_ROUNDS: Rounds = [6, 4, 3, 2];

/// Finds the first loop: its start, the length of its phrase, and its number of rounds.
fn find_loop(items: &[String], min_rounds: Rounds) -> Option<(usize, usize, usize)> {
    for length in 1..=MAX_PHRASE {
        let min_rounds = match length {
            1 | 2 => min_rounds[length - 1],
            3..=5 => min_rounds[2],
            _ => min_rounds[3],
        };
        for at in 0..items.len() {
            let phrase = items.get(at..at + length)?.to_vec();
            let rounds = items[at..].chunks(length).take_while(|round| *round == phrase).count();
            if rounds >= min_rounds && phrase.iter().any(|item| item.chars().any(char::is_alphanumeric)) {
                return Some((at, length, rounds));
            }
            if at + 2 * length > items.len() {
                break;
            }
        }
    }
    None
}

/// Returns a word in lower case, without punctuation.
fn normalise(word: &str) -> String {
    word.to_lowercase().chars().filter(|c| c.is_alphanumeric() || *c == '\'' || *c == ' ').collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<Word> {
        let word =
            |text: &str| Word { start_ms: 0, end_ms: 0, text: text.to_owned(), probability: 1.0, doubt: 0.0 };
        text.split_whitespace().map(word).collect()
    }

    fn tokens(text: &str) -> Vec<Token> {
        let token = |text: &str| Token {
            bytes: text.as_bytes().to_vec(),
            start_ms: 0,
            log_probability: -0.2,
            segment: 1,
        };
        text.split('|').map(token).collect()
    }

    fn repeats(text: &str) -> bool {
        is_repetitive(&tokens(&text.replace(' ', "| ")))
    }

    fn kept(text: &str) -> String {
        let kept = remove(words(text), 0.95, -0.2);
        kept.iter().map(|w| w.text.as_str()).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn stage_directions_go() {
        assert_eq!(kept("[BLANK_AUDIO]"), "");
        assert_eq!(kept("Well (door closes loudly) come in *laughs* please"), "Well come in please");
        assert_eq!(kept("♪ la la ♪ Hello"), "Hello");
        assert_eq!(kept("[Music"), "", "never closed");
        assert_eq!(kept("f(x) is"), "f(x) is", "brackets inside a word are the speaker's");
    }

    #[test]
    fn a_loop_is_said_once() {
        assert!(repeats("I said I said I said I said I said"));
        assert!(!repeats("no, no, no, no"));
        assert!(repeats("What do you think? What do you think?"));
        assert!(repeats("He was not an ill-sposed young man. He was not an ill-disposed young man."));
        assert!(!repeats("Two times six is twelve. Two times seven is fourteen."));
        assert_eq!(kept("What do you think? What do you think?"), "What do you think? What do you think?");
        assert_eq!(kept("so I said go I said go I said go I said go then"), "so I said go then");
        assert_eq!(kept("no no no no no"), "no no no no no");
    }

    #[test]
    fn a_long_phrase_is_a_loop_sooner_than_a_word() {
        let twice = "it is time for all of us to know. It is time for all of us to know.";
        assert!(repeats(twice));
        assert_eq!(kept(twice), twice);
        assert_eq!(
            kept(&format!("{twice} It is time for all of us to know. It is")),
            "it is time for all of us to know. It is"
        );
    }

    #[test]
    fn a_loop_within_a_word_is_found_in_its_tokens() {
        let stuck = tokens(" old|-|s|-|y|-|y|-|y|-|y|-|y|-|y");
        assert!(is_repetitive(&stuck));
        let once: Vec<u8> = without_loops(&stuck).into_iter().flat_map(|token| token.bytes).collect();
        assert_eq!(String::from_utf8_lossy(&once), " old-s-y");
        let fine = tokens(" no|,| no|,| no|,| no| they|.| are| n|ine|teen|.");
        assert_eq!(without_loops(&fine), fine);
    }

    #[test]
    fn end_titles_go_only_where_nobody_seems_to_speak() {
        assert_eq!(remove(words("Thank you."), 0.95, -0.2).len(), 2);
        assert!(remove(words("Thank you."), 0.6, -0.4).is_empty());
        assert!(remove(words("What a strange noise"), 0.9, -2.0).is_empty());
    }

    #[test]
    fn laughter_alone_is_no_words_and_told_laughter_is() {
        assert!(remove(words("LOL!"), 0.95, -0.2).is_empty());
        assert!(remove(words("Ha, ha, ha."), 0.95, -0.2).is_empty());
        assert_eq!(remove(words("He said ha ha."), 0.95, -0.2).len(), 4);
    }
}
