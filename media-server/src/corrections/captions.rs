//! Stored captions with the text of corrected cues. All other captions stay as the worker wrote
//! them.

use chalkstream_formats::captions::{Caption, parser, srt, vtt, wrap};

use super::apply::CaptionChange;
use super::transcript::TranscriptDocument;

/// Minimum pause at which the plain text starts a new paragraph, in ms.
const MIN_PARAGRAPH_PAUSE_MS: u64 = 2_000;

/// A WebVTT file with changed cues. New cues are added if they overlap `span_ms`, the time that the
/// file covers.
pub fn change_vtt(stored: &str, changes: &[CaptionChange], span_ms: (u64, u64)) -> String {
    let header: Vec<&str> = stored.lines().skip(1).take_while(|line| !line.trim().is_empty()).collect();
    let header = Some(header.join("\n")).filter(|header| !header.is_empty());
    vtt::write(header.as_deref(), &change(parser::parse_vtt(stored), changes, span_ms))
}

/// A SubRip file with changed cues.
pub fn change_srt(stored: &str, changes: &[CaptionChange]) -> String {
    srt::write(&change(parser::parse_srt(stored), changes, (0, u64::MAX)))
}

fn change(mut captions: Vec<Caption>, changes: &[CaptionChange], span_ms: (u64, u64)) -> Vec<Caption> {
    for change in changes {
        let caption = Caption { start_ms: change.start_ms, end_ms: change.end_ms, text: wrap(&change.text) };
        let at = captions.partition_point(|one| one.start_ms < change.start_ms);
        let is_same = |one: &Caption| (one.start_ms, one.end_ms) == (change.start_ms, change.end_ms);
        let is_inside = change.end_ms > span_ms.0 && change.start_ms < span_ms.1;
        match captions.get_mut(at).filter(|one| is_same(one)) {
            // The writers leave a caption without text out.
            Some(known) => *known = caption,
            None if change.is_new && is_inside => captions.insert(at, caption),
            None => {}
        }
    }
    captions
}

/// The text alone, with a new paragraph after each long pause.
pub fn plain_text(transcript: &TranscriptDocument) -> String {
    let between_words = if transcript.uses_spaces() { " " } else { "" };
    let mut out = String::new();
    let mut previous_end_ms = None;
    for cue in transcript.cues.iter().filter(|cue| !cue.text.trim().is_empty()) {
        let start_ms = cue.words.first().map_or(cue.start_ms, |word| word.start_ms);
        out.push_str(match previous_end_ms {
            None => "",
            Some(ms) if start_ms.saturating_sub(ms) >= MIN_PARAGRAPH_PAUSE_MS => "\n\n",
            Some(_) => between_words,
        });
        out.push_str(&cue.text);
        previous_end_ms = Some(cue.words.last().map_or(cue.end_ms, |word| word.end_ms));
    }
    if !out.is_empty() {
        out.push('\n');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::super::transcript::{TranscriptCue, TranscriptWord};
    use super::*;

    fn changed(start_ms: u64, text: &str, is_new: bool) -> CaptionChange {
        CaptionChange { start_ms, end_ms: start_ms + 900, text: text.into(), is_new }
    }

    const VTT: &str = "WEBVTT\nX-TIMESTAMP-MAP=MPEGTS:0,LOCAL:00:00:00.000\n\n\
        00:00:01.000 --> 00:00:01.900\none &amp;\nuno\n\n00:00:03.000 --> 00:00:03.900\nthree\n";

    #[test]
    fn only_changed_cues_of_a_file_change() {
        assert_eq!(change_vtt(VTT, &[], (0, 60_000)), VTT);
        let text = change_vtt(VTT, &[changed(3000, "<b>3", false)], (0, 60_000));
        assert_eq!(text, VTT.replace("three", "&lt;b&gt;3"));
        let text = change_vtt(VTT, &[changed(1000, "", false)], (0, 60_000));
        assert!(!text.contains("one") && text.contains("three"), "{text}");
        let srt = "1\n00:00:01,000 --> 00:00:01,900\none\n\n2\n00:00:03,000 --> 00:00:03,900\nthree\n\n";
        let text = change_srt(srt, &[changed(1000, "", false), changed(3000, "3", false)]);
        assert_eq!(text, "1\n00:00:03,000 --> 00:00:03,900\n3\n\n");
    }

    #[test]
    fn a_new_cue_comes_in_order_and_into_its_own_file_only() {
        let new = [changed(2000, "two", true)];
        let text = change_vtt(VTT, &new, (0, 60_000));
        let order: Vec<_> = text.lines().filter(|line| ["uno", "two", "three"].contains(line)).collect();
        assert_eq!(order, ["uno", "two", "three"]);
        assert_eq!(change_vtt(VTT, &new, (60_000, 120_000)), VTT);
        // A cue of another recognition's file is not added here.
        assert_eq!(change_vtt(VTT, &[changed(2000, "two", false)], (0, 60_000)), VTT);
    }

    #[test]
    fn plain_text_has_paragraphs_and_no_empty_cues() {
        let cue = |start_ms: u64, text: &str| {
            let word = TranscriptWord {
                start_ms,
                end_ms: start_ms + 500,
                text: text.into(),
                ..TranscriptWord::default()
            };
            TranscriptCue {
                start_ms,
                end_ms: start_ms + 900,
                text: text.into(),
                words: vec![word],
                ..TranscriptCue::default()
            }
        };
        let cues = vec![cue(0, "One."), cue(1000, ""), cue(1500, "Two."), cue(9000, "Three.")];
        assert_eq!(
            plain_text(&TranscriptDocument { cues, ..TranscriptDocument::default() }),
            "One. Two.\n\nThree.\n"
        );
    }
}
