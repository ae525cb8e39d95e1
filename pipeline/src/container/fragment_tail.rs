//! Both ends of a large MP4 in fragments. Nothing in it says how long its tracks are where it was recorded by a browser, or where
//! whoever recorded it was stopped: their last fragments do.

use std::io;
use std::sync::Arc;

use crate::source::{ReadAt, Source, read_full};

/// Of the end, this much is read.
const LAST_BYTES: u64 = 24 << 20;
/// Most boxes before the first fragment's end.
const MOST_BOXES: usize = 1000;
/// How much is looked through at once.
const BLOCK: usize = 1 << 20;
/// Of a fragment's front: its size, its name, and those of the box it begins with.
const FRONT: usize = 16;

/// The file without what lies between its first fragment and the last ones; none where there is no such thing to leave out.
pub fn of(source: &Source) -> io::Result<Option<Source>> {
    let Some(from) = first_fragments_end(source.as_ref())? else { return Ok(None) };
    let late = source.size_bytes().saturating_sub(LAST_BYTES).max(from + FRONT as u64);
    let Some(until) = fragment_after(source.as_ref(), late)? else { return Ok(None) };
    Ok(Some(Arc::new(Ends { file: source.clone(), from, until })))
}

/// Where the first fragment among the last bytes begins.
pub fn last_fragment(source: &dyn ReadAt) -> io::Result<Option<u64>> {
    fragment_after(source, source.size_bytes().saturating_sub(LAST_BYTES))
}

/// Where the first fragment ends with its samples.
fn first_fragments_end(source: &dyn ReadAt) -> io::Result<Option<u64>> {
    let (mut at, mut begun) = (0_u64, false);
    for _ in 0..MOST_BOXES {
        let mut head = [0; 16];
        if read_full(source, at, &mut head)? < head.len() {
            return Ok(None);
        }
        let kind = [head[4], head[5], head[6], head[7]];
        if begun && &kind == b"moof" {
            return Ok(Some(at));
        }
        begun |= &kind == b"moof";
        let size = match u32::from_be_bytes([head[0], head[1], head[2], head[3]]) {
            1 => u64::from_be_bytes([
                head[8], head[9], head[10], head[11], head[12], head[13], head[14], head[15],
            ]),
            size => u64::from(size),
        };
        if size < 8 {
            return Ok(None);
        }
        at = at.saturating_add(size);
    }
    Ok(None)
}

/// The first fragment that begins at `at` or after it.
fn fragment_after(source: &dyn ReadAt, mut at: u64) -> io::Result<Option<u64>> {
    let mut block = vec![0; BLOCK];
    loop {
        let read = read_full(source, at, &mut block)?;
        let found = block[..read]
            .windows(FRONT)
            .position(|front| &front[4..8] == b"moof" && &front[12..16] == b"mfhd");
        if let Some(place) = found {
            return Ok(Some(at + place as u64));
        }
        if read < block.len() {
            return Ok(None);
        }
        at += (read - FRONT + 1) as u64;
    }
}

/// A file whose middle is one empty box.
struct Ends {
    file: Source,
    from: u64,
    until: u64,
}

impl ReadAt for Ends {
    fn size_bytes(&self) -> u64 {
        self.file.size_bytes()
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        if offset >= self.until {
            return self.file.read_at(offset, buf);
        }
        if offset < self.from {
            let most = buf.len().min((self.from - offset) as usize);
            return self.file.read_at(offset, &mut buf[..most]);
        }
        let most = buf.len().min((self.until - offset) as usize);
        let size = (self.until - self.from).to_be_bytes();
        let head = [&1_u32.to_be_bytes()[..], b"free", &size].concat();
        for (byte, at) in buf[..most].iter_mut().zip(offset - self.from..) {
            *byte = head.get(at as usize).copied().unwrap_or(0);
        }
        Ok(most)
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
        let ends = of(&source).unwrap().unwrap();
        let mut read = vec![0; file.len()];
        assert_eq!(read_full(ends.as_ref(), 0, &mut read).unwrap(), file.len());
        let after = front.len() + middle.len();
        assert!(read[..front.len()] == front && read[after..] == file[after..]);
        assert_eq!(
            &read[front.len()..][..16],
            [&[0, 0, 0, 1][..], b"free", &(middle.len() as u64).to_be_bytes()].concat()
        );
        assert!(read[front.len() + 16..after].iter().all(|&byte| byte == 0));
    }

    #[test]
    fn a_file_without_fragments_has_no_such_ends() {
        let plain: Source = Arc::new(Bytes([boxed(b"ftyp", b"isom"), boxed(b"mdat", &[0; 100])].concat()));
        assert!(of(&plain).unwrap().is_none());
        let one: Source = Arc::new(Bytes([boxed(b"moov", b""), fragment(100)].concat()));
        assert!(of(&one).unwrap().is_none());
    }
}
