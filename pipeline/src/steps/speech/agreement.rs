//! Whether a second hearing of the same audio gives the same words.
//!
//! What a model hears in real speech, it hears again when the audio begins a little later. What it
//! makes up for other sounds, such as speech played backwards, changes with every such step.

use super::words::Word;

/// Returns for each word whether it is among those of the second hearing, in the same order.
pub fn confirmed(words: &[Word], second: &[Word]) -> Vec<bool> {
    let plain = |words: &[Word]| words.iter().map(|word| plain(&word.text)).collect::<Vec<_>>();
    let (first, second) = (plain(words), plain(second));
    // The longest common sequence: `rows[i][j]` is that of the words from `i` and from `j` on.
    let mut rows = vec![vec![0_u16; second.len() + 1]; first.len() + 1];
    for i in (0..first.len()).rev() {
        for j in (0..second.len()).rev() {
            rows[i][j] = if first[i] == second[j] {
                rows[i + 1][j + 1] + 1
            } else {
                rows[i + 1][j].max(rows[i][j + 1])
            };
        }
    }
    let (mut is_confirmed, mut i, mut j) = (vec![false; first.len()], 0, 0);
    while i < first.len() && j < second.len() {
        if first[i] == second[j] {
            is_confirmed[i] = true;
            (i, j) = (i + 1, j + 1);
        } else if rows[i + 1][j] >= rows[i][j + 1] {
            i += 1;
        } else {
            j += 1;
        }
    }
    is_confirmed
}

/// Returns a word as it is compared: without case and marks.
fn plain(word: &str) -> String {
    word.to_lowercase().chars().filter(|c| c.is_alphanumeric()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<Word> {
        let word =
            |text: &str| Word { start_ms: 0, end_ms: 0, text: text.into(), probability: 1.0, doubt: 0.0 };
        text.split_whitespace().map(word).collect()
    }

    #[test]
    fn words_in_the_same_order_confirm_each_other() {
        let first = words("Well, we saw the old ship at sea.");
        let second = words("we saw an old sheep at the sea");
        let expected = [false, true, true, false, true, false, true, true];
        assert_eq!(confirmed(&first, &second), expected);
        assert_eq!(confirmed(&first, &[]), [false; 8]);
        assert_eq!(confirmed(&[], &second), [] as [bool; 0]);
    }
}
