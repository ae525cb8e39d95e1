//! Hallucinations: text that the model writes for noise, music and silence, and its loops.

use super::words::Word;

/// Maximum length of a phrase that is recognised as a loop.
const MAX_PHRASE_WORDS: usize = 8;

/// Whether a text repeats itself: a short phrase many times in a row, or one sentence twice.
///
/// People repeat a sentence too, but models do it more often. So such text is worth a second
/// attempt, but is not removed.
pub fn is_repetitive(text: &str) -> bool {
    let words: Vec<String> = text.split_whitespace().map(normalise).collect();
    let (first, second) = words.split_at(words.len() / 2);
    find_loop(&words).is_some() || (first.len() >= 3 && first == second)
}

/// Removes hallucinated words. `activity` is the mean probability of speech in the chunk,
/// `confidence` the mean log-probability of the tokens.
pub fn remove(words: Vec<Word>, activity: f32, confidence: f32) -> Vec<Word> {
    let words = without_loops(without_stage_directions(words));
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
    // A speaker may well say "thank you". So it is removed only if it is doubtful that anyone
    // speaks.
    let is_doubtful = activity < 0.75 || confidence < -1.0;
    confidence < -1.6 || (activity < 0.6 && confidence < -1.0) || (is_doubtful && TITLES.contains(&text))
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

/// Reduces a loop to its first round.
fn without_loops(mut words: Vec<Word>) -> Vec<Word> {
    let texts: Vec<String> = words.iter().map(|w| normalise(&w.text)).collect();
    if let Some((at, length, rounds)) = find_loop(&texts) {
        words.drain(at + length..at + length * rounds);
    }
    words
}

/// Finds the first loop: its start, the length of its phrase in words, and its number of rounds.
fn find_loop(words: &[String]) -> Option<(usize, usize, usize)> {
    for length in 1..=MAX_PHRASE_WORDS {
        // People say a single word up to five times ("no, no, no"), a phrase up to three times.
        let min_rounds = if length == 1 { 6 } else { 4 };
        for at in 0..words.len() {
            let phrase = words.get(at..at + length)?.to_vec();
            let rounds = words[at..].chunks(length).take_while(|round| *round == phrase).count();
            if rounds >= min_rounds && phrase.iter().any(|word| !word.is_empty()) {
                return Some((at, length, rounds));
            }
            if at + 2 * length > words.len() {
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
        let word = |text: &str| Word { start_ms: 0, end_ms: 0, text: text.to_owned() };
        text.split_whitespace().map(word).collect()
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
        assert!(is_repetitive("I said I said I said I said I said"));
        assert!(!is_repetitive("no, no, no, no"));
        assert!(is_repetitive("What do you think? What do you think?"));
        assert_eq!(kept("What do you think? What do you think?"), "What do you think? What do you think?");
        assert_eq!(kept("so I said go I said go I said go I said go then"), "so I said go then");
        assert_eq!(kept("no no no no no"), "no no no no no");
    }

    #[test]
    fn end_titles_go_only_where_nobody_seems_to_speak() {
        assert_eq!(remove(words("Thank you."), 0.95, -0.2).len(), 2);
        assert!(remove(words("Thank you."), 0.6, -0.4).is_empty());
        assert!(remove(words("What a strange noise"), 0.9, -2.0).is_empty());
    }
}
