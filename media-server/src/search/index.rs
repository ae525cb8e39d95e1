//! One server's search index: a cache in a folder of its own, which may be deleted at any time.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};
use tantivy::schema::{IndexRecordOption, Value};
use tantivy::tokenizer::{PreTokenizedString, Token};
use tantivy::{IndexReader, IndexWriter, ReloadPolicy, Searcher, TantivyDocument, Term};
use tokio::sync::Notify;

use super::schema::{self, Fields};
use super::transcript::{self, Moment, Transcript};
use super::words::{self, Analyzer};

/// Memory of the writer before it writes a segment to disk.
const WRITER_BYTES: usize = 32 << 20;

/// A failure of the index. Nothing is lost, because the index is a cache.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The engine's own.
    #[error("search index: {0}")]
    Engine(#[from] tantivy::TantivyError),
    /// The folder.
    #[error("search index folder: {0}")]
    Folder(#[from] std::io::Error),
    /// Stored with each moment.
    #[error("search index entry: {0}")]
    Entry(#[from] serde_json::Error),
}

/// The indexed facts of one recording.
#[derive(Clone, Debug)]
pub struct IndexedLesson<'a> {
    /// Its tenant.
    pub tenant: &'a str,
    /// Its id.
    pub recording: &'a str,
    /// Its title.
    pub title: &'a str,
    /// Distinguishes versions of its transcript and title.
    pub version: &'a str,
}

/// The stored fields of a moment.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct MomentEntry {
    pub recording: String,
    pub title: String,
    pub language: String,
    pub moment: Moment,
}

/// The index. All methods but `ready` block; call them from a blocking thread.
pub struct Index {
    pub(super) fields: Fields,
    index: tantivy::Index,
    reader: IndexReader,
    writer: Mutex<IndexWriter>,
    ready: AtomicBool,
    /// Notified when a commit may have removed words.
    removed: Notify,
}

impl Index {
    /// Opens the index in `folder`, or creates it. One of another version, or a broken one, is
    /// deleted: the feed fills it again.
    pub fn open(folder: &Path) -> Result<Self, Error> {
        let name = format!("v{}", schema::VERSION);
        std::fs::create_dir_all(folder)?;
        for entry in std::fs::read_dir(folder)? {
            let entry = entry?;
            let old = entry.file_name().to_str().is_some_and(|n| n.starts_with('v') && n != name);
            if old && entry.file_type()?.is_dir() {
                std::fs::remove_dir_all(entry.path())?;
            }
        }
        let path = folder.join(name);
        Self::open_at(&path).or_else(|error| {
            if matches!(error, Error::Engine(tantivy::TantivyError::LockFailure(..))) {
                return Err(error);
            }
            tracing::warn!(%error, "search index unreadable, rebuilding");
            std::fs::remove_dir_all(&path)?;
            Self::open_at(&path)
        })
    }

    fn open_at(path: &Path) -> Result<Self, Error> {
        std::fs::create_dir_all(path)?;
        let (schema, fields) = schema::schema();
        let directory = tantivy::directory::MmapDirectory::open(path).map_err(tantivy::TantivyError::from)?;
        let index = tantivy::Index::open_or_create(directory, schema)?;
        let reader = index.reader_builder().reload_policy(ReloadPolicy::Manual).try_into()?;
        let writer = index.writer_with_num_threads(1, WRITER_BYTES)?;
        Ok(Self {
            fields,
            index,
            reader,
            writer: Mutex::new(writer),
            ready: AtomicBool::new(false),
            removed: Notify::new(),
        })
    }

    /// True once the index contains everything that was in storage when the server started.
    pub fn ready(&self) -> bool {
        self.ready.load(Ordering::Acquire)
    }

    pub(super) fn set_ready(&self) {
        self.ready.store(true, Ordering::Release);
    }

    /// Replaces a recording's transcript in the index. Visible after `commit`.
    pub fn replace(&self, lesson: &IndexedLesson<'_>, transcript: &Transcript) -> Result<(), Error> {
        let f = self.fields;
        let scope = scope(lesson.tenant, lesson.recording);
        let language = words::primary(&transcript.language);
        let mut analyzer = Analyzer::new(&language);
        let writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        writer.delete_term(Term::from_field_text(f.scope, &scope));
        for moment in transcript::moments(transcript) {
            let (exact, stem) = tokens(&moment.text(), &mut analyzer);
            let mut doc = TantivyDocument::default();
            doc.add_text(f.tenant, lesson.tenant);
            doc.add_text(f.scope, &scope);
            doc.add_u64(f.start_ms, moment.cue.start_ms);
            doc.add_u64(f.end_ms, moment.cue.end_ms);
            doc.add_pre_tokenized_text(f.exact, exact);
            doc.add_pre_tokenized_text(f.stem, stem);
            let entry = MomentEntry {
                recording: lesson.recording.into(),
                title: lesson.title.into(),
                language: language.clone(),
                moment,
            };
            doc.add_bytes(f.stored, &serde_json::to_vec(&entry)?);
            writer.add_document(doc)?;
        }
        let mut marker = TantivyDocument::default();
        marker.add_text(f.scope, &scope);
        marker.add_text(f.marker, &scope);
        marker.add_text(f.language, &language);
        marker.add_bytes(f.stored, lesson.version.as_bytes());
        writer.add_document(marker)?;
        Ok(())
    }

    /// Removes a recording. Visible after `commit`.
    pub fn remove(&self, tenant: &str, recording: &str) {
        let writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        writer.delete_term(Term::from_field_text(self.fields.scope, &scope(tenant, recording)));
    }

    /// Makes all changes durable and visible, together with the position in the event stream that
    /// they reach.
    pub fn commit(&self, position: &str) -> Result<(), Error> {
        let mut writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        let mut prepared = writer.prepare_commit()?;
        prepared.set_payload(position);
        prepared.commit()?;
        self.reader.reload()?;
        self.removed.notify_one();
        Ok(())
    }

    /// Removes a recording at once, if it is there. The position in the event stream stays.
    pub fn remove_now(&self, tenant: &str, recording: &str) -> Result<(), Error> {
        if self.version(tenant, recording)?.is_none() {
            return Ok(());
        }
        self.remove(tenant, recording);
        let position = self.position()?.unwrap_or_default();
        self.commit(&position)
    }

    /// Waits until a commit may have removed words.
    pub async fn removed(&self) {
        self.removed.notified().await;
    }

    /// True if any file of the index has words of a recording: also removed ones, until
    /// [`Index::purge`] has rewritten their segments.
    pub fn has_words(&self, tenant: &str, recording: &str) -> Result<bool, Error> {
        let term = Term::from_field_text(self.fields.scope, &scope(tenant, recording));
        for segment in self.reader.searcher().segment_readers() {
            if segment.inverted_index(self.fields.scope)?.get_term_info(&term)?.is_some() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Rewrites every segment that has removed documents, without them, and deletes the old
    /// files. Returns the number of segments.
    ///
    /// The engine itself only marks documents as removed. Their words would stay on disk until it
    /// happens to merge their segment.
    pub fn purge(&self) -> Result<usize, Error> {
        let mut purged = 0;
        for segment in self.index.searchable_segment_metas()? {
            if !segment.has_deletes() {
                continue;
            }
            let merge = {
                let mut writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
                writer.merge(&[segment.id()])
            };
            match merge.wait() {
                Ok(_) => purged += 1,
                // The engine is merging it on its own account, which purges it too.
                Err(error) => tracing::debug!(%error, "segment not purged"),
            }
        }
        // The reader keeps files open, and the engine deletes no open ones.
        self.reader.reload()?;
        let collect = {
            let writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
            writer.garbage_collect_files()
        };
        collect.wait()?;
        Ok(purged)
    }

    /// The position of the last commit; `None` for a new index.
    pub fn position(&self) -> Result<Option<String>, Error> {
        Ok(self.index.load_metas()?.payload)
    }

    /// The version of a recording's entry; `None` if it is not indexed.
    pub fn version(&self, tenant: &str, recording: &str) -> Result<Option<String>, Error> {
        let searcher = self.reader.searcher();
        let term = Term::from_field_text(self.fields.marker, &scope(tenant, recording));
        let query = tantivy::query::TermQuery::new(term, IndexRecordOption::Basic);
        let found = searcher.search(&query, &tantivy::collector::TopDocs::with_limit(1).order_by_score())?;
        let Some((_, address)) = found.first() else { return Ok(None) };
        let doc: TantivyDocument = searcher.doc(*address)?;
        Ok(doc
            .get_first(self.fields.stored)
            .and_then(|v| v.as_bytes())
            .map(|b| String::from_utf8_lossy(b).into()))
    }

    /// Calls `each` with tenant and recording of everything indexed, possibly also of recordings
    /// being deleted.
    pub(super) fn each_indexed(&self, mut each: impl FnMut(&str, &str)) -> Result<(), Error> {
        self.each_term(self.fields.marker, |scope| {
            if let Some((tenant, recording)) = scope.split_once('/') {
                each(tenant, recording);
            }
        })
    }

    /// The languages spoken in the index.
    pub(super) fn languages(&self) -> Result<Vec<String>, Error> {
        let mut languages = Vec::new();
        self.each_term(self.fields.language, |language| {
            if !languages.iter().any(|known| known == language) {
                languages.push(language.to_owned());
            }
        })?;
        Ok(languages)
    }

    fn each_term(&self, field: tantivy::schema::Field, mut each: impl FnMut(&str)) -> Result<(), Error> {
        for segment in self.reader.searcher().segment_readers() {
            let inverted = segment.inverted_index(field)?;
            let mut terms = inverted.terms().stream()?;
            while terms.advance() {
                if let Ok(text) = std::str::from_utf8(terms.key()) {
                    each(text);
                }
            }
        }
        Ok(())
    }

    pub(super) fn searcher(&self) -> Searcher {
        self.reader.searcher()
    }
}

/// The scope of a deletion.
pub(super) fn scope(tenant: &str, recording: &str) -> String {
    format!("{tenant}/{recording}")
}

/// The words of a text as tokens of the two word fields.
fn tokens(text: &str, analyzer: &mut Analyzer) -> (PreTokenizedString, PreTokenizedString) {
    let (mut exact, mut stem) = (Vec::new(), Vec::new());
    for (position, word) in words::split(text).iter().enumerate() {
        let token =
            |text| Token { offset_from: word.from, offset_to: word.to, position, text, position_length: 1 };
        exact.push(token(analyzer.exact(word)));
        stem.push(token(analyzer.stem(word)));
    }
    let field = |tokens| PreTokenizedString { text: String::new(), tokens };
    (field(exact), field(stem))
}
