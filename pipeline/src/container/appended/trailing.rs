//! Bytes after the last recording of a file: another kind of file, or junk.

use std::io;

use super::walk::StructureEnd;
use crate::container::sniff;
use crate::source::{ReadAt, read_full};

/// Fewest bytes that are reported: programs append notes of their own to a recording.
const MIN_FOREIGN_BYTES: u64 = 64 << 10;
/// Smallest part of a file that is reported, in percent.
const MIN_FOREIGN_PERCENT: u64 = 1;
/// Bytes by which another kind of file is recognised.
const FRONT_BYTES: usize = 8 << 10;
/// Last bytes of the motion data that cameras by Insta360 append to an MP4.
const INSTA360: &[u8; 32] = b"8db42d694ccc418790edff439fe026bf";

/// Returns the number of bytes after the end of a file's structure that are something else; 0 if
/// they are few, or may be a damaged part of the recording.
pub fn foreign_bytes(source: &dyn ReadAt, end: StructureEnd) -> io::Result<u64> {
    let size = source.size_bytes();
    let bytes = size.saturating_sub(end.offset);
    if bytes <= MIN_FOREIGN_BYTES || bytes <= size / 100 * MIN_FOREIGN_PERCENT {
        return Ok(0);
    }
    let mut front = vec![0; FRONT_BYTES];
    let read = read_full(source, end.offset, &mut front)?;
    let front = &front[..read];
    let is_empty = |empty: u8| front.iter().all(|&byte| byte == empty);
    let is_other = sniff::container(front).is_some() || is_empty(0) || is_empty(0xff);
    let mut last = [0; INSTA360.len()];
    read_full(source, size - last.len() as u64, &mut last)?;
    Ok(if (is_other || end.is_certain) && last != *INSTA360 { bytes } else { 0 })
}
