//! What demuxers pass over in silence: a WAV without samples, an Ogg whose pages are damaged.

use std::io::{self, BufReader, Read};

use crate::context::StepContext;
use crate::error::Result;
use crate::source::{ReadAt, read_full};

/// Most chunks looked at in a WAV.
const MOST_CHUNKS: usize = 1_000;
/// How much of an Ogg is read at once.
const BLOCK: usize = 1 << 18;

/// Whether a WAV has a chunk of samples.
pub fn wav_has_samples(source: &dyn ReadAt) -> Result<bool> {
    let mut at = 12;
    for _ in 0..MOST_CHUNKS {
        let mut head = [0; 8];
        if read_full(source, at, &mut head)? < head.len() {
            break;
        }
        if &head[..4] == b"data" || &head[..4] == b"ds64" {
            return Ok(true);
        }
        let size = u64::from(u32::from_le_bytes([head[4], head[5], head[6], head[7]]));
        at += 8 + size + size % 2;
    }
    Ok(false)
}

/// Whether a page of an Ogg differs from its checksum, or something else stands between pages, in the first `most` bytes.
/// A last page that is cut off is not counted.
pub fn ogg_is_damaged(source: &dyn ReadAt, most: u64, ctx: &StepContext) -> Result<bool> {
    let table = checksums();
    let mut file = BufReader::with_capacity(BLOCK, Sequential { source, at: 0 });
    let mut page = vec![0; 27 + 255 + 255 * 255];
    let mut at = 0;
    while at < most.min(source.size_bytes()) {
        ctx.check_cancelled()?;
        if !fill(&mut file, &mut page[..27])? {
            return Ok(false);
        }
        if &page[..4] != b"OggS" {
            return Ok(true);
        }
        let head = 27 + usize::from(page[26]);
        if !fill(&mut file, &mut page[27..head])? {
            return Ok(false);
        }
        let size = head + page[27..head].iter().map(|&length| usize::from(length)).sum::<usize>();
        if !fill(&mut file, &mut page[head..size])? {
            return Ok(false);
        }
        let told = u32::from_le_bytes([page[22], page[23], page[24], page[25]]);
        page[22..26].fill(0);
        let found = page[..size]
            .iter()
            .fold(0_u32, |sum, &byte| sum << 8 ^ table[usize::from((sum >> 24) as u8 ^ byte)]);
        if found != told {
            return Ok(true);
        }
        at += size as u64;
    }
    Ok(false)
}

/// A source read from its start to its end.
struct Sequential<'a> {
    source: &'a dyn ReadAt,
    at: u64,
}

impl Read for Sequential<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let read = self.source.read_at(self.at, buf)?;
        self.at += read as u64;
        Ok(read)
    }
}

/// Fills a buffer; no where the file ends before.
fn fill(file: &mut impl Read, buf: &mut [u8]) -> io::Result<bool> {
    match file.read_exact(buf) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}

/// The table of Ogg's checksum (RFC 3533): a CRC of 32 bits, 0x04c11db7, most significant bit first.
fn checksums() -> [u32; 256] {
    std::array::from_fn(|byte| {
        (0..8).fold(
            (byte as u32) << 24,
            |sum, _| {
                if sum >> 31 == 1 { sum << 1 ^ 0x04c1_1db7 } else { sum << 1 }
            },
        )
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::sync::Arc;

    use super::*;
    use crate::source::Bytes;

    #[test]
    fn a_wav_without_samples_is_known() {
        let wav = |chunk: &[u8]| Bytes([b"RIFF\x24\0\0\0WAVEfmt \x03\0\0\0abc\0", chunk].concat());
        assert!(wav_has_samples(&wav(b"data\x02\0\0\0xx")).unwrap());
        assert!(!wav_has_samples(&wav(b"HURF9999xx")).unwrap());
        assert!(!wav_has_samples(&wav(b"LIST\x02\0\0\0xx")).unwrap());
    }

    #[test]
    fn a_damaged_page_is_known() {
        // A page as libogg writes it: its checksum was worked out by another program.
        let mut page = b"OggS\0\x02\0\0\0\0\0\0\0\0\x01\0\0\0\0\0\0\0\0\0\0\0\x01\x03abc".to_vec();
        page[22..26].copy_from_slice(&PAGE_SUM.to_le_bytes());
        let ctx = StepContext { out_dir: "out".into(), emit: Arc::new(|_| ()), cancel: Arc::default() };
        let damaged = |pages: &[&[u8]]| ogg_is_damaged(&Bytes(pages.concat()), u64::MAX, &ctx).unwrap();
        assert!(!damaged(&[&page, &page]));
        // Cut off, changed, and with something between two pages.
        assert!(!damaged(&[&page, &page[..29]]));
        let mut other = page.clone();
        other[30] ^= 1;
        assert!(damaged(&[&page, &other]));
        assert!(damaged(&[&page, b"something else that is longer than a header", &page]));
    }

    const PAGE_SUM: u32 = 0x15f6_dd92;
}
