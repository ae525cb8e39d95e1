//! A file of which some bytes read differently.

use std::io;
use std::sync::Arc;

use crate::source::{ReadAt, Source};

/// Offset, and the bytes that stand there in place of the file's own.
pub type Patch = (u64, Vec<u8>);

/// The source with some bytes that read differently.
pub fn patched(inner: Source, patches: Vec<Patch>) -> Source {
    Arc::new(Patched { inner, patches })
}

/// A source in which some bytes read differently.
struct Patched {
    inner: Source,
    patches: Vec<Patch>,
}

impl ReadAt for Patched {
    fn size_bytes(&self) -> u64 {
        self.inner.size_bytes()
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read_at(offset, buf)?;
        for (at, bytes) in &self.patches {
            for (place, byte) in bytes.iter().enumerate() {
                let at = at + place as u64;
                if at >= offset && at < offset + read as u64 {
                    buf[(at - offset) as usize] = *byte;
                }
            }
        }
        Ok(read)
    }
}
