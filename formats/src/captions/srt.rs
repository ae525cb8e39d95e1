//! SubRip, for tools that do not know WebVTT. It has no standard and no escapes.

use std::fmt::Write;

use super::{Caption, clean_text, timestamp};

/// Writes a file.
pub fn write(captions: &[Caption]) -> String {
    let mut out = String::new();
    let visible = captions.iter().filter(|c| c.end_ms > c.start_ms && !clean_text(&c.text).is_empty());
    for (index, caption) in visible.enumerate() {
        let start = timestamp::format_ms(caption.start_ms, ',');
        let end = timestamp::format_ms(caption.end_ms, ',');
        // A reader would take an arrow in the text for the start of a caption.
        let text = clean_text(&caption.text).replace("-->", "→");
        // Writing to a string cannot fail.
        let _ = write!(out, "{}\n{start} --> {end}\n{text}\n\n", index + 1);
    }
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::captions::parser::{caption, parse_srt};

    #[test]
    fn a_file_as_text() {
        let file = write(&[
            caption(500, 2000, "Hello\n\nyou & <me>"),
            caption(2000, 2000, "never"),
            caption(3000, 4000, "a --> b"),
        ]);
        let expected = "1\n00:00:00,500 --> 00:00:02,000\nHello\nyou & <me>\n\n\
                        2\n00:00:03,000 --> 00:00:04,000\na → b\n\n";
        assert_eq!(file, expected);
    }

    proptest! {
        #[test]
        fn any_text_comes_back(text in "\\PC{0,60}", start in 0u64..400_000_000, length in 1u64..100_000) {
            prop_assume!(!text.contains("-->"));
            let back = parse_srt(&write(&[caption(start, start + length, &text)]));
            let expected = clean_text(&text);
            if expected.is_empty() {
                prop_assert!(back.is_empty());
            } else {
                prop_assert_eq!(back, [caption(start, start + length, &expected)]);
            }
        }
    }
}
