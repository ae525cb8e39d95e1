//! Reader of the 16 kHz mono WAV file that the audio step made.

use crate::error::{Error, Result};
use crate::source::{ReadAt, Source, read_full};

/// Sample rate of the file.
pub const RATE_HZ: u64 = 16_000;

/// An open WAV file.
pub struct WavReader {
    source: Source,
    data_offset: u64,
    samples: u64,
}

impl WavReader {
    /// Finds the samples in the file.
    pub fn open(source: Source) -> Result<Self> {
        let mut head = [0; 12];
        let read = read_full(&*source, 0, &mut head)?;
        if read < 12 || !(head.starts_with(b"RIFF") && head.ends_with(b"WAVE")) {
            return Err(unusable("it is not a WAV file"));
        }
        let (mut offset, mut format_seen) = (12, false);
        loop {
            let mut chunk = [0; 8];
            if read_full(&*source, offset, &mut chunk)? < 8 {
                return Err(unusable("it has no samples"));
            }
            let size = u64::from(u32::from_le_bytes([chunk[4], chunk[5], chunk[6], chunk[7]]));
            match &chunk[..4] {
                b"fmt " => {
                    check_format(&*source, offset + 8)?;
                    format_seen = true;
                }
                b"data" if format_seen => {
                    // A file written as a stream does not state its true size: all bytes present
                    // count.
                    let present_bytes = source.size_bytes().saturating_sub(offset + 8);
                    return Ok(Self {
                        data_offset: offset + 8,
                        samples: size.min(present_bytes) / 2,
                        source,
                    });
                }
                _ => {}
            }
            // Chunks are padded to 16 bits.
            offset += 8 + size + (size & 1);
        }
    }

    /// Number of samples.
    pub fn samples(&self) -> u64 {
        self.samples
    }

    /// Length, in ms.
    pub fn duration_ms(&self) -> u64 {
        self.samples * 1000 / RATE_HZ
    }

    /// Reads up to `count` samples from sample `first`, as floats from -1 to 1.
    pub fn read(&self, first: u64, count: u64) -> Result<Vec<f32>> {
        let count = count.min(self.samples.saturating_sub(first));
        let mut bytes = vec![0; count as usize * 2];
        let read = read_full(&*self.source, self.data_offset + first * 2, &mut bytes)?;
        bytes.truncate(read);
        Ok(bytes.chunks_exact(2).map(|s| f32::from(i16::from_le_bytes([s[0], s[1]])) / 32768.0).collect())
    }
}

fn check_format(source: &dyn ReadAt, offset: u64) -> Result<()> {
    let mut format = [0; 16];
    let read = read_full(source, offset, &mut format)?;
    // PCM, one channel, 16,000 samples a second, 16 bits.
    let is_expected = format[..8] == [1, 0, 1, 0, 0x80, 0x3e, 0, 0] && format[14..] == [16, 0];
    if read == 16 && is_expected { Ok(()) } else { Err(unusable("it is not 16 kHz mono 16-bit PCM")) }
}

fn unusable(why: &str) -> Error {
    Error::internal(format!("the audio for transcription is unusable: {why}"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::sync::Arc;

    use super::*;
    use crate::source::Bytes;
    use crate::steps::speech::tests::wav_file;

    fn open(bytes: Vec<u8>) -> Result<WavReader> {
        WavReader::open(Arc::new(Bytes(bytes)))
    }

    #[test]
    fn samples_are_read_in_windows() {
        let wav = open(wav_file(&[0, 16384, -32768, 1, 2])).unwrap();
        assert_eq!((wav.samples(), wav.duration_ms()), (5, 0));
        assert_eq!(wav.read(1, 2).unwrap(), [0.5, -1.0]);
        assert_eq!(wav.read(4, 10).unwrap().len(), 1);
        assert!(wav.read(9, 1).unwrap().is_empty());
    }

    #[test]
    fn a_file_written_as_a_stream_or_cut_off_counts_what_is_there() {
        let mut bytes = wav_file(&[1, 2, 3]);
        let at = bytes.len() - 10;
        bytes[at..at + 4].copy_from_slice(&u32::MAX.to_le_bytes());
        assert_eq!(open(bytes.clone()).unwrap().samples(), 3);
        bytes.truncate(bytes.len() - 2);
        assert_eq!(open(bytes).unwrap().samples(), 2);
    }

    #[test]
    fn other_files_are_refused() {
        assert!(open(b"RIFF".to_vec()).is_err());
        assert!(open(wav_file(&[])[..40].to_vec()).is_err());
        let mut stereo = wav_file(&[1]);
        stereo[34] = 2;
        assert!(open(stereo).is_err());
    }
}
