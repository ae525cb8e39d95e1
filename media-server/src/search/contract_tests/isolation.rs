//! No query and no filter reaches a word of another tenant, or outside a window.

use super::*;

const TENANTS: [&str; 3] = ["acme", "acme-2", "b"];
const WORDS: [&str; 4] = ["apple", "river", "stone", "cloud"];
const LANGUAGES: [&str; 3] = ["en", "es", "xx"];

/// Queries of every rank.
fn queries() -> impl Strategy<Value = String> {
    let word = prop::sample::select(WORDS.to_vec());
    (word, 0..7_usize, "[\"*:a-z/ ]{0,12}").prop_map(|(word, kind, noise)| match kind {
        0 => word.to_owned(),
        1 => format!("\"{word} {word}\""),
        2 => word[..3].to_owned(),
        3 => format!("{}x{} ", &word[..2], &word[3..]),
        4 => format!("{word} {noise}"),
        5 => format!("{word} {} ", WORDS[0]),
        _ => noise,
    })
}

#[derive(Clone, Debug)]
struct Lesson {
    tenant: usize,
    word: usize,
    language: usize,
    uploader: u8,
    created_at_ms: u64,
    removed: bool,
}

fn lessons() -> impl Strategy<Value = Vec<Lesson>> {
    let lesson = (0..3_usize, 0..4_usize, 0..3_usize, 0..2_u8, 0..4_u64, any::<bool>()).prop_map(
        |(tenant, word, language, uploader, created_at_ms, removed)| Lesson {
            tenant,
            word,
            language,
            uploader,
            created_at_ms,
            removed,
        },
    );
    prop::collection::vec(lesson, 1..12)
}

fn area() -> impl Strategy<Value = Area> {
    use prop::option::weighted;
    let number = || weighted(0.3, 0..4_u64);
    (
        0..3_usize,
        weighted(0.3, 0..12_usize),
        weighted(0.3, 0..2_u8),
        weighted(0.3, 0..3_usize),
        number(),
        number(),
    )
        .prop_map(|(tenant, recording, uploader, language, created_from_ms, created_before_ms)| Area {
            recording: recording.map(|n| format!("r{n}")),
            uploader: uploader.map(|n| format!("u{n}")),
            language: language.map(|n| LANGUAGES[n].to_owned()),
            created_from_ms,
            created_before_ms,
            ..Area::for_tenant(TENANTS[tenant])
        })
}

/// The lessons in an area, by their number.
fn inside(lessons: &[Lesson], area: &Area) -> Vec<usize> {
    let is = |wanted: &Option<String>, own: String| wanted.as_ref().is_none_or(|wanted| *wanted == own);
    let mut found: Vec<usize> = (0..lessons.len()).collect();
    found.retain(|&n| {
        let lesson = &lessons[n];
        !lesson.removed
            && TENANTS[lesson.tenant] == area.tenant
            && is(&area.recording, format!("r{n}"))
            && is(&area.uploader, format!("u{}", lesson.uploader))
            && is(&area.language, LANGUAGES[lesson.language].into())
            && area.created_from_ms.is_none_or(|from| lesson.created_at_ms >= from)
            && area.created_before_ms.is_none_or(|before| lesson.created_at_ms < before)
    });
    found
}

/// Results contain only lessons in the area, and all of those with the word.
pub fn between_tenants(subject: Subject) {
    let asked = prop::collection::vec((queries(), area()), 12);
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig::with_cases(24));
    runner
        .run(&(lessons(), asked), |(lessons, asked)| {
            let (_folder, engine) = opened(subject);
            for (n, of) in lessons.iter().enumerate() {
                let facts = IndexedLesson {
                    uploader: format!("u{}", of.uploader),
                    created_at_ms: of.created_at_ms,
                    title: format!("{} own{n}", WORDS[of.word]),
                    ..lesson(TENANTS[of.tenant], &format!("r{n}"))
                };
                let own = format!("{} own{n}", WORDS[of.word]);
                let said = meaning::embedded(&[&own], [meaning::vector(of.word as u64 + 1)]);
                let said = SpokenLesson { language: LANGUAGES[of.language].into(), ..said };
                engine.replace(&facts, &said).unwrap();
            }
            engine.commit().unwrap();
            for (n, of) in lessons.iter().enumerate().filter(|(_, of)| of.removed) {
                engine.remove(TENANTS[of.tenant], &format!("r{n}")).unwrap();
            }
            engine.commit().unwrap();
            for (query, area) in asked {
                let allowed = inside(&lessons, &area);
                let found = page(&*engine, &query, &area);
                for hit in &found.moments {
                    let n: usize = hit.recording[1..].parse().unwrap();
                    prop_assert!(allowed.contains(&n), "{} for {:?}", hit.recording, query);
                    prop_assert_eq!(&hit.text, &format!("{} own{n}", WORDS[lessons[n].word]));
                    prop_assert_eq!(&hit.title, &hit.text);
                }
                for lesson in &found.lessons {
                    let n: usize = lesson.recording[1..].parse().unwrap();
                    prop_assert!(allowed.contains(&n), "lesson {} for {:?}", lesson.recording, query);
                    prop_assert_eq!(&lesson.title, &format!("{} own{n}", WORDS[lessons[n].word]));
                }
                for (word, text) in WORDS.iter().enumerate() {
                    let expected: Vec<usize> =
                        allowed.iter().copied().filter(|&n| lessons[n].word == word).collect();
                    let hits = page(&*engine, text, &area).moments;
                    let mut found: Vec<usize> =
                        hits.iter().map(|hit| hit.recording[1..].parse().unwrap()).collect();
                    found.sort_unstable();
                    prop_assert_eq!(found, expected);
                    if !(subject.has_vectors)() {
                        continue;
                    }
                    let near = engine.similar(&meaning::vector(word as u64 + 1), &area, MAX_LIMIT).unwrap();
                    let mut near: Vec<usize> =
                        near.iter().map(|(_, passage)| passage.recording[1..].parse().unwrap()).collect();
                    near.sort_unstable();
                    prop_assert_eq!(&near, &allowed, "by meaning, all passages of the area");
                }
            }
            Ok(())
        })
        .unwrap();
}

/// A moment in a window has only words inside it, and every cue inside it with the word is found.
pub fn in_a_window(subject: Subject) {
    // No more words than fit into a cue.
    let cues = prop::collection::vec(prop::collection::vec(0..WORDS.len(), 1..5), 1..40);
    let asked = prop::collection::vec((queries(), 0..200_000_u64, 0..60_000_u64), 12);
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig::with_cases(24));
    runner
        .run(&(cues, asked), |(cues, asked)| {
            // Each word is followed by one that names its time.
            let line = |(cue, words): (usize, &Vec<usize>)| {
                let words = words
                    .iter()
                    .enumerate()
                    .map(|(n, word)| format!("{} t{}", WORDS[*word], cue * 5_000 + n * 1_000));
                words.collect::<Vec<_>>().join(" ")
            };
            let lines: Vec<String> = cues.iter().enumerate().map(line).collect();
            let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
            let said = transcript(&lines);
            let (_folder, engine) = opened(subject);
            engine.replace(&lesson("acme", "r1"), &said).unwrap();
            engine.replace(&lesson("acme", "r2"), &said).unwrap();
            engine.commit().unwrap();
            for (query, from_ms, length_ms) in asked {
                let area = Area {
                    recording: Some("r1".into()),
                    from_ms: Some(from_ms),
                    to_ms: Some(from_ms + length_ms),
                    ..Area::for_tenant("acme")
                };
                for hit in page(&*engine, &query, &area).moments {
                    prop_assert_eq!(&hit.recording, "r1");
                    prop_assert!(hit.cue_start_ms >= from_ms && hit.end_ms <= from_ms + length_ms);
                    for time in hit.text.split(' ').filter_map(|word| word.strip_prefix('t')?.parse().ok()) {
                        let time: u64 = time;
                        prop_assert!(time >= from_ms && time + 450 <= from_ms + length_ms, "{}", hit.text);
                    }
                }
                for word in WORDS {
                    let is_inside =
                        |cue: &&SpokenCue| cue.start_ms >= from_ms && cue.end_ms <= from_ms + length_ms;
                    let expected = said.cues.iter().filter(is_inside).flat_map(|cue| &cue.words);
                    let expected = expected.filter(|spoken| spoken.text == word).count();
                    let hits = page(&*engine, word, &area).moments;
                    prop_assert_eq!(hits.iter().map(|hit| hit.highlights.len()).sum::<usize>(), expected);
                }
            }
            Ok(())
        })
        .unwrap();
}
