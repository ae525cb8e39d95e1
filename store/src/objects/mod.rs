//! Object storage: one trait, two backends (a folder, a bucket behind the S3 API), one contract for
//! both.

mod fs;
mod fs_files;
mod fs_parts;
mod fs_walk;
mod key;
mod pager;
mod s3;
mod s3_client;
mod s3_delete;
mod s3_read;

#[cfg(test)]
mod contract;
#[cfg(test)]
mod s3_access_tests;

use std::hash::{DefaultHasher, Hash, Hasher};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use chalkstream_config as config;
use chalkstream_formats::hex;
use futures_util::stream::BoxStream;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

pub use fs::FsObjects;
pub use key::check_key;
pub(crate) use pager::{all_keys, in_time, list_all_of};
pub use pager::{delete_prefix, delete_where, list_all};
pub use s3::S3Objects;

use crate::{Error, Result};

/// Most bytes [`Objects::get`] reads into memory.
pub const MAX_GET_BYTES: u64 = 64 << 20;

/// Object storage shared by everything in a process.
pub type Store = Arc<dyn Objects>;

/// Size and hash of an object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObjectFacts {
    /// Size in bytes.
    pub size_bytes: u64,
    /// SHA-256 as lower-case hex.
    pub sha256: String,
}

impl ObjectFacts {
    /// The facts of an object with these bytes.
    pub fn from_bytes(bytes: &[u8]) -> Self {
        Self { size_bytes: bytes.len() as u64, sha256: sha256_hex(bytes) }
    }
}

/// One object of a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Full key.
    pub key: String,
    /// Size in bytes.
    pub size_bytes: u64,
    /// Changes with the content: hash of the storage's entity tag, or of the time of the write.
    pub tag: u64,
}

/// One part of a multipart upload that is durable.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// Number, from 1.
    pub number: u32,
    /// The storage's name for its content.
    pub etag: String,
    /// Size in bytes.
    pub size_bytes: u64,
}

/// An object's bytes as they arrive.
pub struct ObjectBody {
    /// Bytes this body holds (of the range, where one was asked for).
    pub size_bytes: u64,
    /// The bytes; an error where fewer than `size_bytes` could be had.
    pub stream: BoxStream<'static, Result<Bytes>>,
}

/// Object storage. Keys are as [`check_key`] allows; a key is never also a folder of others.
///
/// Every write is complete or not there, and durable once it returned. Every call ends within its
/// backend's limits, with [`Kind::Unavailable`](crate::Kind::Unavailable) where the storage did not
/// answer.
#[async_trait]
pub trait Objects: Send + Sync {
    /// Writes a small object, over whatever was there.
    async fn put(&self, key: &str, body: Bytes) -> Result<()>;

    /// Writes a file of any size, reading it once; in parts above the part size.
    async fn put_file(&self, key: &str, path: &Path) -> Result<ObjectFacts>;

    /// Reads an object of at most [`MAX_GET_BYTES`].
    async fn get(&self, key: &str) -> Result<Bytes>;

    /// Reads an object or a range of it. A range's end past the object's is cut; a range that
    /// starts at or past the end is refused as invalid input (an empty range gives no bytes).
    async fn read(&self, key: &str, range: Option<Range<u64>>) -> Result<ObjectBody>;

    /// Size in bytes.
    async fn head(&self, key: &str) -> Result<u64>;

    /// At most `limit` objects whose key starts with `prefix` and is greater than `after`, in byte
    /// order.
    async fn list(&self, prefix: &str, after: Option<&str>, limit: usize) -> Result<Vec<Listed>>;

    /// Names (without slashes) of the folders right under `prefix`, which is empty or ends with a
    /// slash; sorted.
    async fn list_dirs(&self, prefix: &str) -> Result<Vec<String>>;

    /// Removes an object; one that is not there is fine.
    async fn delete(&self, key: &str) -> Result<()>;

    /// Removes any number of objects with as few requests as the storage allows; those that are not
    /// there are fine. After an error some may be left.
    async fn delete_many(&self, keys: &[String]) -> Result<()>;

    /// Starts an upload in parts; returns its id.
    async fn create_multipart(&self, key: &str) -> Result<String>;

    /// Writes part `number` (1 to 10,000), over an earlier one of that number. All but the last
    /// have at least [`Objects::min_part_bytes`].
    async fn put_part(&self, key: &str, upload: &str, number: u32, body: Bytes) -> Result<Part>;

    /// Makes the object of its parts, in order.
    async fn complete_multipart(&self, key: &str, upload: &str, parts: &[Part]) -> Result<()>;

    /// Drops an upload and its parts; one that is not there is fine.
    async fn abort_multipart(&self, key: &str, upload: &str) -> Result<()>;

    /// Fewest bytes of a part that is not the last: the unit in which uploads become durable.
    fn min_part_bytes(&self) -> u64;

    /// The file behind an object, where the backend has files.
    fn local_path(&self, key: &str) -> Option<PathBuf>;

    /// Removes what writes and uploads that were never finished left behind days ago; answers how
    /// many that were. Nothing where the storage does so itself: a bucket has a rule for it.
    async fn sweep_leftovers(&self) -> Result<u64> {
        Ok(0)
    }

    /// A cheap check that the storage answers.
    async fn probe(&self) -> Result<()>;
}

/// Opens the configured storage. Nothing is sent to an S3 server yet; see [`Objects::probe`].
pub async fn open(settings: &config::Store) -> Result<Store> {
    match settings.kind {
        config::StoreKind::Fs => Ok(Arc::new(FsObjects::open(&settings.path).await?)),
        config::StoreKind::S3 => Ok(Arc::new(S3Objects::open(&settings.s3).await?)),
    }
}

/// The tag of an object by what its storage says about its content.
fn tag(facts: &impl Hash) -> u64 {
    // Its keys are fixed, so all servers compute the same.
    let mut hasher = DefaultHasher::new();
    facts.hash(&mut hasher);
    hasher.finish()
}

/// Returns the SHA-256 of the bytes as lower-case hex.
pub fn sha256_hex(bytes: &[u8]) -> String {
    hex::encode(&Sha256::digest(bytes))
}

/// Refuses what is not a folder: empty, or the beginning of a key that ends with a slash.
fn check_folder(prefix: &str) -> Result<()> {
    key::check_prefix(prefix)?;
    if prefix.is_empty() || prefix.ends_with('/') {
        Ok(())
    } else {
        Err(Error::invalid("not a folder of objects"))
    }
}

fn check_part_number(number: u32) -> Result<()> {
    if (1..=10_000).contains(&number) { Ok(()) } else { Err(Error::invalid("not a part number")) }
}

/// Parts that can be joined: at least one, in order.
fn check_parts(parts: &[Part]) -> Result<()> {
    if !parts.is_empty() && parts.is_sorted_by(|a, b| a.number < b.number) {
        Ok(())
    } else {
        Err(Error::invalid("an upload needs parts, in order"))
    }
}

/// The range that is really there.
fn clamp(range: Option<Range<u64>>, size_bytes: u64) -> Result<Range<u64>> {
    let Some(range) = range else { return Ok(0..size_bytes) };
    let end = range.end.min(size_bytes);
    if range.start > range.end
        || range.start > size_bytes
        || (range.start == size_bytes && range.end > range.start)
    {
        return Err(Error::invalid("the range lies outside the object"));
    }
    Ok(range.start..end)
}

/// The same stream, with an error at its end where it was shorter than promised.
fn exactly(stream: BoxStream<'static, Result<Bytes>>, size_bytes: u64) -> BoxStream<'static, Result<Bytes>> {
    use futures_util::StreamExt;
    let left = size_bytes;
    futures_util::stream::unfold((stream, left, false), |(mut stream, left, over)| async move {
        if over {
            return None;
        }
        match stream.next().await {
            Some(Ok(bytes)) => {
                let left = left.saturating_sub(bytes.len() as u64);
                Some((Ok(bytes), (stream, left, false)))
            }
            Some(Err(error)) => Some((Err(error), (stream, left, true))),
            None if left > 0 => {
                Some((Err(Error::corrupt("an object is shorter than it was")), (stream, left, true)))
            }
            None => None,
        }
    })
    .fuse()
    .boxed()
}
