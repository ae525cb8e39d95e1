//! Whether a file was closed.
//!
//! Recorders write sizes and an index when they are stopped. Data that a file declares beyond its
//! end is missing. Browsers never write sizes into their recordings: that alone means nothing.

use std::io;

use chalkstream_formats::boxes::u64_at;

use super::box_header::{BoxHeader, MAX_HEADER_BYTES};
use super::ebml::{CLUSTER, EBML, ElementHeader, INFO, SEGMENT, VOID};
use super::fragment_tail;
use crate::limits::MAX_FULL_SCAN_BYTES;
use crate::source::{ReadAt, read_full};

/// Most chunks, boxes or elements followed.
const MAX_PARTS: usize = 400_000;
/// Bytes of the front that are searched for a header.
const FRONT_BYTES: usize = 8 << 10;
/// Bytes of the end that are searched for the footer of an MXF, which includes an index.
const MXF_TAIL_BYTES: usize = 1 << 20;
/// Longest page of an Ogg: a header, 255 lengths, and as many bytes as they can add up to.
const MAX_PAGE_BYTES: usize = 27 + 255 + 255 * 255;

const DURATION: u32 = 0x4489;

/// The end of a file, by its structure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// The file is complete.
    Complete,
    /// The file was never closed, or its end is missing.
    Incomplete,
    /// The structure does not say.
    Unknown,
}

impl Ending {
    /// Reads the structure of a file. Of a large one only the ends are read.
    pub fn read(source: &dyn ReadAt, container: &str) -> io::Result<Self> {
        match container {
            "avi" => avi(source),
            "wav" => wav(source),
            "matroska" => matroska(source),
            "flv" => flv(source),
            "asf" => asf(source),
            "ogg" => ogg(source),
            "mpegts" => mpegts(source),
            "mp4" => fragments(source),
            "mxf" => mxf(source),
            _ => Ok(Self::Unknown),
        }
    }

    fn incomplete_if(condition: bool) -> Self {
        if condition { Self::Incomplete } else { Self::Unknown }
    }

    fn complete_if(condition: bool) -> Self {
        if condition { Self::Complete } else { Self::Incomplete }
    }
}

/// A chunk of a RIFF file.
struct RiffChunk {
    name: [u8; 4],
    /// Offset of its content.
    offset: u64,
    /// Size of its content.
    size: u32,
}

impl RiffChunk {
    /// Reads the header of the chunk at an offset; `None` if there is none.
    fn read(source: &dyn ReadAt, offset: u64) -> io::Result<Option<Self>> {
        let mut header = [0; 8];
        if read_full(source, offset, &mut header)? < header.len() {
            return Ok(None);
        }
        let [a, b, c, d, s0, s1, s2, s3] = header;
        let size = u32::from_le_bytes([s0, s1, s2, s3]);
        Ok(Some(Self { name: [a, b, c, d], offset: offset + 8, size }))
    }

    /// Offset of the end of its content.
    fn end_offset(&self) -> u64 {
        self.offset + u64::from(self.size)
    }

    /// Offset of the next chunk: chunks start at even offsets.
    fn next_offset(&self) -> u64 {
        self.end_offset() + u64::from(self.size % 2)
    }

    /// Whether it has the data of a stream: `00dc`, `01wb`.
    fn is_stream_data(&self) -> bool {
        self.name[..2].iter().all(u8::is_ascii_digit)
            && matches!(&self.name[2..], b"dc" | b"db" | b"wb" | b"pc")
    }

    /// Whether the front of its content contains a name.
    fn contains(&self, source: &dyn ReadAt, name: &[u8; 4]) -> io::Result<bool> {
        let mut bytes = vec![0; (self.size as usize).min(FRONT_BYTES)];
        let read = read_full(source, self.offset, &mut bytes)?;
        Ok(bytes[..read].windows(4).any(|window| window == name))
    }
}

fn avi(source: &dyn ReadAt) -> io::Result<Ending> {
    let (mut offset, mut has_index, mut parts) = (0, false, MAX_PARTS);
    // A large AVI is several RIFF files, one after the other.
    while let Some(left) = parts.checked_sub(1) {
        parts = left;
        let Some(riff) = RiffChunk::read(source, offset)? else { break };
        if &riff.name != b"RIFF" {
            // Stream data that the header does not count: the recorder had no time to count it.
            let is_uncounted = riff.is_stream_data();
            return Ok(Ending::complete_if(!is_uncounted && has_index));
        }
        if riff.size == 0
            || riff.end_offset() > source.size_bytes()
            || !are_lists_closed(source, &riff, &mut has_index, &mut parts)?
        {
            return Ok(Ending::Incomplete);
        }
        offset = riff.end_offset() + riff.end_offset() % 2;
    }
    Ok(if has_index { Ending::Complete } else { Ending::Unknown })
}

/// Whether the lists in a RIFF have their sizes, as far as `parts` lasts, which each chunk reduces.
/// Sets `has_index` if one of them is an index.
fn are_lists_closed(
    source: &dyn ReadAt,
    riff: &RiffChunk,
    has_index: &mut bool,
    parts: &mut usize,
) -> io::Result<bool> {
    let mut offset = riff.offset + 4;
    while offset + 8 <= riff.end_offset() && *parts > 0 {
        *parts -= 1;
        let Some(chunk) = RiffChunk::read(source, offset)? else { return Ok(false) };
        if &chunk.name == b"LIST" {
            let mut kind = [0; 4];
            read_full(source, chunk.offset, &mut kind)?;
            if &kind == b"movi" && (chunk.size == 0 || chunk.end_offset() > source.size_bytes()) {
                return Ok(false);
            }
            *has_index |= &kind == b"hdrl" && chunk.contains(source, b"indx")?;
        }
        *has_index |= &chunk.name == b"idx1";
        offset = chunk.next_offset();
    }
    Ok(true)
}

fn wav(source: &dyn ReadAt) -> io::Result<Ending> {
    let (mut offset, mut wide_size) = (12, None);
    for _ in 0..MAX_PARTS {
        let Some(chunk) = RiffChunk::read(source, offset)? else { return Ok(Ending::Unknown) };
        if &chunk.name == b"ds64" {
            let mut sizes = [0; 16];
            read_full(source, chunk.offset, &mut sizes)?;
            wide_size = Some(sizes[8..].iter().rev().fold(0, |value, &byte| value << 8 | u64::from(byte)));
        }
        if &chunk.name == b"data" {
            let present = source.size_bytes().saturating_sub(chunk.offset);
            let declared = match (chunk.size, wide_size) {
                (u32::MAX, Some(declared)) => declared,
                (size, _) => size.into(),
            };
            return Ok(Ending::complete_if(declared <= present && (declared > 0 || present == 0)));
        }
        offset = chunk.next_offset();
    }
    Ok(Ending::Unknown)
}

fn matroska(source: &dyn ReadAt) -> io::Result<Ending> {
    let size = source.size_bytes();
    let mut offset = 0;
    if let Some((EBML, data_offset, Some(length))) = element(source, offset)? {
        offset = data_offset + length;
    }
    let Some((SEGMENT, data_offset, length)) = element(source, offset)? else { return Ok(Ending::Unknown) };
    if let Some(length) = length {
        return Ok(Ending::complete_if(data_offset.saturating_add(length) <= size));
    }
    offset = data_offset;
    for _ in 0..MAX_PARTS {
        let Some((id, data_offset, Some(length))) = element(source, offset)? else { break };
        let end = data_offset.saturating_add(length);
        if end > size {
            return Ok(Ending::Incomplete);
        }
        // A muxer that meant to come back leaves room for the duration. One that writes a stream
        // does not.
        if id == INFO && has_room_for_duration(source, data_offset, end)? {
            return Ok(Ending::Incomplete);
        }
        if id == CLUSTER && size > MAX_FULL_SCAN_BYTES {
            break;
        }
        offset = end;
    }
    Ok(Ending::Unknown)
}

/// ID of the element at an offset, offset of its data, and its size, if known.
fn element(source: &dyn ReadAt, offset: u64) -> io::Result<Option<(u32, u64, Option<u64>)>> {
    let header = ElementHeader::read(source, offset)?;
    Ok(header.map(|header| (header.id, offset + header.length as u64, header.size)))
}

fn has_room_for_duration(source: &dyn ReadAt, mut offset: u64, end: u64) -> io::Result<bool> {
    let mut has_room = false;
    for _ in 0..MAX_PARTS {
        if offset >= end {
            break;
        }
        let Some((id, data_offset, Some(length))) = element(source, offset)? else { break };
        if id == DURATION {
            let mut value = [0; 8];
            let read = read_full(source, data_offset, &mut value[..length.min(8) as usize])?;
            return Ok(value[..read].iter().all(|&byte| byte == 0));
        }
        has_room |= id == VOID && (2..=16).contains(&length);
        offset = data_offset + length;
    }
    Ok(has_room)
}

fn flv(source: &dyn ReadAt) -> io::Result<Ending> {
    let size = source.size_bytes();
    // Each tag is followed by its size, so the last size leads to the start of the last tag.
    let mut last_size = [0; 4];
    read_full(source, size.saturating_sub(4), &mut last_size)?;
    let length = u64::from(u32::from_be_bytes(last_size));
    let mut tag = [0; 4];
    let tag_offset = size.checked_sub(4 + length).filter(|_| length >= 11);
    let is_complete = match tag_offset {
        Some(offset) if read_full(source, offset, &mut tag)? == tag.len() => {
            u64::from(u32::from_be_bytes([0, tag[1], tag[2], tag[3]])) + 11 == length
        }
        _ => false,
    };
    // Closing the file would have replaced a duration of 0. It is a number (type 0) of eight bytes.
    let key = b"\0\x08duration\0";
    let front = read_front(source)?;
    let position = front.windows(key.len()).position(|window| window == key);
    let value = position.and_then(|position| front.get(position + key.len()..position + key.len() + 8));
    let is_filled = value.is_none_or(|value| value.iter().any(|&byte| byte != 0));
    Ok(Ending::complete_if(is_complete && is_filled))
}

fn asf(source: &dyn ReadAt) -> io::Result<Ending> {
    // The file properties object: its ID, its own size, the file's ID, then the file's size.
    let id = b"\xa1\xdc\xab\x8c\x47\xa9\xcf\x11\x8e\xe4\x00\xc0\x0c\x20\x53\x65";
    let front = read_front(source)?;
    let position = front.windows(id.len()).position(|window| window == id);
    let Some(field) = position.and_then(|position| front.get(position + 40..position + 48)) else {
        return Ok(Ending::Unknown);
    };
    let declared = field.iter().rev().fold(0, |value, &byte| value << 8 | u64::from(byte));
    // A broadcast declares no size.
    Ok(match declared {
        0 => Ending::Unknown,
        declared => Ending::complete_if(declared <= source.size_bytes()),
    })
}

fn ogg(source: &dyn ReadAt) -> io::Result<Ending> {
    let size = source.size_bytes();
    let mut tail = vec![0; MAX_PAGE_BYTES.min(size as usize)];
    let read = read_full(source, size - tail.len() as u64, &mut tail)?;
    tail.truncate(read);
    let Some(position) = tail.windows(4).rposition(|window| window == b"OggS") else {
        return Ok(Ending::Unknown);
    };
    let page = &tail[position..];
    let lengths = page.get(26).and_then(|&count| page.get(27..27 + usize::from(count)));
    let is_complete = lengths.is_some_and(|lengths| {
        27 + lengths.len() + lengths.iter().map(|&length| usize::from(length)).sum::<usize>() <= page.len()
    });
    // The last page of a stream has a flag.
    let is_last = page.get(5).is_some_and(|flags| flags & 4 != 0);
    Ok(if is_complete && is_last { Ending::Complete } else { Ending::incomplete_if(!is_complete) })
}

fn mpegts(source: &dyn ReadAt) -> io::Result<Ending> {
    let front = read_front(source)?;
    let has_sync =
        |length: usize, first: usize| (0..3).all(|packet| front.get(packet * length + first) == Some(&0x47));
    let length = [(188, 0), (192, 4), (204, 0)].into_iter().find(|&(length, first)| has_sync(length, first));
    let is_cut = |length: usize| !source.size_bytes().is_multiple_of(length as u64);
    Ok(Ending::incomplete_if(length.is_some_and(|(length, _)| is_cut(length))))
}

fn read_front(source: &dyn ReadAt) -> io::Result<Vec<u8>> {
    let mut front = vec![0; FRONT_BYTES];
    let read = read_full(source, 0, &mut front)?;
    front.truncate(read);
    Ok(front)
}

/// The first bytes of every partition's key (SMPTE ST 377-1, 7.1).
const MXF_PARTITION: &[u8; 13] = b"\x06\x0e\x2b\x34\x02\x05\x01\x01\x0d\x01\x02\x01\x01";
/// Kinds of partitions, in the next byte: the footer, and the index of all partitions.
const MXF_LAST_KINDS: [u8; 2] = [0x04, 0x11];

/// The header has the offset of the footer, or 0 if its writer did not know it yet.
fn mxf(source: &dyn ReadAt) -> io::Result<Ending> {
    let size = source.size_bytes();
    let front = read_front(source)?;
    let position = front.windows(MXF_PARTITION.len()).position(|window| window == MXF_PARTITION);
    let Some(header) = position.and_then(|position| front.get(position..)) else {
        return Ok(Ending::Unknown);
    };
    // The partition's length takes one byte, or the first byte counts those that follow.
    let length_bytes =
        header.get(16).map_or(1, |&first| if first < 0x80 { 1 } else { 1 + usize::from(first & 0x7f) });
    let Some(footer) = u64_at(header, 16 + length_bytes + 24) else { return Ok(Ending::Unknown) };
    if footer > 0 {
        return Ok(Ending::complete_if(footer < size));
    }
    let mut tail = vec![0; MXF_TAIL_BYTES.min(size as usize)];
    let read = read_full(source, size - tail.len() as u64, &mut tail)?;
    let is_last = |window: &[u8]| window.starts_with(MXF_PARTITION) && MXF_LAST_KINDS.contains(&window[13]);
    Ok(Ending::complete_if(tail[..read].windows(14).any(is_last)))
}

/// An MP4 in fragments. The sample tables of other MP4s show what is missing.
fn fragments(source: &dyn ReadAt) -> io::Result<Ending> {
    let size = source.size_bytes();
    let (mut offset, mut is_fragmented) = (0, false);
    if size > MAX_FULL_SCAN_BYTES {
        let Some(last) = fragment_tail::last_fragment(source)? else { return Ok(Ending::Unknown) };
        (offset, is_fragmented) = (last, true);
    }
    for _ in 0..MAX_PARTS {
        let mut bytes = [0; MAX_HEADER_BYTES];
        let read = read_full(source, offset, &mut bytes)?;
        let Some(header) = BoxHeader::parse(&bytes[..read]) else {
            return Ok(Ending::incomplete_if(is_fragmented && read > 0));
        };
        is_fragmented |= &header.kind == b"moof";
        let end = offset.saturating_add(header.size_bytes);
        if header.size_bytes < 8 || end > size {
            let lasts_to_the_end = header.size_bytes == 0;
            return Ok(Ending::incomplete_if(is_fragmented && !lasts_to_the_end));
        }
        offset = end;
    }
    Ok(Ending::Unknown)
}

#[cfg(test)]
#[path = "ending_tests.rs"]
mod tests;
