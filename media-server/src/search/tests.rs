//! The index as its callers see it: on a real folder, with a real engine.
#![allow(clippy::unwrap_used)]

use proptest::prelude::*;
use tempfile::TempDir;

use super::*;

fn area(tenant: &str) -> Area<'_> {
    Area { tenant, recording: None, from_ms: None, to_ms: None }
}

fn lesson<'a>(tenant: &'a str, recording: &'a str) -> IndexedLesson<'a> {
    IndexedLesson { tenant, recording, title: "A lesson", version: "1" }
}

/// Cues of 5 s each, words 500 ms apart from the cue's start on.
fn transcript(lines: &[&str]) -> Transcript {
    let cue = |(n, line): (usize, &&str)| {
        let start_ms = n as u64 * 5_000;
        let words = line.split_whitespace().enumerate().map(|(w, text)| {
            let start_ms = start_ms + w as u64 * 500;
            SpokenWord { start_ms, end_ms: start_ms + 450, text: text.into() }
        });
        Cue { start_ms, end_ms: start_ms + 4_800, text: (*line).into(), words: words.collect() }
    };
    Transcript { language: "en".into(), cues: lines.iter().enumerate().map(cue).collect() }
}

fn open() -> (TempDir, Index) {
    let folder = TempDir::new().unwrap();
    let index = Index::open(folder.path()).unwrap();
    (folder, index)
}

#[test]
fn moments_are_found_by_their_words_exact_ones_first() {
    let (_folder, index) = open();
    let lines = [
        "She explained it twice and explained again",
        "Can you explain your thinking",
        "Talk to your partner",
    ];
    index.replace(&lesson("acme", "r1"), &transcript(&lines)).unwrap();
    index.commit("1-0").unwrap();
    let hits = index.find("explain", &area("acme"), 10).unwrap();
    assert_eq!(hits.len(), 2);
    assert_eq!((hits[0].start_ms, hits[0].end_ms), (6_000, 9_800), "the word as asked comes first");
    assert_eq!(hits[0].highlights, [[8, 15]]);
    assert_eq!(hits[1].start_ms, 500);
    let hits = index.find("\"your partner\"", &area("acme"), 10).unwrap();
    assert_eq!((hits.len(), hits[0].start_ms), (1, 11_000));
    let hits = index.find("\"twice and explained again can you\"", &area("acme"), 10).unwrap();
    assert_eq!(hits[0].start_ms, 1_500, "a phrase across two cues");
    let hits = index.find("partner banana", &area("acme"), 10).unwrap();
    assert_eq!(hits.len(), 1, "some of the words, where no moment has all");
}

#[test]
fn a_new_transcript_takes_the_place_of_the_old_and_a_removed_one_is_gone() {
    let (_folder, index) = open();
    index.replace(&lesson("acme", "r1"), &transcript(&["old words"])).unwrap();
    index.replace(&lesson("acme", "r2"), &transcript(&["other words"])).unwrap();
    index.commit("1-0").unwrap();
    index
        .replace(&IndexedLesson { version: "2", ..lesson("acme", "r1") }, &transcript(&["new words"]))
        .unwrap();
    assert_eq!(
        index.version("acme", "r1").unwrap().as_deref(),
        Some("1"),
        "nothing is seen before the commit"
    );
    index.commit("2-0").unwrap();
    assert_eq!(index.version("acme", "r1").unwrap().as_deref(), Some("2"));
    assert!(index.find("old", &area("acme"), 10).unwrap().is_empty());
    assert_eq!(index.find("words", &area("acme"), 10).unwrap().len(), 2);
    index.remove("acme", "r1");
    index.commit("3-0").unwrap();
    assert_eq!(index.find("words", &area("acme"), 10).unwrap().len(), 1);
    assert_eq!(index.version("acme", "r1").unwrap(), None);
}

#[test]
fn the_position_and_the_words_come_back_together() {
    let (folder, index) = open();
    assert_eq!(index.position().unwrap(), None);
    index.replace(&lesson("acme", "r1"), &transcript(&["kept words"])).unwrap();
    index.commit("17-3").unwrap();
    index.replace(&lesson("acme", "r2"), &transcript(&["lost words"])).unwrap();
    drop(index);
    let index = Index::open(folder.path()).unwrap();
    assert_eq!(index.position().unwrap().as_deref(), Some("17-3"));
    assert_eq!(
        index.find("words", &area("acme"), 10).unwrap().len(),
        1,
        "what was not committed is asked for again"
    );
}

#[test]
fn an_index_that_cannot_be_read_or_is_of_another_version_is_built_anew() {
    let (folder, index) = open();
    index.commit("1-0").unwrap();
    drop(index);
    let current = std::fs::read_dir(folder.path()).unwrap().next().unwrap().unwrap().path();
    std::fs::write(current.join("meta.json"), "not an index").unwrap();
    std::fs::create_dir(folder.path().join("v0")).unwrap();
    let index = Index::open(folder.path()).unwrap();
    assert_eq!(index.position().unwrap(), None);
    assert!(!folder.path().join("v0").exists());
}

#[test]
fn a_second_opener_is_refused_and_breaks_nothing() {
    let (folder, index) = open();
    index.replace(&lesson("acme", "r1"), &transcript(&["kept words"])).unwrap();
    index.commit("1-0").unwrap();
    assert!(Index::open(folder.path()).is_err());
    assert_eq!(index.find("words", &area("acme"), 10).unwrap().len(), 1);
}

#[test]
fn a_session_with_a_window_finds_nothing_outside_it() {
    let (_folder, index) = open();
    index.replace(&lesson("acme", "r1"), &transcript(&["one word", "two word", "three word"])).unwrap();
    index.replace(&lesson("acme", "r2"), &transcript(&["another word"])).unwrap();
    index.commit("1-0").unwrap();
    let window = Area { tenant: "acme", recording: Some("r1"), from_ms: Some(5_000), to_ms: Some(9_900) };
    let hits = index.find("word", &window, 10).unwrap();
    assert_eq!(hits.iter().map(|h| h.text.as_str()).collect::<Vec<_>>(), ["two word"]);
}

#[test]
fn a_window_ends_also_within_the_words_that_follow_a_cue() {
    let (_folder, index) = open();
    let said = transcript(&["the answer is seven", "because nobody asked Ana today"]);
    index.replace(&lesson("acme", "r1"), &said).unwrap();
    index.commit("1-0").unwrap();
    let until = |to_ms| Area { recording: Some("r1"), to_ms: Some(to_ms), ..area("acme") };
    let texts = |query, to_ms| {
        let hits = index.find(query, &until(to_ms), 10).unwrap();
        hits.into_iter().map(|hit| hit.text).collect::<Vec<_>>()
    };
    let across = "\"seven because nobody\"";
    assert_eq!(texts(across, 20_000), ["the answer is seven because nobody asked Ana today"]);
    assert!(texts(across, 5_000).is_empty(), "the window ends with the cue");
    // Two words of the next cue lie inside the window, the others do not.
    assert_eq!(texts(across, 6_000), ["the answer is seven because nobody"]);
    assert_eq!(texts("seven ana", 5_000), ["the answer is seven"], "found by the one word that is inside");
    assert!(texts("ana", 5_000).is_empty());
}

#[test]
fn hostile_queries_are_answered() {
    let (_folder, index) = open();
    index.replace(&lesson("acme", "r1"), &transcript(&["plain words", "日本語 の 授業"])).unwrap();
    index.commit("1-0").unwrap();
    let long = "word ".repeat(100_000);
    let quotes = "\"".repeat(5_000);
    for query in [
        "",
        "\"",
        "*",
        "tenant:acme OR *",
        "a^9e99",
        "[* TO *]",
        "\0",
        "\u{202e}",
        "(((((",
        &long,
        &quotes,
        "日本",
    ] {
        index.find(query, &area("acme"), usize::MAX).unwrap();
    }
    assert_eq!(index.find("日本語", &area("acme"), 5).unwrap().len(), 1);
    assert!(index.find("語日", &area("acme"), 5).unwrap().is_empty());
}

const TENANTS: [&str; 3] = ["acme", "acme-2", "b"];
const WORDS: [&str; 4] = ["apple", "river", "stone", "cloud"];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Whatever is indexed and queried: results contain only the tenant's lessons, and all of those
    /// with the word.
    #[test]
    fn a_tenant_never_reads_another_ones_words(
        lessons in prop::collection::vec((0..3_usize, 0..4_usize), 1..12),
        removed in prop::collection::vec(any::<bool>(), 12),
        asked in 0..4_usize,
        noise in "[\"*:a-z/ ]{0,12}",
    ) {
        let (_folder, index) = open();
        let ids: Vec<String> = (0..lessons.len()).map(|n| format!("r{n}")).collect();
        for (id, (tenant, word)) in ids.iter().zip(&lessons) {
            index.replace(&lesson(TENANTS[*tenant], id), &transcript(&[WORDS[*word]])).unwrap();
        }
        for ((id, (tenant, _)), _) in ids.iter().zip(&lessons).zip(&removed).filter(|(_, gone)| **gone) {
            index.remove(TENANTS[*tenant], id);
        }
        index.commit("1-0").unwrap();
        for (n, tenant) in TENANTS.iter().enumerate() {
            let expected: Vec<&String> = ids.iter().zip(&lessons).zip(&removed)
                .filter(|((_, lesson), gone)| **lesson == (n, asked) && !**gone).map(|((id, _), _)| id).collect();
            let mut found: Vec<String> =
                index.find(WORDS[asked], &area(tenant), 50).unwrap().into_iter().map(|h| h.recording).collect();
            found.sort_by_key(|id| id[1..].parse::<u32>().unwrap());
            prop_assert_eq!(found.iter().collect::<Vec<_>>(), expected);
            for hit in index.find(&format!("{} {noise}", WORDS[asked]), &area(tenant), 50).unwrap() {
                let at = ids.iter().position(|id| *id == hit.recording).unwrap();
                prop_assert_eq!(lessons[at].0, n);
            }
        }
    }
}
