//! A search in the engine's terms.

use std::ops::Bound;

use chalkstream_formats::sound;
use tantivy::query::{
    BooleanQuery, ConstScoreQuery, Occur, PhraseQuery, Query as EngineQuery, RangeQuery, TermQuery,
};
use tantivy::schema::{Field, IndexRecordOption};
use tantivy::{Searcher, Term};

use super::super::engine::{Area, EngineSearch, Error};
use super::super::query::{self, Clause, Rank};
use super::expansions::Expansions;
use super::schema::Fields;

/// The fields that a search reads.
#[derive(Clone, Copy)]
pub struct WordFields {
    exact: Field,
    stem: Field,
    sound: Option<Field>,
}

impl WordFields {
    /// What was said.
    pub fn of_passages(fields: Fields) -> Self {
        Self { exact: fields.exact, stem: fields.stem, sound: Some(fields.sound) }
    }

    /// Titles and uploaders.
    pub fn of_lessons(fields: Fields) -> Self {
        Self { exact: fields.title, stem: fields.title_stem, sound: None }
    }
}

pub type Clauses = Vec<(Occur, Box<dyn EngineQuery>)>;

/// A way in which a clause may match: a term, or terms in sequence.
#[derive(Clone, Debug)]
pub struct Form {
    /// The terms.
    pub terms: Vec<Term>,
    /// True if it matches in just the rank of the search, not in a better one.
    pub is_new: bool,
}

impl Form {
    fn query(&self) -> Box<dyn EngineQuery> {
        match self.terms.as_slice() {
            [term] => Box::new(TermQuery::new(term.clone(), IndexRecordOption::WithFreqs)),
            terms => Box::new(PhraseQuery::new(terms.to_vec())),
        }
    }
}

/// The forms of each clause. Empty if no document can match.
pub fn forms_of(
    searcher: &Searcher,
    expansions: &Expansions,
    words: WordFields,
    sought: &EngineSearch<'_>,
) -> Result<Vec<Vec<Form>>, Error> {
    let mut clauses = Vec::new();
    for part in &sought.query.parts {
        clauses.push(match part {
            Clause::Word(word) => forms(searcher, expansions, words, word, sought.rank)?,
            Clause::Phrase(terms) => {
                let terms = terms.iter().map(|word| Term::from_field_text(words.exact, &word.exact));
                let is_new = matches!(sought.rank, Rank::Phrase | Rank::Exact);
                vec![Form { terms: terms.collect(), is_new }]
            }
        });
    }
    Ok(clauses)
}

/// The documents of an area that have every clause, or with [`Rank::Partial`] one. Of a single
/// clause only the new forms count if `only_new`.
pub fn select(
    fields: Fields,
    clauses: &[Vec<Form>],
    sought: &EngineSearch<'_>,
    only_new: bool,
) -> Box<dyn EngineQuery> {
    let only_new = only_new && clauses.len() == 1;
    let parts = clauses.iter().map(|forms| {
        let counted = forms.iter().filter(|form| form.is_new || !only_new);
        either(counted.map(Form::query).collect(), Occur::Should)
    });
    let occur = if sought.rank == Rank::Partial { Occur::Should } else { Occur::Must };
    let mut filters = filters(fields, sought.area);
    if filters.is_empty() {
        return either(parts.collect(), occur);
    }
    match occur {
        Occur::Must => filters.extend(parts.map(|part| (Occur::Must, part))),
        _ => filters.push((Occur::Must, either(parts.collect(), occur))),
    }
    Box::new(BooleanQuery::new(filters))
}

/// Several queries as one. The engine skips documents by their highest possible score where all of
/// them are terms, so none is wrapped that is alone.
fn either(mut queries: Vec<Box<dyn EngineQuery>>, occur: Occur) -> Box<dyn EngineQuery> {
    if queries.len() == 1 {
        return queries.remove(0);
    }
    Box::new(BooleanQuery::new(queries.into_iter().map(|query| (occur, query)).collect()))
}

/// The clauses that leave the documents of an area. Passages may reach out of its window.
pub fn filters(f: Fields, area: &Area) -> Clauses {
    let mut clauses: Clauses = Vec::new();
    let mut add = |query: Box<dyn EngineQuery>| {
        clauses.push((Occur::Must, Box::new(ConstScoreQuery::new(query, 0.0)) as _));
    };
    for (field, value) in
        [(f.recording, &area.recording), (f.uploader, &area.uploader), (f.language, &area.language)]
    {
        if let Some(value) = value {
            let term = Term::from_field_text(field, value);
            add(Box::new(TermQuery::new(term, IndexRecordOption::Basic)));
        }
    }
    let number = |field, value| Term::from_field_u64(field, value);
    if let Some(from) = area.created_from_ms {
        let bound = Bound::Included(number(f.created_at_ms, from));
        add(Box::new(RangeQuery::new(bound, Bound::Unbounded)));
    }
    if let Some(before) = area.created_before_ms {
        let bound = Bound::Excluded(number(f.created_at_ms, before));
        add(Box::new(RangeQuery::new(Bound::Unbounded, bound)));
    }
    // Passages that overlap the window: `Passage::cut` cuts them to it.
    if let Some(from) = area.from_ms {
        let bound = Bound::Included(number(f.end_ms, from));
        add(Box::new(RangeQuery::new(bound, Bound::Unbounded)));
    }
    if let Some(to) = area.to_ms {
        let bound = Bound::Included(number(f.start_ms, to));
        add(Box::new(RangeQuery::new(Bound::Unbounded, bound)));
    }
    clauses
}

/// The forms of a word that count.
fn forms(
    searcher: &Searcher,
    expansions: &Expansions,
    words: WordFields,
    word: &query::Term,
    rank: Rank,
) -> Result<Vec<Form>, Error> {
    let mut forms = Vec::new();
    let mut add = |terms: &[(Field, &str)], of: Rank| {
        let terms = terms.iter().map(|(field, text)| Term::from_field_text(*field, text)).collect();
        forms.push(Form { terms, is_new: of == rank });
    };
    add(&[(words.exact, &word.exact)], Rank::Exact);
    if rank >= Rank::Stem {
        word.stems.iter().for_each(|stem| add(&[(words.stem, stem)], Rank::Stem));
    }
    if rank == Rank::Partial {
        return Ok(forms);
    }
    if rank >= Rank::Prefix && word.open {
        let found = expansions.starting(searcher, words.exact, word)?;
        found.iter().for_each(|found| add(&[(words.exact, found)], Rank::Prefix));
    }
    if rank >= Rank::Misspelt && word.edits > 0 {
        let found = expansions.similar(searcher, words.exact, word)?;
        found.iter().for_each(|found| add(&[(words.exact, found)], Rank::Misspelt));
    }
    if let (true, Some(field)) = (rank >= Rank::Sound && !word.sound.is_empty(), words.sound) {
        add(&[(field, &word.sound)], Rank::Sound);
        sound::halves(&word.sound).for_each(|(one, other)| add(&[(field, one), (field, other)], Rank::Sound));
    }
    Ok(forms)
}
