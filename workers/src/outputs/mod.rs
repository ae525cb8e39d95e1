//! Destinations of a step's outputs: object storage, or a folder.

mod folder;
pub mod keys;
mod objects;
mod shared_files;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use chalkstream_store::{InventoryObject, ObjectFacts};

use crate::failure::{Cause, StepFailure};

pub use folder::FolderSink;
pub use objects::ObjectSink;

/// Largest media playlist kept for checking: six hours of segments take 200 kB.
const MAX_PLAYLIST_BYTES: u64 = 4 << 20;

/// Most outputs of a step: six hours of a full ladder are some 40,000.
const MAX_OUTPUTS: usize = 100_000;

/// Most text of all playlists of a step.
const MAX_PLAYLISTS_BYTES: usize = 32 << 20;

/// The outputs of a step that were collected.
#[derive(Clone, Debug, Default)]
pub struct CollectedOutputs {
    /// Size and hash by the path the step announced.
    pub files: BTreeMap<String, ObjectFacts>,
    /// The text of each media playlist, by the same path.
    pub playlists: BTreeMap<String, String>,
    /// Files that segments share, by path.
    shared: BTreeMap<String, InventoryObject>,
    /// Bytes of all playlists' text.
    playlists_bytes: usize,
}

impl CollectedOutputs {
    /// The stored objects that `is_kept` keeps, by key of the attempt with this fence.
    pub fn into_objects(
        self,
        fence: u64,
        is_kept: impl Fn(&str) -> bool,
    ) -> BTreeMap<String, InventoryObject> {
        let shared = self.shared;
        let own = self
            .files
            .into_iter()
            .filter(|(path, _)| keys::segment(path).is_none_or(|(_, file)| !shared.contains_key(&file)));
        let own = own.map(|(path, facts)| (path, InventoryObject { facts, parts: Vec::new() }));
        let own: Vec<_> = own.collect();
        let kept = own.into_iter().chain(shared).filter(|(path, _)| is_kept(path));
        kept.map(|(path, object)| (keys::object(&path, fence), object)).collect()
    }
}

/// Collects outputs, from several uploads at once.
#[derive(Debug, Default)]
struct Collector(Mutex<CollectedOutputs>);

impl Collector {
    /// Adds one output. A child that announces without end must not fill the memory of its parent.
    fn add(&self, path: String, facts: ObjectFacts, playlist: Option<String>) -> Result<(), StepFailure> {
        let mut outputs = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if outputs.files.len() >= MAX_OUTPUTS {
            return Err(StepFailure::new(Cause::Unverified, "too many outputs"));
        }
        if let Some(text) = playlist {
            outputs.playlists_bytes += text.len();
            if outputs.playlists_bytes > MAX_PLAYLISTS_BYTES {
                return Err(StepFailure::new(Cause::Unverified, "the playlists are too large"));
            }
            outputs.playlists.insert(path.clone(), text);
        }
        outputs.files.insert(path, facts);
        Ok(())
    }

    /// Adds the file at `shared` and the segments in it, by path.
    fn add_shared(
        &self,
        shared: &str,
        object: InventoryObject,
        segments: impl IntoIterator<Item = String>,
    ) -> Result<(), StepFailure> {
        for (path, part) in segments.into_iter().zip(&object.parts) {
            self.add(path, part.facts.clone(), None)?;
        }
        let mut outputs = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match outputs.shared.insert(shared.to_owned(), object) {
            None => Ok(()),
            Some(_) => Err(StepFailure::new(Cause::Unverified, "a segment was announced twice")),
        }
    }

    fn into_outputs(self) -> CollectedOutputs {
        self.0.into_inner().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns the text of an output that is a media playlist; `None` for any other file.
async fn playlist(path: &str, file: &Path, size_bytes: u64) -> Result<Option<String>, StepFailure> {
    if !path.ends_with(".m3u8") || size_bytes > MAX_PLAYLIST_BYTES {
        return Ok(None);
    }
    tokio::fs::read_to_string(file).await.map(Some).map_err(StepFailure::machine)
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
        let collected = Collector::default();
        for number in 0..MAX_OUTPUTS {
            collected.add(format!("video/v240/{number}.m4s"), facts(), None).unwrap();
        }
        let refused = collected.add("video/v240/more.m4s".into(), facts(), None).unwrap_err();
        assert_eq!(refused.cause, Cause::Unverified);

        let collected = Collector::default();
        let text = "#".repeat(MAX_PLAYLIST_BYTES as usize);
        for number in 0..MAX_PLAYLISTS_BYTES / text.len() {
            collected.add(format!("video/v240/{number}.m3u8"), facts(), Some(text.clone())).unwrap();
        }
        let refused = collected.add("video/v240/more.m3u8".into(), facts(), Some("#".into())).unwrap_err();
        assert_eq!(refused.cause, Cause::Unverified);
    }
}
