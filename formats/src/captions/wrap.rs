//! Breaking a caption into lines.

/// Maximum width of a line, in columns.
const MAX_LINE_COLUMNS: usize = 42;

/// Breaks text into as few lines as hold it. Two lines get about the same length.
pub fn wrap(text: &str) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    let line = words.join(" ");
    if width(&line) <= MAX_LINE_COLUMNS {
        return line;
    }
    let halves = (1..words.len()).map(|at| (words[..at].join(" "), words[at..].join(" ")));
    let best = halves
        .filter(|(first, second)| width(first) <= MAX_LINE_COLUMNS && width(second) <= MAX_LINE_COLUMNS)
        .min_by_key(|(first, second)| width(first).abs_diff(width(second)));
    if let Some((first, second)) = best {
        return format!("{first}\n{second}");
    }
    let mut lines: Vec<String> = Vec::new();
    for word in words {
        match lines.last_mut() {
            Some(line) if width(line) + 1 + width(word) <= MAX_LINE_COLUMNS => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.extend(pieces(word)),
        }
    }
    lines.join("\n")
}

/// A word in pieces that fit a line: scripts without spaces have words of any length.
fn pieces(word: &str) -> Vec<String> {
    let mut pieces = vec![String::new()];
    let mut columns = 0;
    for c in word.chars() {
        if columns + columns_of(c) > MAX_LINE_COLUMNS {
            pieces.push(String::new());
            columns = 0;
        }
        columns += columns_of(c);
        if let Some(last) = pieces.last_mut() {
            last.push(c);
        }
    }
    pieces
}

fn width(text: &str) -> usize {
    text.chars().map(columns_of).sum()
}

/// Characters of East Asian scripts take two columns.
fn columns_of(c: char) -> usize {
    if c >= '\u{2e80}' { 2 } else { 1 }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn two_lines_are_about_as_long() {
        assert_eq!(wrap(" Why do  you think so? "), "Why do you think so?");
        let text = "Why do you think that a half is more than a third?";
        assert_eq!(wrap(text), "Why do you think that a\nhalf is more than a third?");
    }

    proptest! {
        #[test]
        fn no_line_is_too_long_and_no_word_is_lost(text in "([a-z砸]{1,60} ?){0,20}") {
            let wrapped = wrap(&text);
            prop_assert!(wrapped.lines().all(|line| width(line) <= MAX_LINE_COLUMNS));
            let letters = |text: &str| text.split_whitespace().collect::<String>();
            prop_assert_eq!(letters(&wrapped), letters(&text));
        }
    }
}
