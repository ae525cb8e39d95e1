//! A layer over transcripts: the one it was made on, and others of the same lesson.
#![allow(clippy::unwrap_used)]

use proptest::prelude::*;
use serde_json::json;

use super::apply::apply;
use super::layer::{Anchor, Layer, TextVersion};
use super::transcript::{TranscriptCue, TranscriptDocument, TranscriptWord, join};

/// A transcript of cues: start in ms, and words of half a second each.
fn transcript(cues: &[(u64, &str)]) -> TranscriptDocument {
    let cue = |(n, (start_ms, text)): (usize, &(u64, &str))| {
        let words = text.split(' ').filter(|word| !word.is_empty()).enumerate();
        let words: Vec<TranscriptWord> = words
            .map(|(w, text)| {
                let start_ms = start_ms + 200 + 500 * w as u64;
                TranscriptWord {
                    start_ms,
                    end_ms: start_ms + 400,
                    text: text.into(),
                    ..TranscriptWord::default()
                }
            })
            .collect();
        let end_ms = words.last().map_or(start_ms + 1000, |word| word.end_ms + 300);
        TranscriptCue {
            id: n as u64 + 1,
            start_ms: *start_ms,
            end_ms,
            text: (*text).into(),
            words,
            ..TranscriptCue::default()
        }
    };
    TranscriptDocument { cues: cues.iter().enumerate().map(cue).collect(), ..TranscriptDocument::default() }
}

/// A layer that corrects cues of `on`, each by its number from 0.
fn layer(on: &TranscriptDocument, corrections: &[(usize, &str)]) -> Layer {
    let mut layer = Layer::default();
    for (cue, text) in corrections {
        let corrected = apply(on.clone(), &layer);
        let cue_now = &corrected.transcript.cues[*cue];
        let (start_ms, end_ms, quote) = (cue_now.start_ms, cue_now.end_ms, cue_now.text.clone());
        let anchor = Anchor { start_ms, end_ms, quote };
        layer.correct(corrected.corrections[*cue], anchor, (text, "ann"), 1).unwrap();
    }
    layer
}

fn texts(transcript: &TranscriptDocument) -> Vec<&str> {
    transcript.cues.iter().map(|cue| cue.text.as_str()).collect()
}

const HEARD: [(u64, &str); 3] =
    [(1000, "And so am I fellow Americans."), (5000, "Ask not!"), (7000, "a fraction has a new murder")];

#[test]
fn the_cue_of_a_correction_has_its_text() {
    let heard = transcript(&HEARD);
    let layer = layer(&heard, &[(0, "And so, my fellow Americans:"), (2, "a fraction has a numerator")]);
    let corrected = apply(heard.clone(), &layer);
    let expected = ["And so, my fellow Americans:", "Ask not!", "a fraction has a numerator"];
    assert_eq!(texts(&corrected.transcript), expected);
    assert_eq!(corrected.corrections, [Some(0), None, Some(1)]);
    assert_eq!(corrected.changes.len(), 2);
    assert_eq!(corrected.transcript.cues[1], heard.cues[1]);
    let fellow = |transcript: &TranscriptDocument, at: usize| transcript.cues[0].words[at].start_ms;
    assert_eq!(fellow(&corrected.transcript, 3), fellow(&heard, 4), "an unchanged word keeps its time");
}

#[test]
fn a_second_version_belongs_to_the_same_correction_and_undo_brings_the_first_back() {
    let heard = transcript(&HEARD);
    let mut layer = layer(&heard, &[(1, "Ask"), (1, "Ask not:")]);
    assert_eq!((layer.corrections.len(), layer.corrections[0].versions.len()), (1, 2));
    assert_eq!(apply(heard.clone(), &layer).transcript.cues[1].text, "Ask not:");
    layer.undo(Some(0), "bob", 2).unwrap();
    assert_eq!(apply(heard.clone(), &layer).transcript.cues[1].text, "Ask");
    layer.undo(Some(0), "bob", 3).unwrap();
    let back = apply(heard.clone(), &layer);
    assert_eq!((back.transcript, back.changes.len()), (heard, 0));
    assert_eq!(back.corrections[1], Some(0), "its history is still there");
}

#[test]
fn a_cue_can_be_emptied_and_written_again() {
    let heard = transcript(&HEARD);
    let emptied = apply(heard.clone(), &layer(&heard, &[(1, "")]));
    assert_eq!((emptied.transcript.cues[1].text.as_str(), emptied.transcript.cues.len()), ("", 3));
    let written = apply(heard.clone(), &layer(&heard, &[(1, ""), (1, "Ask not what")]));
    assert_eq!(texts(&written.transcript)[1], "Ask not what");
}

#[test]
fn a_new_recognition_keeps_corrections() {
    let heard = transcript(&HEARD);
    let layer = layer(&heard, &[(0, "And so, my fellow Americans:"), (2, "a fraction has a numerator")]);
    // Cut in another way, a little later, and with one word heard differently.
    let again = transcript(&[
        (1200, "And so am I"),
        (3700, "fellow American ask not"),
        (7100, "a fraction has a new mother"),
    ]);
    let corrected = apply(again, &layer);
    let text = texts(&corrected.transcript).join(" ");
    assert_eq!(text, "And so, my fellow Americans: ask not a fraction has a numerator");
    assert_eq!(corrected.corrections[2], Some(1));
    // One that hears what was corrected is left as it is.
    let better = transcript(&[(1000, "And so, my fellow Americans:"), (7000, "a fraction has a numerator")]);
    let corrected = apply(better.clone(), &layer);
    assert_eq!((corrected.transcript, corrected.changes.len()), (better, 0));
}

#[test]
fn a_correction_stays_where_nothing_is_recognised_any_more() {
    let heard = transcript(&HEARD);
    let layer = layer(&heard, &[(1, "Ask not.")]);
    let silent = transcript(&[(1000, "And so am I fellow Americans."), (60_000, "much later")]);
    let corrected = apply(silent, &layer);
    assert_eq!(texts(&corrected.transcript), ["And so am I fellow Americans.", "Ask not.", "much later"]);
    assert!(corrected.changes[0].is_new);
    let nothing = apply(transcript(&[]), &layer);
    assert_eq!(texts(&nothing.transcript), ["Ask not."]);
}

#[test]
fn what_is_not_known_here_stays() {
    let body = json!({ "version": 1, "language": "en", "later": { "x": 1 }, "cues": [
        { "id": 1, "start_ms": 0, "end_ms": 900, "text": "a b", "doubt": 0.9, "speaker": "main", "words": [
            { "start_ms": 100, "end_ms": 400, "text": "a", "p": 0.5 },
            { "start_ms": 500, "end_ms": 800, "text": "b", "p": 0.4 } ] } ] });
    let heard: TranscriptDocument = serde_json::from_value(body.clone()).unwrap();
    assert_eq!(serde_json::to_value(&heard).unwrap(), body);
    let corrected = apply(heard.clone(), &layer(&heard, &[(0, "a c")]));
    let value = serde_json::to_value(&corrected.transcript).unwrap();
    assert_eq!(value["later"]["x"], 1);
    let cue = &value["cues"][0];
    assert_eq!((&cue["speaker"], &cue["corrected"]), (&json!("main"), &json!(true)));
    assert_eq!((&cue["words"][0]["p"], &cue["words"][1].get("p")), (&json!(0.5), &None));
    assert_eq!(cue.get("doubt"), None, "a person wrote it");
}

#[test]
fn scripts_without_spaces_keep_the_times_of_their_characters() {
    let word = |start_ms, text: &str| TranscriptWord {
        start_ms,
        end_ms: start_ms + 400,
        text: text.into(),
        ..TranscriptWord::default()
    };
    let cue = TranscriptCue { id: 1, end_ms: 2000, text: "砸自己的".into(), ..TranscriptCue::default() };
    let heard = TranscriptDocument {
        cues: vec![TranscriptCue {
            words: vec![word(0, "砸"), word(500, "自己"), word(1000, "的")], ..cue
        }],
        ..TranscriptDocument::default()
    };
    let corrected = apply(heard.clone(), &layer(&heard, &[(0, "打自己的")]));
    let times: Vec<_> =
        corrected.transcript.cues[0].words.iter().map(|w| (w.text.as_str(), w.start_ms)).collect();
    assert_eq!(times, [("打", 0), ("自", 500), ("己", 700), ("的", 1000)]);
}

proptest! {
    /// Whatever is corrected and however it is recognised again: cues stay in order, no word leaves
    /// its time, and every corrected text is there.
    #[test]
    fn corrections_survive_any_new_recognition(
        cues in proptest::collection::vec("[abc]{1,2}( [abc]{1,2}){0,5}", 1..6),
        again in proptest::collection::vec("[abc]{1,2}( [abc]{1,2}){0,5}", 0..6),
        corrected in proptest::collection::vec((0usize..6, "([xyz]{1,3}( [xyz]{1,3}){0,4})?"), 0..4),
        shift in 0u64..3000,
    ) {
        let timed = |cues: &[String], from: u64| {
            let mut at = from;
            let starts: Vec<(u64, &str)> = cues.iter().map(|text| {
                let start = at;
                at += 1000 + 500 * text.split(' ').count() as u64;
                (start, text.as_str())
            }).collect();
            transcript(&starts)
        };
        let heard = timed(&cues, 0);
        let corrections: Vec<(usize, &str)> =
            corrected.iter().map(|(cue, text)| (cue % cues.len(), text.as_str())).collect();
        let layer = layer(&heard, &corrections);
        for over in [heard.clone(), timed(&again, shift)] {
            let result = apply(over, &layer).transcript;
            prop_assert!(result.cues.windows(2).all(|pair| pair[0].end_ms <= pair[1].start_ms));
            let words: Vec<&TranscriptWord> = result.cues.iter().flat_map(|cue| &cue.words).collect();
            prop_assert!(words.windows(2).all(|pair| pair[0].start_ms <= pair[1].start_ms), "{:?}", words);
            prop_assert!(words.iter().all(|word| word.start_ms <= word.end_ms));
            for cue in &result.cues {
                prop_assert_eq!(join(&cue.words, true), cue.text.clone());
            }
        }
        // On the same recognition, each cue has exactly its last text.
        let same = apply(heard, &layer).transcript;
        for (cue, _) in &corrections {
            let last = corrections.iter().rev().find(|(at, _)| at == cue).map(|(_, text)| *text);
            prop_assert_eq!(Some(same.cues[*cue].text.as_str()), last);
        }
    }
}

#[test]
fn a_version_that_was_taken_back_hides_nothing() {
    let heard = transcript(&HEARD);
    let mut layer = layer(&heard, &[(1, "Ask")]);
    layer.undo(Some(0), "ann", 2).unwrap();
    let none: Option<&TextVersion> = layer.corrections[0].current();
    assert_eq!((none, layer.is_empty()), (None, true));
    assert_eq!(apply(heard.clone(), &layer).transcript, heard);
}
