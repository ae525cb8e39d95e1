//! Files of tags, pages and frames: FLV, Ogg and FLAC.

use std::io;

use chalkstream_formats::boxes::u32_at;

use super::walk::{WINDOW_BYTES, Walk};

/// FLV: a further header between two tags.
pub fn flv(walk: &mut Walk<'_>) -> io::Result<()> {
    let mut offset = 0;
    loop {
        let Some(header) = walk.read_array::<11>(offset)? else { return Ok(()) };
        if header.starts_with(b"FLV\x01") {
            walk.start_recording(offset);
            // The header's own length, and the length of no tag before.
            offset += u64::from(u32_at(&header, 5).unwrap_or(0)) + 4;
            continue;
        }
        let size = u32::from_be_bytes([0, header[1], header[2], header[3]]);
        match header[0] & 0x1f {
            8 | 9 => {
                let ms = u32::from_be_bytes([header[7], header[4], header[5], header[6]]);
                walk.add_time(i64::from(ms) * 1_000_000);
            }
            18 => {}
            _ => {
                walk.end_structure(offset, false);
                return Ok(());
            }
        }
        offset += 11 + u64::from(size) + 4;
    }
}

/// Ogg (RFC 3533): the first page of a stream, after pages that are not first ones, starts a
/// further chain.
pub fn ogg(walk: &mut Walk<'_>) -> io::Result<()> {
    let (mut offset, mut was_first) = (0, true);
    walk.start_recording(0);
    loop {
        let Some(header) = walk.read_array::<27>(offset)? else { return Ok(()) };
        if !header.starts_with(b"OggS\0") {
            walk.end_structure(offset, false);
            return Ok(());
        }
        let is_first = header[5] & 2 != 0;
        if is_first && !was_first {
            walk.start_recording(offset);
        }
        was_first = is_first;
        let lengths = usize::from(header[26]);
        let Some(table) = walk.read(offset + 27, lengths)? else { return Ok(()) };
        let size: u64 = table.iter().map(|&length| u64::from(length)).sum();
        offset += 27 + lengths as u64 + size;
    }
}

/// FLAC (RFC 9639, 8): a further marker with a block about the stream. Frames state no length.
pub fn flac(walk: &mut Walk<'_>) -> io::Result<()> {
    const MARKER: &[u8; 8] = b"fLaC\0\0\0\x22";
    let (mut offset, mut is_first) = (0, true);
    loop {
        let Some(bytes) = walk.read(offset, WINDOW_BYTES)? else { return Ok(()) };
        if bytes.len() < MARKER.len() {
            return Ok(());
        }
        let marker = bytes.windows(MARKER.len()).position(|window| window == MARKER);
        let Some(position) = marker else {
            offset += (bytes.len() - MARKER.len() + 1) as u64;
            continue;
        };
        // A tag may precede the first marker.
        walk.start_recording(if is_first { 0 } else { offset + position as u64 });
        is_first = false;
        offset += (position + MARKER.len()) as u64;
    }
}
