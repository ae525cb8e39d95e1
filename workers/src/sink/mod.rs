//! Where a step's outputs go as soon as they are complete: object storage, or a folder.

mod folder;
mod objects;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use chalkstream_store::ObjectFacts;

use crate::failure::{Cause, StepFailure};

pub use folder::FolderSink;
pub(crate) use objects::storage;
pub use objects::{Holds, ObjectSink};

/// Largest media playlist kept for checking, in bytes: six hours of segments take 200 kB.
const PLAYLIST_BYTES: u64 = 4 << 20;

/// Most outputs of a step: six hours of a full ladder are some 40,000.
const OUTPUTS_MAX: usize = 100_000;

/// Most text of all playlists of a step, in bytes.
const PLAYLISTS_BYTES: usize = 32 << 20;

/// What was taken so far.
#[derive(Clone, Debug, Default)]
pub struct Taken {
    /// Size and hash by the path the step announced.
    pub outputs: BTreeMap<String, ObjectFacts>,
    /// The text of each media playlist, by the same path.
    pub playlists: BTreeMap<String, String>,
    /// Bytes of all playlists' text.
    playlists_bytes: usize,
}

/// Collects what was taken, from several uploads at once.
#[derive(Debug, Default)]
struct Collected(Mutex<Taken>);

impl Collected {
    /// Takes one output in. A child that announces without end must not fill the memory of its parent.
    fn add(&self, path: String, facts: ObjectFacts, playlist: Option<String>) -> Result<(), StepFailure> {
        let mut taken = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if taken.outputs.len() >= OUTPUTS_MAX {
            return Err(StepFailure::of(Cause::Unverified, "too many outputs"));
        }
        if let Some(text) = playlist {
            taken.playlists_bytes += text.len();
            if taken.playlists_bytes > PLAYLISTS_BYTES {
                return Err(StepFailure::of(Cause::Unverified, "the playlists are too large"));
            }
            taken.playlists.insert(path.clone(), text);
        }
        taken.outputs.insert(path, facts);
        Ok(())
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn facts() -> ObjectFacts {
        ObjectFacts { size_bytes: 1, sha256: String::new() }
    }

    #[test]
    fn a_child_that_announces_without_end_is_refused() {
        let collected = Collected::default();
        for number in 0..OUTPUTS_MAX {
            collected.add(format!("video/v240/{number}.m4s"), facts(), None).unwrap();
        }
        let refused = collected.add("video/v240/more.m4s".into(), facts(), None).unwrap_err();
        assert_eq!(refused.cause, Cause::Unverified);

        let collected = Collected::default();
        let text = "#".repeat(PLAYLIST_BYTES as usize);
        for number in 0..PLAYLISTS_BYTES / text.len() {
            collected.add(format!("video/v240/{number}.m3u8"), facts(), Some(text.clone())).unwrap();
        }
        let refused = collected.add("video/v240/more.m3u8".into(), facts(), Some("#".into())).unwrap_err();
        assert_eq!(refused.cause, Cause::Unverified);
    }
}
