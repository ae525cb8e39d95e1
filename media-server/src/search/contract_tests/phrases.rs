//! Phrases against a scan of all words.

use std::collections::BTreeSet;

use super::super::transcript::MAX_GAP_MS;
use super::*;

const WORDS: [&str; 3] = ["apple", "river", "stone"];

/// Words of a cue, and whether a silence precedes it.
type RandomCues = Vec<(Vec<usize>, bool)>;

fn spoken() -> impl Strategy<Value = RandomCues> {
    let cue = (prop::collection::vec(0..WORDS.len(), 0..9), prop::bool::weighted(0.05));
    prop::collection::vec(cue, 1..70)
}

/// Cues in sequence, each with a start of its own.
fn said(cues: &RandomCues) -> SpokenLesson {
    let mut at = 0;
    let cue = |(words, is_after_silence): &(Vec<usize>, bool)| {
        let start_ms = at + if *is_after_silence { MAX_GAP_MS + 1 } else { 100 };
        at = start_ms + 200 * words.len() as u64;
        let words = words.iter().enumerate().map(|(n, word)| SpokenWord {
            start_ms: start_ms + 200 * n as u64,
            end_ms: start_ms + 200 * n as u64 + 150,
            text: WORDS[*word].into(),
        });
        let words: Vec<SpokenWord> = words.collect();
        let text = words.iter().map(|word| word.text.as_str()).collect::<Vec<_>>().join(" ");
        SpokenCue { start_ms, end_ms: at, text, words, doubt_percent: 0 }
    };
    SpokenLesson { language: "en".into(), cues: cues.iter().map(cue).collect(), embedded: Vec::new() }
}

/// Starts of all words that belong to an occurrence of a phrase.
fn scan(transcript: &SpokenLesson, phrase: &[usize]) -> BTreeSet<u64> {
    let mut words: Vec<Option<&SpokenWord>> = Vec::new();
    let mut before = 0;
    for cue in transcript.cues.iter().filter(|cue| !cue.text.is_empty()) {
        if cue.start_ms.saturating_sub(before) > MAX_GAP_MS {
            words.push(None);
        }
        before = cue.end_ms;
        words.extend(cue.words.iter().map(Some));
    }
    let is_phrase = |window: &&[Option<&SpokenWord>]| {
        window.iter().zip(phrase).all(|(word, wanted)| word.is_some_and(|word| word.text == WORDS[*wanted]))
    };
    words.windows(phrase.len()).filter(is_phrase).flatten().flatten().map(|word| word.start_ms).collect()
}

/// Starts of all words that the moments highlight.
fn highlighted(transcript: &SpokenLesson, hits: &[Hit]) -> BTreeSet<u64> {
    let mut starts = BTreeSet::new();
    for hit in hits {
        let mut words = transcript
            .cues
            .iter()
            .filter(|cue| cue.start_ms >= hit.cue_start_ms && cue.end_ms <= hit.end_ms)
            .flat_map(|cue| &cue.words);
        let mut at = 0;
        for word in hit.text.split(' ') {
            let spoken = words.next().unwrap();
            assert_eq!(spoken.text, word, "the text is that of the cues");
            if hit.highlights.iter().any(|[from, to]| (*from..*to).contains(&at)) {
                starts.insert(spoken.start_ms);
            }
            at += word.len() + 1;
        }
        assert_eq!(words.next(), None);
    }
    starts
}

pub fn equal_a_scan(subject: Subject) {
    let lessons = prop::collection::vec(spoken(), 1..4);
    let phrases = prop::collection::vec(prop::collection::vec(0..WORDS.len(), 1..7), 8);
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig::with_cases(16));
    runner
        .run(&(lessons, phrases), |(lessons, phrases)| {
            let (_folder, engine) = opened(subject);
            let lessons: Vec<SpokenLesson> = lessons.iter().map(said).collect();
            for (n, said) in lessons.iter().enumerate() {
                engine.replace(&lesson("acme", &format!("r{n}")), said).unwrap();
            }
            engine.commit().unwrap();
            for phrase in phrases {
                let query = phrase.iter().map(|word| WORDS[*word]).collect::<Vec<_>>().join(" ");
                let hits = every_moment(&*engine, &format!("\"{query}\""), &Area::for_tenant("acme"));
                for (n, said) in lessons.iter().enumerate() {
                    let own: Vec<Hit> =
                        hits.iter().filter(|hit| hit.recording == format!("r{n}")).cloned().collect();
                    prop_assert_eq!(highlighted(said, &own), scan(said, &phrase), "{}", query);
                    for hit in own {
                        prop_assert!(scan(said, &phrase).contains(&hit.start_ms), "starts at a match");
                    }
                }
            }
            Ok(())
        })
        .unwrap();
}

/// The moments of all pages.
fn every_moment(engine: &dyn SearchEngine, query: &str, area: &Area) -> Vec<Hit> {
    let (mut hits, mut skip) = (Vec::new(), Some(0));
    while let Some(at) = skip {
        let page = find(engine, query, area, at, 40).unwrap();
        hits.extend(page.moments);
        skip = page.next;
    }
    hits
}
