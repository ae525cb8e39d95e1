//! A reference to a resource of a recording (an object, or a range of one), and exact reads of
//! small ones.

use std::ops::Range;

use bytes::{Bytes, BytesMut};
use chalkstream_store::{Error, Kind, Location, ObjectBody, Store, layout};
use futures_util::StreamExt;

use crate::problem::Problem;

/// A resource of a recording.
#[derive(Clone, Debug)]
pub struct ObjectRef {
    /// Key relative to the recording.
    pub key: String,
    /// Key in storage of the object that it is, or is a range of.
    pub storage_key: String,
    /// Its size in bytes.
    pub size_bytes: u64,
    /// A hash that stands for its content.
    pub hash: String,
    /// Its range of the object; `None` if it is all of it.
    range: Option<Range<u64>>,
}

impl ObjectRef {
    /// The resource `key` of a recording, where it lies.
    pub fn new(tenant: &str, recording: &str, key: &str, location: Location) -> Self {
        let Location { object, range, size_bytes, hash } = location;
        let storage_key = layout::object_key(tenant, recording, &object);
        Self { key: key.to_owned(), storage_key, size_bytes, hash, range }
    }

    /// Reads the resource, or a range of it.
    ///
    /// # Errors
    /// If storage cannot be read, or the object is not as long as the resource.
    pub async fn open(&self, store: &Store, range: Option<Range<u64>>) -> Result<ObjectBody, Problem> {
        let length = range.as_ref().map_or(self.size_bytes, |range| range.end - range.start);
        let range = match (&self.range, range) {
            (None, range) => range,
            (Some(own), None) => Some(own.clone()),
            (Some(own), Some(range)) => Some(own.start + range.start..own.start + range.end),
        };
        let body = store.read(&self.storage_key, range).await.map_err(missing_object)?;
        if body.size_bytes != length {
            return Err(Problem::internal("object size differs from its manifest"));
        }
        Ok(body)
    }

    /// Reads a small resource into memory.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub async fn read(&self, store: &Store) -> Result<Bytes, Problem> {
        collect(self.open(store, None).await?).await
    }
}

/// Reads exactly `range` of an object into memory.
///
/// # Errors
/// If storage cannot be read, or the object is shorter than `range`.
pub async fn read_exact(store: &Store, key: &str, range: Range<u64>) -> Result<Bytes, Problem> {
    let length = range.end - range.start;
    let body = store.read(key, Some(range)).await.map_err(missing_object)?;
    if body.size_bytes != length {
        return Err(Problem::internal("object size differs from its manifest"));
    }
    collect(body).await
}

async fn collect(mut body: ObjectBody) -> Result<Bytes, Problem> {
    let mut bytes = BytesMut::with_capacity(body.size_bytes as usize);
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
