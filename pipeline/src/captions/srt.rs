//! SubRip, for tools that know no WebVTT. It has no standard and no escapes.

use std::fmt::Write;

use super::{Cue, clock, lines, tidy};

/// Writes a file.
pub fn write(cues: &[Cue]) -> String {
    let mut out = String::new();
    let shown = cues.iter().filter(|cue| cue.end_ms > cue.start_ms && !tidy(&cue.text).is_empty());
    for (index, cue) in shown.enumerate() {
        let (start, end) = (clock::write(cue.start_ms, ','), clock::write(cue.end_ms, ','));
        // An arrow in the text would be taken for the start of a cue.
        let text = tidy(&cue.text).replace("-->", "→");
        // Writing to a string cannot fail.
        let _ = write!(out, "{}\n{start} --> {end}\n{text}\n\n", index + 1);
    }
    out
}

/// Reads a file; numbers are ignored, text is taken as it is.
pub fn parse(text: &str) -> Vec<Cue> {
    let mut cues = Vec::new();
    let mut all = lines(text).peekable();
    while let Some(line) = all.next() {
        let Some((start_ms, end_ms)) = clock::read_line(line) else { continue };
        let mut text = Vec::new();
        while let Some(line) = all.next_if(|line| !line.trim().is_empty() && !line.contains("-->")) {
            text.push(line);
        }
        cues.push(Cue { start_ms, end_ms, text: tidy(&text.join("\n")) });
    }
    cues
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn cue(start_ms: u64, end_ms: u64, text: &str) -> Cue {
        Cue { start_ms, end_ms, text: text.to_owned() }
    }

    #[test]
    fn a_file_as_text() {
        let file = write(&[
            cue(500, 2000, "Hello\n\nyou & <me>"),
            cue(2000, 2000, "never"),
            cue(3000, 4000, "a --> b"),
        ]);
        let expected = "1\n00:00:00,500 --> 00:00:02,000\nHello\nyou & <me>\n\n\
                        2\n00:00:03,000 --> 00:00:04,000\na → b\n\n";
        assert_eq!(file, expected);
    }

    #[test]
    fn what_others_write_is_read() {
        let file =
            "1\r\n00:00:01,000 --> 00:00:02,000\r\nOne\r\n\r\n00:00:03.500 --> 00:00:04.000 X1:5\r\nTwo";
        assert_eq!(parse(file), [cue(1000, 2000, "One"), cue(3500, 4000, "Two")]);
    }

    proptest! {
        #[test]
        fn any_text_comes_back(text in "\\PC{0,60}", start in 0u64..400_000_000, length in 1u64..100_000) {
            prop_assume!(!text.contains("-->"));
            let back = parse(&write(&[cue(start, start + length, &text)]));
            let expected = tidy(&text);
            if expected.is_empty() {
                prop_assert!(back.is_empty());
            } else {
                prop_assert_eq!(back, [cue(start, start + length, &expected)]);
            }
        }

        #[test]
        fn nothing_makes_the_parser_panic(text in "(?s).{0,300}") {
            parse(&text);
        }
    }
}
