//! A search in the engine's terms. It may find more passages than match, and never fewer: what
//! matches is decided by `locate`.

use chalkstream_formats::sound;
use serde_json::{Value, json};

use super::super::engine::{Area, EngineSearch};
use super::super::query::{Clause, Rank, Term};
use super::super::transcript::MAX_SPAN_WORDS;

/// Words that one stands for at most if it may be misspelt.
const MAX_EXPANSIONS: usize = 32;

/// The fields that a search reads.
#[derive(Clone, Copy)]
pub struct WordFields {
    exact: &'static str,
    stem: &'static str,
    sound: Option<&'static str>,
}

/// What was said.
pub const PASSAGES: WordFields = WordFields { exact: "exact", stem: "stem", sound: Some("sound") };
/// Titles and uploaders.
pub const LESSONS: WordFields = WordFields { exact: "title", stem: "title_stem", sound: None };

/// A way in which a clause may match.
struct Form {
    field: &'static str,
    text: String,
    how: How,
    /// True if it matches in just the rank of the search, not in a better one.
    is_new: bool,
}

enum How {
    /// These terms in sequence.
    Terms,
    /// Terms that begin so.
    Prefix,
    /// Terms with so many letters different.
    Similar(usize),
}

impl Form {
    fn query(&self) -> Value {
        let (field, text) = (self.field, &self.text);
        match self.how {
            How::Terms if text.contains(' ') => json!({ "match_phrase": { field: text } }),
            How::Terms => json!({ "term": { field: text } }),
            How::Prefix => json!({ "prefix": { field: { "value": text } } }),
            How::Similar(edits) => json!({ "fuzzy": { field: {
                "value": text, "fuzziness": edits, "max_expansions": MAX_EXPANSIONS,
            } } }),
        }
    }

    /// Its places; `None` if it stands for terms that only the index knows.
    fn interval(&self, fields: WordFields) -> Option<Value> {
        let How::Terms = self.how else { return None };
        let mut rule = json!({ "query": self.text, "max_gaps": 0, "ordered": true });
        if self.field != fields.exact {
            rule["use_field"] = self.field.into();
        }
        Some(json!({ "match": rule }))
    }
}

/// The query for passages that have every clause near each other, or with [`Rank::Partial`] one.
/// `None` if none can match in just this rank.
pub fn passages(sought: &EngineSearch<'_>) -> Option<Value> {
    let clauses = forms_of(PASSAGES, sought);
    let mut filters = filters(sought.area);
    let is_partial = sought.rank == Rank::Partial;
    let is_new = |form: &&Form| form.is_new;
    if !is_partial {
        let new: Vec<_> = clauses.iter().flatten().filter(is_new).map(Form::query).collect();
        if new.is_empty() {
            return None;
        }
        filters.push(either(new));
        filters.extend(near(PASSAGES, &clauses));
    }
    let is_single = !is_partial && clauses.len() == 1;
    let parts = clauses.iter().map(|forms| {
        either(forms.iter().filter(|form| form.is_new || !is_single).map(Form::query).collect())
    });
    let parts: Vec<Value> = parts.collect();
    let query = match is_partial {
        true => json!({ "bool": { "must": either(parts), "filter": filters } }),
        false => json!({ "bool": { "must": parts, "filter": filters } }),
    };
    let trust = json!([{ "field_value_factor": { "field": "trust", "missing": 1 } }]);
    Some(json!({ "function_score": { "query": query, "functions": trust, "boost_mode": "multiply" } }))
}

/// The query for lessons whose title and uploader have every clause.
pub fn lessons(sought: &EngineSearch<'_>) -> Value {
    let clauses = forms_of(LESSONS, sought);
    let parts = clauses.iter().map(|forms| either(forms.iter().map(Form::query).collect()));
    json!({ "bool": { "must": parts.collect::<Vec<_>>(), "filter": filters(sought.area) } })
}

/// The filters that leave the documents of an area. Passages may reach out of its window.
fn filters(area: &Area) -> Vec<Value> {
    let mut filters = facts(area);
    filters.extend(area.from_ms.map(|from| json!({ "range": { "end_ms": { "gte": from } } })));
    filters.extend(area.to_ms.map(|to| json!({ "range": { "start_ms": { "lte": to } } })));
    filters
}

/// The filters that leave what lies completely in an area.
pub fn inside(area: &Area) -> Vec<Value> {
    let mut filters = facts(area);
    filters.extend(area.from_ms.map(|from| json!({ "range": { "start_ms": { "gte": from } } })));
    filters.extend(area.to_ms.map(|to| json!({ "range": { "end_ms": { "lte": to } } })));
    filters
}

fn facts(area: &Area) -> Vec<Value> {
    let names = [("recording", &area.recording), ("uploader", &area.uploader), ("language", &area.language)];
    let names = names.into_iter().filter_map(|(field, value)| Some((field, value.as_ref()?)));
    let mut filters: Vec<Value> = names.map(|(field, value)| json!({ "term": { field: value } })).collect();
    let created = |bound: &str, at: u64| json!({ "range": { "created_at_ms": { bound: at } } });
    filters.extend(area.created_from_ms.map(|from| created("gte", from)));
    filters.extend(area.created_before_ms.map(|before| created("lt", before)));
    filters
}

/// All clauses within the longest span. Those with terms that only the index knows are left out, so
/// that no number of such terms is too large.
fn near(fields: WordFields, clauses: &[Vec<Form>]) -> Option<Value> {
    let mut rules: Vec<Value> = Vec::new();
    for forms in clauses {
        let intervals: Option<Vec<Value>> = forms.iter().map(|form| form.interval(fields)).collect();
        let Some(intervals) = intervals else { continue };
        let rule = json!({ "any_of": { "intervals": intervals } });
        // The same rule twice would need two places.
        if !rules.contains(&rule) {
            rules.push(rule);
        }
    }
    let max_gaps = MAX_SPAN_WORDS.saturating_sub(rules.len());
    let all = json!({ "all_of": { "ordered": false, "max_gaps": max_gaps, "intervals": rules } });
    (rules.len() > 1).then(|| json!({ "intervals": { fields.exact: all } }))
}

fn either(queries: Vec<Value>) -> Value {
    json!({ "bool": { "should": queries, "minimum_should_match": 1 } })
}

fn forms_of(fields: WordFields, sought: &EngineSearch<'_>) -> Vec<Vec<Form>> {
    let parts = sought.query.parts.iter().map(|part| match part {
        Clause::Word(word) => forms(fields, word, sought.rank),
        Clause::Phrase(terms) => {
            let text = terms.iter().map(|term| term.exact.as_str()).collect::<Vec<_>>().join(" ");
            let is_new = matches!(sought.rank, Rank::Phrase | Rank::Exact);
            vec![Form { field: fields.exact, text, how: How::Terms, is_new }]
        }
    });
    parts.collect()
}

/// The forms of a word that count.
fn forms(fields: WordFields, word: &Term, rank: Rank) -> Vec<Form> {
    let mut forms = Vec::new();
    let mut add = |field, text: String, how, of: Rank| {
        forms.push(Form { field, text, how, is_new: of == rank });
    };
    add(fields.exact, word.exact.clone(), How::Terms, Rank::Exact);
    if rank >= Rank::Stem {
        word.stems.iter().for_each(|stem| add(fields.stem, stem.clone(), How::Terms, Rank::Stem));
    }
    if rank == Rank::Partial {
        return forms;
    }
    if rank >= Rank::Prefix && word.open {
        add(fields.exact, word.exact.clone(), How::Prefix, Rank::Prefix);
    }
    if rank >= Rank::Misspelt && word.edits > 0 {
        add(fields.exact, word.exact.clone(), How::Similar(word.edits), Rank::Misspelt);
    }
    if let (true, Some(field)) = (rank >= Rank::Sound && !word.sound.is_empty(), fields.sound) {
        add(field, word.sound.clone(), How::Terms, Rank::Sound);
        for (one, other) in sound::halves(&word.sound) {
            add(field, format!("{one} {other}"), How::Terms, Rank::Sound);
        }
    }
    forms
}
