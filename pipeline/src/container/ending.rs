//! Whether a file was closed: recorders write sizes and an index when they are stopped, and what a file claims beyond its
//! end is missing.
//!
//! Browsers never write sizes into what they record: that alone says nothing.

use std::io;

use super::fragment_tail;
use crate::limits::MAX_FULL_SCAN_BYTES;
use crate::source::{ReadAt, read_full};

/// Most chunks, boxes or elements followed.
const MAX_PARTS: usize = 400_000;
/// Bytes of the front that are searched for a header.
const FRONT_BYTES: usize = 8 << 10;
/// Bytes of the end that are searched for the footer of an MXF, which has an index in it.
const MXF_TAIL_BYTES: usize = 1 << 20;
/// Longest page of an Ogg: a header, 255 lengths, and as many bytes as they can say.
const MAX_PAGE_BYTES: usize = 27 + 255 + 255 * 255;

/// What a file's structure says of its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// All of it is there.
    Complete,
    /// The file was never closed, or its end is missing.
    Early,
    /// Nothing.
    Unknown,
}

/// Reads the structure of a file. Of a large one only the ends are read.
pub fn of(source: &dyn ReadAt, container: &str) -> io::Result<Ending> {
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
        _ => Ok(Ending::Unknown),
    }
}

/// `Early` if `condition`, else `Unknown`.
fn early_if(condition: bool) -> Ending {
    if condition { Ending::Early } else { Ending::Unknown }
}

/// `Complete` if `condition`, else `Early`.
fn complete_if(condition: bool) -> Ending {
    if condition { Ending::Complete } else { Ending::Early }
}

/// A chunk of a RIFF file: its name, where its content begins, and its size.
fn chunk(source: &dyn ReadAt, at: u64) -> io::Result<Option<([u8; 4], u64, u32)>> {
    let mut head = [0; 8];
    if read_full(source, at, &mut head)? < head.len() {
        return Ok(None);
    }
    let [a, b, c, d, s0, s1, s2, s3] = head;
    Ok(Some(([a, b, c, d], at + 8, u32::from_le_bytes([s0, s1, s2, s3]))))
}

/// Whether a chunk's name is that of a stream's data: `00dc`, `01wb`.
fn is_stream_data(name: [u8; 4]) -> bool {
    name[..2].iter().all(u8::is_ascii_digit) && matches!(&name[2..], b"dc" | b"db" | b"wb" | b"pc")
}

fn avi(source: &dyn ReadAt) -> io::Result<Ending> {
    let size = source.size_bytes();
    let (mut at, mut has_index) = (0, false);
    // A large AVI is several RIFF files, one after the other.
    for _ in 0..MAX_PARTS {
        let Some((name, begin, length)) = chunk(source, at)? else { break };
        if &name != b"RIFF" {
            // Data behind what the header counts: its recorder had no time to count it.
            return Ok(if is_stream_data(name) { Ending::Early } else { complete_if(has_index) });
        }
        let end = begin + u64::from(length);
        if length == 0 || end > size {
            return Ok(Ending::Early);
        }
        let mut inner = begin + 4;
        while inner + 8 <= end {
            let Some((name, begin, length)) = chunk(source, inner)? else { return Ok(Ending::Early) };
            let next = begin + u64::from(length) + u64::from(length % 2);
            if &name == b"LIST" {
                let mut kind = [0; 4];
                read_full(source, begin, &mut kind)?;
                if &kind == b"movi" && (length == 0 || begin + u64::from(length) > size) {
                    return Ok(Ending::Early);
                }
                has_index |= &kind == b"hdrl" && contains(source, begin, length, b"indx")?;
            }
            has_index |= &name == b"idx1";
            inner = next;
        }
        at = end + end % 2;
    }
    Ok(if has_index { Ending::Complete } else { Ending::Unknown })
}

/// Whether the front of a chunk has a name in it.
fn contains(source: &dyn ReadAt, at: u64, length: u32, name: &[u8; 4]) -> io::Result<bool> {
    let mut bytes = vec![0; (length as usize).min(FRONT_BYTES)];
    let read = read_full(source, at, &mut bytes)?;
    Ok(bytes[..read].windows(4).any(|window| window == name))
}

fn wav(source: &dyn ReadAt) -> io::Result<Ending> {
    let size = source.size_bytes();
    let (mut at, mut wide) = (12, None);
    for _ in 0..MAX_PARTS {
        let Some((name, begin, length)) = chunk(source, at)? else { return Ok(Ending::Unknown) };
        if &name == b"ds64" {
            let mut sizes = [0; 16];
            read_full(source, begin, &mut sizes)?;
            wide = Some(sizes[8..].iter().rev().fold(0, |value, &byte| value << 8 | u64::from(byte)));
        }
        if &name == b"data" {
            let there = size.saturating_sub(begin);
            let claimed = match (length, wide) {
                (u32::MAX, Some(claimed)) => claimed,
                _ => length.into(),
            };
            return Ok(complete_if(claimed <= there && (claimed > 0 || there == 0)));
        }
        at = begin + u64::from(length) + u64::from(length % 2);
    }
    Ok(Ending::Unknown)
}

/// An element of EBML (RFC 8794): its name, where its content begins, and its size; `None` for a size that is not known.
fn element(source: &dyn ReadAt, at: u64) -> io::Result<Option<(u32, u64, Option<u64>)>> {
    let mut head = [0; 12];
    let read = read_full(source, at, &mut head)?;
    let head = &head[..read];
    let Some(&first) = head.first() else { return Ok(None) };
    let name_bytes = first.leading_zeros() as usize + 1;
    let Some(&second) = head.get(name_bytes).filter(|_| name_bytes <= 4) else { return Ok(None) };
    let size_bytes = second.leading_zeros() as usize + 1;
    let Some(size) = head.get(name_bytes..name_bytes + size_bytes).filter(|_| size_bytes <= 8) else {
        return Ok(None);
    };
    let value = |bytes: &[u8]| bytes.iter().fold(0_u64, |value, &byte| value << 8 | u64::from(byte));
    let all_ones = (1_u64 << (7 * size_bytes)) - 1;
    let size = value(size) & all_ones;
    let begin = at + (name_bytes + size_bytes) as u64;
    Ok(Some((value(&head[..name_bytes]) as u32, begin, (size < all_ones).then_some(size))))
}

const EBML: u32 = 0x1a45_dfa3;
const SEGMENT: u32 = 0x1853_8067;
const INFO: u32 = 0x1549_a966;
const CLUSTER: u32 = 0x1f43_b675;
const DURATION: u32 = 0x4489;
const VOID: u32 = 0xec;

fn matroska(source: &dyn ReadAt) -> io::Result<Ending> {
    let size = source.size_bytes();
    let mut at = 0;
    if let Some((EBML, begin, Some(length))) = element(source, at)? {
        at = begin + length;
    }
    let Some((SEGMENT, begin, length)) = element(source, at)? else { return Ok(Ending::Unknown) };
    if let Some(length) = length {
        return Ok(complete_if(begin.saturating_add(length) <= size));
    }
    at = begin;
    for _ in 0..MAX_PARTS {
        let Some((name, begin, Some(length))) = element(source, at)? else { break };
        let end = begin.saturating_add(length);
        if end > size {
            return Ok(Ending::Early);
        }
        // A muxer that meant to come back leaves room for the duration. One that writes a stream does not.
        if name == INFO && has_room_for_duration(source, begin, end)? {
            return Ok(Ending::Early);
        }
        if name == CLUSTER && size > MAX_FULL_SCAN_BYTES {
            break;
        }
        at = end;
    }
    Ok(Ending::Unknown)
}

fn has_room_for_duration(source: &dyn ReadAt, mut at: u64, end: u64) -> io::Result<bool> {
    let mut has_room = false;
    while at < end {
        let Some((name, begin, Some(length))) = element(source, at)? else { break };
        if name == DURATION {
            let mut value = [0; 8];
            let read = read_full(source, begin, &mut value[..length.min(8) as usize])?;
            return Ok(value[..read].iter().all(|&byte| byte == 0));
        }
        has_room |= name == VOID && (2..=16).contains(&length);
        at = begin + length;
    }
    Ok(has_room)
}

fn flv(source: &dyn ReadAt) -> io::Result<Ending> {
    let size = source.size_bytes();
    // Each tag is followed by its size: the last one says where it begins.
    let mut last = [0; 4];
    read_full(source, size.saturating_sub(4), &mut last)?;
    let length = u64::from(u32::from_be_bytes(last));
    let mut tag = [0; 4];
    let begin = size.checked_sub(4 + length).filter(|_| length >= 11);
    let is_complete = match begin {
        Some(begin) if read_full(source, begin, &mut tag)? == tag.len() => {
            u64::from(u32::from_be_bytes([0, tag[1], tag[2], tag[3]])) + 11 == length
        }
        _ => false,
    };
    let mut front = vec![0; FRONT_BYTES];
    let read = read_full(source, 0, &mut front)?;
    // A duration of 0 was to be filled in when the file was closed. It is a number (type 0) of eight bytes.
    let key = b"\0\x08duration\0";
    let place = front[..read].windows(key.len()).position(|window| window == key);
    let value = place.and_then(|place| front.get(place + key.len()..place + key.len() + 8));
    let is_filled = value.is_none_or(|value| value.iter().any(|&byte| byte != 0));
    Ok(complete_if(is_complete && is_filled))
}

fn asf(source: &dyn ReadAt) -> io::Result<Ending> {
    // The file properties object, whose size field follows its name, its own size and the file's name.
    let name = b"\xa1\xdc\xab\x8c\x47\xa9\xcf\x11\x8e\xe4\x00\xc0\x0c\x20\x53\x65";
    let mut front = vec![0; FRONT_BYTES];
    let read = read_full(source, 0, &mut front)?;
    let place = front[..read].windows(name.len()).position(|window| window == name);
    let Some(field) = place.and_then(|place| front.get(place + 40..place + 48)) else {
        return Ok(Ending::Unknown);
    };
    let claimed = field.iter().rev().fold(0, |value, &byte| value << 8 | u64::from(byte));
    // Of a broadcast nothing is known.
    Ok(if claimed == 0 { Ending::Unknown } else { complete_if(claimed <= source.size_bytes()) })
}

fn ogg(source: &dyn ReadAt) -> io::Result<Ending> {
    let size = source.size_bytes();
    let mut tail = vec![0; MAX_PAGE_BYTES.min(size as usize)];
    let read = read_full(source, size - tail.len() as u64, &mut tail)?;
    tail.truncate(read);
    let Some(place) = tail.windows(4).rposition(|window| window == b"OggS") else {
        return Ok(Ending::Unknown);
    };
    let page = &tail[place..];
    let lengths = page.get(26).and_then(|&count| page.get(27..27 + usize::from(count)));
    let is_complete = lengths.is_some_and(|lengths| {
        27 + lengths.len() + lengths.iter().map(|&length| usize::from(length)).sum::<usize>() <= page.len()
    });
    // The last page of a stream says that it is.
    let is_last = page.get(5).is_some_and(|flags| flags & 4 != 0);
    Ok(if is_complete && is_last { Ending::Complete } else { early_if(!is_complete) })
}

fn mpegts(source: &dyn ReadAt) -> io::Result<Ending> {
    let mut front = vec![0; FRONT_BYTES];
    let read = read_full(source, 0, &mut front)?;
    let is = |length: usize, lead: usize| {
        (0..3).all(|packet| front[..read].get(packet * length + lead) == Some(&0x47))
    };
    let length = [(188, 0), (192, 4), (204, 0)].into_iter().find(|&(length, lead)| is(length, lead));
    Ok(early_if(length.is_some_and(|(length, _)| !source.size_bytes().is_multiple_of(length as u64))))
}

/// The front of every partition's key (SMPTE ST 377-1, 7.1).
const MXF_PARTITION: &[u8; 13] = b"\x06\x0e\x2b\x34\x02\x05\x01\x01\x0d\x01\x02\x01\x01";
/// Kinds of partitions, behind that: the footer, and the index of all partitions.
const MXF_LAST: [u8; 2] = [0x04, 0x11];

/// The header says where the footer is, or 0 if its writer did not know it yet.
fn mxf(source: &dyn ReadAt) -> io::Result<Ending> {
    let size = source.size_bytes();
    let mut front = vec![0; FRONT_BYTES];
    let read = read_full(source, 0, &mut front)?;
    let find = |bytes: &[u8]| bytes.windows(MXF_PARTITION.len()).position(|window| window == MXF_PARTITION);
    let Some(header) = find(&front[..read]).and_then(|place| front[..read].get(place..)) else {
        return Ok(Ending::Unknown);
    };
    // Its length takes one byte, or says in the first how many follow.
    let length_bytes =
        header.get(16).map_or(1, |&first| if first < 0x80 { 1 } else { 1 + usize::from(first & 0x7f) });
    let field = header.get(16 + length_bytes + 24..16 + length_bytes + 32);
    let Some(field) = field else { return Ok(Ending::Unknown) };
    let footer = field.iter().fold(0_u64, |value, &byte| value << 8 | u64::from(byte));
    if footer > 0 {
        return Ok(complete_if(footer < size));
    }
    let mut tail = vec![0; MXF_TAIL_BYTES.min(size as usize)];
    let read = read_full(source, size - tail.len() as u64, &mut tail)?;
    let is_last = |window: &[u8]| window.starts_with(MXF_PARTITION) && MXF_LAST.contains(&window[13]);
    Ok(complete_if(tail[..read].windows(14).any(is_last)))
}

/// An MP4 in fragments. Of others the sample tables say what is missing.
fn fragments(source: &dyn ReadAt) -> io::Result<Ending> {
    let size = source.size_bytes();
    let (mut at, mut is_fragmented) = (0, false);
    if size > MAX_FULL_SCAN_BYTES {
        let Some(last) = fragment_tail::last_fragment(source)? else { return Ok(Ending::Unknown) };
        (at, is_fragmented) = (last, true);
    }
    for _ in 0..MAX_PARTS {
        let mut head = [0; 16];
        let read = read_full(source, at, &mut head)?;
        if read < 8 {
            return Ok(early_if(is_fragmented && read > 0));
        }
        let word = |from: usize| head[from..from + 4].iter().fold(0, |v, &byte| v << 8 | u64::from(byte));
        is_fragmented |= &head[4..8] == b"moof";
        let length = match word(0) {
            1 if read == head.len() => word(8) << 32 | word(12),
            length => length,
        };
        let end = at.saturating_add(length);
        if length < 8 || end > size {
            // A size of 0 is that of a box up to the end.
            return Ok(early_if(is_fragmented && length != 0));
        }
        at = end;
    }
    Ok(Ending::Unknown)
}

#[cfg(test)]
#[path = "ending_tests.rs"]
mod tests;
