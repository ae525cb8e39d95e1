//! Captions that a person uploaded in place of what was recognised. Pure.

use chalkstream_formats::captions::{Caption, parser};

use super::anchor::words_within;
use super::layer::{MAX_CORRECTIONS, MAX_TEXT_CHARS, UploadedCue};
use super::retime::{retime, words_of};
use super::transcript::{TranscriptCue, TranscriptDocument, TranscriptWord};

/// Why a file is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoCaptions {
    /// It has no caption with text in the time of the recording.
    Empty,
    /// It has more than a transcript may have.
    TooMany,
    /// One has more text than a cue may have.
    TooLong,
}

/// Reads a WebVTT or SubRip file, for a recording of this length. The captions are in order then,
/// each on one line, and none overlaps the next.
///
/// # Errors
/// If it is neither, or too large.
pub fn read_captions(text: &str, duration_ms: u64) -> Result<Vec<UploadedCue>, NoCaptions> {
    let is_vtt = text.trim_start_matches('\u{feff}').starts_with("WEBVTT");
    let read = if is_vtt { parser::parse_vtt(text) } else { parser::parse_srt(text) };
    let one_line = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let clean = |caption: Caption| UploadedCue {
        start_ms: caption.start_ms,
        end_ms: caption.end_ms.min(duration_ms),
        text: one_line(&if is_vtt { caption.text } else { without_styles(&caption.text) }),
    };
    let mut cues: Vec<UploadedCue> = read.into_iter().map(clean).collect();
    cues.retain(|cue| cue.start_ms < cue.end_ms && !cue.text.is_empty());
    cues.sort_by_key(|cue| cue.start_ms);
    let mut apart: Vec<UploadedCue> = Vec::with_capacity(cues.len());
    for cue in cues {
        match apart.last_mut() {
            // Two who speak at once are one cue: a transcript has one after the other.
            Some(last) if last.start_ms == cue.start_ms => {
                last.end_ms = last.end_ms.max(cue.end_ms);
                last.text = format!("{} {}", last.text, cue.text);
            }
            Some(last) => {
                last.end_ms = last.end_ms.min(cue.start_ms);
                apart.push(cue);
            }
            None => apart.push(cue),
        }
    }
    if apart.is_empty() {
        return Err(NoCaptions::Empty);
    }
    if apart.len() > MAX_CORRECTIONS {
        return Err(NoCaptions::TooMany);
    }
    if apart.iter().any(|cue| cue.text.chars().count() > MAX_TEXT_CHARS) {
        return Err(NoCaptions::TooLong);
    }
    Ok(apart)
}

/// The uploaded captions as a transcript. Words that were recognised too have the times of these.
pub fn transcript_of(recognised: TranscriptDocument, uploaded: &[UploadedCue]) -> TranscriptDocument {
    let had_spaces = recognised.uses_spaces();
    let words: Vec<TranscriptWord> =
        recognised.cues.iter().flat_map(|cue| words_of(cue, had_spaces)).collect();
    let all: Vec<&TranscriptWord> = words.iter().collect();
    let uses_spaces = uploaded.iter().any(|cue| cue.text.contains(' '));
    let cue = |(id, cue): (u64, &UploadedCue)| {
        let range = words_within(&all, cue.start_ms, cue.end_ms);
        let inside = words[range].iter().map(|word| TranscriptWord {
            start_ms: word.start_ms.max(cue.start_ms),
            end_ms: word.end_ms.min(cue.end_ms),
            ..word.clone()
        });
        let old: Vec<TranscriptWord> = inside.collect();
        let timed = retime(&old, &cue.text, (cue.start_ms, cue.end_ms), uses_spaces);
        TranscriptCue {
            id,
            start_ms: cue.start_ms,
            end_ms: cue.end_ms,
            text: cue.text.clone(),
            words: timed.into_iter().map(|one| one.word).collect(),
            corrected: true,
            ..TranscriptCue::default()
        }
    };
    let cues = (1..).zip(uploaded).map(cue).collect();
    TranscriptDocument { cues, rest: recognised.rest }
}

/// SubRip has no escapes, so only what is certainly a tag goes.
fn without_styles(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(open) = rest.find('<') {
        let (before, tag) = rest.split_at(open);
        out.push_str(before);
        let is_tag = tag[1..].starts_with(|c: char| c == '/' || c.is_ascii_alphabetic());
        match tag.find('>').filter(|_| is_tag) {
            Some(close) => rest = &tag[close + 1..],
            None => {
                out.push('<');
                rest = &tag[1..];
            }
        }
    }
    out + rest
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use chalkstream_formats::captions::vtt;
    use proptest::prelude::*;

    use super::*;

    fn uploaded(start_ms: u64, end_ms: u64, text: &str) -> UploadedCue {
        UploadedCue { start_ms, end_ms, text: text.into() }
    }

    #[test]
    fn both_formats_are_read() {
        let vtt = "\u{feff}WEBVTT\n\n00:01.000 --> 00:02.000\n<v Ann>Why &amp;\nhow?</v>\n\n\
            00:01.500 --> 00:03.000\nSo.\n\n00:15.000 --> 00:20.000\nthe end\n\n01:00.000 --> 01:01.000\nno";
        let read = read_captions(vtt, 16_000).unwrap();
        let expected = [
            uploaded(1000, 1500, "Why & how?"),
            uploaded(1500, 3000, "So."),
            uploaded(15_000, 16_000, "the end"),
        ];
        assert_eq!(read, expected);
        let srt = "1\r\n00:00:01,000 --> 00:00:02,000\r\n<i>3 < 4</i> & 5 > 4\r\n\r\n\
            2\r\n00:00:01,000 --> 00:00:03,000\r\n- yes";
        assert_eq!(read_captions(srt, 16_000).unwrap(), [uploaded(1000, 3000, "3 < 4 & 5 > 4 - yes")]);
    }

    #[test]
    fn what_is_no_captions_is_refused() {
        for text in ["", "hello", "WEBVTT\n\n00:01.000 --> 00:02.000\n \n", "{\"cues\": []}"] {
            assert_eq!(read_captions(text, 16_000), Err(NoCaptions::Empty), "{text}");
        }
        let long = format!("00:01.000 --> 00:02.000\n{}", "x".repeat(MAX_TEXT_CHARS + 1));
        assert_eq!(read_captions(&long, 16_000), Err(NoCaptions::TooLong));
        let caption = |n: u64| Caption { start_ms: n, end_ms: n + 1, text: "x".into() };
        let many: Vec<Caption> = (0..=MAX_CORRECTIONS as u64).map(caption).collect();
        assert_eq!(read_captions(&vtt::write(None, &many), 16_000), Err(NoCaptions::TooMany));
    }

    proptest! {
        #[test]
        fn cues_are_in_order_and_their_words_inside(
            parts in prop::collection::vec((0_u64..20_000, 1_u64..6_000, "[a-c]{1,3}( [a-c]{1,3}){0,4}"), 1..8),
            recognised_words in prop::collection::vec("[a-c]{1,3}", 0..20),
        ) {
            let stamp = |ms: u64| format!("00:{:02}.{:03}", ms / 1000, ms % 1000);
            let part = |(at, length, text): &(u64, u64, String)| {
                format!("{} --> {}\n{text}\n\n", stamp(*at), stamp(at + length))
            };
            let file: String = parts.iter().map(part).collect();
            let Ok(cues) = read_captions(&format!("WEBVTT\n\n{file}"), 20_000) else { return Ok(()) };
            prop_assert!(cues.windows(2).all(|two| two[0].end_ms <= two[1].start_ms));
            let words: Vec<TranscriptWord> = recognised_words.iter().enumerate().map(|(n, text)| {
                let start_ms = 900 * n as u64;
                TranscriptWord { start_ms, end_ms: start_ms + 800, text: text.clone(), ..TranscriptWord::default() }
            }).collect();
            let all = TranscriptCue { id: 1, end_ms: 20_000, text: recognised_words.join(" "), words, ..TranscriptCue::default() };
            let recognised = TranscriptDocument { cues: vec![all], ..TranscriptDocument::default() };
            for cue in transcript_of(recognised, &cues).cues {
                let texts: Vec<&str> = cue.words.iter().map(|word| word.text.as_str()).collect();
                prop_assert_eq!(texts.join(" "), cue.text.as_str());
                prop_assert!(cue.words.iter().all(|w| cue.start_ms <= w.start_ms && w.end_ms <= cue.end_ms));
                prop_assert!(cue.words.windows(2).all(|two| two[0].end_ms <= two[1].start_ms));
            }
        }
    }
}
