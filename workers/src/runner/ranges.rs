//! Answers a child's range reads of a source that is in object storage, over a unix socket, a few
//! blocks at a time.
//!
//! A request is an offset (u64) and a length (u32), an answer a count (i32, -1 for an error) and
//! that many bytes, all little endian. An answer is short only at the end of the source.

use std::collections::VecDeque;
use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::task::JoinHandle;

use super::watch::Activity;

/// Bytes fetched from storage in one request.
pub const BLOCK_BYTES: u64 = 4 << 20;

/// Blocks kept; with the one that is being fetched ahead, memory stays below 24 MiB a step.
const BLOCKS_KEPT: usize = 4;

/// Longest answer, in bytes.
const MAX_ANSWER_BYTES: u32 = 1 << 20;

/// Something that can be read at any offset.
pub trait RangeReader: Send + Sync {
    /// The bytes of `range`, all of them.
    fn read(&self, range: Range<u64>) -> BoxFuture<'_, io::Result<Bytes>>;
}

/// Blocks of a source: the last few used, and the next one on its way while reading goes forward.
struct Blocks {
    reader: Arc<dyn RangeReader>,
    size_bytes: u64,
    kept: VecDeque<(u64, Bytes)>,
    ahead: Option<(u64, JoinHandle<io::Result<Bytes>>)>,
    last: Option<u64>,
}

impl Blocks {
    fn range(&self, block: u64) -> Range<u64> {
        let start = block * BLOCK_BYTES;
        start..(start + BLOCK_BYTES).min(self.size_bytes)
    }

    async fn block(&mut self, block: u64) -> io::Result<Bytes> {
        let found = match self.kept.iter().position(|(number, _)| *number == block) {
            Some(place) => self.kept.remove(place).map(|(_, bytes)| bytes),
            None => None,
        };
        let bytes = match found {
            Some(bytes) => bytes,
            None => self.fetch(block).await?,
        };
        let range = self.range(block);
        if bytes.len() as u64 != range.end - range.start {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.kept.push_back((block, bytes.clone()));
        if self.kept.len() > BLOCKS_KEPT {
            self.kept.pop_front();
        }
        self.look_ahead(block);
        Ok(bytes)
    }

    async fn fetch(&mut self, block: u64) -> io::Result<Bytes> {
        match self.ahead.take() {
            Some((number, fetching)) if number == block => fetching.await.map_err(io::Error::other)?,
            other => {
                if let Some((_, fetching)) = other {
                    fetching.abort();
                }
                self.reader.read(self.range(block)).await
            }
        }
    }

    /// Fetches the block after `block` where the child has just moved on to it from the one before.
    fn look_ahead(&mut self, block: u64) {
        let moved_on = self.last.is_some_and(|last| last + 1 == block);
        self.last = Some(block);
        let next = block + 1;
        let wanted = moved_on
            && next * BLOCK_BYTES < self.size_bytes
            && !self.kept.iter().any(|(number, _)| *number == next)
            && self.ahead.as_ref().is_none_or(|(number, _)| *number != next);
        if !wanted {
            return;
        }
        if let Some((_, fetching)) = self.ahead.take() {
            fetching.abort();
        }
        let (reader, range) = (Arc::clone(&self.reader), self.range(next));
        self.ahead = Some((next, tokio::spawn(async move { reader.read(range).await })));
    }

    /// At most `length` bytes at `offset`, within one block.
    async fn slice(&mut self, offset: u64, length: u64) -> io::Result<Bytes> {
        let bytes = self.block(offset / BLOCK_BYTES).await?;
        let from = (offset % BLOCK_BYTES) as usize;
        let to = (from as u64 + length).min(bytes.len() as u64) as usize;
        bytes.get(from..to).map(|part| bytes.slice_ref(part)).ok_or(io::ErrorKind::UnexpectedEof.into())
    }
}

impl Drop for Blocks {
    fn drop(&mut self) {
        if let Some((_, fetching)) = &self.ahead {
            fetching.abort();
        }
    }
}

/// Answers reads until the child hangs up. `failed` is set if storage failed: whatever the child
/// then says about its input is not to be believed.
pub async fn serve(
    mut socket: UnixStream,
    reader: Arc<dyn RangeReader>,
    size_bytes: u64,
    activity: Arc<Activity>,
    failed: Arc<AtomicBool>,
) -> io::Result<()> {
    let mut blocks = Blocks { reader, size_bytes, kept: VecDeque::new(), ahead: None, last: None };
    loop {
        let mut request = [0; 12];
        match socket.read_exact(&mut request).await {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(()),
            other => other?,
        };
        let (offset, length) = parse(&request);
        let end = offset.saturating_add(u64::from(length.min(MAX_ANSWER_BYTES))).min(size_bytes);
        let mut parts = Vec::new();
        let mut at = offset;
        let waiting = activity.waiting();
        while at < end {
            match blocks.slice(at, end - at).await {
                Ok(part) if part.is_empty() => break,
                Ok(part) => {
                    at += part.len() as u64;
                    parts.push(part);
                }
                Err(error) => {
                    tracing::warn!(error = %error, "a range of the source could not be read");
                    failed.store(true, Ordering::Release);
                    break;
                }
            }
        }
        drop(waiting);
        if failed.load(Ordering::Acquire) {
            socket.write_all(&(-1_i32).to_le_bytes()).await?;
            continue;
        }
        let count: usize = parts.iter().map(Bytes::len).sum();
        socket.write_all(&(count as i32).to_le_bytes()).await?;
        for part in parts {
            socket.write_all(&part).await?;
        }
    }
}

fn parse(request: &[u8; 12]) -> (u64, u32) {
    let mut offset = [0; 8];
    let mut length = [0; 4];
    offset.copy_from_slice(&request[..8]);
    length.copy_from_slice(&request[8..]);
    (u64::from_le_bytes(offset), u32::from_le_bytes(length))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::sync::Mutex;

    use super::*;

    struct MemoryReader {
        bytes: Bytes,
        asked: Mutex<Vec<Range<u64>>>,
        broken: bool,
    }

    impl RangeReader for MemoryReader {
        fn read(&self, range: Range<u64>) -> BoxFuture<'_, io::Result<Bytes>> {
            self.asked.lock().unwrap().push(range.clone());
            let answer = match self.broken {
                true => Err(io::Error::other("storage is away")),
                false => Ok(self.bytes.slice(range.start as usize..range.end as usize)),
            };
            Box::pin(std::future::ready(answer))
        }
    }

    fn memory(size: usize, broken: bool) -> Arc<MemoryReader> {
        let bytes: Vec<u8> = (0..size).map(|at| (at * 31 % 251) as u8).collect();
        Arc::new(MemoryReader { bytes: bytes.into(), asked: Mutex::default(), broken })
    }

    async fn ask(socket: &mut UnixStream, offset: u64, length: u32) -> Option<Vec<u8>> {
        socket.write_all(&offset.to_le_bytes()).await.unwrap();
        socket.write_all(&length.to_le_bytes()).await.unwrap();
        let count = socket.read_i32_le().await.unwrap();
        let mut bytes = vec![0; usize::try_from(count).ok()?];
        socket.read_exact(&mut bytes).await.unwrap();
        Some(bytes)
    }

    #[tokio::test]
    async fn any_range_is_answered_and_only_the_end_is_short() {
        let source = memory(3 * BLOCK_BYTES as usize + 100, false);
        let (mut child, parent) = UnixStream::pair().unwrap();
        let size = source.bytes.len() as u64;
        let activity = Arc::new(Activity::default());
        let server = tokio::spawn(serve(parent, source.clone(), size, activity, Arc::default()));
        for (offset, length) in [
            (0, 10),
            (BLOCK_BYTES - 3, 10),
            (BLOCK_BYTES * 2 - 1, 900_000),
            (size - 5, 50),
            (size, 5),
            (u64::MAX, 9),
        ] {
            let got = ask(&mut child, offset, length).await.unwrap();
            let from = offset.min(size) as usize;
            let to = offset.saturating_add(u64::from(length)).min(size) as usize;
            assert_eq!(got, source.bytes[from..to], "{offset} {length}");
        }
        drop(child);
        server.await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn a_block_is_fetched_once_while_it_is_used_and_the_next_one_ahead() {
        let source = memory(6 * BLOCK_BYTES as usize, false);
        let size = source.bytes.len() as u64;
        let (mut child, parent) = UnixStream::pair().unwrap();
        let server =
            tokio::spawn(serve(parent, source.clone(), size, Arc::new(Activity::default()), Arc::default()));
        let mut at = 0;
        while at < size {
            at += ask(&mut child, at, 300_000).await.unwrap().len() as u64;
        }
        drop(child);
        server.await.unwrap().unwrap();
        let asked = source.asked.lock().unwrap().clone();
        assert_eq!(asked.len(), 6, "each block once: {asked:?}");
    }

    #[tokio::test]
    async fn a_failing_storage_is_told_apart_from_a_bad_file() {
        let source = memory(100, true);
        let (mut child, parent) = UnixStream::pair().unwrap();
        let failed = Arc::new(AtomicBool::new(false));
        let server =
            tokio::spawn(serve(parent, source, 100, Arc::new(Activity::default()), Arc::clone(&failed)));
        assert_eq!(ask(&mut child, 0, 10).await, None);
        assert!(failed.load(Ordering::Acquire));
        drop(child);
        server.await.unwrap().unwrap();
    }
}
