//! The delay of an encoder that reorders frames, which AVI cannot state.
//!
//! XviD and DivX write a chunk without data each time they are given a frame and return none yet.
//! These chunks follow the first frame.

use std::io;

use crate::source::{ReadAt, read_full};

/// Bytes of the front that are searched: the header and the first frames.
const MAX_SEARCHED_BYTES: u64 = 4 << 20;
/// Most chunks followed, including those of audio.
const MAX_CHUNKS: usize = 2000;
/// Bytes of a packet that are searched for frames.
const MAX_PACKET_BYTES: usize = 64 << 10;
/// Most frames that MPEG-4 encoders hold back.
const MAX_DELAY_FRAMES: u64 = 4;
/// The start code of a frame of MPEG-4 video (ISO/IEC 14496-2, 6.2.1).
pub const FRAME_START: [u8; 4] = [0, 0, 1, 0xb6];

/// Returns the number of frames by which all but the first frame of an AVI are late.
///
/// It is 0 unless the second packet with data contains two frames ("packed bitstream"): in other
/// files chunks without data repeat a frame.
pub fn encoder_delay_frames(source: &dyn ReadAt) -> io::Result<u64> {
    let Some(mut offset) = first_frames(source)? else { return Ok(0) };
    let (mut stream, mut empty) = (None, 0);
    for _ in 0..MAX_CHUNKS {
        let Some((name, content, size)) = read_chunk(source, offset)? else { break };
        // A `rec ` list groups chunks.
        if &name == b"LIST" {
            offset = content + 4;
            continue;
        }
        offset = content + size + size % 2;
        if !matches!(&name[2..], b"dc" | b"db") || stream.is_some_and(|stream| stream != name) {
            continue;
        }
        match (stream, size) {
            (None, _) => stream = Some(name),
            (Some(_), 0 | 1) => empty += 1,
            _ if empty == 0 || empty > MAX_DELAY_FRAMES => break,
            _ => {
                let mut packet = vec![0; MAX_PACKET_BYTES.min(size as usize)];
                let read = read_full(source, content, &mut packet)?;
                let frames = packet[..read].windows(4).filter(|window| *window == FRAME_START).count();
                return Ok(if frames > 1 { empty } else { 0 });
            }
        }
    }
    Ok(0)
}

/// Offset of the chunks in the first `movi` list.
fn first_frames(source: &dyn ReadAt) -> io::Result<Option<u64>> {
    let mut offset = 12;
    for _ in 0..MAX_CHUNKS {
        if offset >= MAX_SEARCHED_BYTES {
            break;
        }
        let Some((name, content, size)) = read_chunk(source, offset)? else { break };
        let mut kind = [0; 4];
        if &name == b"LIST" && read_full(source, content, &mut kind)? == 4 && &kind == b"movi" {
            return Ok(Some(content + 4));
        }
        offset = content + size + size % 2;
    }
    Ok(None)
}

/// A chunk's name, the offset of its content, and its size.
fn read_chunk(source: &dyn ReadAt, offset: u64) -> io::Result<Option<([u8; 4], u64, u64)>> {
    let mut header = [0; 8];
    if read_full(source, offset, &mut header)? < header.len() {
        return Ok(None);
    }
    let [a, b, c, d, s0, s1, s2, s3] = header;
    Ok(Some(([a, b, c, d], offset + 8, u32::from_le_bytes([s0, s1, s2, s3]).into())))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::source::Bytes;

    /// An AVI whose video has these packets.
    fn avi(packets: &[&[u8]]) -> Bytes {
        let chunk = |name: &[u8], content: &[u8]| {
            let padding = vec![0; content.len() % 2];
            [name, &(content.len() as u32).to_le_bytes(), content, &padding].concat()
        };
        let chunks = packets.iter().map(|packet| [chunk(b"00dc", packet), chunk(b"01wb", b"abc")].concat());
        let movi = [b"movi".to_vec(), chunks.collect::<Vec<_>>().concat()].concat();
        let lists = [chunk(b"LIST", b"hdrlabcd"), chunk(b"LIST", &movi)].concat();
        Bytes(chunk(b"RIFF", &[b"AVI ".to_vec(), lists].concat()))
    }

    #[test]
    fn empty_chunks_before_packed_frames_are_the_encoders_delay() {
        let (one, two) = (&FRAME_START[..], &[FRAME_START, FRAME_START].concat()[..]);
        for (packets, delay) in [
            (vec![one, b"", b"", two, one], 2),
            (vec![one, b"\x7f", two, one], 1),
            // A repeated frame.
            (vec![one, b"", b"", one, two], 0),
            (vec![one, two, b"", two], 0),
            (vec![one, b"", b"", b"", b"", b"", two], 0),
            (vec![one, b""], 0),
            (vec![], 0),
        ] {
            assert_eq!(encoder_delay_frames(&avi(&packets)).unwrap(), delay, "{packets:?}");
        }
    }
}
