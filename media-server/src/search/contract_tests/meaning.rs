//! Passages by their vectors: the nearest are found, only inside the area, and none after its end.

use chalkstream_meaning::{DIMENSIONS, EmbeddedPassage, Vector};

use super::*;

/// A vector for each seed. Any two are about at right angles.
pub fn vector(seed: u64) -> Vector {
    mixed(seed, 0, 0.0)
}

/// The vector of `seed`, turned towards that of `other`.
fn mixed(seed: u64, other: u64, share: f32) -> Vector {
    let numbers = |seed: u64| {
        let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        std::iter::repeat_with(move || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 40) as f32 / (1 << 23) as f32 - 1.0
        })
        .skip(8)
    };
    let mut pairs = numbers(seed).zip(numbers(other));
    let sum: [f32; DIMENSIONS] =
        std::array::from_fn(|_| pairs.next().map_or(0.0, |(one, other)| one + share * other));
    let length = sum.iter().map(|number| number * number).sum::<f32>().sqrt();
    Vector::new(&sum.map(|number| number / length))
}

/// A transcript with a passage for each cue.
pub fn embedded(lines: &[&str], vectors: impl IntoIterator<Item = Vector>) -> SpokenLesson {
    let said = transcript(lines);
    let passage = |(cue, vector): (&SpokenCue, Vector)| {
        let (start_ms, end_ms) = (cue.start_ms as u32, cue.end_ms as u32);
        EmbeddedPassage { start_ms, end_ms, vector }
    };
    SpokenLesson { embedded: said.cues.iter().zip(vectors).map(passage).collect(), ..said }
}

/// The words of the passages found, the nearest first.
fn similar(engine: &dyn SearchEngine, seed: u64, area: &Area) -> Vec<String> {
    let found = engine.similar(&vector(seed), area, 1_000).unwrap();
    assert!(found.is_sorted_by(|one, other| one.0 >= other.0), "the nearest first");
    found.into_iter().map(|(_, passage)| passage.text).collect()
}

/// True for an engine without vectors, which takes passages, finds their words, and says that it
/// cannot search by meaning.
fn says_that_it_has_no_vectors(subject: Subject, engine: &dyn SearchEngine) -> bool {
    if (subject.has_vectors)() {
        return false;
    }
    engine.replace(&lesson("acme", "r1"), &embedded(&["these words"], [vector(1)])).unwrap();
    engine.commit().unwrap();
    let area = Area::for_tenant("acme");
    assert_eq!(texts(engine, "words", &area), ["these words"]);
    assert!(matches!(engine.similar(&vector(1), &area, 3), Err(Error::NotSupported)));
    true
}

pub fn nearest_first(subject: Subject) {
    let (folder, engine) = opened(subject);
    if says_that_it_has_no_vectors(subject, &*engine) {
        return;
    }
    // More passages than are compared by their vectors.
    for n in 0..30_u64 {
        let vectors = (0..10).map(|cue| vector(1_000 + n * 10 + cue));
        engine.replace(&lesson("acme", &format!("x{n}")), &embedded(&["other"; 10], vectors)).unwrap();
    }
    let near = [mixed(1, 2, 1.5), mixed(1, 2, 0.2), vector(2), mixed(1, 2, 0.6), vector(1)];
    let lines = ["fourth", "second", "far", "third", " "];
    engine.replace(&lesson("acme", "r1"), &embedded(&lines, near)).unwrap();
    engine.commit().unwrap();
    let area = Area::for_tenant("acme");
    let found = engine.similar(&vector(1), &area, 3).unwrap();
    let texts: Vec<_> = found.iter().map(|(_, passage)| passage.text.as_str()).collect();
    assert_eq!(texts, ["second", "third", "fourth"], "one that has lost its words is not found");
    assert_eq!((found[0].1.recording.as_str(), found[0].1.start_ms, found[0].1.end_ms), ("r1", 5_000, 9_800));
    assert!((found[0].0 - 0.98).abs() < 0.02, "{}", found[0].0);

    drop(engine);
    let engine = (subject.open)(folder.path()).unwrap();
    assert_eq!(engine.similar(&vector(1), &area, 3).unwrap(), found, "an index that is opened again");
    engine.replace(&lesson("acme", "r1"), &embedded(&["new"], [vector(1)])).unwrap();
    engine.commit().unwrap();
    let found = engine.similar(&vector(1), &area, 2).unwrap();
    assert_eq!(found[0].1.text, "new");
    assert_eq!(found[1].1.text, "other", "the old passages are gone");
    assert!(page(&*engine, "new", &area).moments.len() == 1, "and its words are found as ever");
}

pub fn areas(subject: Subject) {
    let (_folder, engine) = opened(subject);
    if says_that_it_has_no_vectors(subject, &*engine) {
        return;
    }
    for (n, (tenant, uploader, language, created_at_ms)) in
        [("acme", "ana", "en", 10), ("acme", "bo", "es", 20), ("other", "ana", "en", 10)]
            .into_iter()
            .enumerate()
    {
        let facts =
            IndexedLesson { uploader: uploader.into(), created_at_ms, ..lesson(tenant, &format!("r{n}")) };
        let lines = [format!("{n}a"), format!("{n}b"), format!("{n}c")];
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        let said = embedded(&lines, [mixed(1, 2, 0.1), mixed(1, 2, 0.5), mixed(1, 2, 1.0)]);
        engine.replace(&facts, &SpokenLesson { language: language.into(), ..said }).unwrap();
    }
    engine.commit().unwrap();
    let texts = |area: Area| {
        let mut texts = similar(&*engine, 1, &area);
        texts.sort();
        texts.concat()
    };
    let all = || Area::for_tenant("acme");
    assert_eq!(texts(all()), "0a0b0c1a1b1c");
    assert_eq!(texts(Area::for_tenant("other")), "2a2b2c");
    assert_eq!(texts(Area::for_tenant("nobody")), "");
    assert_eq!(texts(Area::for_tenant("../acme")), "");
    assert_eq!(texts(Area { recording: Some("r0".into()), ..all() }), "0a0b0c");
    assert_eq!(texts(Area { recording: Some("r2".into()), ..all() }), "", "another tenant's");
    assert_eq!(texts(Area { uploader: Some("bo".into()), ..all() }), "1a1b1c");
    assert_eq!(texts(Area { language: Some("en".into()), ..all() }), "0a0b0c");
    assert_eq!(texts(Area { created_from_ms: Some(11), ..all() }), "1a1b1c");
    assert_eq!(texts(Area { created_before_ms: Some(20), ..all() }), "0a0b0c");
    // Cues are at 0, 5 and 10 s, and 4.8 s long.
    let window = |from_ms, to_ms| Area { from_ms: Some(from_ms), to_ms: Some(to_ms), ..all() };
    assert_eq!(texts(window(0, 9_800)), "0a0b1a1b");
    assert_eq!(texts(window(1, 9_799)), "", "a passage that reaches out of the window is not found");
}

pub fn purged(subject: Subject) {
    let (folder, engine) = opened(subject);
    if says_that_it_has_no_vectors(subject, &*engine) {
        return;
    }
    // The files of a cluster are not within reach.
    let has_bytes = |vector: &Vector| subject.is_in_folder && has_bytes(folder.path(), vector);
    let (gone, kept) = (vector(1), vector(2));
    engine.replace(&lesson("acme", "r1"), &embedded(&["first"], [gone.clone()])).unwrap();
    engine.replace(&lesson("acme", "r2"), &embedded(&["second"], [kept.clone()])).unwrap();
    engine.commit().unwrap();
    if subject.is_in_folder {
        assert!(has_bytes(&gone) && has_bytes(&kept), "stored as they are");
    }
    engine.remove("acme", "r1").unwrap();
    engine.commit().unwrap();
    assert_eq!(similar(&*engine, 1, &Area::for_tenant("acme")), ["second"]);
    purge_until_gone(&*engine, "acme", "r1");
    assert!(!has_bytes(&gone), "no file has the vector");
    assert_eq!(has_bytes(&kept), subject.is_in_folder);
    assert_eq!(similar(&*engine, 2, &Area::for_tenant("acme")), ["second"]);
}

/// True if a file below the folder has values of a vector.
fn has_bytes(folder: &Path, vector: &Vector) -> bool {
    let values = &vector.to_bytes()[100..140];
    std::fs::read_dir(folder).unwrap().any(|entry| {
        let path = entry.unwrap().path();
        if path.is_dir() {
            return has_bytes(&path, vector);
        }
        std::fs::read(path).unwrap().windows(values.len()).any(|window| window == values)
    })
}
