//! A source some of whose bytes are replaced.

use std::io;
use std::sync::Arc;

use crate::source::{ReadAt, Source};

/// An offset, and the bytes that replace the file's own there.
pub type Patch = (u64, Vec<u8>);

/// Returns the source with patches applied.
pub fn patched(inner: Source, patches: Vec<Patch>) -> Source {
    Arc::new(PatchedSource { inner, patches })
}

/// A source with patches applied.
struct PatchedSource {
    inner: Source,
    patches: Vec<Patch>,
}

impl ReadAt for PatchedSource {
    fn size_bytes(&self) -> u64 {
        self.inner.size_bytes()
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read_at(offset, buf)?;
        for (at, bytes) in &self.patches {
            for (index, byte) in bytes.iter().enumerate() {
                let at = at + index as u64;
                if at >= offset && at < offset + read as u64 {
                    buf[(at - offset) as usize] = *byte;
                }
            }
        }
        Ok(read)
    }
}
