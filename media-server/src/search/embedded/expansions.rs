//! The words of the index that an unfinished or misspelt word may stand for.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tantivy::query::FuzzyTermQuery;
use tantivy::schema::Field;
use tantivy::{Searcher, Term};

use super::super::engine::Error;
use super::super::query;

/// Words that one stands for at most: the most frequent ones.
const MAX_EXPANSIONS: usize = 32;
/// Words whose expansions are remembered. The searches of one query ask for the same ones.
const MAX_KNOWN: usize = 64;

/// The expansions that were asked for lately.
#[derive(Default)]
pub struct Expansions {
    known: Mutex<HashMap<Key, Arc<[String]>>>,
}

/// The state of the index, the field, the word, and the edits; none for the start of a word.
type Key = (u64, Field, String, Option<usize>);

impl Expansions {
    /// The most frequent words that begin so.
    pub fn starting(
        &self,
        searcher: &Searcher,
        field: Field,
        word: &query::Term,
    ) -> Result<Arc<[String]>, Error> {
        self.known(key(searcher, field, word, None), || starting(searcher, field, &word.exact))
    }

    /// The most frequent words that differ in few letters.
    pub fn similar(
        &self,
        searcher: &Searcher,
        field: Field,
        word: &query::Term,
    ) -> Result<Arc<[String]>, Error> {
        self.known(key(searcher, field, word, Some(word.edits)), || similar(searcher, field, word))
    }

    fn known(
        &self,
        key: Key,
        find: impl FnOnce() -> Result<Vec<String>, Error>,
    ) -> Result<Arc<[String]>, Error> {
        if let Some(known) = self.known.lock().unwrap_or_else(PoisonError::into_inner).get(&key) {
            return Ok(known.clone());
        }
        let found: Arc<[String]> = find()?.into();
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MAX_KNOWN {
            known.clear();
        }
        known.insert(key, found.clone());
        Ok(found)
    }
}

fn key(searcher: &Searcher, field: Field, word: &query::Term, edits: Option<usize>) -> Key {
    (searcher.generation().generation_id(), field, word.exact.clone(), edits)
}

fn starting(searcher: &Searcher, field: Field, start: &str) -> Result<Vec<String>, Error> {
    let mut found = HashMap::new();
    for segment in searcher.segment_readers() {
        let inverted = segment.inverted_index(field)?;
        let mut terms = inverted.terms().range().ge(start).into_stream()?;
        while terms.advance() && terms.key().starts_with(start.as_bytes()) {
            let key = String::from_utf8_lossy(terms.key()).into_owned();
            *found.entry(key).or_insert(0) += terms.value().doc_freq;
        }
    }
    Ok(most_frequent(found, start))
}

fn similar(searcher: &Searcher, field: Field, word: &query::Term) -> Result<Vec<String>, Error> {
    let query = FuzzyTermQuery::new(Term::from_field_text(field, &word.exact), word.edits as u8, true);
    // Making it takes longer than reading a segment with it.
    let automaton = query.automaton()?;
    let mut found = HashMap::new();
    for segment in searcher.segment_readers() {
        let inverted = segment.inverted_index(field)?;
        let mut terms = inverted.terms().search(&automaton).into_stream()?;
        while terms.advance() {
            let key = String::from_utf8_lossy(terms.key()).into_owned();
            *found.entry(key).or_insert(0) += terms.value().doc_freq;
        }
    }
    Ok(most_frequent(found, &word.exact))
}

fn most_frequent(mut found: HashMap<String, u32>, but: &str) -> Vec<String> {
    found.remove(but);
    let mut found: Vec<(String, u32)> = found.into_iter().collect();
    found.sort_by(|one, other| other.1.cmp(&one.1).then_with(|| one.0.cmp(&other.0)));
    found.into_iter().take(MAX_EXPANSIONS).map(|(word, _)| word).collect()
}
