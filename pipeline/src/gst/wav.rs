//! WAV and its relatives, where GStreamer's WAV parser falls short.
//!
//! Files whose header it does not know get one that it knows. ADPCM is cut into blocks here,
//! because the parser derives its times from a number that many writers get wrong.

use std::sync::Arc;

use gstreamer as gst;

use super::packet_source::{MAX_PACKETS, Packet, Packets};
use crate::error::{Error, Result};
use crate::source::{ByteRange, PrefixedSource, Source, read_full};

/// Maximum number of chunks to read.
const MAX_CHUNKS: usize = 1_000;
/// Maximum size of the description of samples.
const MAX_FORMAT_BYTES: u64 = 4096;
/// The end of all identifiers of W64 but the first (Sony, "Sony Pictures Digital Wave 64", 2004).
const W64_ID: &[u8; 12] = b"\xf3\xac\xd3\x11\x8c\xd1\0\xc0\x4f\x8e\xdb\x8a";

/// Renames a BW64 (ITU-R BS.2088) to RF64, the same format under the name that the parser knows.
/// Leaves other files as they are.
pub fn bw64_as_rf64(source: Source) -> Result<Source> {
    let mut magic = [0; 4];
    read_full(source.as_ref(), 0, &mut magic)?;
    Ok(if &magic == b"BW64" { with_header(b"RF64".to_vec(), source, 4, u64::MAX) } else { source })
}

/// Replaces the header of a W64 with that of a WAV.
pub fn w64_as_wav(source: Source) -> Result<Source> {
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
            // An interrupted recorder leaves a size of 0 or one beyond the end.
            let left = source.size_bytes().saturating_sub(at + 24);
            let size = if content == 0 { left } else { content.min(left) };
            return Ok(with_header(wav_header(&format, size), source, at + 24, size));
        }
        let Some(next) = size.checked_next_multiple_of(8).and_then(|size| at.checked_add(size)) else {
            break;
        };
        at = next;
    }
    Err(Error::damaged_file())
}

/// The blocks of a WAV in ADPCM, as dictation machines write them; `None` for other WAVs.
pub fn adpcm_packets(source: &Source) -> Result<Option<Packets>> {
    let (mut format, mut frames, mut at) = (Vec::new(), u64::MAX, 12_u64);
    for _ in 0..MAX_CHUNKS {
        let mut head = [0; 8];
        if read_full(source.as_ref(), at, &mut head)? < head.len() {
            break;
        }
        let size = u64::from(u32::from_le_bytes([head[4], head[5], head[6], head[7]]));
        let mut content = vec![0; size.min(MAX_FORMAT_BYTES) as usize];
        match &head[..4] {
            b"data" => {
                let size_bytes = size.min(source.size_bytes().saturating_sub(at + 8));
                let data = ByteRange { begins_at: at + 8, size_bytes }.view(source.clone());
                return Ok(blocks(&format, data, size_bytes, frames));
            }
            b"fmt " | b"fact" => {
                let read = read_full(source.as_ref(), at + 8, &mut content)?;
                content.truncate(read);
                match (&head[..4], content.get(..4)) {
                    (b"fact", Some(&[a, b, c, d])) => frames = u64::from(u32::from_le_bytes([a, b, c, d])),
                    _ => format = content,
                }
            }
            _ => {}
        }
        at += 8 + size + size % 2;
    }
    Ok(None)
}

/// Cuts Microsoft or IMA ADPCM into its blocks.
fn blocks(format: &[u8], source: Source, size_bytes: u64, frames: u64) -> Option<Packets> {
    let number = |at: usize| Some(u32::from(u16::from_le_bytes(format.get(at..at + 2)?.try_into().ok()?)));
    let (channels, block) = (number(2)?, number(12)?);
    let rate_hz = u32::from_le_bytes(format.get(4..8)?.try_into().ok()?);
    // Each block starts with one or two samples per channel, followed by one in each half byte.
    let (layout, head, first) = match (number(0)?, number(14)?) {
        (2, 4) => ("microsoft", 7, 2),
        (0x11, 4) => ("dvi", 4, 1),
        _ => return None,
    };
    let each = block.checked_div(channels)?.checked_sub(head)? * 2 + first;
    let count = (size_bytes / u64::from(block)).min(MAX_PACKETS) as usize;
    let mut caps = gst::Caps::builder("audio/x-adpcm")
        .field("layout", layout)
        .field("rate", i32::try_from(rate_hz).ok()?)
        .field("channels", channels as i32)
        .field("block_align", block as i32);
    if let Some(more) = format.get(18..) {
        caps = caps.field("codec_data", gst::Buffer::from_slice(more.to_vec()));
    }
    let packets = vec![Packet { bytes: block, frames: each }; count];
    // The declared length counts only if it is plausible.
    let all = u64::from(each) * count as u64;
    let presented = 0..if frames > all / 2 { frames } else { all };
    Some(Packets { source, caps: caps.build(), rate_hz, packets, presented })
}

fn with_header(header: Vec<u8>, source: Source, begins_at: u64, size_bytes: u64) -> Source {
    let size_bytes = size_bytes.min(source.size_bytes().saturating_sub(begins_at));
    Arc::new(PrefixedSource { front: header, inner: ByteRange { begins_at, size_bytes }.view(source) })
}

/// The header of a WAV, or of an RF64 if the size of the samples needs 64 bits.
fn wav_header(format: &[u8], size: u64) -> Vec<u8> {
    let mut format = format.to_vec();
    format.resize(format.len().next_multiple_of(2), 0);
    let rest = size + format.len() as u64 + 20;
    let mut header = Vec::new();
    match u32::try_from(rest) {
        Ok(rest) => {
            header.extend(b"RIFF");
            header.extend(rest.to_le_bytes());
            header.extend(b"WAVE");
        }
        Err(_) => {
            header.extend(b"RF64\xff\xff\xff\xffWAVEds64\x1c\0\0\0");
            header.extend((rest + 36).to_le_bytes());
            header.extend(size.to_le_bytes());
            // The number of samples and of further sizes: not needed.
            header.extend([0; 12]);
        }
    }
    header.extend(b"fmt ");
    header.extend((format.len() as u32).to_le_bytes());
    header.extend(format);
    header.extend(b"data");
    header.extend(u32::try_from(size).unwrap_or(u32::MAX).to_le_bytes());
    header
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::source::{Bytes, ReadAt};

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
        let read = w64_as_wav(Arc::new(Bytes(parts.concat()))).unwrap();
        let wav =
            [b"RIFF\x2e\0\0\0WAVEfmt \x12\0\0\0".to_vec(), vec![1; 18], b"data\x08\0\0\0samples!".into()];
        assert_eq!(all(read.as_ref()), wav.concat());
        let cut = [&parts[..3], &[chunk(b"data", b"samples!")[..27].to_vec()]].concat().concat();
        assert!(all(w64_as_wav(Arc::new(Bytes(cut))).unwrap().as_ref()).ends_with(b"data\x03\0\0\0sam"));
        assert!(w64_as_wav(Arc::new(Bytes(parts[..3].concat()))).is_err());
        assert!(w64_as_wav(Arc::new(Bytes([&parts[0][..], &[0; 24]].concat()))).is_err());
    }

    #[test]
    fn a_size_beyond_32_bits_is_kept() {
        let header = wav_header(&[1; 16], 5 << 32);
        assert!(header.starts_with(b"RF64\xff\xff\xff\xffWAVEds64"));
        assert_eq!(header[28..36], (5_u64 << 32).to_le_bytes());
    }

    #[test]
    fn adpcm_is_cut_into_its_blocks() {
        gst::init().unwrap();
        let wav = |tag: u8, block: u16| {
            let format =
                [&[tag, 0, 2, 0, 0x40, 0x1f, 0, 0, 1, 2, 3, 4][..], &block.to_le_bytes(), &[4, 0]].concat();
            [
                b"RIFF\0\0\0\0WAVEfmt \x10\0\0\0",
                &format[..],
                b"fact\x04\0\0\0\x90\x01\0\0data\0\x08\0\0",
                &[0; 2048],
            ]
            .concat()
        };
        let read = |tag, block| adpcm_packets(&(Arc::new(Bytes(wav(tag, block))) as Source)).unwrap();
        let ima = read(0x11, 512).unwrap();
        assert_eq!(
            (ima.rate_hz, ima.packets.len(), ima.presented),
            (8000, 4, 0..2020),
            "400 frames cannot be"
        );
        assert_eq!(ima.packets[0], Packet { bytes: 512, frames: 505 });
        assert_eq!(read(2, 256).unwrap().packets[0], Packet { bytes: 256, frames: 244 });
        assert!(read(1, 4).is_none());
        assert!(read(0x11, 0).is_none());
    }

    #[test]
    fn bw64_is_read_as_rf64() {
        let read = bw64_as_rf64(Arc::new(Bytes(b"BW64\xff\xff\xff\xffWAVE".to_vec()))).unwrap();
        assert_eq!(all(read.as_ref()), b"RF64\xff\xff\xff\xffWAVE");
    }
}
