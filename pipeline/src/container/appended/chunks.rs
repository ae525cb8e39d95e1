//! Files of chunks with their lengths: MP4 and MOV, RIFF, AIFF, ASF, CAF and W64.

use std::io;

use chalkstream_formats::boxes::{u32_at, u64_at};

use super::walk::Walk;
use crate::container::box_header::{BoxHeader, MAX_HEADER_BYTES};

/// Most boxes and chunks on the top level.
const MAX_CHUNKS: usize = 400_000;
/// Shortest RIFF or FORM that contains a recording, and not only its header.
const MIN_FORM_BYTES: u64 = 1024;

/// MP4 (ISO/IEC 14496-12): a further `ftyp` starts a further recording if both it and the one
/// before have an index.
///
/// Recorders may repeat the index of fragments in front of each. It is one recording if times go
/// on from there.
pub fn mp4(walk: &mut Walk<'_>) -> io::Result<()> {
    let (mut offset, mut start, mut has_index) = (0_u64, None, false);
    let mut last_time = None;
    for _ in 0..MAX_CHUNKS {
        let Some(header) = walk.read(offset, MAX_HEADER_BYTES)?.and_then(BoxHeader::parse) else { break };
        // A type is text. In QuickTime it may start with a copyright sign.
        if !header.kind.iter().all(|byte| matches!(byte, b' '..=b'~' | 0xa9)) {
            walk.end_structure(offset, true);
            break;
        }
        let size_bytes = header.size_bytes;
        match &header.kind {
            b"ftyp" if offset == 0 || has_index => (start, has_index) = (Some(offset), false),
            b"moov" => {
                has_index = true;
                let is_fragmented = walk.find_in_box(offset, size_bytes, b"mvex")?.is_some();
                if !is_fragmented || last_time.is_none() {
                    start_recording(walk, &mut start);
                }
            }
            b"moof" => {
                let time = fragment_time(walk, offset, size_bytes)?;
                if time <= last_time {
                    start_recording(walk, &mut start);
                }
                (start, last_time) = (None, time);
            }
            _ => {}
        }
        match offset.checked_add(size_bytes) {
            Some(next) if size_bytes >= 8 => offset = next,
            _ => break,
        }
    }
    Ok(())
}

fn start_recording(walk: &mut Walk<'_>, start: &mut Option<u64>) {
    if let Some(offset) = start.take() {
        walk.start_recording(offset);
    }
}

/// Decode time at the start of a fragment's first track, in its own ticks.
fn fragment_time(walk: &mut Walk<'_>, offset: u64, size_bytes: u64) -> io::Result<Option<u64>> {
    let Some(name_offset) = walk.find_in_box(offset, size_bytes, b"tfdt")? else { return Ok(None) };
    let Some(tfdt) = walk.read_array::<16>(name_offset)? else { return Ok(None) };
    let has_64_bits = tfdt[4] != 0;
    Ok(if has_64_bits { u64_at(&tfdt, 8) } else { u32_at(&tfdt, 8).map(u64::from) })
}

/// AVI and WAV: a further RIFF of the same kind. A form of the kind `AVIX` continues an AVI.
pub fn riff(walk: &mut Walk<'_>) -> io::Result<()> {
    walk_forms(walk, |header, first| {
        let continues = &header[8..] == b"AVIX";
        let is_known = &header[..4] == b"RIFF" && (header[8..] == first[8..] || continues);
        is_known.then(|| (u32::from_le_bytes([header[4], header[5], header[6], header[7]]), continues))
    })
}

/// AIFF and AIFF-C: a further FORM of the same kind.
pub fn aiff(walk: &mut Walk<'_>) -> io::Result<()> {
    walk_forms(walk, |header, first| {
        let is_known = header[..4] == first[..4] && header[8..] == first[8..];
        u32_at(header, 4).filter(|_| is_known).map(|size| (size, false))
    })
}

/// Reads a form's header next to that of the first one: its size, and whether it continues the
/// form before.
type ReadForm = fn(&[u8; 12], &[u8; 12]) -> Option<(u32, bool)>;

/// Walks along the forms of a file.
fn walk_forms(walk: &mut Walk<'_>, read: ReadForm) -> io::Result<()> {
    let (mut offset, mut first, mut is_filled) = (0, None, false);
    for _ in 0..MAX_CHUNKS {
        let Some(header) = walk.read_array::<12>(offset)? else { break };
        let Some((size, continues)) = read(&header, first.get_or_insert(header)) else {
            // A recorder that was stopped did not count the chunks that follow.
            let is_chunk = header[..4].iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b' ');
            walk.end_structure(offset, !is_chunk && is_filled);
            break;
        };
        if !continues {
            walk.start_recording(offset);
        }
        // A recorder that was stopped leaves a size of 0, so the next form cannot be found.
        if size < 4 {
            break;
        }
        let next = offset + 8 + u64::from(size) + u64::from(size % 2);
        is_filled = ends_with_its_chunks(walk, offset, next)?;
        offset = next;
    }
    Ok(())
}

/// Whether the chunks of a form end with it. A recorder may have counted only one of the two, or
/// only the header. Above 4 GB no size is right.
fn ends_with_its_chunks(walk: &mut Walk<'_>, offset: u64, end: u64) -> io::Result<bool> {
    let is_iff = walk.read_array::<4>(offset)? == Some(*b"FORM");
    let mut inner = offset + 12;
    while inner + 8 <= end {
        let Some([.., a, b, c, d]) = walk.read_array::<8>(inner)? else { return Ok(false) };
        let size = if is_iff { u32::from_be_bytes([a, b, c, d]) } else { u32::from_le_bytes([a, b, c, d]) };
        inner += 8 + u64::from(size) + u64::from(size % 2);
    }
    let has_only_header = end - offset < MIN_FORM_BYTES;
    Ok(inner <= end && !has_only_header && walk.file_bytes() <= u64::from(u32::MAX))
}

/// ASF: a further header object.
pub fn asf(walk: &mut Walk<'_>) -> io::Result<()> {
    const HEADER: &[u8; 16] = b"\x30\x26\xb2\x75\x8e\x66\xcf\x11\xa6\xd9\0\xaa\0\x62\xce\x6c";
    let mut offset = 0_u64;
    for _ in 0..MAX_CHUNKS {
        let Some(object) = walk.read_array::<24>(offset)? else { break };
        if object.starts_with(HEADER) {
            walk.start_recording(offset);
        }
        let size = object[16..].iter().rev().fold(0_u64, |size, byte| size << 8 | u64::from(*byte));
        match offset.checked_add(size) {
            Some(next) if size >= 24 && (offset == 0 || next <= walk.file_bytes()) => offset = next,
            _ => {
                walk.end_structure(offset, false);
                break;
            }
        }
    }
    Ok(())
}

/// CAF: chunks up to the end. The last one may have no length.
pub fn caf(walk: &mut Walk<'_>) -> io::Result<()> {
    let mut offset = 8_u64;
    for _ in 0..MAX_CHUNKS {
        let Some(header) = walk.read_array::<12>(offset)? else { break };
        let size = u64_at(&header, 4).unwrap_or(0);
        match offset.checked_add(12).and_then(|content| content.checked_add(size)) {
            Some(next) if header[..4].iter().all(|byte| matches!(byte, b' '..=b'~')) => {
                // Another kind of file may have a name there too.
                if next > walk.file_bytes() {
                    walk.end_structure(offset, false);
                }
                offset = next;
            }
            Some(_) => {
                walk.end_structure(offset, true);
                break;
            }
            None => break,
        }
    }
    Ok(())
}

/// W64: the length of all of it follows its name.
pub fn w64(walk: &mut Walk<'_>) -> io::Result<()> {
    if let Some(header) = walk.read_array::<24>(0)? {
        let size = header[16..].iter().rev().fold(0_u64, |size, byte| size << 8 | u64::from(*byte));
        if (40..walk.file_bytes()).contains(&size) {
            walk.end_structure(size, true);
        }
    }
    Ok(())
}
