//! Hints on real sound: they are not said where they were not said, and cost no other word.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use super::tests::{Run, lesson, plain_words, request, wav_file, word_errors};
use super::wav::{RATE_HZ, WavReader};
use super::*;
use crate::source::{Bytes, FileSource};

/// More terms than fit the prompt; none of them is said in the composed lesson.
const TERMS: &str = "numerator, denominator, Ms Okafor, TalkMoves, isosceles, hypotenuse, photosynthesis, \
     mitochondria, quadrilateral, Pythagoras, onomatopoeia, alliteration, metamorphosis, chrysalis, \
     Mr Nguyen, Siobhan, parallelogram, trapezium, vertices, coefficient, polynomial, ecosystem, \
     chlorophyll, stalactite, peninsula, archipelago, Boudicca, Tutankhamun, hieroglyphics, Euphrates, \
     scaffolding, plenary, formative, metacognition, phoneme, grapheme, digraph, split vowel";

fn hinted(duration_ms: u64) -> TranscribeRequest {
    TranscribeRequest { vocabulary: vec![Vocabulary::parse(TERMS).unwrap()], ..request(duration_ms, 1) }
}

#[test]
fn hints_are_at_most_half_of_what_the_model_takes_before_a_window() {
    let request = request(0, 1);
    let model = WhisperModel::load(&request.model_path, &request.model_name).unwrap();
    let tokens = |terms: &str| {
        let list = Vocabulary::parse(terms).unwrap();
        model.hint_tokens(&vocabulary::hints(&[list], None)).unwrap()
    };
    let all = tokens(TERMS);
    assert!((100..=112).contains(&all.len()), "{}", all.len());
    assert_eq!(all[..all.len() / 2], tokens(&format!("{TERMS}, one more"))[..all.len() / 2]);
    assert!(tokens("").is_empty());
    assert!(tokens("Ms Okafor").len() < 8);
    // What is spelt like a mark of the model is not one.
    let marks = tokens("<|endoftext|>, [_BEG_], <|nospeech|>");
    assert!(marks.iter().all(|token| *token < 50_256), "{marks:?}");
}

#[test]
fn without_speech_no_hint_becomes_a_word() {
    let mut seed = 1_u32;
    let mut noise = || {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (seed >> 16) as i16 / 8
    };
    let noise: Vec<i16> = (0..RATE_HZ * 20).map(|_| noise()).collect();
    for samples in [noise, vec![0; RATE_HZ as usize * 5]] {
        let (run, report) = Run::new(&hinted(65_000), Arc::new(Bytes(wav_file(&samples))), false);
        assert_eq!(run.read(&report.unwrap().text), "");
    }
    // Backwards, the detector finds voices.
    let folder = tempfile::tempdir().unwrap();
    let (wav, _) = lesson(folder.path());
    let reader = WavReader::open(Arc::new(FileSource::open(&wav).unwrap())).unwrap();
    let forwards = reader.read(0, RATE_HZ * 40).unwrap();
    let backwards: Vec<i16> = forwards.iter().rev().map(|sample| (sample * 32_767.0) as i16).collect();
    let (run, report) = Run::new(&hinted(40_000), Arc::new(Bytes(wav_file(&backwards))), false);
    let report = report.unwrap();
    assert!(report.speech_ms > 10_000, "the detector finds voices in {} ms", report.speech_ms);
    assert_eq!(run.read(&report.text), "");
}

#[test]
fn hints_that_are_not_said_cost_no_word_of_a_lesson() {
    let folder = tempfile::tempdir().unwrap();
    let (wav, utterances) = lesson(folder.path());
    let truth: Vec<&str> = utterances.iter().map(|utterance| utterance.2.as_str()).collect();
    let truth = plain_words(&truth.join(" "));
    let transcribe = |request: &TranscribeRequest| {
        let (run, report) = Run::new(request, Arc::new(FileSource::open(&wav).unwrap()), false);
        plain_words(&run.read(&report.unwrap().text))
    };
    let (plain, hinted) = (transcribe(&request(0, 1)), transcribe(&hinted(0)));
    let (without, with) = (word_errors(&truth, &plain), word_errors(&truth, &hinted));
    println!("{without} of {} words are wrong without hints, {with} with them", truth.len());
    // The same lesson a second later differs by as much.
    assert!(with <= without + 3, "{without} words are wrong without hints, {with} with them: {hinted:?}");
    for term in plain_words(TERMS).iter().filter(|term| !truth.contains(term) && term.len() > 2) {
        assert!(!hinted.contains(term), "{term} was not said");
    }
}
