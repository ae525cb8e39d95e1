//! A lesson as documents: one for each passage, one for each embedded passage, and one for the
//! lesson itself.
//!
//! The first two have a tag, made of their content, and are found only if the lesson's own document
//! has the same. So one write of that document replaces a lesson, and what is left of an older
//! version, or of a change that was cut off, is never found.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use chalkstream_meaning::Vector;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::super::analysis::AnalyzedLesson;
use super::super::engine::IndexedLesson;
use super::super::transcript::{SimilarPassage, SpokenLesson};
use super::super::words::Forms;

/// Stands for a term that a word does not have, so that the next word keeps its position.
const NO_TERM: &str = "_";
/// Of the score of a passage whose words are all doubtful, this share is taken.
const MAX_DEDUCTION: f64 = 0.5;

/// The documents of a lesson, as lines of a bulk request.
pub struct LessonDocuments {
    /// The tag of its passages.
    pub tag: String,
    /// The passages of both kinds.
    pub passages: Vec<String>,
    /// The lesson's own document.
    pub lesson: String,
}

/// An embedded passage with its vector, as it is stored.
#[derive(Serialize, Deserialize)]
pub struct StoredSimilar {
    #[serde(flatten)]
    pub passage: SimilarPassage,
    vector: String,
}

impl StoredSimilar {
    /// The vector; `None` if it is damaged.
    pub fn vector(&self) -> Option<Vector> {
        Vector::from_bytes(&STANDARD_NO_PAD.decode(&self.vector).ok()?)
    }
}

impl LessonDocuments {
    /// Makes the documents.
    pub fn new(lesson: &IndexedLesson, transcript: &SpokenLesson) -> Self {
        let analyzed = AnalyzedLesson::new(lesson, transcript);
        let common = |kind: &str, stored: String| {
            json!({
                "kind": kind,
                "recording": lesson.recording,
                "uploader": lesson.uploader,
                "language": analyzed.language,
                "created_at_ms": lesson.created_at_ms,
                "stored": stored,
            })
        };
        let mut docs = Vec::new();
        for passage in &analyzed.passages {
            let mut doc = common("passage", passage.entry.write());
            doc["start_ms"] = passage.start_ms.into();
            doc["end_ms"] = passage.end_ms.into();
            doc["trust"] = (1.0 - MAX_DEDUCTION * passage.doubt_percent as f64 / 100.0).into();
            doc["exact"] = terms(&passage.words, |forms| &forms.exact).into();
            doc["stem"] = terms(&passage.words, |forms| &forms.stem).into();
            doc["sound"] = terms(&passage.words, |forms| &forms.sound).into();
            docs.push(doc);
        }
        for (vector, passage) in transcript.similar_passages(&lesson.recording) {
            let numbers = numbers(&vector);
            // It has no direction, and a cluster refuses it.
            if numbers.iter().all(|number| *number == 0) {
                continue;
            }
            let (start_ms, end_ms) = (passage.start_ms, passage.end_ms);
            let stored = StoredSimilar { passage, vector: STANDARD_NO_PAD.encode(vector.to_bytes()) };
            let mut doc = common("similar", serde_json::to_string(&stored).unwrap_or_default());
            doc["start_ms"] = start_ms.into();
            doc["end_ms"] = end_ms.into();
            doc["vector"] = json!(numbers);
            docs.push(doc);
        }
        let mut doc = common("lesson", serde_json::to_string(lesson).unwrap_or_default());
        doc["title"] = both(&analyzed, |forms| &forms.exact);
        doc["title_stem"] = both(&analyzed, |forms| &forms.stem);
        let mut hash = Sha256::new();
        docs.iter().chain([&doc]).for_each(|doc| hash.update(doc.to_string()));
        let tag: String = hash.finalize().iter().take(12).map(|byte| format!("{byte:02x}")).collect();
        let line = |id: String, mut doc: Value| {
            doc["tag"] = tag.as_str().into();
            format!("{}\n{doc}\n", json!({ "index": { "_id": id } }))
        };
        let recording = &lesson.recording;
        let passages = docs.into_iter().enumerate();
        Self {
            passages: passages.map(|(n, doc)| line(format!("{recording}:{tag}:{n}"), doc)).collect(),
            lesson: line(recording.clone(), doc),
            tag: tag.clone(),
        }
    }
}

/// The numbers of a vector. Its length does not matter here.
pub fn numbers(vector: &Vector) -> Vec<i8> {
    vector.to_bytes()[Vector::BYTES - chalkstream_meaning::DIMENSIONS..]
        .iter()
        .map(|byte| *byte as i8)
        .collect()
}

/// One term of each word, with spaces between, as the engine splits them again.
fn terms(words: &[Arc<Forms>], term: impl Fn(&Forms) -> &String) -> String {
    let terms = words.iter().map(|forms| match term(forms).as_str() {
        "" => NO_TERM,
        term => term,
    });
    terms.collect::<Vec<_>>().join(" ")
}

fn both(lesson: &AnalyzedLesson, term: impl Fn(&Forms) -> &String) -> Value {
    json!([terms(&lesson.title, &term), terms(&lesson.uploader, &term)])
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::super::transcript::SpokenCue;
    use super::*;

    fn documents(text: &str, title: &str) -> LessonDocuments {
        let cue = SpokenCue { end_ms: 1_000, text: text.into(), doubt_percent: 50, ..SpokenCue::default() };
        let said = SpokenLesson { language: "en".into(), cues: vec![cue], ..SpokenLesson::default() };
        let lesson =
            IndexedLesson { recording: "r1".into(), title: title.into(), ..IndexedLesson::default() };
        LessonDocuments::new(&lesson, &said)
    }

    #[test]
    fn words_keep_their_positions_and_every_change_has_another_tag() {
        let one = documents("A new murder", "Adding");
        let doc: Value = serde_json::from_str(one.passages[0].lines().nth(1).unwrap()).unwrap();
        assert_eq!((doc["exact"].as_str(), doc["trust"].as_f64()), (Some("a new murder"), Some(0.75)));
        for field in ["exact", "stem", "sound"] {
            assert_eq!(doc[field].as_str().unwrap().split(' ').count(), 3, "{field}: {doc}");
        }
        assert_eq!(one.tag, documents("A new murder", "Adding").tag);
        assert_ne!(one.tag, documents("A new murder", "Added").tag);
        assert_ne!(one.tag, documents("No new murder", "Adding").tag);
    }
}
