//! A lesson as documents of the index: one for each passage, one for each embedded passage, and one
//! for the lesson itself.

use tantivy::TantivyDocument;
use tantivy::tokenizer::{PreTokenizedString, Token};

use super::super::engine::IndexedLesson;
use super::super::entry::PassageEntry;
use super::super::transcript::{self, SpokenLesson};
use super::super::words::{self, Analyzer};
use super::schema::Fields;

/// The documents of a lesson.
pub fn of_lesson(fields: Fields, lesson: &IndexedLesson, transcript: &SpokenLesson) -> Vec<TantivyDocument> {
    let f = fields;
    let language = words::primary(&transcript.language);
    let mut analyzer = Analyzer::new(&language);
    let new = || {
        let mut doc = TantivyDocument::default();
        doc.add_text(f.recording, &lesson.recording);
        doc.add_text(f.uploader, &lesson.uploader);
        doc.add_text(f.language, &language);
        doc.add_u64(f.created_at_ms, lesson.created_at_ms);
        doc
    };
    let mut docs = Vec::new();
    for passage in transcript::passages(transcript) {
        let mut doc = new();
        doc.add_u64(f.start_ms, passage.cues.first().map_or(0, |cue| cue.start_ms));
        doc.add_u64(f.end_ms, passage.cues.last().map_or(0, |cue| cue.end_ms));
        let mut tokens = Tokens::default();
        let mut own_words = None;
        let mut doubt = 0;
        for (number, cue) in passage.cues.iter().enumerate() {
            if number == passage.own {
                own_words = Some(tokens.position);
            }
            let before = tokens.position;
            tokens.add(&cue.text, &mut analyzer);
            if number < passage.own {
                doubt += usize::from(cue.doubt_percent) * (tokens.position - before);
            }
        }
        let own_words = own_words.unwrap_or(tokens.position);
        doc.add_u64(f.own_words, own_words as u64);
        doc.add_u64(f.doubt_percent, (doubt / own_words.max(1)) as u64);
        doc.add_pre_tokenized_text(f.exact, field(tokens.exact));
        doc.add_pre_tokenized_text(f.stem, field(tokens.stem));
        doc.add_pre_tokenized_text(f.sound, field(tokens.sound));
        let entry = PassageEntry { recording: lesson.recording.clone(), language: language.clone(), passage };
        doc.add_text(f.stored, entry.write());
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
    tokens.add(&lesson.title, &mut analyzer);
    // No phrase reaches from the title into the uploader.
    tokens.position += 1;
    tokens.add(&lesson.uploader, &mut analyzer);
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
    fn add(&mut self, text: &str, analyzer: &mut Analyzer) {
        for word in words::split(text) {
            let forms = analyzer.forms(&word);
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
