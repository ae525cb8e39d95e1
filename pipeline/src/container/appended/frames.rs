//! Streams of frames or packets without a structure above them: MPEG audio, AC-3, transport
//! streams.

use std::io;

use super::walk::{WINDOW_BYTES, Walk};
use crate::container::bare_stream;

/// Searches for the end of the frames if the file does not end with some.
pub fn walk(walk: &mut Walk<'_>, container: &str) -> io::Result<()> {
    let (mut low, mut high) = (tag_bytes(walk)?, walk.file_bytes().saturating_sub(WINDOW_BYTES as u64));
    if high <= low || frames_end(walk, container, high)?.is_some() {
        return Ok(());
    }
    let Some(mut end) = frames_end(walk, container, low)? else { return Ok(()) };
    // The last frames may begin in one half of a window and end in the other.
    while high - low > WINDOW_BYTES as u64 / 2 {
        let middle = low + (high - low) / 2;
        match frames_end(walk, container, middle)? {
            Some(further) => (low, end) = (middle, further),
            None => high = middle,
        }
    }
    walk.end_structure(end, false);
    Ok(())
}

/// Returns the end of the last frame in the window at an offset, if it has any.
fn frames_end(walk: &mut Walk<'_>, container: &str, offset: u64) -> io::Result<Option<u64>> {
    let part = walk.read(offset, WINDOW_BYTES)?.unwrap_or_default();
    Ok(bare_stream::end_of_frames(container, part).map(|end| offset + end as u64))
}

/// Returns the length of the ID3 tag before the first frame, which may have a large image.
fn tag_bytes(walk: &mut Walk<'_>) -> io::Result<u64> {
    let header = walk.read_array::<10>(0)?;
    let Some([b'I', b'D', b'3', _, _, _, size @ ..]) = header else { return Ok(0) };
    Ok(10 + size.iter().fold(0, |sum, &bits| sum << 7 | u64::from(bits & 0x7f)))
}
