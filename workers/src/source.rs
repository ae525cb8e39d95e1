//! A recording's bytes for a child: the file itself where storage has files, else range reads.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use chalkstream_store::Store;
use futures_util::TryStreamExt;
use futures_util::future::BoxFuture;

use crate::failure::{Cause, StepFailure};
use crate::runner::Source;
use crate::runner::ranges::RangeReader;
use crate::sink::storage;

/// Opens an object for a child.
pub async fn open(store: &Store, key: &str) -> Result<Source, StepFailure> {
    if let Some(path) = store.local_path(key) {
        let opened =
            tokio::task::spawn_blocking(move || File::open(path)).await.map_err(StepFailure::ours)?;
        return opened.map(Source::File).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => StepFailure::ours(error),
            _ => StepFailure::of(Cause::Storage, error),
        });
    }
    let size_bytes = store.head(key).await.map_err(storage)?;
    let reader = Arc::new(Stored { store: store.clone(), key: key.to_owned() });
    Ok(Source::Ranges { size_bytes, reader })
}

struct Stored {
    store: Store,
    key: String,
}

impl RangeReader for Stored {
    fn read(&self, range: Range<u64>) -> BoxFuture<'_, io::Result<Bytes>> {
        Box::pin(async move {
            let wanted = usize::try_from(range.end - range.start).map_err(io::Error::other)?;
            let body = self.store.read(&self.key, Some(range)).await.map_err(io::Error::other)?;
            let mut bytes = BytesMut::with_capacity(wanted);
            let mut stream = body.stream;
            while let Some(part) = stream.try_next().await.map_err(io::Error::other)? {
                bytes.extend_from_slice(&part);
            }
            Ok(bytes.freeze())
        })
    }
}
