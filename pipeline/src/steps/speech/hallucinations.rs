//! Text that nobody said: what the model writes for noise, music and silence, and its loops.

use super::words::Word;

/// Whether a text goes round in circles: a phrase of one to eight words many times running, or a whole sentence
/// twice, which people do but models do more often: worth hearing again, not worth taking out.
pub fn repeats(text: &str) -> bool {
    let words: Vec<String> = text.split_whitespace().map(plain).collect();
    let (first, second) = words.split_at(words.len() / 2);
    loop_at(&words).is_some() || (first.len() >= 3 && first == second)
}

/// Takes out what was not said. `activity` is the mean probability of speech in the chunk, `confidence` the mean
/// log-probability of the tokens.
pub fn without(words: Vec<Word>, activity: f32, confidence: f32) -> Vec<Word> {
    let words = without_loops(without_stage_directions(words));
    let text: Vec<String> = words.iter().map(|w| plain(&w.text)).filter(|w| !w.is_empty()).collect();
    if text.is_empty() || unlikely(&text.join(" "), activity, confidence) {
        return Vec::new();
    }
    words
}

/// What the model says of sounds that are not speech, and the end-titles it learnt from the web.
fn unlikely(text: &str, activity: f32, confidence: f32) -> bool {
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
    // Somebody may well say «thank you»: it goes only where the network doubts that anybody speaks at all.
    let doubt = activity < 0.75 || confidence < -1.0;
    confidence < -1.6 || (activity < 0.6 && confidence < -1.0) || (doubt && TITLES.contains(&text))
}

/// Drops `[noise]`, `(laughs)`, `*sighs*` and notes, also where they reach over several words.
fn without_stage_directions(words: Vec<Word>) -> Vec<Word> {
    let mut kept = Vec::new();
    let mut closes: Option<char> = None;
    for word in words {
        if let Some(close) = closes {
            if word.text.contains(close) {
                closes = None;
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
                // The mark that opens may also be the one that closes.
                let opened = word.text.find(['[', '(', '*', '♪', '♫']).unwrap_or(0);
                let rest = word.text[opened..].chars().skip(1).collect::<String>();
                if !rest.contains(close) {
                    closes = Some(close);
                }
            }
            None => kept.push(word),
        }
    }
    kept
}

/// Cuts a loop after its first round.
fn without_loops(mut words: Vec<Word>) -> Vec<Word> {
    let texts: Vec<String> = words.iter().map(|w| plain(&w.text)).collect();
    if let Some((at, length, rounds)) = loop_at(&texts) {
        words.drain(at + length..at + length * rounds);
    }
    words
}

/// The first loop: where it starts, the length of its phrase in words, and how often it is said.
fn loop_at(words: &[String]) -> Option<(usize, usize, usize)> {
    for length in 1..=8usize {
        // A single word is said up to five times by people («no, no, no»), a phrase up to three.
        let most = if length == 1 { 6 } else { 4 };
        for at in 0..words.len() {
            let phrase = words.get(at..at + length)?.to_vec();
            let rounds = words[at..].chunks(length).take_while(|round| *round == phrase).count();
            if rounds >= most && phrase.iter().any(|word| !word.is_empty()) {
                return Some((at, length, rounds));
            }
            if at + 2 * length > words.len() {
                break;
            }
        }
    }
    None
}

/// A word without case and marks.
fn plain(word: &str) -> String {
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
        let kept = without(words(text), 0.95, -0.2);
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
        assert_eq!(kept("What do you think? What do you think?"), "What do you think? What do you think?");
        assert_eq!(kept("so I said go I said go I said go I said go then"), "so I said go then");
        assert_eq!(kept("no no no no no"), "no no no no no");
    }

    #[test]
    fn end_titles_go_only_where_nobody_seems_to_speak() {
        assert_eq!(without(words("Thank you."), 0.95, -0.2).len(), 2);
        assert!(without(words("Thank you."), 0.6, -0.4).is_empty());
        assert!(without(words("What a strange noise"), 0.9, -2.0).is_empty());
    }
}
