//! Damage that demuxers do not report: a WAV without samples, an Ogg with damaged pages.

use std::io::{self, BufReader, Read};

use crate::context::StepContext;
use crate::error::Result;
use crate::source::{ReadAt, read_full};

/// Most chunks read of a WAV.
const MAX_CHUNKS: usize = 1_000;
/// Bytes of an Ogg that are read at once.
const READ_BYTES: usize = 1 << 18;

/// Whether a WAV has a chunk of samples.
pub fn wav_has_samples(source: &dyn ReadAt) -> Result<bool> {
    let mut offset = 12;
    for _ in 0..MAX_CHUNKS {
        let mut header = [0; 8];
        if read_full(source, offset, &mut header)? < header.len() {
            break;
        }
        if &header[..4] == b"data" || &header[..4] == b"ds64" {
            return Ok(true);
        }
        let size = u64::from(u32::from_le_bytes([header[4], header[5], header[6], header[7]]));
        offset += 8 + size + size % 2;
    }
    Ok(false)
}

/// Whether a page of an Ogg does not match its checksum, or something else lies between pages, in
/// the first `max_bytes`. A last page that is cut off does not count.
pub fn ogg_is_damaged(source: &dyn ReadAt, max_bytes: u64, ctx: &StepContext) -> Result<bool> {
    let table = checksum_table();
    let mut file = BufReader::with_capacity(READ_BYTES, SequentialReader { source, offset: 0 });
    let mut page = vec![0; 27 + 255 + 255 * 255];
    let mut offset = 0;
    while offset < max_bytes.min(source.size_bytes()) {
        ctx.check_cancelled()?;
        if !fill(&mut file, &mut page[..27])? {
            return Ok(false);
        }
        if &page[..4] != b"OggS" {
            return Ok(true);
        }
        let header = 27 + usize::from(page[26]);
        if !fill(&mut file, &mut page[27..header])? {
            return Ok(false);
        }
        let size = header + page[27..header].iter().map(|&length| usize::from(length)).sum::<usize>();
        if !fill(&mut file, &mut page[header..size])? {
            return Ok(false);
        }
        let declared = u32::from_le_bytes([page[22], page[23], page[24], page[25]]);
        page[22..26].fill(0);
        let computed = page[..size]
            .iter()
            .fold(0_u32, |sum, &byte| sum << 8 ^ table[usize::from((sum >> 24) as u8 ^ byte)]);
        if computed != declared {
            return Ok(true);
        }
        offset += size as u64;
    }
    Ok(false)
}

/// A source read from its start to its end.
struct SequentialReader<'a> {
    source: &'a dyn ReadAt,
    offset: u64,
}

impl Read for SequentialReader<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let read = self.source.read_at(self.offset, buf)?;
        self.offset += read as u64;
        Ok(read)
    }
}

/// Fills a buffer; `false` if the file ends before that.
fn fill(file: &mut impl Read, buf: &mut [u8]) -> io::Result<bool> {
    match file.read_exact(buf) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}

/// The table of Ogg's checksum (RFC 3533): CRC-32 with 0x04c11db7, most significant bit first.
fn checksum_table() -> [u32; 256] {
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
    fn a_wav_without_samples_is_recognised() {
        let wav = |chunk: &[u8]| Bytes([b"RIFF\x24\0\0\0WAVEfmt \x03\0\0\0abc\0", chunk].concat());
        assert!(wav_has_samples(&wav(b"data\x02\0\0\0xx")).unwrap());
        assert!(!wav_has_samples(&wav(b"HURF9999xx")).unwrap());
        assert!(!wav_has_samples(&wav(b"LIST\x02\0\0\0xx")).unwrap());
    }

    #[test]
    fn a_damaged_page_is_recognised() {
        // A page as libogg writes it, with a checksum from another program.
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
