//! The passages of like meaning: a scan of all signs in the area, then the vectors of the nearest.
//!
//! The signs are a column of eight numbers a passage, in the order of the documents. A scan takes
//! nanoseconds a passage, so there is no graph to build, to tune and to purge.

use chalkstream_meaning::{Signs, Vector, count_different_signs};
use tantivy::columnar::column_index::MultiValueIndex;
use tantivy::columnar::{Column, ColumnIndex};
use tantivy::query::{BooleanQuery, EnableScoring, Query as EngineQuery};
use tantivy::schema::Value;
use tantivy::{DocAddress, DocId, DocSet, Searcher, SegmentReader, TERMINATED, TantivyDocument};

use super::super::engine::{Area, Error};
use super::super::transcript::SimilarPassage;
use super::best::Best;
use super::schema::Fields;
use super::select;

/// The passages with the most signs in common whose vectors are compared.
const MIN_COMPARED: usize = 100;
/// Passages whose signs are read at once.
const BLOCK: usize = 128;

/// The passages in an area that are nearest to a vector, at most `limit`.
pub fn find(
    searcher: &Searcher,
    fields: Fields,
    vector: &Vector,
    area: &Area,
    limit: usize,
) -> Result<Vec<(f32, SimilarPassage)>, Error> {
    let mut found = Vec::new();
    for address in nearest(searcher, fields, vector, area, limit.max(MIN_COMPARED))? {
        let doc: TantivyDocument = searcher.doc(address)?;
        let own = doc.get_first(fields.vector).and_then(|value| value.as_bytes());
        let own = own.and_then(Vector::from_bytes).ok_or(Error::Entry)?;
        let stored = doc.get_first(fields.stored).and_then(|value| value.as_str()).ok_or(Error::Entry)?;
        let passage: SimilarPassage = serde_json::from_str(stored).map_err(|_| Error::Entry)?;
        let is_inside = area.from_ms.is_none_or(|from_ms| passage.start_ms >= from_ms)
            && area.to_ms.is_none_or(|to_ms| passage.end_ms <= to_ms);
        if is_inside {
            found.push((vector.dot(&own), passage));
        }
    }
    found.sort_by(|one, other| other.0.total_cmp(&one.0));
    found.truncate(limit);
    Ok(found)
}

/// The passages with the most signs in common.
fn nearest(
    searcher: &Searcher,
    fields: Fields,
    vector: &Vector,
    area: &Area,
    limit: usize,
) -> Result<Vec<DocAddress>, Error> {
    let filters = select::filters(fields, area);
    let filter = (!filters.is_empty()).then(|| BooleanQuery::new(filters));
    let weight = filter.map(|filter| filter.weight(EnableScoring::disabled_from_searcher(searcher)));
    let weight = weight.transpose()?;
    let sought = vector.signs();
    let mut best = Best::new(limit);
    for (segment, reader) in (0..).zip(searcher.segment_readers()) {
        let column = reader.fast_fields().u64("signs")?;
        let mut visit = |doc: DocId, signs: &Signs| {
            let score = -(count_different_signs(signs, &sought) as f32);
            if score > best.threshold() && !reader.is_deleted(doc) {
                best.add(score, DocAddress::new(segment, doc));
            }
        };
        let Some(weight) = &weight else {
            for_each(&column, reader, visit);
            continue;
        };
        let mut docs = weight.scorer(reader, 1.0)?;
        while docs.doc() != TERMINATED {
            if let Some(signs) = signs_of(&column, docs.doc()) {
                visit(docs.doc(), &signs);
            }
            docs.advance();
        }
    }
    Ok(best.into_sorted())
}

/// The signs of a document; `None` if it is no embedded passage.
fn signs_of(column: &Column, doc: DocId) -> Option<Signs> {
    let rows = column.index.value_row_ids(doc);
    let mut signs = Signs::default();
    (rows.len() == signs.len()).then(|| column.values.get_range(u64::from(rows.start), &mut signs))?;
    Some(signs)
}

/// Calls `visit` with each document that has signs.
fn for_each(column: &Column, reader: &SegmentReader, mut visit: impl FnMut(DocId, &Signs)) {
    let ColumnIndex::Multivalued(MultiValueIndex::MultiValueIndexV2(index)) = &column.index else {
        let docs = 0..reader.max_doc();
        docs.filter_map(|doc| Some((doc, signs_of(column, doc)?)))
            .for_each(|(doc, signs)| visit(doc, &signs));
        return;
    };
    // The values of the documents lie one after another, and are read many at a time.
    let count = index.optional_index.num_non_nulls() as usize;
    let mut docs = index.optional_index.iter_non_null_docs();
    let mut block = [Signs::default(); BLOCK];
    for from in (0..count).step_by(BLOCK) {
        let block = &mut block[..BLOCK.min(count - from)];
        column.values.get_range((from * Vector::SIGN_WORDS) as u64, block.as_flattened_mut());
        block.iter().zip(docs.by_ref()).for_each(|(signs, doc)| visit(doc, signs));
    }
}
