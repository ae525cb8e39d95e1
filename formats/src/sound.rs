//! A key by which words that sound alike are equal, after Lawrence Philips' Metaphone.
//!
//! Recognition mishears words more often than it misspells them. Vowels count at the start only,
//! and voiced and voiceless consonants are the same, because these are confused most. The rules are
//! those of English spelling; other languages get keys that are coarser, but consistent.

/// Limit of a key's length.
const MAX_CODES: usize = 12;
/// A shorter key says too little to find anything by it.
pub const MIN_CODES: usize = 3;

/// The key of a word in lower case without accents. Empty if it has other characters than letters.
pub fn key(word: &str) -> String {
    let letters = word.as_bytes();
    if letters.is_empty() || !letters.iter().all(u8::is_ascii_lowercase) {
        return String::new();
    }
    let mut key = String::new();
    let mut at = usize::from(["kn", "gn", "pn", "wr", "ps"].iter().any(|start| word.starts_with(start)));
    // The code that the next one may repeat: double letters are one sound.
    let mut last = None;
    while at < letters.len() && key.len() < MAX_CODES {
        let (codes, length) = sound(letters, at, key.is_empty());
        for code in codes.chars() {
            if last != Some(code) {
                key.push(code);
            }
            last = Some(code);
        }
        if is_vowel(letters[at]) {
            last = None;
        }
        at += length;
    }
    key
}

/// The ways to say a key as two words.
pub fn halves(key: &str) -> impl Iterator<Item = (&str, &str)> {
    (1..key.len()).map(|at| key.split_at(at))
}

fn is_vowel(letter: u8) -> bool {
    b"aeiouy".contains(&letter)
}

/// The codes of the letter at `at`, and the number of letters they stand for.
fn sound(letters: &[u8], at: usize, is_first: bool) -> (&'static str, usize) {
    let rest = &letters[at..];
    let next = rest.get(1).copied().unwrap_or(0);
    let is_soft = b"eiy".contains(&next);
    // As in "nation", "vision", "special".
    let is_hushed = rest[1..].starts_with(b"io") || rest[1..].starts_with(b"ia");
    match rest[0] {
        letter if is_vowel(letter) => (if is_first { "A" } else { "" }, 1),
        b'b' if next == 0 && at > 0 && letters[at - 1] == b'm' => ("", 1),
        b'b' => ("P", 1),
        b'p' if next == b'h' => ("F", 2),
        b'p' => ("P", 1),
        b'c' if next == b'h' => ("X", 2),
        b'c' if is_hushed => ("X", 1),
        b'c' if is_soft => ("S", 1),
        b'c' if next == b'k' => ("K", 2),
        b'd' if rest.starts_with(b"dge") => ("X", 2),
        b't' if rest.starts_with(b"tch") => ("", 1),
        b't' if next == b'h' => ("0", 2),
        b't' if is_hushed => ("X", 1),
        b'd' | b't' => ("T", 1),
        b'f' | b'v' => ("F", 1),
        b'g' if next == b'h' => (if at == 0 { "K" } else { "" }, 2),
        b'g' if next == b'n' && rest.len() == 2 => ("", 1),
        b'g' if is_soft => ("X", 1),
        b'j' => ("X", 1),
        b'c' | b'g' | b'k' | b'q' => ("K", 1),
        b's' if next == b'h' => ("X", 2),
        b's' if is_hushed => ("X", 1),
        b's' | b'z' => ("S", 1),
        b'x' => (if at == 0 { "S" } else { "KS" }, 1),
        b'l' => ("L", 1),
        b'm' => ("M", 1),
        b'n' => ("N", 1),
        b'r' => ("R", 1),
        b'w' if is_first && is_vowel(next) => ("W", 1),
        _ => ("", 1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_that_sound_alike_have_one_key() {
        for (one, other) in [
            ("numerator", "numerater"),
            ("knight", "night"),
            ("fraction", "fracshun"),
            ("phoneme", "foneem"),
            ("right", "write"),
            ("there", "their"),
            ("edge", "etch"),
            ("little", "liddle"),
            ("photosynthesis", "fotosinthesis"),
        ] {
            assert_eq!(key(one), key(other), "{one} and {other}");
        }
        assert_eq!(key("numerator"), format!("{}{}", key("new"), key("murder")), "a fraction's new murder");
    }

    #[test]
    fn words_that_differ_in_sound_do_not() {
        for (one, other) in
            [("numerator", "denominator"), ("river", "stone"), ("apple", "people"), ("plant", "plane")]
        {
            assert_ne!(key(one), key(other), "{one} and {other}");
        }
        assert_eq!(key("日本"), "");
        assert_eq!(key("42"), "");
        assert!(key(&"strength".repeat(20)).len() <= MAX_CODES + 1);
    }
}
