//! A lesson in two languages, with a model that knows them.
#![allow(clippy::unwrap_used)]

use std::path::PathBuf;
use std::sync::Arc;

use super::cues::Cue;
use super::tests::{Run, lesson, request_of, wav_file};
use super::wav::{RATE_HZ, WavReader};
use super::*;
use crate::source::{Bytes, FileSource};

/// Samples of a file between two times.
fn samples(path: PathBuf, from_s: u64, to_s: u64) -> Vec<i16> {
    let wav = WavReader::open(Arc::new(FileSource::open(&path).unwrap())).unwrap();
    let samples = wav.read(from_s * RATE_HZ, (to_s - from_s) * RATE_HZ).unwrap();
    samples.iter().map(|sample| (sample * 32_767.0) as i16).collect()
}

fn transcribed(samples: &[i16]) -> (TranscriptReport, Vec<Cue>, String) {
    let request = TranscribeRequest { effort: Effort::Fast, ..request_of("base", 0, 1) };
    let (run, report) = Run::new(&request, Arc::new(Bytes(wav_file(samples))), false);
    let report = report.unwrap();
    let transcript: serde_json::Value = serde_json::from_str(&run.read(&report.json)).unwrap();
    let cues = serde_json::from_value(transcript["cues"].clone()).unwrap();
    let json = run.read(&report.json);
    (report, cues, json)
}

#[test]
fn every_cue_of_a_lesson_in_two_languages_is_in_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let (english, _) = lesson(folder.path());
    let from = PathBuf::from(std::env::var_os("CHALKSTREAM_LESSON").unwrap());
    // English to 36 s, Spanish to 75 s, then a speech in English again.
    let (first, last) = (samples(english.clone(), 0, 36), samples(english, 36, 50));
    let spanish = samples(from.join("spanish.wav"), 0, 39);
    let (report, cues, _) = transcribed(&[first, spanish, last].concat());
    assert!(["en", "es"].contains(&report.language.as_str()), "{report:?}");
    for cue in &cues {
        let middle_ms = cue.start_ms.midpoint(cue.end_ms);
        let expected = if (36_000..75_000).contains(&middle_ms) { "es" } else { "en" };
        assert_eq!(cue.language.as_deref(), Some(expected), "{cue:?}");
    }
    let spoken = |language: &str| {
        let own = cues.iter().filter(|cue| cue.language.as_deref() == Some(language));
        own.map(|cue| cue.text.to_lowercase()).collect::<Vec<_>>().join(" ")
    };
    for word in ["felicidades", "usted", "archivos"] {
        assert!(spoken("es").contains(word), "{}", spoken("es"));
    }
    assert!(spoken("en").contains("dashwood") && spoken("en").contains("fellow americans"));
    assert!(cues.windows(2).all(|pair| pair[0].end_ms <= pair[1].start_ms && pair[0].id < pair[1].id));
}

#[test]
fn a_lesson_in_one_language_says_so_once() {
    let folder = tempfile::tempdir().unwrap();
    let (english, _) = lesson(folder.path());
    let (report, cues, json) = transcribed(&samples(english, 0, 36));
    assert_eq!(report.language, "en");
    assert!(!cues.is_empty());
    assert_eq!(json.matches("\"language\"").count(), 1);
}
