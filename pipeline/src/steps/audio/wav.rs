//! Writer of the 16 kHz mono WAV file for transcription, in parts.
//!
//! Each part goes to storage when it is complete, so that a long lesson needs no more local space
//! than a short one. In order, the parts are the file.

use std::fs::File;
use std::io::{BufWriter, Write};

use crate::context::StepContext;
use crate::error::Result;

/// Sample rate of the file.
const RATE_HZ: u32 = 16_000;

/// Samples in a part: five minutes, 9.6 MB.
const PART_SAMPLES: usize = 300 * RATE_HZ as usize;

/// Writes the parts.
pub struct WavWriter<'a> {
    ctx: &'a StepContext,
    part: BufWriter<File>,
    /// Samples that still fit into the part.
    part_samples_left: usize,
    parts: Vec<String>,
}

impl<'a> WavWriter<'a> {
    /// Creates a file that will hold `samples` samples.
    pub fn create(ctx: &'a StepContext, samples: u64) -> Result<Self> {
        let mut parts = Vec::new();
        let mut part = create_part(ctx, &mut parts)?;
        part.write_all(&wav_header(samples))?;
        Ok(Self { ctx, part, part_samples_left: PART_SAMPLES, parts })
    }

    /// Appends samples, clipped at full scale.
    pub fn write(&mut self, mut samples: &[f32]) -> Result<()> {
        while !samples.is_empty() {
            if self.part_samples_left == 0 {
                self.announce_part()?;
                self.part = create_part(self.ctx, &mut self.parts)?;
                self.part_samples_left = PART_SAMPLES;
            }
            let (now, rest) = samples.split_at(self.part_samples_left.min(samples.len()));
            for sample in now {
                self.part.write_all(&((sample * 32_767.0).round() as i16).to_le_bytes())?;
            }
            self.part_samples_left -= now.len();
            samples = rest;
        }
        Ok(())
    }

    /// Completes the file; returns its parts in order.
    pub fn finish(mut self) -> Result<Vec<String>> {
        self.announce_part()?;
        Ok(self.parts)
    }

    fn announce_part(&mut self) -> Result<()> {
        self.part.flush()?;
        self.parts.last().map_or(Ok(()), |part| self.ctx.announce_output(part))
    }
}

fn create_part(ctx: &StepContext, parts: &mut Vec<String>) -> Result<BufWriter<File>> {
    let path = format!("work/speech.wav.{:03}", parts.len() + 1);
    let file = File::create(ctx.create_path(&path)?)?;
    parts.push(path);
    Ok(BufWriter::with_capacity(1 << 17, file))
}

fn wav_header(samples: u64) -> [u8; 44] {
    let data_bytes = u32::try_from(samples * 2).unwrap_or(u32::MAX - 36);
    let mut header = [0; 44];
    header[..4].copy_from_slice(b"RIFF");
    header[4..8].copy_from_slice(&(36 + data_bytes).to_le_bytes());
    header[8..16].copy_from_slice(b"WAVEfmt ");
    header[16..20].copy_from_slice(&16u32.to_le_bytes());
    // PCM, one channel.
    header[20..24].copy_from_slice(&[1, 0, 1, 0]);
    header[24..28].copy_from_slice(&RATE_HZ.to_le_bytes());
    header[28..32].copy_from_slice(&(RATE_HZ * 2).to_le_bytes());
    // Two bytes a sample, 16 bits.
    header[32..36].copy_from_slice(&[2, 0, 16, 0]);
    header[36..40].copy_from_slice(b"data");
    header[40..].copy_from_slice(&data_bytes.to_le_bytes());
    header
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::context::capturing_context;

    #[test]
    fn the_parts_are_one_file_and_each_is_announced_when_it_is_complete() {
        let folder = tempfile::tempdir().unwrap();
        let (ctx, announced) = capturing_context(folder.path());
        let mut wav = WavWriter::create(&ctx, PART_SAMPLES as u64 + 3).unwrap();
        wav.write(&vec![0.0; PART_SAMPLES - 1]).unwrap();
        assert!(announced.lock().unwrap().is_empty());
        wav.write(&[0.5, 0.0, 1.0, -2.0]).unwrap();
        let first = ("work/speech.wav.001".to_owned(), 44 + 2 * PART_SAMPLES as u64);
        assert_eq!(announced.lock().unwrap().as_slice(), std::slice::from_ref(&first));
        assert_eq!(wav.finish().unwrap(), ["work/speech.wav.001", "work/speech.wav.002"]);
        assert_eq!(announced.lock().unwrap().as_slice(), [first, ("work/speech.wav.002".to_owned(), 6)]);

        let [mut bytes, second] = ["001", "002"]
            .map(|part| std::fs::read(folder.path().join(format!("work/speech.wav.{part}"))).unwrap());
        bytes.extend(second);
        assert_eq!(bytes[40..44], (2 * PART_SAMPLES as u32 + 6).to_le_bytes());
        assert_eq!(bytes[4..8], (2 * PART_SAMPLES as u32 + 42).to_le_bytes());
        assert_eq!(bytes[bytes.len() - 8..], [0, 0x40, 0, 0, 0xff, 0x7f, 0, 0x80]);
    }
}
