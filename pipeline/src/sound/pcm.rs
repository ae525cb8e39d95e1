//! Decoded sound between the two passes: stereo at 48 kHz in a temporary file, and 16 kHz mono in a WAV file.

use std::fs::File;
use std::io::{BufReader, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::Path;

use crate::error::Result;

/// Decoders of lossy formats pass full scale; kept at half, such peaks survive until the gain is known.
const SCALE: f32 = 16_384.0;

/// Writes stereo frames as 16-bit samples. Silence becomes a hole in the file.
pub struct PcmWriter {
    file: BufWriter<File>,
    frames: u64,
    bytes: Vec<u8>,
}

impl PcmWriter {
    /// A new file.
    pub fn create(path: &Path) -> Result<Self> {
        Ok(Self {
            file: BufWriter::with_capacity(1 << 18, File::create(path)?),
            frames: 0,
            bytes: Vec::new(),
        })
    }

    /// Appends frames.
    pub fn write(&mut self, frames: &[[f32; 2]]) -> Result<()> {
        self.bytes.clear();
        for sample in frames.as_flattened() {
            self.bytes.extend(((sample * SCALE).round() as i16).to_le_bytes());
        }
        self.frames += frames.len() as u64;
        Ok(self.file.write_all(&self.bytes)?)
    }

    /// Appends silence.
    pub fn silence(&mut self, frames: u64) -> Result<()> {
        if frames > 0 {
            self.frames += frames;
            self.file.seek(SeekFrom::Start(self.frames * 4))?;
        }
        Ok(())
    }

    /// Completes the file; returns the frames in it.
    pub fn finish(self) -> Result<u64> {
        let file = self.file.into_inner().map_err(|e| e.into_error())?;
        file.set_len(self.frames * 4)?;
        Ok(self.frames)
    }
}

/// Reads the frames back.
pub struct PcmReader {
    file: BufReader<File>,
    bytes: Vec<u8>,
}

impl PcmReader {
    /// Opens a file made by [`PcmWriter`].
    pub fn open(path: &Path) -> Result<Self> {
        Ok(Self { file: BufReader::with_capacity(1 << 18, File::open(path)?), bytes: Vec::new() })
    }

    /// Fills `frames` with up to `most` frames; with none at the end.
    pub fn read(&mut self, most: usize, frames: &mut Vec<[f32; 2]>) -> Result<()> {
        frames.clear();
        self.bytes.clear();
        (&mut self.file).take(most as u64 * 4).read_to_end(&mut self.bytes)?;
        let sample = |b: &[u8]| f32::from(i16::from_le_bytes([b[0], b[1]])) / SCALE;
        frames.extend(self.bytes.chunks_exact(4).map(|f| [sample(&f[..2]), sample(&f[2..])]));
        Ok(())
    }
}

/// Writes a mono 16-bit WAV file.
pub struct WavWriter {
    file: BufWriter<File>,
    rate_hz: u32,
    samples: u64,
}

impl WavWriter {
    /// A new file.
    pub fn create(path: &Path, rate_hz: u32) -> Result<Self> {
        let mut file = BufWriter::with_capacity(1 << 17, File::create(path)?);
        file.write_all(&wav_header(rate_hz, 0))?;
        Ok(Self { file, rate_hz, samples: 0 })
    }

    /// Appends samples, clipped at full scale.
    pub fn write(&mut self, samples: &[f32]) -> Result<()> {
        for sample in samples {
            self.file.write_all(&((sample * 32_767.0).round() as i16).to_le_bytes())?;
        }
        self.samples += samples.len() as u64;
        Ok(())
    }

    /// Completes the file.
    pub fn finish(self) -> Result<()> {
        let mut file = self.file.into_inner().map_err(|e| e.into_error())?;
        file.seek(SeekFrom::Start(0))?;
        Ok(file.write_all(&wav_header(self.rate_hz, self.samples))?)
    }
}

fn wav_header(rate_hz: u32, samples: u64) -> [u8; 44] {
    let data_bytes = u32::try_from(samples * 2).unwrap_or(u32::MAX - 36);
    let mut header = [0; 44];
    header[..4].copy_from_slice(b"RIFF");
    header[4..8].copy_from_slice(&(36 + data_bytes).to_le_bytes());
    header[8..16].copy_from_slice(b"WAVEfmt ");
    header[16..20].copy_from_slice(&16u32.to_le_bytes());
    // PCM, one channel.
    header[20..24].copy_from_slice(&[1, 0, 1, 0]);
    header[24..28].copy_from_slice(&rate_hz.to_le_bytes());
    header[28..32].copy_from_slice(&(rate_hz * 2).to_le_bytes());
    // Two bytes a sample, 16 bits.
    header[32..36].copy_from_slice(&[2, 0, 16, 0]);
    header[36..40].copy_from_slice(b"data");
    header[40..].copy_from_slice(&data_bytes.to_le_bytes());
    header
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_come_back_also_above_full_scale() -> Result<()> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("pcm");
        let mut writer = PcmWriter::create(&path)?;
        writer.silence(1000)?;
        writer.write(&[[0.5, -1.5], [1.25, 9.0]])?;
        writer.silence(3)?;
        assert_eq!(writer.finish()?, 1005);

        let (mut reader, mut all, mut some) = (PcmReader::open(&path)?, Vec::new(), Vec::new());
        loop {
            reader.read(100, &mut some)?;
            if some.is_empty() {
                break;
            }
            all.append(&mut some);
        }
        assert_eq!(all.len(), 1005);
        assert_eq!(all[999..1003], [[0.0; 2], [0.5, -1.5], [1.25, 32_767.0 / SCALE], [0.0; 2]]);
        Ok(())
    }

    #[test]
    fn a_wav_file_says_its_length() -> Result<()> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("speech.wav");
        let mut writer = WavWriter::create(&path, 16_000)?;
        writer.write(&[0.0, 1.0, -2.0])?;
        writer.finish()?;
        let bytes = std::fs::read(&path)?;
        assert_eq!(bytes.len(), 50);
        assert_eq!((bytes[4], bytes[40]), (42, 6));
        assert_eq!(bytes[44..], [0, 0, 0xff, 0x7f, 0, 0x80]);
        Ok(())
    }
}
