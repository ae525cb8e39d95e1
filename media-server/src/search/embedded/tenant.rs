//! The index of one tenant: a folder of its own.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use tantivy::indexer::{IndexWriterOptions, LogMergePolicy};
use tantivy::query::{EnableScoring, Query as EngineQuery};
use tantivy::schema::{Field, IndexRecordOption, Value};
use tantivy::{
    DocAddress, DocSet, IndexReader, IndexSettings, IndexWriter, ReloadPolicy, Score, Searcher, TERMINATED,
    TantivyDocument, Term,
};

use super::super::engine::{EngineSearch, Error, IndexedLesson};
use super::super::entry::PassageEntry;
use super::super::query::Rank;
use super::best::Best;
use super::expansions::Expansions;
use super::near::Near;
use super::schema::{self, Fields};
use super::select::{self, Form, WordFields};

/// Segments of about one size that are merged, and documents below which all have one size.
const MIN_MERGED_SEGMENTS: usize = 4;
const MIN_LAYER_DOCUMENTS: u32 = 500;
/// Base-2 logarithm of the ratio of two sizes.
const LAYER_LOG_SIZE: f64 = 2.0;
/// Share of removed documents above which a segment is merged for their sake.
const MAX_REMOVED_SHARE: f32 = 0.2;

/// Stored passages are compressed in blocks of this size. Reading one takes all of its block.
const STORED_BLOCK_BYTES: usize = 4_096;

/// Of the score of a document whose words are all doubtful, this share is taken.
const MAX_DEDUCTION: f32 = 0.5;

/// An index that is open. Queries share it.
pub struct TenantIndex {
    pub(super) fields: Fields,
    folder: PathBuf,
    index: tantivy::Index,
    reader: IndexReader,
    expansions: Expansions,
}

impl TenantIndex {
    /// Opens the index in a folder, or creates it.
    pub(super) fn open(folder: &Path) -> Result<Self, Error> {
        std::fs::create_dir_all(folder)?;
        let (schema, fields) = schema::schema();
        let directory =
            tantivy::directory::MmapDirectory::open(folder).map_err(tantivy::TantivyError::from)?;
        let settings = IndexSettings { docstore_blocksize: STORED_BLOCK_BYTES, ..IndexSettings::default() };
        let index = tantivy::Index::builder().schema(schema).settings(settings).open_or_create(directory)?;
        let reader = index.reader_builder().reload_policy(ReloadPolicy::Manual).try_into()?;
        Ok(Self { fields, folder: folder.to_owned(), index, reader, expansions: Expansions::default() })
    }

    /// A writer of this index. There can be one at a time.
    pub(super) fn writer(&self, memory_bytes: usize) -> Result<IndexWriter, Error> {
        let options = IndexWriterOptions::builder()
            .num_worker_threads(1)
            .num_merge_threads(1)
            .memory_budget_per_thread(memory_bytes)
            .build();
        let writer = self.index.writer_with_options(options)?;
        let mut policy = LogMergePolicy::default();
        policy.set_min_num_segments(MIN_MERGED_SEGMENTS);
        policy.set_min_layer_size(MIN_LAYER_DOCUMENTS);
        policy.set_level_log_size(LAYER_LOG_SIZE);
        policy.set_del_docs_ratio_before_merge(MAX_REMOVED_SHARE);
        writer.set_merge_policy(Box::new(policy));
        Ok(writer)
    }

    /// What a query sees: all that was committed until the last `reload`.
    pub(super) fn searcher(&self) -> Searcher {
        self.reader.searcher()
    }

    /// Lets queries see what was committed.
    pub(super) fn reload(&self) -> Result<(), Error> {
        Ok(self.reader.reload()?)
    }

    pub(super) fn passages(
        &self,
        sought: &EngineSearch<'_>,
        offset: usize,
        limit: usize,
        visit: &mut dyn FnMut(PassageEntry) -> bool,
    ) -> Result<usize, Error> {
        let searcher = self.reader.searcher();
        let words = WordFields::of_passages(self.fields);
        let clauses = select::forms_of(&searcher, &self.expansions, words, sought)?;
        let is_partial = sought.rank == Rank::Partial;
        if !is_partial && !clauses.iter().flatten().any(|form| form.is_new) {
            return Ok(0);
        }
        let query = select::select(self.fields, &clauses, sought, !is_partial);
        let is_sure = clauses.len() == 1 && clauses[0].iter().all(|form| form.is_new);
        let near = (!is_partial && !is_sure).then_some(clauses.as_slice());
        let found = Self::best(&searcher, &*query, near, offset, limit)?;
        for address in &found {
            let entry = self.stored(&searcher, *address)?;
            if !visit(PassageEntry::read(&entry).ok_or(Error::Entry)?) {
                break;
            }
        }
        Ok(found.len())
    }

    pub(super) fn lessons(
        &self,
        sought: &EngineSearch<'_>,
        limit: usize,
    ) -> Result<Vec<IndexedLesson>, Error> {
        let searcher = self.reader.searcher();
        let words = WordFields::of_lessons(self.fields);
        let clauses = select::forms_of(&searcher, &self.expansions, words, sought)?;
        let query = select::select(self.fields, &clauses, sought, false);
        let found = Self::best(&searcher, &*query, None, 0, limit)?;
        found.into_iter().map(|address| self.lesson_at(&searcher, address)).collect()
    }

    /// The best documents; with `near`, of those that have all these clauses
    /// near each other.
    fn best(
        searcher: &Searcher,
        query: &dyn EngineQuery,
        near: Option<&[Vec<Form>]>,
        offset: usize,
        limit: usize,
    ) -> Result<Vec<DocAddress>, Error> {
        let weight = query.weight(EnableScoring::enabled_from_searcher(searcher))?;
        let mut best = Best::new(offset.saturating_add(limit));
        for (segment, reader) in (0..).zip(searcher.segment_readers()) {
            let mut near = match near {
                Some(clauses) => match Near::open(reader, clauses)? {
                    Some(near) => Some(near),
                    None => continue,
                },
                None => None,
            };
            let alive = reader.alive_bitset();
            let doubt = reader.fast_fields().u64("doubt_percent")?;
            weight.for_each_pruning(best.threshold(), reader, &mut |doc, score| {
                let score = score * trust(doubt.first(doc).unwrap_or(0));
                if score > best.threshold()
                    && alive.is_none_or(|alive| alive.is_alive(doc))
                    && near.as_mut().is_none_or(|near| near.is_near(doc))
                {
                    best.add(score, DocAddress::new(segment, doc));
                }
                best.threshold()
            })?;
        }
        Ok(best.into_sorted().into_iter().skip(offset).collect())
    }

    fn lesson_at(&self, searcher: &Searcher, address: DocAddress) -> Result<IndexedLesson, Error> {
        serde_json::from_str(&self.stored(searcher, address)?).map_err(|_| Error::Entry)
    }

    fn stored(&self, searcher: &Searcher, address: DocAddress) -> Result<String, Error> {
        let doc: TantivyDocument = searcher.doc(address)?;
        let stored = doc.get_first(self.fields.stored).and_then(|value| value.as_str());
        Ok(stored.ok_or(Error::Entry)?.to_owned())
    }

    pub(super) fn lesson(&self, recording: &str) -> Result<Option<IndexedLesson>, Error> {
        let term = Term::from_field_text(self.fields.lesson, recording);
        let searcher = self.reader.searcher();
        for (segment, reader) in (0..).zip(searcher.segment_readers()) {
            let index = reader.inverted_index(self.fields.lesson)?;
            let Some(mut found) = index.read_postings(&term, IndexRecordOption::Basic)? else { continue };
            while found.doc() != TERMINATED {
                if !reader.is_deleted(found.doc()) {
                    return self.lesson_at(&searcher, DocAddress::new(segment, found.doc())).map(Some);
                }
                found.advance();
            }
        }
        Ok(None)
    }

    pub(super) fn recordings(&self) -> Result<Vec<String>, Error> {
        self.terms(self.fields.lesson)
    }

    pub(super) fn languages(&self) -> Result<Vec<String>, Error> {
        self.terms(self.fields.language)
    }

    /// The terms of a field, those of removed documents included until their segment is merged.
    fn terms(&self, field: Field) -> Result<Vec<String>, Error> {
        let mut found = HashSet::new();
        for segment in self.reader.searcher().segment_readers() {
            let inverted = segment.inverted_index(field)?;
            let mut terms = inverted.terms().stream()?;
            while terms.advance() {
                found.insert(String::from_utf8_lossy(terms.key()).into_owned());
            }
        }
        Ok(found.into_iter().collect())
    }

    pub(super) fn has_words(&self, recording: &str) -> Result<bool, Error> {
        let term = Term::from_field_text(self.fields.recording, recording);
        for segment in self.reader.searcher().segment_readers() {
            if segment.inverted_index(self.fields.recording)?.get_term_info(&term)?.is_some() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The segments that have removed documents.
    pub(super) fn segments_with_removed(&self) -> Result<Vec<tantivy::index::SegmentId>, Error> {
        let segments = self.index.searchable_segment_metas()?;
        Ok(segments.iter().filter(|segment| segment.has_deletes()).map(|segment| segment.id()).collect())
    }

    /// True if the folder has files of segments that are no longer in use.
    pub(super) fn has_leftovers(&self) -> Result<bool, Error> {
        let used: HashSet<String> =
            self.index.searchable_segment_ids()?.iter().map(|id| id.uuid_string()).collect();
        for entry in std::fs::read_dir(&self.folder)? {
            let name = entry?.file_name();
            let stem = name.to_str().and_then(|name| name.split('.').next()).unwrap_or_default();
            if stem.len() == 32 && !used.contains(stem) {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// The share of its score that a document with this doubt keeps. It is at most 1, so the engine may
/// still skip documents by their highest possible score.
fn trust(doubt_percent: u64) -> Score {
    1.0 - MAX_DEDUCTION * doubt_percent as Score / 100.0
}
