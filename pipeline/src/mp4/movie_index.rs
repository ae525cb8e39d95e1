//! The index of an MP4, `moov`: found in the file, and repaired if the file ends inside it.

use chalkstream_formats::boxes::{HEADER_BYTES, split, u32_at, u64_at};

use super::patch::Patch;
use crate::error::{Error, Result};
use crate::source::{ReadAt, read_full};

/// Maximum size of an index. An index of six hours with many tracks is far below.
const MAX_INDEX_BYTES: u64 = 96 << 20;
/// Maximum number of boxes on the top level. A fragmented recording has two for each fragment.
const MAX_BOXES: usize = 400_000;

/// The content of `moov`.
pub struct MovieIndex {
    /// Offset of the content in the file.
    pub offset: u64,
    /// The content.
    pub bytes: Vec<u8>,
    /// Offset of the box in the file, if the file ends inside it.
    truncated_box_offset: Option<u64>,
}

impl MovieIndex {
    /// Reads the index. Fails for a truncated file: one without an index, or with an unusable part.
    pub fn read(source: &dyn ReadAt) -> Result<Self> {
        let end = source.size_bytes();
        let mut at = 0;
        for _ in 0..MAX_BOXES {
            let mut head = [0; 2 * HEADER_BYTES];
            let read = read_full(source, at, &mut head)?;
            let Some(size) = u32_at(&head[..read], 0).filter(|_| read >= HEADER_BYTES) else { break };
            let (size, header) = match (size, u64_at(&head[..read], HEADER_BYTES)) {
                (0, _) => (end - at, 8),
                (1, Some(size)) => (size, 16),
                _ => (u64::from(size), 8),
            };
            if size < header {
                break;
            }
            if &head[4..8] == b"moov" {
                return Self::read_box(source, (at, header), size);
            }
            at = match at.checked_add(size) {
                Some(next) if next < end => next,
                _ => break,
            };
        }
        Err(truncated())
    }

    fn read_box(source: &dyn ReadAt, (at, header): (u64, u64), size: u64) -> Result<Self> {
        if size > MAX_INDEX_BYTES {
            return Err(Error::damaged_file());
        }
        let offset = at + header;
        let mut bytes = vec![0; (size - header).min(source.size_bytes().saturating_sub(offset)) as usize];
        let read = read_full(source, offset, &mut bytes)?;
        bytes.truncate(read);
        let is_complete = read as u64 == size - header;
        let truncated_box_offset = (!is_complete && header == 8).then_some(at);
        let index = Self { offset, bytes, truncated_box_offset };
        // Of a truncated index, complete tracks are used.
        if is_complete || !index.repairs().is_empty() { Ok(index) } else { Err(truncated()) }
    }

    /// Patches that make a truncated `moov` parseable: its box ends at the end of the file, and the
    /// rest of the last track becomes `free`. None if no track is complete.
    pub(super) fn repairs(&self) -> Vec<Patch> {
        let Some(box_offset) = self.truncated_box_offset else { return Vec::new() };
        let (mut rest, mut tracks) = (&self.bytes[..], 0);
        while let Some((kind, _, next)) = split(rest) {
            tracks += usize::from(&kind == b"trak");
            rest = next;
        }
        let Ok(size) = u32::try_from(self.bytes.len() + HEADER_BYTES) else { return Vec::new() };
        let complete_bytes = self.bytes.len() - rest.len();
        let left = rest.len() as u32;
        if tracks == 0 || (1..8).contains(&left) {
            return Vec::new();
        }
        let mut patches = vec![(box_offset, size.to_be_bytes().to_vec())];
        if left > 0 {
            let free = [&left.to_be_bytes()[..], b"free"].concat();
            patches.push((self.offset + complete_bytes as u64, free));
        }
        patches
    }

    /// Whether the file ends inside the index.
    pub fn is_truncated(&self) -> bool {
        self.truncated_box_offset.is_some()
    }

    /// Offset in the file of a part of the index's bytes.
    pub(super) fn offset_of(&self, part: &[u8]) -> u64 {
        self.offset + (part.as_ptr() as usize - self.bytes.as_ptr() as usize) as u64
    }
}

fn truncated() -> Error {
    Error::input(
        "truncated_no_index",
        "The file is cut off: its index is missing, so it can't be played. Please upload it again, or copy it from \
         the camera again.",
    )
}
