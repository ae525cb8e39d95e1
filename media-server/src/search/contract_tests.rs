//! The suite that every engine passes: the search of each engine, on real data, as its callers see
//! it.
#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::time::{Duration, Instant};

use proptest::prelude::*;
use tempfile::TempDir;

use super::embedded::Embedded;
use super::find::SearchPage;
use super::*;

mod cluster;
mod isolation;
mod meaning;
mod outage;
mod phrases;
mod shared;

/// Longest time until removed words are off the disk, and time between two tries.
const MAX_PURGE: Duration = Duration::from_secs(300);
const PURGE_PAUSE: Duration = Duration::from_millis(100);

/// An engine under test.
#[derive(Clone, Copy)]
struct Subject {
    /// Opens an engine whose data belongs to a folder.
    open: fn(&Path) -> Result<Box<dyn SearchEngine>, Error>,
    /// Deletes that data, where it is not in the folder.
    delete: fn(&Path),
    /// True if the data is in the folder.
    is_in_folder: bool,
    /// True if it must find passages by meaning. If not, it must say so.
    has_vectors: fn() -> bool,
}

const EMBEDDED: Subject = Subject {
    open: |folder| Ok(Box::new(Embedded::open(folder)?)),
    delete: |_| {},
    is_in_folder: true,
    has_vectors: || true,
};

/// On `osmem-server`, which has no vectors, or on the cluster of `CHALKSTREAM_TEST_OPENSEARCH`.
const OPENSEARCH: Subject = Subject {
    open: |folder| Ok(Box::new(cluster::open(folder)?)),
    delete: cluster::delete,
    is_in_folder: false,
    has_vectors: || cluster::real_cluster().is_some(),
};

/// Runs the suite on each engine.
macro_rules! contract {
    ([$($case:path => $name:ident),* $(,)?]) => {
        mod embedded {
            $(#[test]
            fn $name() {
                $case(super::EMBEDDED);
            })*
        }
        mod opensearch {
            $(#[test]
            fn $name() {
                $case(super::OPENSEARCH);
            })*
        }
    };
}

contract!([
    super::moments_rank => moments_come_best_first,
    super::moments_doubt => doubtful_moments_follow_others_that_match_as_well,
    super::moments_join => hits_of_neighbouring_cues_are_one_moment,
    super::pages => pages_have_every_moment_once,
    super::replacing => a_new_transcript_takes_the_place_of_the_old_and_a_removed_one_is_gone,
    super::positions => the_position_and_the_words_come_back_together,
    super::window => a_session_with_a_window_finds_nothing_outside_it,
    super::window_end => a_window_ends_also_within_the_words_that_follow_a_cue,
    super::hostile => hostile_queries_are_answered,
    super::names => lessons_are_found_by_title_and_uploader,
    super::filters => filters_leave_only_what_they_name,
    super::purging => removed_words_are_gone_after_a_purge,
    super::meaning::nearest_first => passages_of_like_meaning_come_nearest_first,
    super::meaning::areas => passages_are_found_only_in_the_area,
    super::meaning::purged => removed_vectors_are_gone_after_a_purge,
    super::phrases::equal_a_scan => phrases_equal_a_scan_of_all_words,
    super::isolation::between_tenants => a_tenant_never_reads_another_ones_words,
    super::isolation::in_a_window => a_window_never_shows_other_words,
]);

fn lesson(tenant: &str, recording: &str) -> IndexedLesson {
    IndexedLesson {
        tenant: tenant.into(),
        recording: recording.into(),
        title: "A lesson".into(),
        uploader: "teacher-1".into(),
        created_at_ms: 1_000,
        version: "1".into(),
    }
}

/// Cues of 5 s each, words 500 ms apart from the cue's start on.
fn transcript(lines: &[&str]) -> SpokenLesson {
    let cue = |(n, line): (usize, &&str)| {
        let start_ms = n as u64 * 5_000;
        let words = line.split_whitespace().enumerate().map(|(w, text)| {
            let start_ms = start_ms + w as u64 * 500;
            SpokenWord { start_ms, end_ms: start_ms + 450, text: text.into() }
        });
        let words = words.collect();
        SpokenCue { start_ms, end_ms: start_ms + 4_800, text: (*line).into(), words, doubt_percent: 0 }
    };
    let cues = lines.iter().enumerate().map(cue).collect();
    SpokenLesson { language: "en".into(), cues, embedded: Vec::new() }
}

/// The folder to which an engine's data belongs. All of it is deleted in the end.
struct Folder {
    folder: TempDir,
    delete: fn(&Path),
}

impl Folder {
    fn path(&self) -> &Path {
        self.folder.path()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        (self.delete)(self.folder.path());
    }
}

fn opened(subject: Subject) -> (Folder, Box<dyn SearchEngine>) {
    let folder = Folder { folder: TempDir::new().unwrap(), delete: subject.delete };
    let engine = (subject.open)(folder.path()).unwrap();
    (folder, engine)
}

/// Purges until an engine has no words of a recording. A cluster keeps what was removed for a
/// minute or two.
fn purge_until_gone(engine: &dyn SearchEngine, tenant: &str, recording: &str) {
    let deadline = Instant::now() + MAX_PURGE;
    while engine.purge().unwrap() > 0 || engine.has_words(tenant, recording).unwrap() {
        assert!(Instant::now() < deadline, "words of a removed recording are left");
        std::thread::sleep(PURGE_PAUSE);
    }
}

/// An engine with one lesson, `r1` of `acme`.
fn with_lesson(subject: Subject, lines: &[&str]) -> (Folder, Box<dyn SearchEngine>) {
    let (folder, engine) = opened(subject);
    engine.replace(&lesson("acme", "r1"), &transcript(lines)).unwrap();
    engine.commit().unwrap();
    (folder, engine)
}

fn page(engine: &dyn SearchEngine, query: &str, area: &Area) -> SearchPage {
    find(engine, query, area, 0, MAX_LIMIT).unwrap()
}

/// Text and rank of each moment.
fn found(engine: &dyn SearchEngine, query: &str) -> Vec<(String, Rank)> {
    let hits = page(engine, query, &Area::for_tenant("acme")).moments;
    hits.into_iter().map(|hit| (hit.text, hit.rank)).collect()
}

fn texts(engine: &dyn SearchEngine, query: &str, area: &Area) -> Vec<String> {
    page(engine, query, area).moments.into_iter().map(|hit| hit.text).collect()
}

fn marked(hit: &Hit) -> Vec<String> {
    let units: Vec<u16> = hit.text.encode_utf16().collect();
    hit.highlights.iter().map(|[from, to]| String::from_utf16_lossy(&units[*from..*to])).collect()
}

fn moments_rank(subject: Subject) {
    let lines = [
        "She explained it twice and explained again",
        "Can you explain your thinking",
        "Talk to your partner",
        "the explanatory text",
        "Ask not",
        "why do you think so",
        "do you know why we think",
        "a new murder is on top",
        "",
        "the cafés close",
    ];
    let (_folder, engine) = with_lesson(subject, &lines);
    let area = Area::for_tenant("acme");
    let ranks = |query: &str| found(&*engine, query).into_iter().map(|(_, rank)| rank).collect::<Vec<_>>();

    let hits = page(&*engine, "explain", &area).moments;
    assert_eq!((hits[0].start_ms, hits[0].end_ms), (6_000, 9_800), "the word as asked comes first");
    assert_eq!(hits[0].highlights, [[8, 15]]);
    assert_eq!((hits[1].start_ms, hits[1].rank), (500, Rank::Stem));
    assert_eq!(marked(&hits[1]), ["explained", "explained"]);
    assert_eq!(
        ranks("expla"),
        [Rank::Prefix; 2],
        "a word that is being typed: {:?}",
        found(&*engine, "expla")
    );
    assert!(found(&*engine, "expla ").is_empty(), "a word that is complete");
    assert_eq!(ranks("why do you think"), [Rank::Phrase, Rank::Exact]);
    assert_eq!(ranks("\"why do you think\""), [Rank::Exact]);
    assert_eq!(found(&*engine, "partener "), [("Talk to your partner".into(), Rank::Misspelt)]);
    assert_eq!(found(&*engine, "numerator "), [("a new murder is on top".into(), Rank::Sound)]);
    let hits = page(&*engine, "numerator", &area).moments;
    assert_eq!((hits[0].start_ms, marked(&hits[0])), (35_500, vec!["new murder".into()]));
    assert_eq!(found(&*engine, "cafe"), [("the cafés close".into(), Rank::Stem)]);
    assert_eq!(ranks("CAFÉS"), [Rank::Exact]);
    assert_eq!(ranks("partner banana"), [Rank::Partial], "some of the words, where no moment has all");
    let hits = page(&*engine, "\"twice and explained again can you\"", &area).moments;
    assert_eq!(hits[0].start_ms, 1_500, "a phrase across two cues");
    assert_eq!(marked(&hits[0]), ["twice and explained again Can you"]);
}

fn moments_doubt(subject: Subject) {
    let (_folder, engine) = opened(subject);
    let said = |id: &str, line: &str, doubts: [u8; 2]| {
        let mut said = transcript(&[line, "no fruit", line]);
        said.cues.iter_mut().step_by(2).zip(doubts).for_each(|(cue, doubt)| cue.doubt_percent = doubt);
        engine.replace(&lesson("acme", id), &said).unwrap();
    };
    // More doubtful lessons than one search reads at once.
    for n in 0..80 {
        said(&format!("d{n}"), "the apple", [95, 80]);
    }
    said("r1", "the apple", [70, 5]);
    said("r2", "the apples", [0, 0]);
    engine.commit().unwrap();
    let area = Area::for_tenant("acme");
    let hits = page(&*engine, "apple ", &area).moments;
    let of = |hit: &Hit| (hit.recording.clone(), hit.cue_start_ms, hit.is_doubtful);
    assert_eq!(of(&hits[0]), ("r1".into(), 10_000, false), "first the one that is sure");
    assert_eq!(of(&hits[1]), ("r1".into(), 0, true), "then the other one of the surer passage");
    assert!(hits[2..].iter().all(|hit| hit.is_doubtful && hit.recording.starts_with('d')));
    assert_eq!(hits.len(), MAX_LIMIT);
    let (mut all, mut skip) = (Vec::new(), Some(0));
    while let Some(at) = skip {
        let page = find(&*engine, "apple ", &area, at, 30).unwrap();
        all.extend(page.moments);
        skip = page.next;
    }
    assert_eq!(all[..MAX_LIMIT], hits);
    let of_a_form = all.iter().filter(|hit| hit.recording == "r2").count();
    assert_eq!((all.len(), of_a_form), (164, 2), "none is hidden");
    assert_eq!((all[162].recording.as_str(), all[162].rank), ("r2", Rank::Stem), "doubt outweighs no rank");
}

fn moments_join(subject: Subject) {
    let lines = ["one half", "the half again", "nothing", "a half", "half", "half", "half"];
    let (_folder, engine) = with_lesson(subject, &lines);
    let hits = page(&*engine, "half", &Area::for_tenant("acme")).moments;
    let texts: Vec<_> = hits.iter().map(|hit| hit.text.as_str()).collect();
    assert_eq!(texts, ["one half the half again", "a half half half", "half"], "at most 15 s each");
    assert_eq!((hits[0].start_ms, hits[0].cue_start_ms, hits[0].end_ms), (500, 0, 9_800));
    assert_eq!(hits[0].highlights, [[4, 8], [13, 17]]);
}

fn pages(subject: Subject) {
    let (_folder, engine) = opened(subject);
    for n in 0..7 {
        let lines = ["word", "other", "word", "other", "words"];
        engine.replace(&lesson("acme", &format!("r{n}")), &transcript(&lines)).unwrap();
    }
    engine.commit().unwrap();
    let area = Area::for_tenant("acme");
    let all: Vec<Hit> = page(&*engine, "word ", &area).moments;
    assert_eq!(all.len(), 21);
    let (mut paged, mut skip, mut sizes) = (Vec::new(), Some(0), Vec::new());
    while let Some(at) = skip {
        let page = find(&*engine, "word ", &area, at, 8).unwrap();
        sizes.push(page.moments.len());
        paged.extend(page.moments);
        skip = page.next;
    }
    assert_eq!(sizes, [8, 8, 5]);
    assert_eq!(paged, all);
    assert!(find(&*engine, "word ", &area, 500, 8).unwrap().moments.is_empty());
}

fn replacing(subject: Subject) {
    let (_folder, engine) = with_lesson(subject, &["old words"]);
    engine.replace(&lesson("acme", "r2"), &transcript(&["other words"])).unwrap();
    engine.commit().unwrap();
    let newer = IndexedLesson { version: "2".into(), ..lesson("acme", "r1") };
    engine.replace(&newer, &transcript(&["new words"])).unwrap();
    let known = |id: &str| engine.lesson("acme", id).unwrap();
    assert_eq!(known("r1"), Some(lesson("acme", "r1")), "nothing is seen before the commit");
    engine.commit().unwrap();
    assert_eq!(known("r1"), Some(newer));
    assert!(found(&*engine, "old ").is_empty());
    assert_eq!(found(&*engine, "words").len(), 2);
    engine.remove("acme", "r1").unwrap();
    engine.remove("acme", "never was").unwrap();
    engine.remove("nobody", "r1").unwrap();
    engine.commit().unwrap();
    assert_eq!(found(&*engine, "words").len(), 1);
    assert_eq!(known("r1"), None);
    assert_eq!(engine.tenants().unwrap(), ["acme"]);
}

fn positions(subject: Subject) {
    let (folder, engine) = opened(subject);
    assert_eq!(engine.position().unwrap(), None);
    engine.replace(&lesson("acme", "r1"), &transcript(&["kept words"])).unwrap();
    engine.commit().unwrap();
    engine.set_position(Some("17-3")).unwrap();
    engine.replace(&lesson("acme", "r2"), &transcript(&["lost words"])).unwrap();
    drop(engine);
    let engine = (subject.open)(folder.path()).unwrap();
    assert_eq!(engine.position().unwrap().as_deref(), Some("17-3"));
    assert_eq!(found(&*engine, "words").len(), 1, "what was not committed is asked for again");
    engine.set_position(None).unwrap();
    assert_eq!(engine.position().unwrap(), None);
}

fn window(subject: Subject) {
    let (_folder, engine) = with_lesson(subject, &["one word", "two word", "three word"]);
    engine.replace(&lesson("acme", "r2"), &transcript(&["another word"])).unwrap();
    engine.commit().unwrap();
    let area = Area {
        recording: Some("r1".into()),
        from_ms: Some(5_000),
        to_ms: Some(9_900),
        ..Area::for_tenant("acme")
    };
    assert_eq!(texts(&*engine, "word", &area), ["two word"]);
}

fn window_end(subject: Subject) {
    let (_folder, engine) = with_lesson(subject, &["the answer is seven", "because nobody asked Ana today"]);
    let until = |to_ms| Area { recording: Some("r1".into()), to_ms: Some(to_ms), ..Area::for_tenant("acme") };
    let texts = |query, to_ms| texts(&*engine, query, &until(to_ms));
    let across = "\"seven because nobody\"";
    assert_eq!(texts(across, 20_000), ["the answer is seven because nobody asked Ana today"]);
    assert!(texts(across, 5_000).is_empty(), "the window ends with the cue");
    // Two words of the next cue lie inside the window, the others do not.
    assert_eq!(texts(across, 6_000), ["the answer is seven because nobody"]);
    assert_eq!(texts("seven ana", 5_000), ["the answer is seven"], "found by the one word that is inside");
    assert!(texts("ana", 5_000).is_empty());
    assert!(texts("because", 6_000).is_empty(), "its cue does not end inside");
}

fn hostile(subject: Subject) {
    let (_folder, engine) = with_lesson(subject, &["plain words", "日本語 の 授業"]);
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
        find(&*engine, query, &Area::for_tenant("acme"), 0, usize::MAX).unwrap();
        let anywhere = Area::for_tenant("../acme");
        assert!(find(&*engine, query, &anywhere, usize::MAX / 2, 1).unwrap().moments.is_empty());
    }
    assert_eq!(found(&*engine, "日本語").len(), 1);
    assert!(found(&*engine, "語日").is_empty());
    assert!(engine.replace(&lesson("../up", "r1"), &transcript(&["out"])).is_err());
}

fn names(subject: Subject) {
    let (_folder, engine) = opened(subject);
    let named = |id: &str, title: &str, uploader: &str| IndexedLesson {
        title: title.into(),
        uploader: uploader.into(),
        ..lesson("acme", id)
    };
    let fractions = named("r1", "Adding Fractions", "ms.rivera");
    engine.replace(&fractions, &transcript(&["one two"])).unwrap();
    engine.replace(&named("r2", "Rivers", "mr.okafor"), &transcript(&["fractions"])).unwrap();
    engine.replace(&IndexedLesson { tenant: "other".into(), ..fractions.clone() }, &transcript(&[])).unwrap();
    engine.commit().unwrap();
    assert!(engine.lesson("other", "r1").unwrap().is_some(), "one without words is indexed too");
    let area = Area::for_tenant("acme");
    let ids = |query: &str| {
        let lessons = page(&*engine, query, &area).lessons;
        lessons.into_iter().map(|lesson| lesson.recording).collect::<Vec<_>>()
    };
    assert_eq!(ids("fraction "), ["r1"]);
    assert_eq!(ids("adding frac"), ["r1"]);
    assert_eq!(ids("rivera"), ["r1"]);
    assert_eq!(ids("okafor river"), ["r2"]);
    assert!(ids("okafor fractions").is_empty() && ids("\"fractions ms\"").is_empty());
    assert_eq!(page(&*engine, "fractions", &area).moments[0].title, "Rivers");
}

fn filters(subject: Subject) {
    let (_folder, engine) = opened(subject);
    for (n, (uploader, language, created_at_ms)) in
        [("ana", "en-GB", 10), ("bo", "en", 20), ("ana", "es", 30)].into_iter().enumerate()
    {
        let lesson =
            IndexedLesson { uploader: uploader.into(), created_at_ms, ..lesson("acme", &format!("r{n}")) };
        let said = SpokenLesson { language: language.into(), ..transcript(&["the word again"]) };
        engine.replace(&lesson, &said).unwrap();
    }
    engine.commit().unwrap();
    let ids = |area: Area| {
        for query in ["word", "\"the word\"", "wrod ", "wor", "banana word", "the word"] {
            let hits = page(&*engine, query, &area).moments;
            let mut ids: Vec<String> = hits.into_iter().map(|hit| hit.recording).collect();
            ids.sort();
            let expected = page(&*engine, "word", &area).moments.len();
            assert_eq!(ids.len(), expected, "{query} in {area:?}");
        }
        let mut ids: Vec<_> =
            page(&*engine, "word", &area).moments.into_iter().map(|h| h.recording).collect();
        ids.sort();
        ids.concat()
    };
    let all = || Area::for_tenant("acme");
    assert_eq!(ids(all()), "r0r1r2");
    assert_eq!(ids(Area { uploader: Some("ana".into()), ..all() }), "r0r2");
    assert_eq!(ids(Area { language: Some("en".into()), ..all() }), "r0r1");
    assert_eq!(ids(Area { recording: Some("r1".into()), ..all() }), "r1");
    assert_eq!(ids(Area { created_from_ms: Some(20), ..all() }), "r1r2");
    assert_eq!(ids(Area { created_before_ms: Some(20), ..all() }), "r0");
    assert_eq!(ids(Area { uploader: Some("ana".into()), created_from_ms: Some(20), ..all() }), "r2");
    assert_eq!(ids(Area { uploader: Some("ana'".into()), ..all() }), "");
}

fn purging(subject: Subject) {
    let (_folder, engine) = with_lesson(subject, &["first words"]);
    engine.replace(&lesson("acme", "r2"), &transcript(&["second words"])).unwrap();
    engine.commit().unwrap();
    assert!(engine.has_words("acme", "r1").unwrap() && !engine.has_words("other", "r1").unwrap());
    engine.remove("acme", "r1").unwrap();
    engine.commit().unwrap();
    purge_until_gone(&*engine, "acme", "r1");
    assert!(engine.has_words("acme", "r2").unwrap());
    assert_eq!(found(&*engine, "words").len(), 1);
    assert_eq!(engine.purge().unwrap(), 0);
}
