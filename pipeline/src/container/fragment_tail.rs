//! Both ends of a large MP4 in fragments, without what lies between.
//!
//! Browsers, and recorders that were stopped, do not write the lengths of tracks into such a file.
//! Only the last fragments have them.

use std::io;
use std::sync::Arc;

use super::box_header::{BoxHeader, MAX_HEADER_BYTES};
use crate::source::{ReadAt, Source, read_full};

/// Bytes at the end of the file that the view keeps.
const MAX_TAIL_BYTES: u64 = 24 << 20;
/// Most boxes before the end of the first fragment.
const MAX_BOXES: usize = 1000;
/// Bytes that are searched at once.
const SEARCH_BYTES: usize = 1 << 20;
/// Bytes that identify a fragment: size and type of its box, and of the box it starts with.
const FRAGMENT_START_BYTES: usize = 16;

/// The file with an empty box in place of the fragments between the first and the last ones.
/// `None` if there is nothing to leave out.
pub fn sparse_view(source: &Source) -> io::Result<Option<Source>> {
    let Some(from) = first_fragment_end(source.as_ref())? else { return Ok(None) };
    let tail = source.size_bytes().saturating_sub(MAX_TAIL_BYTES);
    let tail = tail.max(from + FRAGMENT_START_BYTES as u64);
    let Some(until) = find_fragment(source.as_ref(), tail)? else { return Ok(None) };
    Ok(Some(Arc::new(SparseView { file: source.clone(), from, until })))
}

/// Offset of the first fragment among the last bytes.
pub fn last_fragment(source: &dyn ReadAt) -> io::Result<Option<u64>> {
    find_fragment(source, source.size_bytes().saturating_sub(MAX_TAIL_BYTES))
}

/// Offset of the end of the first fragment and its samples.
fn first_fragment_end(source: &dyn ReadAt) -> io::Result<Option<u64>> {
    let (mut offset, mut has_fragment) = (0_u64, false);
    for _ in 0..MAX_BOXES {
        let mut bytes = [0; MAX_HEADER_BYTES];
        if read_full(source, offset, &mut bytes)? < bytes.len() {
            return Ok(None);
        }
        let Some(header) = BoxHeader::parse(&bytes) else { return Ok(None) };
        let is_fragment = &header.kind == b"moof";
        if has_fragment && is_fragment {
            return Ok(Some(offset));
        }
        has_fragment |= is_fragment;
        if header.size_bytes < 8 {
            return Ok(None);
        }
        offset = offset.saturating_add(header.size_bytes);
    }
    Ok(None)
}

/// Offset of the first fragment at `offset` or after it.
fn find_fragment(source: &dyn ReadAt, mut offset: u64) -> io::Result<Option<u64>> {
    let mut block = vec![0; SEARCH_BYTES];
    loop {
        let read = read_full(source, offset, &mut block)?;
        let position = block[..read]
            .windows(FRAGMENT_START_BYTES)
            .position(|start| &start[4..8] == b"moof" && &start[12..16] == b"mfhd");
        if let Some(position) = position {
            return Ok(Some(offset + position as u64));
        }
        if read < block.len() {
            return Ok(None);
        }
        // A fragment may start in the last bytes of the block.
        offset += (read - FRAGMENT_START_BYTES + 1) as u64;
    }
}

/// A file whose middle is one empty box.
struct SparseView {
    file: Source,
    /// Offset of the empty box.
    from: u64,
    /// Offset of its end.
    until: u64,
}

impl ReadAt for SparseView {
    fn size_bytes(&self) -> u64 {
        self.file.size_bytes()
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        if offset >= self.until {
            return self.file.read_at(offset, buf);
        }
        if offset < self.from {
            let length = buf.len().min((self.from - offset) as usize);
            return self.file.read_at(offset, &mut buf[..length]);
        }
        let length = buf.len().min((self.until - offset) as usize);
        let size = (self.until - self.from).to_be_bytes();
        let header = [&1_u32.to_be_bytes()[..], b"free", &size].concat();
        for (byte, position) in buf[..length].iter_mut().zip(offset - self.from..) {
            *byte = header.get(position as usize).copied().unwrap_or(0);
        }
        Ok(length)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::source::Bytes;

    fn boxed(kind: &[u8; 4], content: &[u8]) -> Vec<u8> {
        [&(content.len() as u32 + 8).to_be_bytes()[..], kind, content].concat()
    }

    fn fragment(samples: usize) -> Vec<u8> {
        [boxed(b"moof", &boxed(b"mfhd", &[0; 8])), boxed(b"mdat", &vec![7; samples])].concat()
    }

    #[test]
    fn the_middle_is_an_empty_box() {
        let front = [boxed(b"ftyp", b"isom"), boxed(b"moov", &[0; 100]), fragment(1000)].concat();
        let middle = fragment(30 << 20);
        let file = [&front[..], &middle, &fragment(50), &fragment(60)].concat();
        let source: Source = Arc::new(Bytes(file.clone()));
        let view = sparse_view(&source).unwrap().unwrap();
        let mut read = vec![0; file.len()];
        assert_eq!(read_full(view.as_ref(), 0, &mut read).unwrap(), file.len());
        let after = front.len() + middle.len();
        assert!(read[..front.len()] == front && read[after..] == file[after..]);
        assert_eq!(
            &read[front.len()..][..16],
            [&[0, 0, 0, 1][..], b"free", &(middle.len() as u64).to_be_bytes()].concat()
        );
        assert!(read[front.len() + 16..after].iter().all(|&byte| byte == 0));
    }

    #[test]
    fn a_file_without_fragments_has_no_view() {
        let plain: Source = Arc::new(Bytes([boxed(b"ftyp", b"isom"), boxed(b"mdat", &[0; 100])].concat()));
        assert!(sparse_view(&plain).unwrap().is_none());
        let one: Source = Arc::new(Bytes([boxed(b"moov", b""), fragment(100)].concat()));
        assert!(sparse_view(&one).unwrap().is_none());
    }
}
