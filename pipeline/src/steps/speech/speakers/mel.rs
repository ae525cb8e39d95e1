//! The spectrogram that the voice encoder was trained on: power in 40 mel bands, every 10 ms.

use std::f32::consts::TAU;

use super::matrix::multiply_transposed;
use crate::mel::{self, BINS};
use crate::steps::speech::wav::RATE_HZ;

/// Bands of the spectrogram.
pub const BANDS: usize = 40;
/// Time between two frames, in ms.
pub const FRAME_MS: u64 = 10;
/// Samples between two frames.
const STEP_SAMPLES: usize = (RATE_HZ * FRAME_MS / 1000) as usize;
/// Samples of a frame: 25 ms.
const FRAME_SAMPLES: usize = 400;

/// Computes spectrograms.
pub struct MelSpectrogram {
    /// Rows that a frame is multiplied by: cosines of every frequency, then sines, in the window.
    waves: Vec<f32>,
    /// Weight of every frequency in every band.
    filters: Vec<f32>,
}

impl MelSpectrogram {
    pub fn new() -> Self {
        let window = |n: usize| 0.5 - 0.5 * (TAU * n as f32 / FRAME_SAMPLES as f32).cos();
        // The angle is reduced first, for 32 bits are not enough for large ones.
        let angle = |bin: usize, n: usize| TAU * ((bin * n) % FRAME_SAMPLES) as f32 / FRAME_SAMPLES as f32;
        let rows = |wave: fn(f32) -> f32| {
            (0..BINS).flat_map(move |bin| (0..FRAME_SAMPLES).map(move |n| window(n) * wave(angle(bin, n))))
        };
        Self { waves: rows(f32::cos).chain(rows(f32::sin)).collect(), filters: mel::filters(BANDS) }
    }

    /// Returns the frames of `samples`, [`BANDS`] numbers each. The first is centred on the first
    /// sample.
    pub fn compute(&self, samples: &[f32]) -> Vec<f32> {
        let half = FRAME_SAMPLES / 2;
        let mut padded = vec![0.0; half];
        padded.extend_from_slice(samples);
        padded.resize(padded.len() + half, 0.0);
        let frames = samples.len() / STEP_SAMPLES + 1;
        let mut cut = Vec::with_capacity(frames * FRAME_SAMPLES);
        for frame in 0..frames {
            cut.extend_from_slice(&padded[frame * STEP_SAMPLES..][..FRAME_SAMPLES]);
        }
        let mut parts = vec![0.0; frames * 2 * BINS];
        multiply_transposed((frames, FRAME_SAMPLES, 2 * BINS), &cut, &self.waves, 0.0, &mut parts);
        let power: Vec<f32> = parts
            .chunks_exact(2 * BINS)
            .flat_map(|part| (0..BINS).map(|bin| part[bin].powi(2) + part[BINS + bin].powi(2)))
            .collect();
        let mut bands = vec![0.0; frames * BANDS];
        multiply_transposed((frames, BINS, BANDS), &power, &self.filters, 0.0, &mut bands);
        bands
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tone_is_in_its_band() {
        let tone = |hz: f32| -> Vec<f32> {
            (0..16_000).map(|n| (TAU * hz * n as f32 / RATE_HZ as f32).sin() * 0.1).collect()
        };
        let mel = MelSpectrogram::new();
        let loudest = |hz: f32| {
            let frames = mel.compute(&tone(hz));
            assert_eq!(frames.len(), 101 * BANDS);
            let middle = &frames[50 * BANDS..51 * BANDS];
            (0..BANDS).max_by(|a, b| middle[*a].total_cmp(&middle[*b])).unwrap_or(0)
        };
        // 1,000 Hz is 15 of 45.25 mels, and 4,000 Hz 35.2.
        assert_eq!((loudest(1_000.0), loudest(4_000.0)), (13, 31));
    }
}
