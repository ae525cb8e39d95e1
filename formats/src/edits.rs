//! Whether two words differ in a few letters only.

/// True if `one` becomes `other` by at most `max` edits: a letter more, less or other, or two
/// neighbours exchanged.
pub fn is_within(one: &str, other: &str, max: usize) -> bool {
    // Most words are other words: an edit changes at most two of the letters that occur.
    if one.is_ascii() && other.is_ascii() && (letters(one) ^ letters(other)).count_ones() as usize > 2 * max {
        return false;
    }
    let (one, other): (Vec<char>, Vec<char>) = (one.chars().collect(), other.chars().collect());
    if one.len().abs_diff(other.len()) > max {
        return false;
    }
    // Rows of the distances between the starts of both words.
    let (mut before, mut last): (Vec<usize>, Vec<usize>) = (Vec::new(), (0..=other.len()).collect());
    for (i, a) in one.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, b) in other.iter().enumerate() {
            let mut least = (last[j] + usize::from(a != b)).min(last[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && *a == other[j - 1] && one[i - 1] == *b {
                least = least.min(before[j - 1] + 1);
            }
            row.push(least);
        }
        if row.iter().all(|distance| *distance > max) {
            return false;
        }
        (before, last) = (last, row);
    }
    last[other.len()] <= max
}

/// The letters that occur in an ASCII word, as bits.
fn letters(word: &str) -> u32 {
    word.bytes().fold(0, |letters, letter| letters | 1 << (letter & 31))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_letter_more_less_other_or_exchanged_is_one_edit() {
        for other in ["denominatorr", "denominato", "denomenator", "denomintaor"] {
            assert!(is_within("denominator", other, 1), "{other}");
            assert!(!is_within("denominator", other, 0), "{other}");
        }
        assert!(is_within("denominator", "demoninator", 2));
        assert!(!is_within("denominator", "numerator", 2));
        assert!(is_within("été", "eté", 1) && is_within("", "ab", 2) && !is_within("", "abc", 2));
    }
}
