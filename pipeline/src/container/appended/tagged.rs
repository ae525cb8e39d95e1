//! Files of tags, pages and frames: FLV, Ogg and FLAC.

use std::io;

use super::{WINDOW_BYTES, Walk};

/// FLV: a further head between two tags.
pub fn flv(walk: &mut Walk<'_>) -> io::Result<()> {
    let mut at = 0;
    loop {
        let Some(head) = walk.array::<11>(at)? else { return Ok(()) };
        if head.starts_with(b"FLV\x01") {
            walk.begin(at);
            // The head's own length, and the length of no tag before.
            at += u64::from(u32::from_be_bytes([head[5], head[6], head[7], head[8]])) + 4;
            continue;
        }
        let size = u32::from_be_bytes([0, head[1], head[2], head[3]]);
        match head[0] & 0x1f {
            8 | 9 => {
                let ms = u32::from_be_bytes([head[7], head[4], head[5], head[6]]);
                walk.time(i64::from(ms) * 1_000_000);
            }
            18 => {}
            _ => {
                walk.ends(at, false);
                return Ok(());
            }
        }
        at += 11 + u64::from(size) + 4;
    }
}

/// Ogg (RFC 3533): a first page of a stream after pages that are none begins a further chain.
pub fn ogg(walk: &mut Walk<'_>) -> io::Result<()> {
    let (mut at, mut begun) = (0, true);
    walk.begin(0);
    loop {
        let Some(head) = walk.array::<27>(at)? else { return Ok(()) };
        if !head.starts_with(b"OggS\0") {
            walk.ends(at, false);
            return Ok(());
        }
        let first = head[5] & 2 != 0;
        if first && !begun {
            walk.begin(at);
        }
        begun = first;
        let lengths = usize::from(head[26]);
        let Some(table) = walk.bytes(at + 27, lengths)? else { return Ok(()) };
        let size: u64 = table.iter().map(|&length| u64::from(length)).sum();
        at += 27 + lengths as u64 + size;
    }
}

/// FLAC (RFC 9639, 8): a further marker with a block about the stream. Frames state no length.
pub fn flac(walk: &mut Walk<'_>) -> io::Result<()> {
    const MARKER: &[u8; 8] = b"fLaC\0\0\0\x22";
    let (mut at, mut is_first) = (0, true);
    loop {
        let Some(bytes) = walk.bytes(at, WINDOW_BYTES)? else { return Ok(()) };
        if bytes.len() < MARKER.len() {
            return Ok(());
        }
        let marker = bytes.windows(MARKER.len()).position(|window| window == MARKER);
        let Some(found) = marker else {
            at += (bytes.len() - MARKER.len() + 1) as u64;
            continue;
        };
        // A tag may stand in front of the first.
        walk.begin(if is_first { 0 } else { at + found as u64 });
        is_first = false;
        at += (found + MARKER.len()) as u64;
    }
}
