//! A recording's bytes for a child: the file itself where storage has files, else range reads.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use chalkstream_store::Store;
use futures_util::TryStreamExt;
use futures_util::future::BoxFuture;

use crate::failure::{Cause, StepFailure};
use crate::outage::wait_out;
use crate::runner::Source;
use crate::runner::ranges::RangeReader;

/// Opens an object for a child. Reads go on for `outage_limit` while storage is away.
pub async fn open(store: &Store, key: &str, outage_limit: Duration) -> Result<Source, StepFailure> {
    if let Some(path) = store.local_path(key) {
        let opened =
            tokio::task::spawn_blocking(move || File::open(path)).await.map_err(StepFailure::ours)?;
        return opened.map(Source::File).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => StepFailure::ours(error),
            _ => StepFailure::new(Cause::Storage, error),
        });
    }
    open_parts(store, &[key.to_owned()], outage_limit).await
}

/// As [`open`], objects that a child sees as one.
pub async fn open_parts(
    store: &Store,
    keys: &[String],
    outage_limit: Duration,
) -> Result<Source, StepFailure> {
    let mut parts = Vec::new();
    for key in keys {
        let size_bytes = store.head(key).await.map_err(StepFailure::storage)?;
        parts.push((Stored { store: store.clone(), key: key.clone(), outage_limit }, size_bytes));
    }
    Ok(joined(parts))
}

/// Opens files for a child that sees them as one.
pub fn open_files(files: &[PathBuf]) -> io::Result<Source> {
    let parts = files.iter().map(|path| {
        let file = File::open(path)?;
        let size_bytes = file.metadata()?.len();
        Ok((Arc::new(file), size_bytes))
    });
    Ok(joined(parts.collect::<io::Result<_>>()?))
}

fn joined<R: RangeReader + 'static>(parts: Vec<(R, u64)>) -> Source {
    let size_bytes = parts.iter().map(|(_, size_bytes)| size_bytes).sum();
    Source::Ranges { size_bytes, reader: Arc::new(PartSources(parts)) }
}

/// Readers and their sizes, one after the other.
struct PartSources<R>(Vec<(R, u64)>);

impl<R: RangeReader> RangeReader for PartSources<R> {
    fn read(&self, range: Range<u64>) -> BoxFuture<'_, io::Result<Bytes>> {
        Box::pin(async move {
            let mut bytes = BytesMut::new();
            let mut begin = 0;
            for (part, size_bytes) in &self.0 {
                let own = range.start.max(begin)..range.end.min(begin + size_bytes);
                if own == range {
                    return part.read(own.start - begin..own.end - begin).await;
                }
                if own.start < own.end {
                    bytes.extend_from_slice(&part.read(own.start - begin..own.end - begin).await?);
                }
                begin += size_bytes;
            }
            Ok(bytes.freeze())
        })
    }
}

impl RangeReader for Arc<File> {
    fn read(&self, range: Range<u64>) -> BoxFuture<'_, io::Result<Bytes>> {
        let file = Arc::clone(self);
        Box::pin(async move {
            let read = move || {
                let mut bytes = vec![0; (range.end - range.start) as usize];
                file.read_exact_at(&mut bytes, range.start).map(|()| bytes.into())
            };
            tokio::task::spawn_blocking(read).await.map_err(io::Error::other)?
        })
    }
}

struct Stored {
    store: Store,
    key: String,
    outage_limit: Duration,
}

impl Stored {
    async fn read_once(&self, range: Range<u64>) -> chalkstream_store::Result<Bytes> {
        let wanted = (range.end - range.start) as usize;
        let mut body = self.store.read(&self.key, Some(range)).await?;
        let mut bytes = BytesMut::with_capacity(wanted);
        while let Some(part) = body.stream.try_next().await? {
            bytes.extend_from_slice(&part);
        }
        Ok(bytes.freeze())
    }
}

impl RangeReader for Stored {
    fn read(&self, range: Range<u64>) -> BoxFuture<'_, io::Result<Bytes>> {
        Box::pin(async move {
            let read = || async { self.read_once(range.clone()).await.map_err(StepFailure::storage) };
            wait_out(self.outage_limit, read).await.map_err(|failure| io::Error::other(failure.detail))
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[tokio::test]
    async fn parts_are_read_as_one() {
        let folder = tempfile::tempdir().unwrap();
        let files: Vec<PathBuf> = ["abc", "", "defg", "h"]
            .iter()
            .enumerate()
            .map(|(number, text)| {
                let path = folder.path().join(number.to_string());
                std::fs::write(&path, text).unwrap();
                path
            })
            .collect();
        let Source::Ranges { size_bytes, reader } = open_files(&files).unwrap() else { panic!("no ranges") };
        assert_eq!(size_bytes, 8);
        for (range, expected) in [(0..8, "abcdefgh"), (2..4, "cd"), (3..7, "defg"), (7..8, "h"), (1..1, "")] {
            assert_eq!(reader.read(range).await.unwrap(), expected);
        }
    }
}
