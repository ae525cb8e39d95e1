//! The copies that this server itself has of a recording: caches, and its search index.

use crate::corrections::Corrections;
use crate::delivery::Delivery;
use crate::manifests::Manifests;
use crate::problem::Problem;
use crate::recordings::Lists;
use crate::search::Search;
use crate::transcripts::Transcripts;

/// This server's copies. Each server removes its own.
#[derive(Clone)]
pub struct LocalCopies {
    /// Manifests in memory.
    pub manifests: Manifests,
    /// Entries of lists in memory.
    pub lists: Lists,
    /// Transcripts in memory.
    pub transcripts: Transcripts,
    /// Corrections in memory.
    pub corrections: Corrections,
    /// Playlists and index tables in memory.
    pub delivery: Delivery,
    /// Words on disk, and storyboards in memory.
    pub search: Search,
}

impl LocalCopies {
    /// Removes every copy in memory, and the words from search. Their bytes leave the disk a little
    /// later, see [`LocalCopies::are_gone`].
    ///
    /// # Errors
    /// If the index cannot be written.
    pub async fn forget(&self, tenant: &str, recording: &str) -> Result<(), Problem> {
        self.manifests.forget(tenant, recording);
        self.lists.forget(tenant, recording);
        self.transcripts.forget(tenant, recording);
        self.corrections.forget(tenant, recording);
        self.delivery.forget(tenant, recording);
        self.search.forget(tenant, recording).await
    }

    /// True if no file of this server has a word of it any more.
    ///
    /// # Errors
    /// If the index cannot be read.
    pub async fn are_gone(&self, tenant: &str, recording: &str) -> Result<bool, Problem> {
        Ok(!self.search.has_words(tenant, recording).await?)
    }
}
