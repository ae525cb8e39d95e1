//! The engine behind search: a store of postings and vectors, and nothing else. What matches, what
//! is a moment and what is highlighted, is decided by `query`, `locate` and `find`, the same for
//! every engine.
//!
//! `contract_tests.rs` is the suite that every engine passes.

use chalkstream_meaning::Vector;

use super::entry::PassageEntry;
use super::query::{Query, Rank};
use super::transcript::{SimilarPassage, SpokenLesson};

/// A failure of the engine. Nothing is lost, because an index is a cache.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The embedded engine's own.
    #[error("search index: {0}")]
    Engine(#[from] tantivy::TantivyError),
    /// The folder.
    #[error("search index folder: {0}")]
    Folder(#[from] std::io::Error),
    /// An entry that is not of this version.
    #[error("search index entry not readable")]
    Entry,
    /// Another process has opened the folder.
    #[error("search index folder in use by another process")]
    InUse,
    /// A tenant's name that is none.
    #[error("not the id of a tenant")]
    Tenant,
    /// The engine is another machine that does not answer, or is too busy. It may answer later.
    #[error("search cluster unavailable: {0}")]
    Unavailable(String),
    /// The engine refuses the request. Its text may quote words, so only its kind is kept.
    #[error("search cluster refused a request: {status} {kind}")]
    Refused {
        /// The status of its response.
        status: u16,
        /// What it calls the failure.
        kind: String,
    },
    /// The engine cannot search by meaning.
    #[error("search by meaning not supported by the engine")]
    NotSupported,
}

impl Error {
    /// True if the same may work later, without anybody's doing.
    pub fn is_outage(&self) -> bool {
        matches!(self, Self::Unavailable(_))
    }
}

/// The indexed facts of one recording.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct IndexedLesson {
    /// Its tenant.
    #[serde(skip)]
    pub tenant: String,
    /// Its id.
    pub recording: String,
    /// Its title.
    pub title: String,
    /// Its uploader.
    pub uploader: String,
    /// When its upload was created, in ms since the epoch.
    pub created_at_ms: u64,
    /// Distinguishes versions of its transcript and facts.
    pub version: String,
}

/// The area to search. The tenant is not optional.
#[derive(Clone, Debug, Default)]
pub struct Area {
    /// Only this tenant's lessons.
    pub tenant: String,
    /// Only this recording, if given.
    pub recording: Option<String>,
    /// Only lessons of this uploader, if given.
    pub uploader: Option<String>,
    /// Only lessons in this language, a primary subtag, if given.
    pub language: Option<String>,
    /// Only lessons created at or after this time, in ms since the epoch, if given.
    pub created_from_ms: Option<u64>,
    /// Only lessons created before this time, in ms since the epoch, if given.
    pub created_before_ms: Option<u64>,
    /// Only moments that begin at or after this time, in ms, if given.
    pub from_ms: Option<u64>,
    /// Only moments that end at or before this time, in ms, if given.
    pub to_ms: Option<u64>,
}

impl Area {
    /// All lessons of a tenant.
    pub fn for_tenant(tenant: &str) -> Self {
        Self { tenant: tenant.into(), ..Self::default() }
    }
}

/// A search that the engine runs.
#[derive(Clone, Debug)]
pub struct EngineSearch<'a> {
    /// The clauses. All must occur, or with [`Rank::Partial`] one.
    pub query: &'a Query,
    /// The worst way in which a word may match.
    pub rank: Rank,
    /// Where.
    pub area: &'a Area,
}

/// A store of the postings of all tenants. All methods block; call them from a blocking thread.
pub trait SearchEngine: Send + Sync + 'static {
    /// Replaces a recording's transcript. Visible after `commit`.
    ///
    /// # Errors
    /// If the index cannot be written.
    fn replace(&self, lesson: &IndexedLesson, transcript: &SpokenLesson) -> Result<(), Error>;

    /// Removes a recording, if it is there. Visible after `commit`.
    ///
    /// # Errors
    /// If the index cannot be written.
    fn remove(&self, tenant: &str, recording: &str) -> Result<(), Error>;

    /// Makes all changes durable and visible.
    ///
    /// # Errors
    /// If the index cannot be written.
    fn commit(&self) -> Result<(), Error>;

    /// The position in the event stream that the index reaches; `None` if it is new, or if a part
    /// of it was lost.
    ///
    /// # Errors
    /// If it cannot be read.
    fn position(&self) -> Result<Option<String>, Error>;

    /// Stores the position that the committed changes reach. `None` begins a scan of storage: it
    /// makes good every loss until now, and a later position counts only if there was none since.
    ///
    /// # Errors
    /// If it cannot be written.
    fn set_position(&self, position: Option<&str>) -> Result<(), Error>;

    /// Visits the passages that match, best first, until `visit` returns false: at most `limit`
    /// after the first `offset`. Returns how many there are of these.
    ///
    /// # Errors
    /// If the index cannot be read.
    fn passages(
        &self,
        sought: &EngineSearch<'_>,
        offset: usize,
        limit: usize,
        visit: &mut dyn FnMut(PassageEntry) -> bool,
    ) -> Result<usize, Error>;

    /// The passages of like meaning that lie completely in the area, with the cosine of the angle
    /// between their vector and this one: the nearest first, at most `limit`.
    ///
    /// # Errors
    /// [`Error::NotSupported`] if the engine has no vectors; or if the index cannot be read.
    fn similar(
        &self,
        vector: &Vector,
        area: &Area,
        limit: usize,
    ) -> Result<Vec<(f32, SimilarPassage)>, Error>;

    /// The lessons whose title and uploader match, best first.
    ///
    /// # Errors
    /// If the index cannot be read.
    fn lessons(&self, sought: &EngineSearch<'_>, limit: usize) -> Result<Vec<IndexedLesson>, Error>;

    /// A recording's facts; `None` if it is not indexed.
    ///
    /// # Errors
    /// If the index cannot be read.
    fn lesson(&self, tenant: &str, recording: &str) -> Result<Option<IndexedLesson>, Error>;

    /// The tenants that have an index.
    ///
    /// # Errors
    /// If the index cannot be read.
    fn tenants(&self) -> Result<Vec<String>, Error>;

    /// A tenant's recordings, possibly also those being removed.
    ///
    /// # Errors
    /// If the index cannot be read.
    fn recordings(&self, tenant: &str) -> Result<Vec<String>, Error>;

    /// The languages spoken in a tenant's lessons.
    ///
    /// # Errors
    /// If the index cannot be read.
    fn languages(&self, tenant: &str) -> Result<Vec<String>, Error>;

    /// True if the engine stores words of a recording: also removed ones, until
    /// [`SearchEngine::purge`].
    ///
    /// # Errors
    /// If the index cannot be read.
    fn has_words(&self, tenant: &str, recording: &str) -> Result<bool, Error>;

    /// Takes removed words off the disk. Returns the number of files or segments rewritten.
    ///
    /// # Errors
    /// If the index cannot be written.
    fn purge(&self) -> Result<usize, Error>;
}
