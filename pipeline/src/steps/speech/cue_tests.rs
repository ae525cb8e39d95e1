//! The rules that captions keep, on any words.
#![allow(clippy::unwrap_used)]
use proptest::prelude::*;

use super::*;

fn said(text: &str, start_ms: u64, word_ms: u64) -> Vec<Word> {
    let word = |(i, text): (usize, &str)| {
        let start_ms = start_ms + i as u64 * word_ms;
        Word { start_ms, end_ms: start_ms + word_ms, text: text.to_owned(), probability: 1.0, doubt: 0.0 }
    };
    text.split_whitespace().enumerate().map(word).collect()
}

fn texts(words: &[Word]) -> Vec<String> {
    make_cues(words, true, &[], 600_000).into_iter().map(|cue| cue.text).collect()
}

#[test]
fn a_pause_starts_a_cue_and_a_cue_comes_a_little_early() {
    let mut words = said("Where are you going?", 1000, 300);
    words.extend(said("Home.", 4000, 400));
    let cues = make_cues(&words, true, &[], 4500);
    assert_eq!(cues.len(), 2);
    assert_eq!((cues[0].start_ms, cues[0].end_ms), (700, 2600));
    assert_eq!((cues[1].start_ms, cues[1].end_ms), (3667, 4500), "early enough to be read");
    assert_eq!(cues[0].text, "Where are you going?");
    assert_eq!((cues[1].id, cues[1].words.len()), (2, 1));
}

#[test]
fn long_speech_is_cut_after_its_sentences() {
    let text = "This is the first sentence of them all, which is rather long. \
                And this is another one that follows it at once.";
    let cues = make_cues(&said(text, 0, 250), true, &[], 60_000);
    assert_eq!(cues[0].text, "This is the first sentence of them all, which is rather long.");
    assert_eq!(
        to_caption(&cues[0], true).text,
        "This is the first sentence of them all,\nwhich is rather long."
    );
    assert!(cues[1].text.starts_with("And"));
}

#[test]
fn an_abbreviation_stays_with_its_name_over_a_pause() {
    let mut words = said("And Mr.", 0, 370);
    words.extend(said("John Dashwood had then leisure to consider how much there might be", 1500, 380));
    assert!(texts(&words)[0].starts_with("And Mr. John"), "{:?}", texts(&words));
}

#[test]
fn a_short_word_joins_its_neighbour() {
    let mut words = said("1.", 0, 300);
    words.extend(said("From fairest creatures we desire increase,", 1100, 450));
    assert_eq!(texts(&words), ["1. From fairest creatures we desire increase,"]);
}

#[test]
fn a_cue_is_as_doubtful_as_its_words_and_every_other_reason() {
    let mut words = said("Quite certain words.", 0, 400);
    assert_eq!(make_cues(&words, true, &[], 5000)[0].doubt, 0.0);
    words.iter_mut().for_each(|word| word.probability = 0.4);
    assert!((make_cues(&words, true, &[], 5000)[0].doubt - 0.6).abs() < 1e-5);
    words[1].doubt = 0.9;
    let cue = make_cues(&words, true, &[], 5000).remove(0);
    assert_eq!(cue.doubt, 0.9);
    let json = serde_json::to_value(&cue).unwrap();
    assert_eq!((&json["doubt"], &json["words"][0]["p"]), (&0.9.into(), &0.4.into()));
    let earlier: Cue = serde_json::from_value(serde_json::json!({
        "id": 1, "start_ms": 0, "end_ms": 900, "text": "Yes.",
        "words": [{"start_ms": 0, "end_ms": 900, "text": "Yes."}]
    }))
    .unwrap();
    assert_eq!((earlier.doubt, earlier.words[0].probability), (0.0, 1.0));
}

#[test]
fn another_voice_has_a_cue_or_a_line_of_its_own() {
    let mut words = said("What do you notice in this picture?", 0, 300);
    words.extend(said("There is a dog in the yard.", 2200, 300));
    let displayed = |changes_ms: &[u64]| -> Vec<String> {
        let cues = make_cues(&words, true, changes_ms, 60_000);
        cues.iter().map(|cue| to_caption(cue, true).text).collect()
    };
    assert_eq!(displayed(&[2150]), ["What do you notice in this picture?", "There is a dog in the yard."]);
    assert_eq!(displayed(&[]).len(), 1, "one voice says both in one cue");
    // Too quick for cues of their own.
    words = said("Ready? Yes.", 0, 300);
    let cues = make_cues(&words, true, &[310], 600);
    assert_eq!(cues.len(), 1);
    assert_eq!(to_caption(&cues[0], true).text, "- Ready?\n- Yes.");
}

#[test]
fn scripts_without_spaces_are_joined_without() {
    let words = said("砸 自己 的 脚", 0, 300);
    assert_eq!(make_cues(&words, false, &[], 2000)[0].text, "砸自己的脚");
}

/// Words as people say them, slower than a reader reads, with pauses.
fn speech() -> impl Strategy<Value = Vec<Word>> {
    let plain = "x[a-z]{1,11}[,.?]?";
    let function = prop::sample::select(vec!["the", "a", "of", "in", "and", "Mr.", "Dr.", "J."]);
    let pause = prop_oneof![6 => Just(0u64), 2 => 50u64..600, 1 => 700u64..1900, 1 => 2000u64..9000];
    // A function word is followed at once by another one.
    let phrase = (proptest::option::weighted(0.4, function), plain, 60u64..110, pause);
    proptest::collection::vec(phrase, 1..90).prop_map(|phrases| {
        let mut now = 1000;
        let mut words = Vec::new();
        for (function, plain, per_letter_ms, pause) in phrases {
            for text in function.map(str::to_owned).into_iter().chain([plain]) {
                let end_ms = now + (text.len() as u64 + 1) * per_letter_ms;
                words.push(Word { start_ms: now, end_ms, text, probability: 1.0, doubt: 0.0 });
                now = end_ms;
            }
            now += pause;
        }
        words
    })
}

proptest! {
    #[test]
    fn captions_of_speech_keep_the_rules(
        words in speech(),
        changes in proptest::collection::vec(0.0..1.0, 0..12),
    ) {
        let duration_ms = words.last().unwrap().end_ms + 2000;
        let mut changes_ms: Vec<u64> =
            changes.iter().map(|share: &f64| (share * duration_ms as f64) as u64).collect();
        changes_ms.sort_unstable();
        let cues = make_cues(&words, true, &changes_ms, duration_ms);
        let mut last_end_ms = 0;
        for (index, cue) in cues.iter().enumerate() {
            let caption = to_caption(cue, true);
            let displayed: Vec<&str> = caption.text.lines().collect();
            prop_assert!(displayed.len() <= 2);
            prop_assert!(displayed.iter().all(|line| line.chars().count() <= lines::MAX_LINE_COLUMNS));
            let length_ms = cue.end_ms - cue.start_ms;
            prop_assert!((MIN_CUE_MS..=MAX_CUE_MS).contains(&length_ms), "{} ms: {}", length_ms, cue.text);
            let columns = cue.text.chars().count() as u64;
            prop_assert!(columns * 1000 <= MAX_COLUMNS_PER_S * length_ms, "{} ms: {}", length_ms, cue.text);
            let gap_ms = cue.start_ms - last_end_ms;
            prop_assert!(index == 0 || gap_ms == 0 || gap_ms >= MIN_GAP_MS, "{} ms", gap_ms);
            let breaks_in = |at: usize| break_between(&words[at - 1].text, &words[at].text) == Break::Torn;
            let before = cues[..index].iter().map(|cue| cue.words.len()).sum::<usize>();
            prop_assert!(before == 0 || !breaks_in(before), "cue torn before {}", cue.text);
            last_end_ms = cue.end_ms;
        }
        prop_assert_eq!(cues.iter().map(|cue| cue.words.len()).sum::<usize>(), words.len());
    }

    #[test]
    fn cues_are_in_order_and_within_the_recording_whatever_the_words(
        words in proptest::collection::vec(("[a-zA-Z]{1,14}[,.]?", 0u64..3000, 1u64..900), 0..120),
        short in 0u64..4000,
    ) {
        let mut now = 0;
        let words: Vec<Word> = words.into_iter().map(|(text, gap, length)| {
            let start_ms = now + gap.saturating_sub(1500);
            now = start_ms + length;
            Word { start_ms, end_ms: now, text, probability: 1.0, doubt: 0.0 }
        }).collect();
        let duration_ms = now.saturating_sub(short);
        let cues = make_cues(&words, true, &[], duration_ms);
        let mut last = 0;
        for cue in &cues {
            prop_assert!(last <= cue.start_ms && cue.start_ms < cue.end_ms && cue.end_ms <= duration_ms);
            prop_assert!(cue.words[0].start_ms >= cue.start_ms);
            prop_assert!(cue.words.last().unwrap().end_ms <= cue.end_ms);
            prop_assert!(cue.words.windows(2).all(|w| w[0].end_ms <= w[1].start_ms));
            let displayed = to_caption(cue, true).text;
            prop_assert!(displayed.lines().count() <= 2);
            prop_assert!(displayed.lines().all(|l| l.chars().count() <= lines::MAX_LINE_COLUMNS));
            prop_assert!(cue.end_ms - cue.start_ms <= MAX_CUE_MS);
            last = cue.end_ms;
        }
        if short == 0 {
            prop_assert_eq!(cues.iter().map(|c| c.words.len()).sum::<usize>(), words.len());
        }
    }
}
