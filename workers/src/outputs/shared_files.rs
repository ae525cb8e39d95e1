//! Segments wait here until their neighbours are there, and are then joined to one file.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use chalkstream_formats::hex;
use chalkstream_store::{InventoryPart, ObjectFacts};
use sha2::{Digest, Sha256};
use tempfile::TempDir;

use super::keys;
use crate::failure::{Cause, StepFailure};
use crate::runner::outputs::Output;

/// Most segments that wait at once: those of a ladder are some hundred.
const MAX_WAITING: usize = 4_096;
/// Most bytes of segments that wait at once: by its bitrates, a ladder needs some 80 MB.
const MAX_WAITING_BYTES: u64 = 1 << 30;

/// Segments of a step that wait for their neighbours.
pub struct SharedFiles {
    folder: TempDir,
    waiting: Mutex<WaitingSegments>,
}

#[derive(Default)]
struct WaitingSegments {
    /// By the path of the file that they will share, then by number.
    files: BTreeMap<String, BTreeMap<u32, Output>>,
    segments: usize,
    bytes: u64,
}

/// Segments that share a file, in order.
pub struct SharedFile {
    /// Its path.
    pub path: String,
    segments: Vec<Output>,
}

impl SharedFiles {
    /// Keeps segments in a folder of its own below `scratch`, until this is dropped.
    pub fn new(scratch: &Path) -> io::Result<Self> {
        let folder = tempfile::Builder::new().prefix("segments-").tempdir_in(scratch)?;
        Ok(Self { folder, waiting: Mutex::default() })
    }

    /// Takes a segment by number and path of its file. Returns that file once it has all segments.
    pub fn take(
        &self,
        segment: Output,
        number: u32,
        path: String,
    ) -> Result<Option<SharedFile>, StepFailure> {
        let file = self.folder.path().join(segment.path.replace('/', "+"));
        std::fs::rename(&segment.file, &file).map_err(StepFailure::machine)?;
        let mut guard = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let waiting = &mut *guard;
        waiting.segments += 1;
        waiting.bytes += segment.size_bytes;
        if waiting.segments > MAX_WAITING || waiting.bytes > MAX_WAITING_BYTES {
            return Err(StepFailure::new(Cause::Unverified, "too many segments wait for their neighbours"));
        }
        let segments = waiting.files.entry(path.clone()).or_default();
        if segments.insert(number, Output { file, ..segment }).is_some() {
            return Err(StepFailure::new(Cause::Unverified, "a segment was announced twice"));
        }
        if !keys::is_full(segments.len()) {
            return Ok(None);
        }
        let segments = waiting.files.remove(&path).unwrap_or_default();
        waiting.segments -= segments.len();
        waiting.bytes -= segments.values().map(|segment| segment.size_bytes).sum::<u64>();
        Ok(Some(SharedFile { path, segments: segments.into_values().collect() }))
    }

    /// The files that still wait for segments, as they are.
    pub fn rest(&self) -> Vec<SharedFile> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let file = |(path, segments): (String, BTreeMap<u32, Output>)| SharedFile {
            path,
            segments: segments.into_values().collect(),
        };
        std::mem::take(&mut *waiting).files.into_iter().map(file).collect()
    }

    /// Where a file is joined.
    pub fn target(&self, file: &SharedFile) -> PathBuf {
        self.folder.path().join(file.path.replace('/', "+"))
    }
}

impl SharedFile {
    /// Paths of the segments.
    pub fn segments(&self) -> Vec<String> {
        self.segments.iter().map(|segment| segment.path.clone()).collect()
    }

    /// Joins the segments to a file, removes them, and returns the parts.
    ///
    /// Hashes are of the bytes as they were joined, so a child that writes on cannot falsify them.
    pub fn join(&self, target: &Path) -> Result<Vec<InventoryPart>, StepFailure> {
        let mut file = File::create(target).map_err(StepFailure::machine)?;
        let mut parts = Vec::with_capacity(self.segments.len());
        for segment in &self.segments {
            let facts = append(&segment.file, &mut file).map_err(StepFailure::machine)?;
            if facts.size_bytes != segment.size_bytes {
                return Err(StepFailure::new(Cause::Unverified, "an output changed after it was announced"));
            }
            let name = segment.path.rsplit('/').next().unwrap_or_default().to_owned();
            parts.push(InventoryPart { name, facts });
            std::fs::remove_file(&segment.file).map_err(StepFailure::machine)?;
        }
        Ok(parts)
    }
}

fn append(from: &Path, to: &mut File) -> io::Result<ObjectFacts> {
    let mut from = File::open(from)?;
    let (mut digest, mut size_bytes) = (Sha256::new(), 0);
    let mut block = vec![0; 256 << 10];
    loop {
        let read = from.read(&mut block)?;
        if read == 0 {
            return Ok(ObjectFacts { size_bytes, sha256: hex::encode(&digest.finalize()) });
        }
        digest.update(&block[..read]);
        to.write_all(&block[..read])?;
        size_bytes += read as u64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn segment(folder: &Path, number: u32, size_bytes: u64) -> Output {
        let file = folder.join(format!("{number}.m4s"));
        std::fs::write(&file, b"x").unwrap();
        Output { path: format!("video/v240/{number:05}.m4s"), file, size_bytes }
    }

    /// How many segments that never complete a file are taken.
    fn taken(size_bytes: u64, limit: usize) -> usize {
        let folder = tempfile::tempdir().unwrap();
        let files = SharedFiles::new(folder.path()).unwrap();
        let accepted = (0..limit).take_while(|index| {
            let number = u32::try_from(*index).unwrap() * 100;
            files.take(segment(folder.path(), number, size_bytes), number, format!("{number}.mp4")).is_ok()
        });
        accepted.count()
    }

    #[test]
    fn numbers_with_gaps_do_not_fill_the_disk() {
        assert_eq!(taken(1, MAX_WAITING + 10), MAX_WAITING);
        assert_eq!(taken(MAX_WAITING_BYTES / 4, 10), 4);
    }
}
