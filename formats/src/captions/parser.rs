//! Readers of caption files: of what [`srt`](super::srt) and [`vtt`](super::vtt) write, and others.

use super::{Caption, clean_text, lines};

/// A caption with this text.
#[cfg(test)]
pub(super) fn caption(start_ms: u64, end_ms: u64, text: &str) -> Caption {
    Caption { start_ms, end_ms, text: text.to_owned() }
}

/// Reads SubRip; ignores numbers.
pub fn parse_srt(text: &str) -> Vec<Caption> {
    parse(text, clean_text)
}

/// Reads WebVTT; removes tags and replaces entities.
pub fn parse_vtt(text: &str) -> Vec<Caption> {
    parse(text, |text| clean_text(&unescape(&without_tags(text))))
}

/// Reads every line with times, and the lines below it up to an empty one. Skips all else.
fn parse(text: &str, decode: impl Fn(&str) -> String) -> Vec<Caption> {
    let mut captions = Vec::new();
    let mut all = lines(text).peekable();
    while let Some(line) = all.next() {
        let Some((start_ms, end_ms)) = parse_times(line) else { continue };
        let mut text = Vec::new();
        while let Some(line) = all.next_if(|line| !line.trim().is_empty() && !line.contains("-->")) {
            text.push(line);
        }
        captions.push(Caption { start_ms, end_ms, text: decode(&text.join("\n")) });
    }
    captions
}

/// Reads a line `start --> end`, with or without settings after it.
fn parse_times(line: &str) -> Option<(u64, u64)> {
    let (start, rest) = line.split_once("-->")?;
    let (start, end) = (parse_ms(start)?, parse_ms(rest.split_whitespace().next()?)?);
    (start <= end).then_some((start, end))
}

/// Reads a time with or without hours, with `.` or `,` before the milliseconds.
fn parse_ms(text: &str) -> Option<u64> {
    let (clock, fraction) = text.trim().split_once(['.', ','])?;
    if fraction.len() != 3 || !fraction.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let mut seconds = 0u64;
    let parts: Vec<&str> = clock.split(':').collect();
    if !(2..=3).contains(&parts.len()) {
        return None;
    }
    for part in parts {
        if part.is_empty() || part.len() > 9 || !part.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        seconds = seconds.checked_mul(60)?.checked_add(part.parse().ok()?)?;
    }
    seconds.checked_mul(1000)?.checked_add(fraction.parse().ok()?)
}

fn without_tags(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(open) = rest.find('<') {
        out.push_str(&rest[..open]);
        // A tag that is never closed extends to the end.
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
    while let Some(start) = rest.find('&') {
        out.push_str(&rest[..start]);
        rest = &rest[start..];
        let known = ENTITIES.iter().find(|(entity, _)| rest.starts_with(entity));
        let (entity, character) = known.copied().unwrap_or(("&", "&"));
        out.push_str(character);
        rest = &rest[entity.len()..];
    }
    out + rest
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn times_in_all_their_forms() {
        assert_eq!(parse_ms("01:02:03.456"), Some(3_723_456));
        assert_eq!(parse_ms("02:03,456"), Some(123_456));
        for bad in ["", "1", "01:02", "01:02.1", "a:b.000", "1:2:3:4.000", "-1:00.000", "99999999999:00.000"]
        {
            assert_eq!(parse_ms(bad), None, "{bad}");
        }
        assert_eq!(parse_times("00:01.000 --> 00:02.500 line:0 align:start"), Some((1000, 2500)));
        assert_eq!(parse_times("00:03.000 --> 00:02.500"), None);
    }

    #[test]
    fn what_others_write_is_read() {
        let srt =
            "1\r\n00:00:01,000 --> 00:00:02,000\r\nOne\r\n\r\n00:00:03.500 --> 00:00:04.000 X1:5\r\nTwo";
        assert_eq!(parse_srt(srt), [caption(1000, 2000, "One"), caption(3500, 4000, "Two")]);
        let vtt = "\u{feff}WEBVTT - title\r\n\r\nSTYLE\r\n::cue { color: red }\r\n\r\nNOTE a --> b\r\n\r\n\
                   intro\r\n00:01.000 --> 00:02.000 align:start\r\n<v Ann>Hi &lt;3</v> <i>there\r\n\r\n\
                   00:05.000 --> 00:04.000\r\nback in time\r\n\r\n1:00:00.000 --> 1:00:01.000\r\nlate";
        let expected = [caption(1000, 2000, "Hi <3 there"), caption(3_600_000, 3_601_000, "late")];
        assert_eq!(parse_vtt(vtt), expected);
    }

    proptest! {
        #[test]
        fn nothing_makes_the_parsers_panic(text in "(?s).{0,300}", times in "[0-9:.,> -]{0,80}") {
            parse_srt(&text);
            parse_vtt(&text);
            for caption in parse_vtt(&format!("WEBVTT\n\n{times}\n{text}")) {
                prop_assert!(caption.start_ms <= caption.end_ms);
            }
        }
    }
}
