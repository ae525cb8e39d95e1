//! Objects as files in a folder: for one machine, and for `up`.
//!
//! A write goes to a temporary file next to the objects, is flushed to the disk, gets its name by a
//! rename, and the folder that then names it is flushed as well: what answered is there after a
//! power cut.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use bytes::Bytes;
use chalkstream_formats::hex;
use futures_util::StreamExt;
use sha2::{Digest, Sha256};
use tokio_util::io::ReaderStream;

use super::fs_files::{self, Files};
use super::key::check_prefix;
use super::{Listed, MAX_GET_BYTES, ObjectBody, ObjectFacts, Objects, Part, check_key, fs_parts, fs_walk};
use crate::{Error, Kind, Result};

/// Bytes read at a time.
const CHUNK: usize = 256 << 10;
/// As with S3's default part size, so that uploads behave alike on both.
const PART_BYTES: u64 = 8 << 20;
/// Temporary files of a process that stopped are kept this long.
const LEFTOVERS_KEPT: Duration = Duration::from_secs(48 * 3600);
/// Parts of uploads are kept this long after the last one came. `server.upload_ttl_s` is at most 30
/// days, and an upload that expires removes its parts itself: only what a crash left is swept here.
const PARTS_KEPT: Duration = Duration::from_secs(35 * 86_400);

/// Objects as files in a folder.
#[derive(Clone)]
pub struct FsObjects {
    files: Files,
}

impl FsObjects {
    /// Opens the folder, and makes it where there is none.
    pub async fn open(root: &Path) -> Result<Self> {
        if root.as_os_str().is_empty() {
            return Err(Error::invalid("store.path is not set"));
        }
        let store = Self { files: Files { root: root.to_path_buf() } };
        store
            .blocking(|store| {
                std::fs::create_dir_all(store.files.root.join(fs_files::TMP))
                    .map_err(|e| Error::io("cannot make the folder", e))?;
                store.sweep();
                Ok(())
            })
            .await?;
        Ok(store)
    }

    /// Runs file work where it may block.
    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Self) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let store = self.clone();
        tokio::task::spawn_blocking(move || work(&store))
            .await
            .map_err(|e| Error::internal("file work stopped").with_source(e))?
    }

    fn path(&self, key: &str) -> Result<PathBuf> {
        check_key(key)?;
        Ok(self.files.root.join(key))
    }

    /// Removes old temporary files, and parts of uploads that nothing was added to; answers how
    /// many.
    fn sweep(&self) -> u64 {
        let now = SystemTime::now();
        let mut removed = 0;
        for (folder, kept) in [(fs_files::TMP, LEFTOVERS_KEPT), (fs_parts::FOLDER, PARTS_KEPT)] {
            for entry in std::fs::read_dir(self.files.root.join(folder)).into_iter().flatten().flatten() {
                let Ok(facts) = entry.metadata() else { continue };
                let age = facts.modified().ok().and_then(|at| now.duration_since(at).ok());
                if age.is_none_or(|age| age <= kept) {
                    continue;
                }
                let gone = if facts.is_dir() {
                    std::fs::remove_dir_all(entry.path())
                } else {
                    std::fs::remove_file(entry.path())
                };
                removed += u64::from(gone.is_ok());
            }
        }
        removed
    }
}

/// An existing object's file and size.
fn open_object(path: &Path) -> Result<(File, u64)> {
    let file = File::open(path).map_err(no_object)?;
    let facts = file.metadata().map_err(no_object)?;
    if !facts.is_file() {
        return Err(Error::not_found("no such object"));
    }
    Ok((file, facts.len()))
}

/// A part of the path that is a file means that the object is not there, as on S3.
pub(super) fn no_object(error: io::Error) -> Error {
    match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => Error::not_found("no such object"),
        _ => Error::io("cannot read an object", error),
    }
}

/// Copies and hashes.
fn copy(from: &mut File, to: &mut File) -> io::Result<ObjectFacts> {
    let mut hash = Sha256::new();
    let mut buffer = vec![0; CHUNK];
    let mut size_bytes = 0;
    loop {
        let n = from.read(&mut buffer)?;
        if n == 0 {
            return Ok(ObjectFacts { size_bytes, sha256: hex::encode(&hash.finalize()) });
        }
        hash.update(&buffer[..n]);
        to.write_all(&buffer[..n])?;
        size_bytes += n as u64;
    }
}

#[async_trait]
impl Objects for FsObjects {
    async fn put(&self, key: &str, body: Bytes) -> Result<()> {
        let target = self.path(key)?;
        self.blocking(move |store| store.files.write(&body, &target)).await
    }

    async fn put_file(&self, key: &str, path: &Path) -> Result<ObjectFacts> {
        let target = self.path(key)?;
        let path = path.to_path_buf();
        self.blocking(move |store| {
            let mut from = File::open(&path).map_err(|e| Error::io("cannot read the file to store", e))?;
            let (mut file, tmp) = store.files.tmp()?;
            let facts = copy(&mut from, &mut file).map_err(|e| {
                let _ = std::fs::remove_file(&tmp);
                Error::io("cannot write an object", e)
            })?;
            store.files.publish(file, &tmp, &target)?;
            Ok(facts)
        })
        .await
    }

    async fn get(&self, key: &str) -> Result<Bytes> {
        let path = self.path(key)?;
        self.blocking(move |_| {
            let (file, size_bytes) = open_object(&path)?;
            if size_bytes > MAX_GET_BYTES {
                return Err(Error::invalid("the object is too large to be read at once"));
            }
            let mut body = Vec::with_capacity(size_bytes as usize);
            // An object is never changed, only replaced: the open file stays what it was.
            file.take(MAX_GET_BYTES)
                .read_to_end(&mut body)
                .map_err(|e| Error::io("cannot read an object", e))?;
            Ok(Bytes::from(body))
        })
        .await
    }

    async fn read(&self, key: &str, range: Option<Range<u64>>) -> Result<ObjectBody> {
        let path = self.path(key)?;
        let (file, length) = self
            .blocking(move |_| {
                let (mut file, size_bytes) = open_object(&path)?;
                let range = super::clamp(range, size_bytes)?;
                file.seek(SeekFrom::Start(range.start)).map_err(|e| Error::io("cannot read an object", e))?;
                Ok((file, range.end - range.start))
            })
            .await?;
        let bytes = tokio::io::AsyncReadExt::take(tokio::fs::File::from_std(file), length);
        let stream = ReaderStream::with_capacity(bytes, CHUNK)
            .map(|read| read.map_err(|e| Error::io("cannot read an object", e)))
            .boxed();
        Ok(ObjectBody { size_bytes: length, stream: super::exactly(stream, length) })
    }

    async fn head(&self, key: &str) -> Result<u64> {
        let path = self.path(key)?;
        self.blocking(move |_| {
            let facts = std::fs::metadata(path).map_err(no_object)?;
            if facts.is_file() { Ok(facts.len()) } else { Err(Error::not_found("no such object")) }
        })
        .await
    }

    async fn list(&self, prefix: &str, after: Option<&str>, limit: usize) -> Result<Vec<Listed>> {
        check_prefix(prefix)?;
        let (prefix, after) = (prefix.to_string(), after.unwrap_or_default().to_string());
        self.blocking(move |store| fs_walk::list(&store.files.root, &prefix, &after, limit)).await
    }

    async fn list_dirs(&self, prefix: &str) -> Result<Vec<String>> {
        super::check_folder(prefix)?;
        let prefix = prefix.to_string();
        self.blocking(move |store| fs_walk::list_dirs(&store.files.root, &prefix)).await
    }

    async fn delete(&self, key: &str) -> Result<()> {
        let path = self.path(key)?;
        self.blocking(move |store| store.files.remove(&path)).await
    }

    async fn delete_many(&self, keys: &[String]) -> Result<()> {
        let paths = keys.iter().map(|key| self.path(key)).collect::<Result<Vec<_>>>()?;
        self.blocking(move |store| paths.iter().try_for_each(|path| store.files.remove(path))).await
    }

    async fn create_multipart(&self, key: &str) -> Result<String> {
        let target = self.path(key)?;
        self.blocking(move |store| fs_parts::create(&store.files, &target)).await
    }

    async fn put_part(&self, key: &str, upload: &str, number: u32, body: Bytes) -> Result<Part> {
        self.path(key)?;
        super::check_part_number(number)?;
        let upload = upload.to_string();
        self.blocking(move |store| fs_parts::put(&store.files, &upload, number, &body)).await
    }

    async fn complete_multipart(&self, key: &str, upload: &str, parts: &[Part]) -> Result<()> {
        let target = self.path(key)?;
        super::check_parts(parts)?;
        let (upload, parts) = (upload.to_string(), parts.to_vec());
        self.blocking(move |store| fs_parts::complete(&store.files, &upload, &parts, &target)).await
    }

    async fn abort_multipart(&self, key: &str, upload: &str) -> Result<()> {
        self.path(key)?;
        let upload = upload.to_string();
        self.blocking(move |store| fs_parts::abort(&store.files, &upload)).await
    }

    fn min_part_bytes(&self) -> u64 {
        PART_BYTES
    }

    fn local_path(&self, key: &str) -> Option<PathBuf> {
        self.path(key).ok()
    }

    async fn sweep_leftovers(&self) -> Result<u64> {
        self.blocking(|store| Ok(store.sweep())).await
    }

    async fn probe(&self) -> Result<()> {
        self.blocking(|store| match std::fs::metadata(store.files.root.join(fs_files::TMP)) {
            Ok(facts) if facts.is_dir() => Ok(()),
            _ => Err(Error::new(Kind::Unavailable, "the storage folder is not there")),
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn leftovers_go_when_they_are_old() {
        let folder = tempfile::tempdir().unwrap();
        let store = FsObjects::open(folder.path()).await.unwrap();
        let (old, fresh) =
            (store.create_multipart("t/r/a").await.unwrap(), store.create_multipart("t/r/b").await.unwrap());
        let old = folder.path().join(fs_parts::FOLDER).join(old);
        let (_, tmp) = store.files.tmp().unwrap();
        let fresh_path = folder.path().join(fs_parts::FOLDER).join(&fresh);
        // An upload may stand still for weeks.
        for (path, kept) in [(&old, PARTS_KEPT), (&tmp, LEFTOVERS_KEPT), (&fresh_path, LEFTOVERS_KEPT)] {
            let long_ago = SystemTime::now() - kept - Duration::from_secs(60);
            File::open(path).unwrap().set_modified(long_ago).unwrap();
        }
        assert_eq!(store.sweep_leftovers().await.unwrap(), 2);
        assert!(!old.exists() && !tmp.exists());
        store.put_part("t/r/b", &fresh, 1, Bytes::from_static(b"part")).await.unwrap();
        assert_eq!(store.sweep_leftovers().await.unwrap(), 0);
    }

    #[tokio::test]
    async fn parts_that_come_in_order_are_not_copied() {
        use std::os::unix::fs::MetadataExt;
        let folder = tempfile::tempdir().unwrap();
        let store = FsObjects::open(folder.path()).await.unwrap();
        let upload = store.create_multipart("t/r/a").await.unwrap();
        let put = async |number, bytes: &'static [u8]| {
            store.put_part("t/r/a", &upload, number, Bytes::from_static(bytes)).await.unwrap()
        };
        let first = put(1, b"one ").await;
        // The last one comes again, as after a lost answer, and is another one.
        put(2, b"something longer").await;
        let second = put(2, b"two ").await;
        let third = put(3, b"three").await;
        let joined = folder.path().join(fs_parts::FOLDER).join(&upload).join("joined");
        let before = std::fs::metadata(&joined).unwrap().ino();
        store.complete_multipart("t/r/a", &upload, &[first, second, third]).await.unwrap();
        let object = folder.path().join("t/r/a");
        assert_eq!(std::fs::read(&object).unwrap(), b"one two three");
        assert_eq!(std::fs::metadata(&object).unwrap().ino(), before);
    }

    #[tokio::test]
    async fn parts_in_any_order_and_earlier_ones_again_make_the_whole() {
        let folder = tempfile::tempdir().unwrap();
        let store = FsObjects::open(folder.path()).await.unwrap();
        let upload = store.create_multipart("t/r/a").await.unwrap();
        let put = async |number, bytes: &'static [u8]| {
            store.put_part("t/r/a", &upload, number, Bytes::from_static(bytes)).await.unwrap()
        };
        put(1, b"old").await;
        let second = put(2, b"two ").await;
        let fourth = put(4, b"four").await;
        let third = put(3, b"three ").await;
        let first = put(1, b"one ").await;
        store.complete_multipart("t/r/a", &upload, &[first, second, third, fourth]).await.unwrap();
        assert_eq!(std::fs::read(folder.path().join("t/r/a")).unwrap(), b"one two three four");
    }
}
