//! WebVTT (W3C Candidate Recommendation, 2019).

use std::fmt::Write;

use super::{Caption, clean_text, timestamp};

/// Writes a file. `header` goes below the first line, such as the time map of an HLS segment.
pub fn write(header: Option<&str>, captions: &[Caption]) -> String {
    let mut out = String::from("WEBVTT\n");
    if let Some(header) = header {
        out.push_str(header);
        out.push('\n');
    }
    for caption in captions {
        let text = escape(&clean_text(&caption.text));
        // A cue without length or text displays nothing, and a reader may reject it.
        if text.is_empty() || caption.end_ms <= caption.start_ms {
            continue;
        }
        let start = timestamp::format_ms(caption.start_ms, '.');
        let end = timestamp::format_ms(caption.end_ms, '.');
        // Writing to a string cannot fail.
        let _ = write!(out, "\n{start} --> {end}\n{text}\n");
    }
    out
}

/// Escapes the characters that have a meaning in cue text. `>` too, so that no text holds an arrow.
fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::captions::parser::{caption, parse_vtt};

    #[test]
    fn a_file_as_text() {
        let header = "X-TIMESTAMP-MAP=MPEGTS:0,LOCAL:00:00:00.000";
        let file = write(Some(header), &[caption(500, 2000, "Hello\nyou")]);
        let expected = "WEBVTT\nX-TIMESTAMP-MAP=MPEGTS:0,LOCAL:00:00:00.000\n\n\
                        00:00:00.500 --> 00:00:02.000\nHello\nyou\n";
        assert_eq!(file, expected);
        assert_eq!(write(None, &[]), "WEBVTT\n");
    }

    #[test]
    fn no_text_can_break_out() {
        let nasty = "a --> b & <script>\n\n00:01.000 --> 00:09.000\nWEBVTT &amp;";
        let file = write(None, &[caption(0, 1000, nasty)]);
        assert_eq!(file.matches("-->").count(), 1);
        assert!(!file.contains('<'));
        let back = parse_vtt(&file);
        assert_eq!(back.len(), 1);
        assert_eq!(back[0].text, "a --> b & <script>\n00:01.000 --> 00:09.000\nWEBVTT &amp;");
    }

    proptest! {
        #[test]
        fn any_text_comes_back(text in "\\PC{0,60}", start in 0u64..400_000_000, length in 1u64..100_000) {
            let given = caption(start, start + length, &text);
            let expected = clean_text(&text);
            let back = parse_vtt(&write(None, &[given]));
            if expected.is_empty() {
                prop_assert!(back.is_empty());
            } else {
                prop_assert_eq!(back, [caption(start, start + length, &expected)]);
            }
        }
    }
}
