//! Caption files: WebVTT and SubRip, written and read.
//!
//! The writers give what the strictest readers accept. The parsers take what people have: they never fail and never
//! panic, they skip what they cannot read.

mod clock;
pub mod srt;
pub mod vtt;

/// Text shown for a while.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cue {
    /// When it appears, in ms.
    pub start_ms: u64,
    /// When it goes, in ms; never before it appears.
    pub end_ms: u64,
    /// Plain text; lines are separated by `\n`.
    pub text: String,
}

/// Lines of a file with any of the line ends in use; the byte order mark is dropped.
fn lines(text: &str) -> impl Iterator<Item = &str> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    // «\r\n» is split twice; the empty line between is dropped by looking at what ended the line before.
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let text = rest?;
        match text.find(['\n', '\r']) {
            Some(at) => {
                let ended = if text[at..].starts_with("\r\n") { 2 } else { 1 };
                rest = Some(&text[at + ended..]);
                Some(&text[..at])
            }
            None => rest.take(),
        }
    })
}

/// Text fit for a caption: no control characters, no empty lines (they would end the cue).
fn tidy(text: &str) -> String {
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
        assert_eq!(tidy(" one\n\n  two\u{0}three \r\n"), "one\ntwo three");
    }
}
