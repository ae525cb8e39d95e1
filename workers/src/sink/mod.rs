//! Where a step's outputs go as soon as they are complete: object storage, or a folder.

mod folder;
mod objects;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use chalkstream_store::ObjectFacts;

use crate::failure::StepFailure;

pub use folder::FolderSink;
pub(crate) use objects::storage;
pub use objects::{Holds, ObjectSink};

/// Largest media playlist kept for checking, in bytes: six hours of segments take 200 kB.
const PLAYLIST_BYTES: u64 = 4 << 20;

/// What was taken so far.
#[derive(Clone, Debug, Default)]
pub struct Taken {
    /// Size and hash by the path the step announced.
    pub outputs: BTreeMap<String, ObjectFacts>,
    /// The text of each media playlist, by the same path.
    pub playlists: BTreeMap<String, String>,
}

/// Collects what was taken, from several uploads at once.
#[derive(Debug, Default)]
struct Collected(Mutex<Taken>);

impl Collected {
    fn add(&self, path: String, facts: ObjectFacts, playlist: Option<String>) {
        let mut taken = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(text) = playlist {
            taken.playlists.insert(path.clone(), text);
        }
        taken.outputs.insert(path, facts);
    }

    fn into_taken(self) -> Taken {
        self.0.into_inner().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The text of a media playlist among the outputs; nothing for any other file.
async fn playlist(path: &str, file: &Path, size_bytes: u64) -> Result<Option<String>, StepFailure> {
    if !path.ends_with(".m3u8") || size_bytes > PLAYLIST_BYTES {
        return Ok(None);
    }
    tokio::fs::read_to_string(file).await.map(Some).map_err(StepFailure::ours)
}
