//! A lesson as documents of the index: one for each passage, one for each embedded passage, and one
//! for the lesson itself.

use std::sync::Arc;

use tantivy::TantivyDocument;
use tantivy::tokenizer::{PreTokenizedString, Token};

use super::super::analysis::AnalyzedLesson;
use super::super::engine::IndexedLesson;
use super::super::transcript::SpokenLesson;
use super::super::words::Forms;
use super::schema::Fields;

/// The documents of a lesson.
pub fn of_lesson(fields: Fields, lesson: &IndexedLesson, transcript: &SpokenLesson) -> Vec<TantivyDocument> {
    let f = fields;
    let analyzed = AnalyzedLesson::new(lesson, transcript);
    let new = || {
        let mut doc = TantivyDocument::default();
        doc.add_text(f.recording, &lesson.recording);
        doc.add_text(f.uploader, &lesson.uploader);
        doc.add_text(f.language, &analyzed.language);
        doc.add_u64(f.created_at_ms, lesson.created_at_ms);
        doc
    };
    let mut docs = Vec::new();
    for passage in &analyzed.passages {
        let mut doc = new();
        doc.add_u64(f.start_ms, passage.start_ms);
        doc.add_u64(f.end_ms, passage.end_ms);
        doc.add_u64(f.own_words, passage.own_words as u64);
        doc.add_u64(f.doubt_percent, passage.doubt_percent as u64);
        let mut tokens = Tokens::default();
        tokens.add(&passage.words);
        doc.add_pre_tokenized_text(f.exact, field(tokens.exact));
        doc.add_pre_tokenized_text(f.stem, field(tokens.stem));
        doc.add_pre_tokenized_text(f.sound, field(tokens.sound));
        doc.add_text(f.stored, passage.entry.write());
        docs.push(doc);
    }
    for (vector, passage) in transcript.similar_passages(&lesson.recording) {
        let mut doc = new();
        doc.add_u64(f.start_ms, passage.start_ms);
        doc.add_u64(f.end_ms, passage.end_ms);
        vector.signs().into_iter().for_each(|signs| doc.add_u64(f.signs, signs));
        doc.add_bytes(f.vector, &vector.to_bytes());
        doc.add_text(f.stored, serde_json::to_string(&passage).unwrap_or_default());
        docs.push(doc);
    }
    let mut doc = new();
    let mut tokens = Tokens::default();
    tokens.add(&analyzed.title);
    // No phrase reaches from the title into the uploader.
    tokens.position += 1;
    tokens.add(&analyzed.uploader);
    doc.add_text(f.lesson, &lesson.recording);
    doc.add_pre_tokenized_text(f.title, field(tokens.exact));
    doc.add_pre_tokenized_text(f.title_stem, field(tokens.stem));
    doc.add_text(f.stored, serde_json::to_string(lesson).unwrap_or_default());
    docs.push(doc);
    docs
}

/// Tokens of the word fields.
#[derive(Default)]
struct Tokens {
    position: usize,
    exact: Vec<Token>,
    stem: Vec<Token>,
    sound: Vec<Token>,
}

impl Tokens {
    fn add(&mut self, words: &[Arc<Forms>]) {
        for forms in words {
            let position = self.position;
            let token = |text: &str| Token { text: text.into(), position, ..Token::default() };
            self.exact.push(token(&forms.exact));
            self.stem.push(token(&forms.stem));
            if !forms.sound.is_empty() {
                self.sound.push(token(&forms.sound));
            }
            self.position += 1;
        }
    }
}

fn field(tokens: Vec<Token>) -> PreTokenizedString {
    PreTokenizedString { text: String::new(), tokens }
}
