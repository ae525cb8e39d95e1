//! WebVTT (W3C Candidate Recommendation, 2019).

use std::fmt::Write;

use super::{Cue, clock, lines, tidy};

/// Writes a file. `header` goes under the first line, such as the time map of an HLS segment.
pub fn write(header: Option<&str>, cues: &[Cue]) -> String {
    let mut out = String::from("WEBVTT\n");
    if let Some(header) = header {
        out.push_str(header);
        out.push('\n');
    }
    for cue in cues {
        let text = escape(&tidy(&cue.text));
        // A cue of no length or no text shows nothing, and a reader may complain of it.
        if text.is_empty() || cue.end_ms <= cue.start_ms {
            continue;
        }
        let (start, end) = (clock::write(cue.start_ms, '.'), clock::write(cue.end_ms, '.'));
        // Writing to a string cannot fail.
        let _ = write!(out, "\n{start} --> {end}\n{text}\n");
    }
    out
}

/// Reads a file: cues in their order, tags taken out, entities replaced. Comments, styles and regions are skipped.
pub fn parse(text: &str) -> Vec<Cue> {
    let mut cues = Vec::new();
    let mut all = lines(text).peekable();
    while let Some(line) = all.next() {
        let Some((start_ms, end_ms)) = clock::read_line(line) else { continue };
        let mut text = Vec::new();
        while let Some(line) = all.next_if(|line| !line.trim().is_empty() && !line.contains("-->")) {
            text.push(line);
        }
        let text = tidy(&unescape(&without_tags(&text.join("\n"))));
        cues.push(Cue { start_ms, end_ms, text });
    }
    cues
}

/// Replaces what has a meaning in cue text. `>` too, so that no text can hold an arrow.
fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

fn without_tags(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(open) = rest.find('<') {
        out.push_str(&rest[..open]);
        // A tag that is never closed reaches to the end.
        rest = rest[open..].find('>').map_or("", |close| &rest[open + close + 1..]);
    }
    out + rest
}

fn unescape(text: &str) -> String {
    const ENTITIES: [(&str, &str); 6] = [
        ("&amp;", "&"),
        ("&lt;", "<"),
        ("&gt;", ">"),
        ("&nbsp;", "\u{a0}"),
        ("&lrm;", "\u{200e}"),
        ("&rlm;", "\u{200f}"),
    ];
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('&') {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        let known = ENTITIES.iter().find(|(entity, _)| rest.starts_with(entity));
        let (taken, given) = known.copied().unwrap_or(("&", "&"));
        out.push_str(given);
        rest = &rest[taken.len()..];
    }
    out + rest
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
        let file =
            write(Some("X-TIMESTAMP-MAP=MPEGTS:0,LOCAL:00:00:00.000"), &[cue(500, 2000, "Hello\nyou")]);
        let expected = "WEBVTT\nX-TIMESTAMP-MAP=MPEGTS:0,LOCAL:00:00:00.000\n\n\
                        00:00:00.500 --> 00:00:02.000\nHello\nyou\n";
        assert_eq!(file, expected);
        assert_eq!(write(None, &[]), "WEBVTT\n");
    }

    #[test]
    fn no_text_can_break_out() {
        let nasty = "a --> b & <script>\n\n00:01.000 --> 00:09.000\nWEBVTT &amp;";
        let file = write(None, &[cue(0, 1000, nasty)]);
        assert_eq!(file.matches("-->").count(), 1);
        assert!(!file.contains('<'));
        let back = parse(&file);
        assert_eq!(back.len(), 1);
        assert_eq!(back[0].text, "a --> b & <script>\n00:01.000 --> 00:09.000\nWEBVTT &amp;");
    }

    #[test]
    fn what_others_write_is_read() {
        let file = "\u{feff}WEBVTT - title\r\n\r\nSTYLE\r\n::cue { color: red }\r\n\r\nNOTE a --> b\r\n\r\n\
                    intro\r\n00:01.000 --> 00:02.000 align:start\r\n<v Ann>Hi &lt;3</v> <i>there\r\n\r\n\
                    00:05.000 --> 00:04.000\r\nback in time\r\n\r\n1:00:00.000 --> 1:00:01.000\r\nlate";
        assert_eq!(parse(file), [cue(1000, 2000, "Hi <3 there"), cue(3_600_000, 3_601_000, "late")]);
    }

    proptest! {
        #[test]
        fn any_text_comes_back(text in "\\PC{0,60}", start in 0u64..400_000_000, length in 1u64..100_000) {
            let given = cue(start, start + length, &text);
            let expected = tidy(&text);
            let back = parse(&write(None, &[given]));
            if expected.is_empty() {
                prop_assert!(back.is_empty());
            } else {
                prop_assert_eq!(back, [cue(start, start + length, &expected)]);
            }
        }

        #[test]
        fn nothing_makes_the_parser_panic(text in "(?s).{0,300}", times in "[0-9:.,> -]{0,80}") {
            parse(&text);
            for cue in parse(&format!("WEBVTT\n\n{times}\n{text}")) {
                prop_assert!(cue.start_ms <= cue.end_ms);
            }
        }
    }
}
