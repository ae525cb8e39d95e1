//! Sources of bytes: a file, or range reads that the parent process serves over a unix socket.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{FromRawFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use serde::{Deserialize, Serialize};

/// Random access to the bytes of a source.
pub trait ReadAt: Send + Sync {
    /// Size, in bytes.
    fn size_bytes(&self) -> u64;
    /// Reads up to `buf.len()` bytes at `offset`; 0 only at the end.
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize>;
}

/// A shared source.
pub type Source = Arc<dyn ReadAt>;

/// Fills `buf` from `offset`, up to the end of the source. Returns the number of bytes read.
pub fn read_full(source: &dyn ReadAt, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
    let mut done = 0;
    while done < buf.len() {
        match source.read_at(offset + done as u64, &mut buf[done..])? {
            0 => break,
            n => done += n,
        }
    }
    Ok(done)
}

/// A local file.
pub struct FileSource {
    file: File,
    size_bytes: u64,
}

impl FileSource {
    /// Opens a file by its path.
    pub fn open(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        let size_bytes = file.metadata()?.len();
        Ok(Self { file, size_bytes })
    }
}

impl ReadAt for FileSource {
    fn size_bytes(&self) -> u64 {
        self.size_bytes
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        self.file.read_at(buf, offset)
    }
}

/// Range reads over a unix stream socket.
///
/// A request is a little-endian `u64` offset and `u32` length. The response is an `i32` count, -1
/// for a failed read, followed by that many bytes.
pub struct RangeSource {
    socket: Mutex<UnixStream>,
    size_bytes: u64,
}

impl RangeSource {
    /// Creates a source that is read over `socket`.
    pub fn new(socket: UnixStream, size_bytes: u64) -> Self {
        Self { socket: Mutex::new(socket), size_bytes }
    }

    /// Creates a source from an inherited descriptor, and takes ownership of it.
    #[allow(unsafe_code)]
    pub fn from_descriptor(descriptor: i32, size_bytes: u64) -> io::Result<Self> {
        // SAFETY: the parent passes this descriptor for the child to own. The child opens its
        // source once, before anything else could get the same number.
        let owned = unsafe { OwnedFd::from_raw_fd(descriptor) };
        Ok(Self::new(UnixStream::from(owned), size_bytes))
    }
}

impl ReadAt for RangeSource {
    fn size_bytes(&self) -> u64 {
        self.size_bytes
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        if offset >= self.size_bytes || buf.is_empty() {
            return Ok(0);
        }
        let wanted = buf.len().min(1 << 20).min((self.size_bytes - offset) as usize);
        let mut socket = self.socket.lock().unwrap_or_else(PoisonError::into_inner);
        let mut request = [0; 12];
        request[..8].copy_from_slice(&offset.to_le_bytes());
        request[8..].copy_from_slice(&(wanted as u32).to_le_bytes());
        socket.write_all(&request)?;
        let mut count = [0; 4];
        socket.read_exact(&mut count)?;
        let count = usize::try_from(i32::from_le_bytes(count))
            .map_err(|_| io::Error::other("the source could not be read"))?;
        if count > wanted {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "more bytes than asked for"));
        }
        socket.read_exact(&mut buf[..count])?;
        Ok(count)
    }
}

/// A range of bytes in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ByteRange {
    /// Offset of its first byte.
    pub begins_at: u64,
    /// Its size, in bytes.
    pub size_bytes: u64,
}

impl ByteRange {
    /// Returns a source of this range alone.
    pub fn view(self, file: Source) -> Source {
        Arc::new(SourceView { file, range: self })
    }
}

struct SourceView {
    file: Source,
    range: ByteRange,
}

impl ReadAt for SourceView {
    fn size_bytes(&self) -> u64 {
        self.range.size_bytes
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        let left = self.range.size_bytes.saturating_sub(offset).min(buf.len() as u64) as usize;
        self.file.read_at(self.range.begins_at.saturating_add(offset), &mut buf[..left])
    }
}

/// A source with other bytes in front of it.
pub struct PrefixedSource {
    /// The bytes in front.
    pub front: Vec<u8>,
    /// The source that follows.
    pub inner: Source,
}

impl ReadAt for PrefixedSource {
    fn size_bytes(&self) -> u64 {
        self.inner.size_bytes() + self.front.len() as u64
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        let length = self.front.len() as u64;
        if offset >= length {
            return self.inner.read_at(offset - length, buf);
        }
        let rest = &self.front[offset as usize..];
        let read = rest.len().min(buf.len());
        buf[..read].copy_from_slice(&rest[..read]);
        Ok(read)
    }
}

/// Bytes in memory, for tests.
#[cfg(test)]
pub struct Bytes(pub Vec<u8>);

#[cfg(test)]
impl ReadAt for Bytes {
    fn size_bytes(&self) -> u64 {
        self.0.len() as u64
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        let rest = self.0.get(offset as usize..).unwrap_or_default();
        let n = rest.len().min(buf.len());
        buf[..n].copy_from_slice(&rest[..n]);
        Ok(n)
    }
}
