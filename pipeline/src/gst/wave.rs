//! Relatives of WAV whose samples are the same and whose heads the WAV parser does not know: they are read with the head
//! of a WAV in front.

use std::sync::Arc;

use crate::error::{Error, Result};
use crate::source::{Prefixed, ReadAt, Source, Within, read_full};

/// Most chunks looked at.
const MAX_CHUNKS: usize = 1_000;
/// Largest description of the samples, in bytes.
const MAX_FORMAT_BYTES: u64 = 4096;
/// What all identifiers of W64 but the first one end with (Sony, "Sony Pictures Digital Wave 64", 2004).
const W64_ID: &[u8; 12] = b"\xf3\xac\xd3\x11\x8c\xd1\0\xc0\x4f\x8e\xdb\x8a";

/// A WAV with sizes of 64 bits (ITU-R BS.2088) under the name the parser knows: EBU's RF64 is the same.
pub fn rf64(source: Source) -> Result<Source> {
    let mut magic = [0; 4];
    read_full(source.as_ref(), 0, &mut magic)?;
    Ok(if &magic == b"BW64" { behind(b"RF64".to_vec(), source, 4, u64::MAX) } else { source })
}

/// A W64 as a WAV.
pub fn w64(source: Source) -> Result<Source> {
    let mut format = None;
    let mut at = 40;
    for _ in 0..MAX_CHUNKS {
        let mut head = [0; 24];
        if read_full(source.as_ref(), at, &mut head)? < head.len() {
            break;
        }
        let size = head[16..].iter().rev().fold(0_u64, |size, byte| size << 8 | u64::from(*byte));
        let Some(content) = size.checked_sub(24) else { break };
        if &head[..4] == b"fmt " && &head[4..16] == W64_ID && content <= MAX_FORMAT_BYTES {
            let mut bytes = vec![0; content as usize];
            let read = read_full(source.as_ref(), at + 24, &mut bytes)?;
            bytes.truncate(read);
            format = Some(bytes);
        }
        if &head[..4] == b"data" && &head[4..16] == W64_ID {
            let Some(format) = format else { break };
            // A recorder that was stopped in the middle leaves a size of 0 or one beyond the end.
            let left = source.size_bytes().saturating_sub(at + 24);
            let size = if content == 0 { left } else { content.min(left) };
            return Ok(behind(head_of_wav(&format, size), source, at + 24, size));
        }
        let Some(next) = size.checked_next_multiple_of(8).and_then(|size| at.checked_add(size)) else {
            break;
        };
        at = next;
    }
    Err(Error::input("decode_failed", "The file is damaged, so it can't be played."))
}

fn behind(front: Vec<u8>, source: Source, begins_at: u64, size_bytes: u64) -> Source {
    let size_bytes = size_bytes.min(source.size_bytes().saturating_sub(begins_at));
    Arc::new(Prefixed { front, inner: Within { begins_at, size_bytes }.of(source) })
}

/// Everything in front of the samples; their size needs 64 bits where a WAV has no room for it.
fn head_of_wav(format: &[u8], size: u64) -> Vec<u8> {
    let mut format = format.to_vec();
    format.resize(format.len().next_multiple_of(2), 0);
    let rest = size + format.len() as u64 + 20;
    let mut head = Vec::new();
    match u32::try_from(rest) {
        Ok(rest) => {
            head.extend(b"RIFF");
            head.extend(rest.to_le_bytes());
            head.extend(b"WAVE");
        }
        Err(_) => {
            head.extend(b"RF64\xff\xff\xff\xffWAVEds64\x1c\0\0\0");
            head.extend((rest + 36).to_le_bytes());
            head.extend(size.to_le_bytes());
            // The number of samples and of further sizes: not needed.
            head.extend([0; 12]);
        }
    }
    head.extend(b"fmt ");
    head.extend((format.len() as u32).to_le_bytes());
    head.extend(format);
    head.extend(b"data");
    head.extend(u32::try_from(size).unwrap_or(u32::MAX).to_le_bytes());
    head
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::source::Bytes;

    fn all(source: &dyn ReadAt) -> Vec<u8> {
        let mut bytes = vec![0; source.size_bytes() as usize];
        let read = read_full(source, 0, &mut bytes).unwrap();
        bytes.truncate(read);
        bytes
    }

    fn chunk(name: &[u8; 4], content: &[u8]) -> Vec<u8> {
        let mut made = [&name[..], W64_ID, &(content.len() as u64 + 24).to_le_bytes(), content].concat();
        made.resize(made.len().next_multiple_of(8), 0);
        made
    }

    #[test]
    fn a_w64_is_a_wav_with_another_head() {
        let front = [b"riff".to_vec(), vec![0; 36]].concat();
        let parts = [
            front,
            chunk(b"fact", b"?"),
            chunk(b"fmt ", &[1; 18]),
            chunk(b"data", b"samples!"),
            b"more".into(),
        ];
        let read = w64(Arc::new(Bytes(parts.concat()))).unwrap();
        let wav =
            [b"RIFF\x2e\0\0\0WAVEfmt \x12\0\0\0".to_vec(), vec![1; 18], b"data\x08\0\0\0samples!".into()];
        assert_eq!(all(read.as_ref()), wav.concat());
        let cut = [&parts[..3], &[chunk(b"data", b"samples!")[..27].to_vec()]].concat().concat();
        assert!(all(w64(Arc::new(Bytes(cut))).unwrap().as_ref()).ends_with(b"data\x03\0\0\0sam"));
        assert!(w64(Arc::new(Bytes(parts[..3].concat()))).is_err());
        assert!(w64(Arc::new(Bytes([&parts[0][..], &[0; 24]].concat()))).is_err());
    }

    #[test]
    fn a_size_beyond_32_bits_is_kept() {
        let head = head_of_wav(&[1; 16], 5 << 32);
        assert!(head.starts_with(b"RF64\xff\xff\xff\xffWAVEds64"));
        assert_eq!(head[28..36], (5_u64 << 32).to_le_bytes());
    }

    #[test]
    fn bw64_is_read_as_rf64() {
        let read = rf64(Arc::new(Bytes(b"BW64\xff\xff\xff\xffWAVE".to_vec()))).unwrap();
        assert_eq!(all(read.as_ref()), b"RF64\xff\xff\xff\xffWAVE");
    }
}
