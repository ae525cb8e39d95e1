//! The lines of a cue: at most two of 42 columns, broken where a phrase ends.

use super::phrases::{Break, break_between};
use super::words::Word;

/// Maximum width of a line, in columns.
pub const MAX_LINE_COLUMNS: usize = 42;

/// How words fit the lines of a cue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fit {
    /// On one line.
    One,
    /// On two, of which the second starts with this word.
    Two(usize),
    /// On more than two.
    More,
}

/// Finds the best break.
pub fn fit(words: &[Word], uses_spaces: bool) -> Fit {
    let space = usize::from(uses_spaces);
    let total = words.iter().map(|word| width(&word.text) + space).sum::<usize>();
    if total <= MAX_LINE_COLUMNS + space {
        return Fit::One;
    }
    if total > 2 * (MAX_LINE_COLUMNS + space) {
        return Fit::More;
    }
    let mut before = 0;
    let mut best: Option<(usize, usize)> = None;
    for at in 1..words.len() {
        before += width(&words[at - 1].text) + space;
        let (first, second) = (before - space, total - before - space);
        if first > MAX_LINE_COLUMNS || second > MAX_LINE_COLUMNS {
            continue;
        }
        let cost = match break_between(&words[at - 1].text, &words[at].text) {
            Break::Sentence => 0,
            Break::Clause => 0,
            Break::Phrase => 20,
            Break::Words => 30,
            Break::Torn => 100,
        };
        // A longer second line hides less of the image, and is read sooner.
        let cost = cost + first.abs_diff(second) + if first > second { 2 } else { 0 };
        if best.is_none_or(|(least, _)| cost < least) {
            best = Some((cost, at));
        }
    }
    best.map_or(Fit::More, |(_, at)| Fit::Two(at))
}

/// Breaks words into as few lines as hold them.
pub fn break_lines(words: &[Word], uses_spaces: bool) -> Vec<String> {
    match fit(words, uses_spaces) {
        Fit::One => return vec![join(words, uses_spaces)],
        Fit::Two(at) => return vec![join(&words[..at], uses_spaces), join(&words[at..], uses_spaces)],
        Fit::More => {}
    }
    // One word is longer than the lines: fill one after the other.
    let mut lines: Vec<String> = Vec::new();
    for word in words {
        let space = if uses_spaces { " " } else { "" };
        match lines.last_mut() {
            Some(line) if width(line) + space.len() + width(&word.text) <= MAX_LINE_COLUMNS => {
                line.push_str(space);
                line.push_str(&word.text);
            }
            _ => lines.push(word.text.clone()),
        }
    }
    lines
}

/// Returns a line for each of two voices, the second of which begins with word `at`; `None` if a
/// line does not hold its words.
pub fn exchange(words: &[Word], at: usize, uses_spaces: bool) -> Option<Vec<String>> {
    let parts = [&words[..at], &words[at..]];
    let lines: Vec<String> = parts.iter().map(|part| format!("- {}", join(part, uses_spaces))).collect();
    lines.iter().all(|line| width(line) <= MAX_LINE_COLUMNS).then_some(lines)
}

/// Joins the words' texts.
pub fn join(words: &[Word], uses_spaces: bool) -> String {
    let texts: Vec<&str> = words.iter().map(|word| word.text.as_str()).collect();
    texts.join(if uses_spaces { " " } else { "" })
}

/// Returns the width in columns: characters of East Asian scripts take two.
pub fn width(text: &str) -> usize {
    text.chars().map(|c| if c >= '\u{2e80}' { 2 } else { 1 }).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str) -> Vec<String> {
        let word =
            |text: &str| Word { start_ms: 0, end_ms: 1, text: text.to_owned(), probability: 1.0, doubt: 0.0 };
        break_lines(&text.split_whitespace().map(word).collect::<Vec<_>>(), true)
    }

    #[test]
    fn a_line_ends_with_a_phrase_and_not_with_a_word_that_belongs_to_the_next() {
        assert_eq!(
            lines("He had it in his power to be of use, and rather liked it."),
            ["He had it in his power to be of use,", "and rather liked it."]
        );
        assert_eq!(
            lines("The lambs that Mary saw were in the green field"),
            ["The lambs that Mary saw", "were in the green field"]
        );
        assert_eq!(lines("Short."), ["Short."]);
    }
}
