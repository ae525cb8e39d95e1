//! The bytes of a PATCH on their way to storage: one part in memory, the rest durable.

use std::time::Duration;

use axum::body::{Body, BodyDataStream};
use bytes::{Bytes, BytesMut};
use chalkstream_formats::hex;
use chalkstream_store::{Kind, Store, layout};
use futures_util::StreamExt;
use sha2::{Digest, Sha256};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::problems::{gone, locked, wrong_offset};
use super::service::{Counters, Uploads};
use super::state::{self, RequestStart, Upload, load_hash, save_hash};
use crate::clock::now_ms;
use crate::problem::Problem;

/// A connection that delivers no byte for this long counts as dead.
const IDLE: Duration = Duration::from_secs(30);
/// On a slow connection the bytes of an unfinished part are made durable this often, so that a
/// server that dies costs no more.
const FLUSH: Duration = Duration::from_secs(20);
/// The pace of a connection is checked after each such time of waiting for it.
const PACE: Duration = Duration::from_secs(60);
/// A connection with fewer bytes in that time (4 KiB/s) counts as dead: it would hold a permit for
/// days.
const PACE_BYTES: u64 = 60 * 4096;

/// Why a body ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyEnd {
    /// The client sent everything it meant to.
    Complete,
    /// The connection broke, or delivered too little for too long.
    Disconnected,
    /// Another request took over the upload, or the server stops.
    Stopped,
    /// The client sent more bytes than the upload has.
    TooLong,
}

/// Bytes that are durable already and are sent once more.
struct RepeatedBytes {
    left_bytes: u64,
    /// Hash over all bytes up to the last of them that has arrived.
    hash: Sha256,
}

/// Stores the bytes of one PATCH.
pub struct Ingest<'a> {
    store: &'a Store,
    counters: &'a Counters,
    ttl_ms: u64,
    upload: &'a mut Upload,
    /// Bytes behind the last durable part; its first `upload.tail_bytes` are durable too.
    buffer: BytesMut,
    /// Hash over all bytes up to the end of `buffer`.
    hash: Option<Sha256>,
    flushed_at: Instant,
    /// Bytes to compare before new ones are stored.
    repeated: Option<RepeatedBytes>,
    /// The state as this request last read or wrote it.
    stored: Upload,
}

impl<'a> Ingest<'a> {
    /// Resumes where the durable bytes end.
    ///
    /// # Errors
    /// If the tail cannot be read; 409 if it is not the acknowledged one, and its bytes must be
    /// sent again.
    pub async fn resume(uploads: &'a Uploads, upload: &'a mut Upload) -> Result<Self, Problem> {
        let Some(tail) = durable_tail(&uploads.store, upload).await? else {
            forget_tail(&uploads.store, upload).await?;
            return Err(wrong_offset(upload));
        };
        let buffer = BytesMut::from(tail.as_ref());
        let mut hash = upload.resume_hash();
        if let Some(hash) = &mut hash {
            hash.update(&buffer);
        }
        let stored = upload.clone();
        Ok(Self {
            store: &uploads.store,
            counters: &uploads.counters,
            ttl_ms: uploads.limits.ttl_ms,
            upload,
            buffer,
            hash,
            flushed_at: Instant::now(),
            repeated: None,
            stored,
        })
    }

    /// Marks where the body begins: at the upload's offset, or where the last request began. In the
    /// latter case the durable bytes are compared, not written.
    ///
    /// # Errors
    /// 409 for any other offset.
    pub fn begin(&mut self, offset: u64) -> Result<(), Problem> {
        if offset == self.upload.offset() {
            self.upload.began = self.hash.as_ref().map(|hash| RequestStart { offset, hash: save_hash(hash) });
            return Ok(());
        }
        let began =
            self.upload.began.as_ref().filter(|_| self.upload.is_repeated(offset) && self.hash.is_some());
        let hash = began.and_then(|began| load_hash(&began.hash)).ok_or_else(|| wrong_offset(self.upload))?;
        self.repeated = Some(RepeatedBytes { left_bytes: self.upload.offset() - offset, hash });
        Ok(())
    }

    /// Reads the body to its end, then makes its bytes durable, whatever ended it.
    ///
    /// # Errors
    /// If storage refuses a write: what is durable stays so.
    pub async fn take(&mut self, body: Body, stop: &CancellationToken) -> Result<BodyEnd, Problem> {
        let ended = self.read(body.into_data_stream(), stop).await?;
        if !self.is_full() {
            self.flush().await?;
        }
        Ok(ended)
    }

    /// True if the last byte is in the buffer or durable.
    pub fn is_full(&self) -> bool {
        !self.upload.length_deferred && self.room() == 0
    }

    /// Bytes that the upload may still receive.
    fn room(&self) -> u64 {
        self.upload.size_bytes.saturating_sub(self.upload.parts_bytes() + self.buffer.len() as u64)
    }

    /// Makes the last bytes durable and marks the upload complete. Returns the content's SHA-256 if
    /// it is known, and the entire content if it never needed a part.
    ///
    /// # Errors
    /// If storage refuses a write.
    pub async fn complete(mut self) -> Result<(Option<String>, Option<Bytes>), Problem> {
        let mut small = None;
        if self.upload.parts.is_empty() {
            self.tail().await?;
            small = Some(self.buffer.split().freeze());
        } else if !self.buffer.is_empty() {
            self.part().await?;
        }
        self.upload.complete = true;
        self.save().await?;
        Ok((self.hash.map(|hash| hex::encode(&hash.finalize())), small))
    }

    async fn read(&mut self, mut body: BodyDataStream, stop: &CancellationToken) -> Result<BodyEnd, Problem> {
        let mut pace = Pace::default();
        loop {
            let asked = Instant::now();
            let chunk = tokio::select! {
                biased;
                () = stop.cancelled() => return Ok(BodyEnd::Stopped),
                chunk = tokio::time::timeout(IDLE, body.next()) => match chunk {
                    Ok(Some(Ok(chunk))) => chunk,
                    Ok(None) => return Ok(BodyEnd::Complete),
                    Ok(Some(Err(_))) | Err(_) => return Ok(BodyEnd::Disconnected),
                },
            };
            let alive = pace.keeps(asked.elapsed(), chunk.len());
            let mut chunk = chunk;
            self.counters.uploaded_bytes.inc_by(chunk.len() as u64);
            self.compare(&mut chunk)?;
            while !chunk.is_empty() {
                if self.room() == 0 {
                    return Ok(BodyEnd::TooLong);
                }
                let room = (self.upload.part_bytes - self.buffer.len() as u64).min(self.room());
                let taken = chunk.split_to(chunk.len().min(usize::try_from(room).unwrap_or(usize::MAX)));
                if let Some(hash) = &mut self.hash {
                    hash.update(&taken);
                }
                self.buffer.extend_from_slice(&taken);
                if self.buffer.len() as u64 >= self.upload.part_bytes && !self.is_full() {
                    self.part().await?;
                    self.save().await?;
                    self.flushed_at = Instant::now();
                }
            }
            if !alive {
                return Ok(BodyEnd::Disconnected);
            }
            if self.flushed_at.elapsed() >= FLUSH && !self.is_full() {
                self.flush().await?;
            }
        }
    }

    /// Removes and compares the bytes that are durable already.
    ///
    /// # Errors
    /// 409 if they differ.
    fn compare(&mut self, chunk: &mut Bytes) -> Result<(), Problem> {
        let Some(repeated) = &mut self.repeated else { return Ok(()) };
        let left = usize::try_from(repeated.left_bytes).unwrap_or(usize::MAX);
        let known = chunk.split_to(chunk.len().min(left));
        repeated.hash.update(&known);
        repeated.left_bytes -= known.len() as u64;
        if repeated.left_bytes == 0 {
            let same = self.hash.as_ref().map(|hash| hash.clone().finalize())
                == Some(repeated.hash.clone().finalize());
            self.repeated = None;
            if !same {
                return Err(wrong_offset(self.upload));
            }
        }
        Ok(())
    }

    /// Writes the buffer as the next part. The caller then writes the state that describes it.
    async fn part(&mut self) -> Result<(), Problem> {
        self.check().await?;
        let key = self.upload.source_key();
        let multipart = match &self.upload.multipart {
            Some(id) => id.clone(),
            None => {
                let id = self.store.create_multipart(&key).await?;
                self.upload.multipart = Some(id.clone());
                id
            }
        };
        let number = u32::try_from(self.upload.parts.len()).unwrap_or(u32::MAX).saturating_add(1);
        let body = self.buffer.split().freeze();
        let part = self.store.put_part(&key, &multipart, number, body).await.map_err(|error| {
            match error.kind {
                // Storage dropped it (a lifecycle rule on unfinished uploads), so it cannot
                // continue.
                Kind::NotFound => gone(),
                _ => error.into(),
            }
        })?;
        self.upload.parts.push(part);
        self.upload.keep_tail(&[]);
        self.upload.keep_hash(self.hash.as_ref());
        self.touch();
        Ok(())
    }

    /// Writes the buffer as the tail, then the state that describes it.
    async fn flush(&mut self) -> Result<(), Problem> {
        self.flushed_at = Instant::now();
        if self.tail().await? { self.save().await } else { Ok(()) }
    }

    /// Writes the buffer as the tail; `false` if it is the tail already. The caller then writes the
    /// state that describes it.
    async fn tail(&mut self) -> Result<bool, Problem> {
        if self.buffer.len() as u64 == self.upload.tail_bytes {
            return Ok(false);
        }
        self.check().await?;
        let body = Bytes::copy_from_slice(&self.buffer);
        self.store.put(&layout::upload_tail_key(&self.upload.tenant, &self.upload.id), body).await?;
        self.upload.keep_tail(&self.buffer);
        self.touch();
        Ok(true)
    }

    async fn save(&mut self) -> Result<(), Problem> {
        self.check().await?;
        state::write(self.store, self.upload).await?;
        self.stored = self.upload.clone();
        Ok(())
    }

    /// A lease may be lost without its holder knowing (a paused process, Redis away). A request
    /// that another one has overtaken writes no more.
    async fn check(&self) -> Result<(), Problem> {
        match state::read(self.store, &self.upload.tenant, &self.upload.id).await? {
            Some(stored) if stored == self.stored => Ok(()),
            Some(_) => Err(locked()),
            None => Err(gone()),
        }
    }

    fn touch(&mut self) {
        self.upload.expires_at_ms = now_ms() + self.ttl_ms;
    }
}

/// The durable bytes after the parts. `None` if they are not those that the state describes.
async fn durable_tail(store: &Store, upload: &Upload) -> Result<Option<Bytes>, Problem> {
    if upload.tail_bytes == 0 {
        return Ok(Some(Bytes::new()));
    }
    let stored = match store.get(&layout::upload_tail_key(&upload.tenant, &upload.id)).await {
        Err(error) if error.kind == Kind::NotFound => Bytes::new(),
        stored => stored?,
    };
    Ok(upload.tail_of(&stored).map(|tail| stored.slice_ref(tail)))
}

/// Goes back to the end of the parts: the bytes after them must be sent again.
async fn forget_tail(store: &Store, upload: &mut Upload) -> Result<(), Problem> {
    upload.keep_tail(&[]);
    upload.complete = false;
    state::write(store, upload).await
}

/// Guarantees that a PATCH at the upload's offset is accepted, whatever an earlier writer still
/// does.
///
/// The bytes before the offset are there, and no other request goes on writing. The turn and the
/// lease stop a writer sooner. This also holds if Redis is away, and for a server that was paused.
///
/// # Errors
/// If storage is away.
pub async fn fence(store: &Store, upload: &mut Upload) -> Result<(), Problem> {
    upload.fence += 1;
    if durable_tail(store, upload).await?.is_none() {
        return forget_tail(store, upload).await;
    }
    state::write(store, upload).await
}

/// Whether a connection delivers enough to keep its permit.
#[derive(Default)]
struct Pace {
    /// Time spent waiting for the client, without the time that our own storage took.
    waited: Duration,
    bytes: u64,
}

impl Pace {
    /// Counts what arrived after a wait; `false` if it was too little for the time.
    fn keeps(&mut self, waited: Duration, bytes: usize) -> bool {
        self.waited += waited;
        self.bytes += bytes as u64;
        if self.waited < PACE {
            return true;
        }
        std::mem::take(self).bytes >= PACE_BYTES
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_only_drips_loses_its_place() {
        let mut drips = Pace::default();
        let minute: Vec<bool> = (0..3).map(|_| drips.keeps(Duration::from_secs(29), 1)).collect();
        assert_eq!(minute, [true, true, false]);
        let mut slow = Pace::default();
        assert!(
            (0..3600).all(|_| slow.keeps(Duration::from_secs(1), 5_000)),
            "a bad line is one all the same"
        );
    }
}
