//! A reference to an object of a recording, and exact reads of small objects.

use std::ops::Range;

use bytes::{Bytes, BytesMut};
use chalkstream_store::{Error, Kind, ObjectFacts, Store, layout};
use futures_util::StreamExt;

use crate::problem::Problem;

/// An object of a recording, as its manifest describes it.
#[derive(Clone, Copy)]
pub struct ObjectRef<'a> {
    /// The recording's tenant.
    pub tenant: &'a str,
    /// The recording.
    pub recording: &'a str,
    /// Key relative to the recording.
    pub key: &'a str,
    /// The manifest's facts about it.
    pub facts: &'a ObjectFacts,
}

impl ObjectRef<'_> {
    /// The key in storage.
    pub fn storage_key(&self) -> String {
        layout::object_key(self.tenant, self.recording, self.key)
    }
}

/// Reads exactly `range` of an object into memory.
///
/// # Errors
/// If storage cannot be read, or the object is shorter than `range`.
pub async fn read_exact(store: &Store, key: &str, range: Range<u64>) -> Result<Bytes, Problem> {
    let length = range.end - range.start;
    let mut body = store.read(key, Some(range)).await.map_err(missing_object)?;
    if body.size_bytes != length {
        return Err(Problem::internal("object size differs from its manifest"));
    }
    let mut bytes = BytesMut::with_capacity(length as usize);
    while let Some(chunk) = body.stream.next().await {
        bytes.extend_from_slice(&chunk?);
    }
    Ok(bytes.freeze())
}

/// An object that the manifest names and storage lacks is our fault, not the viewer's.
pub fn missing_object(error: Error) -> Problem {
    match error.kind {
        Kind::NotFound => Problem::internal("object of a manifest is missing"),
        _ => error.into(),
    }
}
