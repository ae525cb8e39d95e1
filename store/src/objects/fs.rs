//! Objects as files in a folder.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;

use super::{Listed, ObjectBody, ObjectFacts, Objects, Part};
use crate::{Error, Result};

/// Objects as files in a folder.
pub struct FsObjects {
    root: PathBuf,
}

impl FsObjects {
    /// Opens (and makes) the folder.
    pub async fn open(root: &Path) -> Result<Self> {
        Ok(Self { root: root.into() })
    }
}

fn soon<T>() -> Result<T> {
    Err(Error::internal("not built yet"))
}

#[async_trait]
impl Objects for FsObjects {
    async fn put(&self, _key: &str, _body: Bytes) -> Result<()> {
        soon()
    }
    async fn put_file(&self, _key: &str, _path: &Path) -> Result<ObjectFacts> {
        soon()
    }
    async fn get(&self, _key: &str) -> Result<Bytes> {
        soon()
    }
    async fn read(&self, _key: &str, _range: Option<Range<u64>>) -> Result<ObjectBody> {
        soon()
    }
    async fn head(&self, _key: &str) -> Result<u64> {
        soon()
    }
    async fn list(&self, _prefix: &str, _after: Option<&str>, _limit: usize) -> Result<Vec<Listed>> {
        soon()
    }
    async fn list_dirs(&self, _prefix: &str) -> Result<Vec<String>> {
        soon()
    }
    async fn delete(&self, _key: &str) -> Result<()> {
        soon()
    }
    async fn create_multipart(&self, _key: &str) -> Result<String> {
        soon()
    }
    async fn put_part(&self, _key: &str, _upload: &str, _number: u32, _body: Bytes) -> Result<Part> {
        soon()
    }
    async fn complete_multipart(&self, _key: &str, _upload: &str, _parts: &[Part]) -> Result<()> {
        soon()
    }
    async fn abort_multipart(&self, _key: &str, _upload: &str) -> Result<()> {
        soon()
    }
    async fn presign_get(&self, _key: &str, _valid: Duration) -> Result<Option<String>> {
        soon()
    }
    fn min_part_bytes(&self) -> u64 {
        8 << 20
    }
    fn local_path(&self, key: &str) -> Option<PathBuf> {
        super::check_key(key).ok().map(|()| self.root.join(key))
    }
    async fn probe(&self) -> Result<()> {
        soon()
    }
}
