//! Finding the moments that match a query.

use std::collections::HashSet;
use std::ops::Bound;

use tantivy::collector::TopDocs;
use tantivy::query::{
    BooleanQuery, ConstScoreQuery, DisjunctionMaxQuery, Occur, PhraseQuery, Query as EngineQuery, RangeQuery,
    TermQuery,
};
use tantivy::schema::{Field, IndexRecordOption, Value};
use tantivy::{Searcher, TantivyDocument, Term};

use super::index::{Error, Index, MomentEntry, scope};
use super::locate::locate;
use super::query::{Clause, Query};

/// Limit of moments in one response.
pub const MAX_LIMIT: usize = 100;
/// Score bonus of a moment that has all words exactly as in the query. It is far above any BM25
/// score of a few words, and small enough for 32-bit floats to distinguish such scores.
const EXACT_FIRST: f32 = 1_000.0;

/// The area to search. The tenant is not optional.
#[derive(Clone, Debug)]
pub struct Area<'a> {
    /// Only this tenant's lessons.
    pub tenant: &'a str,
    /// Only this recording, if given.
    pub recording: Option<&'a str>,
    /// Only moments that begin at or after this time, in ms, if given.
    pub from_ms: Option<u64>,
    /// Only moments that end at or before this time, in ms, if given.
    pub to_ms: Option<u64>,
}

/// A moment that was found.
#[derive(Clone, Debug, PartialEq)]
pub struct Hit {
    /// The recording.
    pub recording: String,
    /// Its title.
    pub title: String,
    /// Start of the first matching word, in ms.
    pub start_ms: u64,
    /// Start of the cue it is in, in ms.
    pub cue_start_ms: u64,
    /// End of that cue, in ms.
    pub end_ms: u64,
    /// The words that were said.
    pub text: String,
    /// The matches, as ranges of UTF-16 code units of `text`.
    pub highlights: Vec<[usize; 2]>,
}

impl Index {
    /// Returns the best moments for a query, at most `limit` (and `MAX_LIMIT`).
    ///
    /// All words must occur, in any form. Moments with all words exactly as in the query come
    /// first. If no moment has all words, those with some are returned.
    pub fn find(&self, text: &str, area: &Area<'_>, limit: usize) -> Result<Vec<Hit>, Error> {
        let limit = limit.clamp(1, MAX_LIMIT);
        let query = Query::parse(text, &self.languages()?);
        if query.is_empty() {
            return Ok(Vec::new());
        }
        let searcher = self.searcher();
        let hits = self.run(&searcher, &query, area, Occur::Must, limit)?;
        if hits.is_empty() && query.parts.len() > 1 {
            return self.run(&searcher, &query, area, Occur::Should, limit);
        }
        Ok(hits)
    }

    fn run(
        &self,
        searcher: &Searcher,
        query: &Query,
        area: &Area<'_>,
        each: Occur,
        limit: usize,
    ) -> Result<Vec<Hit>, Error> {
        let engine_query = self.engine_query(query, area, each);
        let mut hits: Vec<(bool, Hit)> = Vec::new();
        let mut seen = HashSet::new();
        let (mut offset, step) = (0, limit * 2);
        // A match in the words ahead of a moment is dropped in favour of the next moment. So more
        // results may be needed; their number is bounded.
        while hits.len() < limit && offset < MAX_LIMIT * 10 {
            let collector = TopDocs::with_limit(step).and_offset(offset).order_by_score();
            let found = searcher.search(&engine_query, &collector)?;
            for (_, address) in &found {
                let doc: TantivyDocument = searcher.doc(*address)?;
                let Some(stored) = doc.get_first(self.fields.stored).and_then(|v| v.as_bytes()) else {
                    continue;
                };
                let mut entry: MomentEntry = serde_json::from_slice(stored)?;
                // The engine matched the words ahead too, and some of them may lie past the area.
                let is_cut = area.to_ms.is_some_and(|to_ms| entry.moment.end_by(to_ms));
                let needs_all = is_cut && each == Occur::Must;
                let Some(at) = locate(&entry.moment, &entry.language, query, needs_all) else { continue };
                if hits.len() < limit && seen.insert((entry.recording.clone(), at.start_ms)) {
                    let hit = Hit {
                        recording: entry.recording,
                        title: entry.title,
                        start_ms: at.start_ms,
                        cue_start_ms: entry.moment.cue.start_ms,
                        end_ms: entry.moment.cue.end_ms,
                        text: at.text,
                        highlights: at.highlights,
                    };
                    hits.push((at.exact, hit));
                }
            }
            if found.len() < step {
                break;
            }
            offset += step;
        }
        // The engine also counts the words ahead, which belong to the next moment.
        hits.sort_by_key(|(exact, _)| !exact);
        Ok(hits.into_iter().map(|(_, hit)| hit).collect())
    }

    fn engine_query(&self, query: &Query, area: &Area<'_>, each: Occur) -> BooleanQuery {
        let f = self.fields;
        let silent = |query| Box::new(ConstScoreQuery::new(query, 0.0)) as Box<dyn EngineQuery>;
        let mut clauses = vec![(Occur::Must, silent(term(f.tenant, area.tenant)))];
        if let Some(recording) = area.recording {
            clauses.push((Occur::Must, silent(term(f.scope, &scope(area.tenant, recording)))));
        }
        if let Some(from) = area.from_ms {
            let bound = Bound::Included(Term::from_field_u64(f.start_ms, from));
            clauses.push((Occur::Must, silent(Box::new(RangeQuery::new(bound, Bound::Unbounded)))));
        }
        if let Some(to) = area.to_ms {
            let bound = Bound::Included(Term::from_field_u64(f.end_ms, to));
            clauses.push((Occur::Must, silent(Box::new(RangeQuery::new(Bound::Unbounded, bound)))));
        }
        let wanted: Vec<_> = query.parts.iter().map(|part| (each, self.part(part))).collect();
        clauses.push((Occur::Must, Box::new(BooleanQuery::new(wanted))));
        let exactly: Vec<_> = query
            .parts
            .iter()
            .flat_map(Clause::terms)
            .map(|t| (Occur::Must, term(f.exact, &t.exact)))
            .collect();
        let exactly = ConstScoreQuery::new(Box::new(BooleanQuery::new(exactly)), EXACT_FIRST);
        clauses.push((Occur::Should, Box::new(exactly)));
        BooleanQuery::new(clauses)
    }

    fn part(&self, part: &Clause) -> Box<dyn EngineQuery> {
        let f = self.fields;
        match part {
            Clause::Word(word) => {
                let mut forms = vec![term(f.exact, &word.exact)];
                forms.extend(word.stems.iter().map(|stem| term(f.stem, stem)));
                Box::new(DisjunctionMaxQuery::new(forms))
            }
            Clause::Phrase(words) => {
                let terms = words.iter().map(|word| Term::from_field_text(f.exact, &word.exact)).collect();
                Box::new(PhraseQuery::new(terms))
            }
        }
    }
}

fn term(field: Field, text: &str) -> Box<dyn EngineQuery> {
    Box::new(TermQuery::new(Term::from_field_text(field, text), IndexRecordOption::WithFreqs))
}
