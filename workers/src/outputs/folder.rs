//! Outputs into a folder, for `process`.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use chalkstream_formats::hex;
use chalkstream_store::ObjectFacts;
use futures_util::future::BoxFuture;
use sha2::{Digest, Sha256};

use super::{CollectedOutputs, Collector, keys, playlist};
use crate::failure::StepFailure;
use crate::runner::outputs::{Output, OutputSink};

/// Moves outputs into a folder.
#[derive(Debug)]
pub struct FolderSink {
    root: PathBuf,
    collected: Collector,
}

impl FolderSink {
    /// Moves outputs below `root`.
    pub fn new(root: &Path) -> Self {
        Self { root: root.to_owned(), collected: Collector::default() }
    }

    /// The outputs that were moved.
    pub fn into_outputs(self) -> CollectedOutputs {
        self.collected.into_outputs()
    }
}

impl OutputSink for FolderSink {
    fn take(&self, output: Output) -> BoxFuture<'_, Result<(), StepFailure>> {
        Box::pin(async move {
            let text = playlist(&output.path, &output.file, output.size_bytes).await?;
            let to = self.root.join(keys::file(&output.path));
            let from = output.file.clone();
            let sha256 = tokio::task::spawn_blocking(move || move_hashed(&from, &to))
                .await
                .map_err(StepFailure::ours)?
                .map_err(StepFailure::machine)?;
            let facts = ObjectFacts { size_bytes: output.size_bytes, sha256 };
            self.collected.add(output.path, facts, text)
        })
    }
}

/// Moves a file, also between file systems, and returns its hex SHA-256.
fn move_hashed(from: &Path, to: &Path) -> io::Result<String> {
    if let Some(folder) = to.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let sha256 = hash(from)?;
    match std::fs::rename(from, to) {
        Err(error) if error.kind() == io::ErrorKind::CrossesDevices => std::fs::copy(from, to).map(drop)?,
        other => other?,
    }
    Ok(sha256)
}

/// Hex SHA-256 of a file.
fn hash(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    let mut digest = Sha256::new();
    let mut block = vec![0; 256 << 10];
    loop {
        match file.read(&mut block)? {
            0 => break,
            n => digest.update(&block[..n]),
        }
    }
    Ok(hex::encode(&digest.finalize()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[tokio::test]
    async fn an_output_is_moved_and_hashed() {
        let folder = tempfile::tempdir().unwrap();
        let made = folder.path().join("made.m3u8");
        std::fs::write(&made, b"abc").unwrap();
        let root = folder.path().join("out");
        let sink = FolderSink::new(&root);
        let path = "video/v240/index.m3u8".to_owned();
        sink.take(Output { path: path.clone(), file: made.clone(), size_bytes: 3 }).await.unwrap();
        assert!(!made.exists());
        assert_eq!(std::fs::read(root.join("hls/video/v240/index.m3u8")).unwrap(), b"abc");
        let outputs = sink.into_outputs();
        assert_eq!(outputs.playlists[&path], "abc");
        // FIPS 180-2, appendix B.1.
        let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(outputs.files[&path], ObjectFacts { size_bytes: 3, sha256: abc.into() });
    }
}
