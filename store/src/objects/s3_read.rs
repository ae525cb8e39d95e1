//! An object's bytes from S3 as they arrive, taken up again where a body breaks off.

use std::ops::Range;
use std::time::Duration;

use aws_sdk_s3::Client;
use aws_sdk_s3::primitives::ByteStream;
use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::{self, BoxStream};

use super::s3_client::{from_sdk, retry};
use crate::{Error, Result, jitter};

/// Times in a row that a body may break off without a byte.
const MAX_BREAKS: u32 = 5;

/// Servers read a range's end as a signed number.
const MAX_END_OFFSET: u64 = i64::MAX as u64;

/// One object to be read.
#[derive(Clone)]
pub(super) struct PartReader {
    pub(super) client: Client,
    pub(super) bucket: String,
    pub(super) key: String,
    /// Longest time without a byte.
    pub(super) stall: Duration,
    /// Longest time to go on asking while the server fails.
    pub(super) retry_for: Duration,
}

/// A body that has begun.
pub(super) struct Opened {
    pub(super) size_bytes: u64,
    etag: Option<String>,
    body: ByteStream,
    start: u64,
}

impl PartReader {
    /// Asks for a range (or all) and waits for the head of the answer.
    pub(super) async fn open(&self, range: Option<Range<u64>>, same: Option<&str>) -> Result<Opened> {
        retry(self.retry_for, || async {
            let header =
                range.as_ref().map(|r| format!("bytes={}-{}", r.start, r.end.min(MAX_END_OFFSET) - 1));
            let asked = self.client.get_object().bucket(&self.bucket).key(&self.key);
            let asked = asked.set_range(header).set_if_match(same.map(String::from));
            let answer = asked.send().await.map_err(from_sdk)?;
            let size_bytes = answer.content_length().and_then(|n| u64::try_from(n).ok());
            let size_bytes = size_bytes.ok_or_else(|| Error::corrupt("object storage gave no length"))?;
            if range.as_ref().is_some_and(|r| size_bytes > r.end - r.start) {
                return Err(Error::corrupt("object storage ignored the range"));
            }
            let etag = answer.e_tag().map(String::from);
            let start = range.as_ref().map_or(0, |r| r.start);
            Ok(Opened { size_bytes, etag, body: answer.body, start })
        })
        .await
    }

    /// The bytes of a body. Where it breaks off, the rest is asked for, of the same version of the
    /// object only.
    pub(super) fn stream(self, opened: Opened) -> BoxStream<'static, Result<Bytes>> {
        let end = opened.start + opened.size_bytes;
        let state = ReadState {
            reader: self,
            etag: opened.etag,
            body: Some(opened.body),
            at: opened.start,
            end,
            breaks: 0,
        };
        stream::unfold(Some(state), |state| async move {
            let mut state = state?;
            match state.next().await {
                Ok(Some(bytes)) => Some((Ok(bytes), Some(state))),
                Ok(None) => None,
                Err(error) => Some((Err(error), None)),
            }
        })
        .boxed()
    }
}

struct ReadState {
    reader: PartReader,
    etag: Option<String>,
    body: Option<ByteStream>,
    at: u64,
    end: u64,
    breaks: u32,
}

impl ReadState {
    async fn next(&mut self) -> Result<Option<Bytes>> {
        while self.at < self.end {
            let body = match &mut self.body {
                Some(body) => body,
                none => {
                    tokio::time::sleep(jitter::wait(self.breaks, 100, 2_000)).await;
                    let again = self.reader.open(Some(self.at..self.end), self.etag.as_deref()).await?;
                    none.insert(again.body)
                }
            };
            match tokio::time::timeout(self.reader.stall, body.next()).await {
                Ok(Some(Ok(bytes))) if !bytes.is_empty() => {
                    let left = self.end - self.at;
                    let bytes = if bytes.len() as u64 > left { bytes.slice(..left as usize) } else { bytes };
                    self.at += bytes.len() as u64;
                    self.breaks = 0;
                    return Ok(Some(bytes));
                }
                Ok(Some(Ok(_))) => {}
                // Stalled, broken off, or ended early.
                Err(_) | Ok(Some(Err(_))) | Ok(None) => {
                    self.body = None;
                    self.breaks += 1;
                    if self.breaks > MAX_BREAKS {
                        return Err(Error::unavailable("object storage broke off its answer"));
                    }
                }
            }
        }
        Ok(None)
    }
}
