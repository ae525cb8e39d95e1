//! Objects in a bucket behind the S3 API.

use std::fs::File;
use std::io::Read;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_s3::Client;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{CompletedMultipartUpload, CompletedPart};
use bytes::{Bytes, BytesMut};
use chalkstream_config as config;
use chalkstream_formats::hex;
use futures_util::StreamExt;
use futures_util::stream::FuturesOrdered;
use sha2::{Digest, Sha256};

use super::key::check_prefix;
use super::s3_client::{self, from_sdk, retry};
use super::s3_delete::{Remover, fine_if_absent};
use super::s3_read::PartReader;
use super::{Listed, MAX_GET_BYTES, ObjectBody, ObjectFacts, Objects, Part, check_key};
use crate::{Error, Kind, Result};

/// S3 takes no smaller part but the last.
const MIN_PART_BYTES: u64 = 5 << 20;
/// Most parts of one upload.
const MAX_PARTS: u64 = 10_000;
/// Parts of one file on their way at once: with the one being read, all the memory an upload takes.
const MAX_PARTS_AT_ONCE: usize = 3;
/// Most entries of one listing request.
const PAGE: usize = 1_000;

/// Objects in a bucket behind the S3 API.
pub struct S3Objects {
    client: Client,
    bucket: String,
    /// Empty, or ends with a slash.
    prefix: String,
    part_bytes: u64,
    stall: Duration,
    retry_for: Duration,
}

impl S3Objects {
    /// A client of the configured server; nothing is sent yet.
    pub async fn open(settings: &config::S3) -> Result<Self> {
        if !settings.prefix.is_empty() {
            check_key(&settings.prefix)
                .map_err(|_| Error::invalid("store.s3.prefix is not the beginning of a key"))?;
        }
        Ok(Self {
            client: s3_client::client(settings).await?,
            bucket: settings.bucket.clone(),
            prefix: if settings.prefix.is_empty() { String::new() } else { format!("{}/", settings.prefix) },
            part_bytes: settings.part_bytes.max(MIN_PART_BYTES),
            stall: Duration::from_millis(settings.request_timeout_ms.max(1)),
            retry_for: Duration::from_millis(settings.retry_for_ms),
        })
    }

    fn full(&self, key: &str) -> Result<String> {
        check_key(key)?;
        Ok(format!("{}{key}", self.prefix))
    }

    fn remover(&self) -> Remover<'_> {
        Remover { client: &self.client, bucket: &self.bucket, retry_for: self.retry_for }
    }

    fn reader(&self, key: &str) -> Result<PartReader> {
        Ok(PartReader {
            client: self.client.clone(),
            bucket: self.bucket.clone(),
            key: self.full(key)?,
            stall: self.stall,
            retry_for: self.retry_for,
        })
    }

    async fn put_parts(
        &self,
        key: &str,
        upload: &str,
        mut file: File,
        part_bytes: u64,
    ) -> Result<(Vec<Part>, Sha256)> {
        let mut hash = Sha256::new();
        let mut on_way = FuturesOrdered::new();
        let mut parts = Vec::new();
        for number in 1u32.. {
            let read = tokio::task::spawn_blocking(move || {
                let body = read_part(&mut file, part_bytes)?;
                hash.update(&body);
                Ok::<_, Error>((file, hash, body))
            });
            let body;
            (file, hash, body) =
                read.await.map_err(|e| Error::internal("file work stopped").with_source(e))??;
            if body.is_empty() {
                break;
            }
            if on_way.len() == MAX_PARTS_AT_ONCE
                && let Some(done) = on_way.next().await
            {
                parts.push(done?);
            }
            on_way.push_back(self.put_part(key, upload, number, body));
        }
        while let Some(done) = on_way.next().await {
            parts.push(done?);
        }
        Ok((parts, hash))
    }
}

/// The next `part_bytes` of a file; fewer only at its end.
fn read_part(file: &mut File, part_bytes: u64) -> Result<Bytes> {
    let mut body = Vec::new();
    file.by_ref()
        .take(part_bytes)
        .read_to_end(&mut body)
        .map_err(|e| Error::io("cannot read the file to store", e))?;
    Ok(Bytes::from(body))
}

#[async_trait]
impl Objects for S3Objects {
    async fn put(&self, key: &str, body: Bytes) -> Result<()> {
        let full = self.full(key)?;
        retry(self.retry_for, || async {
            let put = self.client.put_object().bucket(&self.bucket).key(&full);
            put.body(ByteStream::from(body.clone())).send().await.map(drop).map_err(from_sdk)
        })
        .await
    }

    async fn put_file(&self, key: &str, path: &Path) -> Result<ObjectFacts> {
        self.full(key)?;
        let failed = |e| Error::io("cannot read the file to store", e);
        let mut file = tokio::fs::File::open(path).await.map_err(failed)?.into_std().await;
        let size_bytes = file.metadata().map_err(failed)?.len();
        if size_bytes <= self.part_bytes {
            let body = read_part(&mut file, self.part_bytes)?;
            let facts = ObjectFacts::from_bytes(&body);
            self.put(key, body).await?;
            return Ok(facts);
        }
        let part_bytes = self.part_bytes.max(size_bytes.div_ceil(MAX_PARTS));
        let upload = self.create_multipart(key).await?;
        let stored = async {
            let (parts, hash) = self.put_parts(key, &upload, file, part_bytes).await?;
            self.complete_multipart(key, &upload, &parts).await?;
            let size_bytes = parts.iter().map(|part| part.size_bytes).sum();
            Ok(ObjectFacts { size_bytes, sha256: hex::encode(&hash.finalize()) })
        }
        .await;
        if stored.is_err() {
            // Best effort: what stays is for the bucket's own rule on abandoned uploads.
            let _ = self.abort_multipart(key, &upload).await;
        }
        stored
    }

    async fn get(&self, key: &str) -> Result<Bytes> {
        let reader = self.reader(key)?;
        let opened = reader.open(None, None).await?;
        if opened.size_bytes > MAX_GET_BYTES {
            return Err(Error::invalid("the object is too large to be read at once"));
        }
        let mut body = BytesMut::with_capacity(opened.size_bytes as usize);
        let mut stream = reader.stream(opened);
        while let Some(bytes) = stream.next().await {
            body.extend_from_slice(&bytes?);
        }
        Ok(body.freeze())
    }

    async fn read(&self, key: &str, range: Option<Range<u64>>) -> Result<ObjectBody> {
        let reader = self.reader(key)?;
        if let Some(range) = &range
            && range.start >= range.end
        {
            // S3 has no way to ask for nothing.
            super::clamp(Some(range.clone()), self.head(key).await?)?;
            return Ok(ObjectBody { size_bytes: 0, stream: futures_util::stream::empty().boxed() });
        }
        let opened = reader.open(range, None).await?;
        Ok(ObjectBody { size_bytes: opened.size_bytes, stream: reader.stream(opened) })
    }

    async fn head(&self, key: &str) -> Result<u64> {
        let full = self.full(key)?;
        retry(self.retry_for, || async {
            let answer =
                self.client.head_object().bucket(&self.bucket).key(&full).send().await.map_err(from_sdk)?;
            let length = answer.content_length().and_then(|n| u64::try_from(n).ok());
            length.ok_or_else(|| Error::corrupt("object storage gave no length"))
        })
        .await
    }

    async fn list(&self, prefix: &str, after: Option<&str>, limit: usize) -> Result<Vec<Listed>> {
        check_prefix(prefix)?;
        let mut found: Vec<Listed> = Vec::new();
        let mut after = after.filter(|a| !a.is_empty()).map(|a| format!("{}{a}", self.prefix));
        while found.len() < limit {
            let want = (limit - found.len()).min(PAGE);
            let answer = retry(self.retry_for, || async {
                let list = self
                    .client
                    .list_objects_v2()
                    .bucket(&self.bucket)
                    .prefix(format!("{}{prefix}", self.prefix));
                let list = list.set_start_after(after.clone()).max_keys(want as i32);
                list.send().await.map_err(from_sdk)
            })
            .await?;
            for object in answer.contents() {
                let Some(full) = object.key() else { continue };
                let size_bytes = object.size().and_then(|n| u64::try_from(n).ok()).unwrap_or_default();
                after = Some(full.to_string());
                if let Some(key) = full.strip_prefix(&self.prefix).filter(|key| check_key(key).is_ok()) {
                    // Every server we know gives an entity tag; some test servers give only a time.
                    let written = object.last_modified().map(|at| (at.secs(), at.subsec_nanos()));
                    let tag = super::tag(&(object.e_tag(), written));
                    found.push(Listed { key: key.to_string(), size_bytes, tag });
                }
            }
            if answer.contents().is_empty() || !answer.is_truncated().unwrap_or(false) {
                break;
            }
        }
        Ok(found)
    }

    async fn list_dirs(&self, prefix: &str) -> Result<Vec<String>> {
        super::check_folder(prefix)?;
        let full = format!("{}{prefix}", self.prefix);
        let mut names = Vec::new();
        let mut token: Option<String> = None;
        loop {
            let answer = retry(self.retry_for, || async {
                let list = self.client.list_objects_v2().bucket(&self.bucket).prefix(&full).delimiter("/");
                list.set_continuation_token(token.clone()).send().await.map_err(from_sdk)
            })
            .await?;
            for folder in answer.common_prefixes() {
                let name =
                    folder.prefix().and_then(|p| p.strip_prefix(&full)).and_then(|p| p.strip_suffix('/'));
                if let Some(name) = name.filter(|name| check_key(name).is_ok()) {
                    names.push(name.to_string());
                }
            }
            token = answer.next_continuation_token().map(String::from);
            if token.is_none() || !answer.is_truncated().unwrap_or(false) {
                names.sort_unstable();
                names.dedup();
                return Ok(names);
            }
        }
    }

    async fn delete(&self, key: &str) -> Result<()> {
        self.remover().one(&self.full(key)?).await
    }

    async fn delete_many(&self, keys: &[String]) -> Result<()> {
        let keys = keys.iter().map(|key| self.full(key)).collect::<Result<Vec<_>>>()?;
        self.remover().many(&keys).await
    }

    async fn create_multipart(&self, key: &str) -> Result<String> {
        let full = self.full(key)?;
        retry(self.retry_for, || async {
            let create = self.client.create_multipart_upload().bucket(&self.bucket).key(&full);
            let answer = create.send().await.map_err(from_sdk)?;
            answer
                .upload_id()
                .map(String::from)
                .ok_or_else(|| Error::corrupt("object storage gave no upload id"))
        })
        .await
    }

    async fn put_part(&self, key: &str, upload: &str, number: u32, body: Bytes) -> Result<Part> {
        let full = self.full(key)?;
        super::check_part_number(number)?;
        retry(self.retry_for, || async {
            let put = self.client.upload_part().bucket(&self.bucket).key(&full).upload_id(upload);
            let put = put.part_number(number as i32).body(ByteStream::from(body.clone()));
            let answer = put.send().await.map_err(from_sdk)?;
            let etag = answer.e_tag().ok_or_else(|| Error::corrupt("object storage gave no etag"))?;
            Ok(Part { number, etag: etag.to_string(), size_bytes: body.len() as u64 })
        })
        .await
    }

    async fn complete_multipart(&self, key: &str, upload: &str, parts: &[Part]) -> Result<()> {
        let full = self.full(key)?;
        super::check_parts(parts)?;
        let completed = parts
            .iter()
            .map(|part| CompletedPart::builder().part_number(part.number as i32).e_tag(&part.etag).build());
        let completed = CompletedMultipartUpload::builder().set_parts(Some(completed.collect())).build();
        let mut tries = 0;
        let joined = retry(self.retry_for, || {
            tries += 1;
            let complete =
                self.client.complete_multipart_upload().bucket(&self.bucket).key(&full).upload_id(upload);
            let complete = complete.multipart_upload(completed.clone());
            async { complete.send().await.map(drop).map_err(from_sdk) }
        })
        .await;
        match joined {
            // An answer that was lost on the way: the try before this one did it.
            Err(error) if error.kind == Kind::NotFound && tries > 1 => {
                let size_bytes: u64 = parts.iter().map(|part| part.size_bytes).sum();
                if self.head(key).await? == size_bytes { Ok(()) } else { Err(error) }
            }
            answered => answered,
        }
    }

    async fn abort_multipart(&self, key: &str, upload: &str) -> Result<()> {
        let full = self.full(key)?;
        let aborted = retry(self.retry_for, || async {
            let abort =
                self.client.abort_multipart_upload().bucket(&self.bucket).key(&full).upload_id(upload);
            abort.send().await.map(drop).map_err(from_sdk)
        })
        .await;
        fine_if_absent(aborted)
    }

    fn min_part_bytes(&self) -> u64 {
        self.part_bytes
    }

    fn local_path(&self, _key: &str) -> Option<PathBuf> {
        None
    }

    async fn probe(&self) -> Result<()> {
        // One try: the caller wants to know how it is now.
        let list = self.client.list_objects_v2().bucket(&self.bucket).prefix(&self.prefix).max_keys(1);
        list.send().await.map(drop).map_err(from_sdk)
    }
}
