//! Caption files: WebVTT and SubRip. What the writers write, the strictest readers accept.

pub mod parser;
pub mod srt;
mod timestamp;
pub mod vtt;
mod wrap;

pub use wrap::wrap;

/// Text that is displayed for a time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caption {
    /// Time at which it appears, in ms.
    pub start_ms: u64,
    /// Time at which it disappears, in ms.
    pub end_ms: u64,
    /// Plain text; lines are separated by `\n`.
    pub text: String,
}

/// Iterates over lines that end with `\n`, `\r` or both; drops a byte order mark.
fn lines(text: &str) -> impl Iterator<Item = &str> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let text = rest?;
        match text.find(['\n', '\r']) {
            Some(end) => {
                let separator_bytes = if text[end..].starts_with("\r\n") { 2 } else { 1 };
                rest = Some(&text[end + separator_bytes..]);
                Some(&text[..end])
            }
            None => rest.take(),
        }
    })
}

/// Removes control characters and empty lines: an empty line would end the caption.
fn clean_text(text: &str) -> String {
    let lines = lines(text).map(|line| {
        let clean = line.chars().map(|c| if c.is_control() { ' ' } else { c }).collect::<String>();
        clean.split_whitespace().collect::<Vec<_>>().join(" ")
    });
    lines.filter(|line| !line.is_empty()).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_line_ends_are_known() {
        let split: Vec<_> = lines("\u{feff}a\nb\r\nc\rd\n\ne").collect();
        assert_eq!(split, ["a", "b", "c", "d", "", "e"]);
    }

    #[test]
    fn a_caption_has_no_empty_line() {
        assert_eq!(clean_text(" one\n\n  two\u{0}three \r\n"), "one\ntwo three");
    }
}
