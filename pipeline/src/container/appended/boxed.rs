//! Files of chunks that say how long they are: MP4 and MOV, RIFF, AIFF and ASF.

use std::io;

use super::Walk;

/// Most boxes and chunks on the top level.
const MAX_BOXES: usize = 400_000;

/// Shortest RIFF or FORM that holds a recording, and not only its head.
const MIN_FORM_BYTES: u64 = 1024;

/// MP4 (ISO/IEC 14496-12): a further `ftyp` begins a further recording if it has an index of its own, as the one before.
/// The index of fragments may be repeated in front of each: where times go on from there, the recording does.
pub fn movies(walk: &mut Walk<'_>) -> io::Result<()> {
    let (mut at, mut begun, mut has_index) = (0_u64, None, false);
    let mut last_time = None;
    for _ in 0..MAX_BOXES {
        let Some(head) = walk.bytes(at, 16)?.filter(|head| head.len() >= 8) else { break };
        let short = u32::from_be_bytes([head[0], head[1], head[2], head[3]]);
        let size = match (short, head.get(8..16)) {
            (1, Some(long)) => long.iter().fold(0_u64, |size, byte| size << 8 | u64::from(*byte)),
            (size, _) => u64::from(size),
        };
        // A type is text, in QuickTime also with the sign for copyright in front.
        if !head[4..8].iter().all(|byte| matches!(byte, b' '..=b'~' | 0xa9)) {
            walk.ends(at, true);
            break;
        }
        match &head[4..8] {
            b"ftyp" if at == 0 || has_index => (begun, has_index) = (Some(at), false),
            b"moov" => {
                has_index = true;
                let fragmented = walk.holds(at, size, b"mvex")?.is_some();
                if !fragmented || last_time.is_none() {
                    begin(walk, &mut begun);
                }
            }
            b"moof" => {
                let time = fragment_time(walk, at, size)?;
                if time <= last_time {
                    begin(walk, &mut begun);
                }
                (begun, last_time) = (None, time);
            }
            _ => {}
        }
        match at.checked_add(size) {
            Some(next) if size >= 8 => at = next,
            _ => break,
        }
    }
    Ok(())
}

fn begin(walk: &mut Walk<'_>, begun: &mut Option<u64>) {
    if let Some(at) = begun.take() {
        walk.begin(at);
    }
}

/// When a fragment's first track goes on, in its own ticks.
fn fragment_time(walk: &mut Walk<'_>, at: u64, size: u64) -> io::Result<Option<u64>> {
    let Some(place) = walk.holds(at, size, b"tfdt")? else { return Ok(None) };
    let Some(head) = walk.array::<16>(place)? else { return Ok(None) };
    let number = |bytes: &[u8]| bytes.iter().fold(0_u64, |value, byte| value << 8 | u64::from(*byte));
    Ok(Some(if head[4] == 0 { number(&head[8..12]) } else { number(&head[8..]) }))
}

/// AVI and WAV: a further RIFF of the same kind. What continues an AVI is of the kind `AVIX`.
pub fn riff(walk: &mut Walk<'_>) -> io::Result<()> {
    forms(walk, |head, first| {
        let continues = &head[8..] == b"AVIX";
        let known = &head[..4] == b"RIFF" && (head[8..] == first[8..] || continues);
        known.then(|| (u32::from_le_bytes([head[4], head[5], head[6], head[7]]), continues))
    })
}

/// AIFF and AIFF-C: a further FORM of the same kind.
pub fn aiff(walk: &mut Walk<'_>) -> io::Result<()> {
    forms(walk, |head, first| {
        let known = head[..4] == first[..4] && head[8..] == first[8..];
        known.then(|| (u32::from_be_bytes([head[4], head[5], head[6], head[7]]), false))
    })
}

/// Reads a form's head, given that of the first: how long it is, and whether it continues the one before.
type ReadForm = fn(&[u8; 12], &[u8; 12]) -> Option<(u32, bool)>;

/// Follows forms of one file.
fn forms(walk: &mut Walk<'_>, read: ReadForm) -> io::Result<()> {
    let (mut at, mut first, mut is_filled) = (0, None, false);
    for _ in 0..MAX_BOXES {
        let Some(head) = walk.array::<12>(at)? else { break };
        let Some((size, continues)) = read(&head, first.get_or_insert(head)) else {
            // What is named like a chunk was not counted by a recorder that was stopped.
            let is_chunk = head[..4].iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b' ');
            walk.ends(at, !is_chunk && is_filled);
            break;
        };
        if !continues {
            walk.begin(at);
        }
        // A recorder that was stopped leaves 0: nothing can be said of what follows.
        if size < 4 {
            break;
        }
        let next = at + 8 + u64::from(size) + u64::from(size % 2);
        is_filled = holds_its_chunks(walk, at, next)?;
        at = next;
    }
    Ok(())
}

/// Whether the chunks of a form end with it: a recorder may have counted one and not the other, may
/// have counted its head alone, and above 4 GB counts nothing right.
fn holds_its_chunks(walk: &mut Walk<'_>, at: u64, end: u64) -> io::Result<bool> {
    let is_iff = walk.array::<4>(at)? == Some(*b"FORM");
    let mut inner = at + 12;
    while inner + 8 <= end {
        let Some([.., a, b, c, d]) = walk.array::<8>(inner)? else { return Ok(false) };
        let size = if is_iff { u32::from_be_bytes([a, b, c, d]) } else { u32::from_le_bytes([a, b, c, d]) };
        inner += 8 + u64::from(size) + u64::from(size % 2);
    }
    let is_head = end - at < MIN_FORM_BYTES;
    Ok(inner <= end && !is_head && walk.source.size_bytes() <= u64::from(u32::MAX))
}

/// ASF: a further header object.
pub fn asf(walk: &mut Walk<'_>) -> io::Result<()> {
    const HEADER: &[u8; 16] = b"\x30\x26\xb2\x75\x8e\x66\xcf\x11\xa6\xd9\0\xaa\0\x62\xce\x6c";
    let mut at = 0_u64;
    for _ in 0..MAX_BOXES {
        let Some(head) = walk.array::<24>(at)? else { break };
        if head.starts_with(HEADER) {
            walk.begin(at);
        }
        let size = head[16..].iter().rev().fold(0_u64, |size, byte| size << 8 | u64::from(*byte));
        match at.checked_add(size) {
            Some(next) if size >= 24 && (at == 0 || next <= walk.source.size_bytes()) => at = next,
            _ => {
                walk.ends(at, false);
                break;
            }
        }
    }
    Ok(())
}

/// CAF: chunks up to the end; the last one may have no length.
pub fn caf(walk: &mut Walk<'_>) -> io::Result<()> {
    let mut at = 8_u64;
    for _ in 0..MAX_BOXES {
        let Some(head) = walk.array::<12>(at)? else { break };
        let size = head[4..].iter().fold(0_u64, |size, byte| size << 8 | u64::from(*byte));
        match at.checked_add(12).and_then(|content| content.checked_add(size)) {
            Some(next) if head[..4].iter().all(|byte| matches!(byte, b' '..=b'~')) => {
                // Another kind of file may have a name there too.
                if next > walk.source.size_bytes() {
                    walk.ends(at, false);
                }
                at = next;
            }
            Some(_) => {
                walk.ends(at, true);
                break;
            }
            None => break,
        }
    }
    Ok(())
}

/// W64: the length of all of it stands behind its name.
pub fn w64(walk: &mut Walk<'_>) -> io::Result<()> {
    if let Some(head) = walk.array::<24>(0)? {
        let size = head[16..].iter().rev().fold(0_u64, |size, byte| size << 8 | u64::from(*byte));
        if (40..walk.source.size_bytes()).contains(&size) {
            walk.ends(size, true);
        }
    }
    Ok(())
}
