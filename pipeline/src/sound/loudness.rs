//! Loudness by EBU R128, and the gain it asks for.

use ebur128::{EbuR128, Mode};

use crate::error::{Error, Result};

/// What every recording is brought to, in LUFS: loud enough for a laptop in a staff room, with room for peaks.
pub const TARGET_LUFS: f64 = -18.0;
/// Most gain, in dB: beyond it a recording is noise.
pub const MOST_GAIN_DB: f64 = 30.0;
/// Where the limiter holds peaks, in dBTP. One below the promised -1: AAC at a low bitrate adds about as much.
pub const CEILING_DBTP: f64 = -2.0;

/// Measures a stereo signal at 48 kHz.
pub struct Meter {
    meter: EbuR128,
    middle: f64,
    side: f64,
}

/// What was measured.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Loudness {
    /// Integrated loudness, in LUFS; none for silence, or for less than 0.4 s.
    pub integrated_lufs: Option<f64>,
    /// True peak, in dBTP; -120 for silence.
    pub true_peak_dbtp: f64,
    /// Whether the channels cancel each other: one microphone the wrong way round.
    pub opposed: bool,
}

impl Meter {
    /// A meter at the start of a signal.
    pub fn new() -> Result<Self> {
        // The histogram keeps memory the same for any length.
        let mode = Mode::I | Mode::TRUE_PEAK | Mode::HISTOGRAM;
        let meter =
            EbuR128::new(2, 48_000, mode).map_err(|e| Error::internal("no loudness meter").because(e))?;
        Ok(Self { meter, middle: 0.0, side: 0.0 })
    }

    /// Takes interleaved frames.
    pub fn add(&mut self, frames: &[[f32; 2]]) -> Result<()> {
        for [left, right] in frames {
            self.middle += f64::from((left + right).powi(2));
            self.side += f64::from((left - right).powi(2));
        }
        self.meter
            .add_frames_f32(frames.as_flattened())
            .map_err(|e| Error::internal("loudness was not measured").because(e))
    }

    /// The result so far.
    pub fn loudness(&self) -> Loudness {
        let peak = (0..2).filter_map(|c| self.meter.true_peak(c).ok()).fold(0.0, f64::max);
        Loudness {
            integrated_lufs: self.meter.loudness_global().ok().filter(|l| l.is_finite()),
            true_peak_dbtp: if peak > 1e-6 { decibels(peak) } else { -120.0 },
            opposed: self.side > 10.0 * self.middle,
        }
    }
}

impl Loudness {
    /// The gain that brings the signal to the target, in dB. Silence stays silence.
    pub fn gain_db(&self) -> f64 {
        let wanted = self.integrated_lufs.map_or(0.0, |l| TARGET_LUFS - l);
        wanted.min(MOST_GAIN_DB)
    }
}

/// An amplitude in dB.
pub fn decibels(amplitude: f64) -> f64 {
    20.0 * amplitude.log10()
}

/// The amplitude of a level in dB.
pub fn amplitude(decibels: f64) -> f64 {
    10f64.powf(decibels / 20.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measure(signal: impl Fn(usize) -> [f32; 2]) -> Loudness {
        let frames: Vec<_> = (0..240_000).map(signal).collect();
        let mut meter = Meter::new().expect("a meter");
        frames.chunks(1000).for_each(|chunk| meter.add(chunk).expect("frames"));
        meter.loudness()
    }

    fn tone(i: usize, level: f32) -> f32 {
        (i as f32 * std::f32::consts::TAU * 997.0 / 48_000.0).sin() * level
    }

    #[test]
    fn a_reference_tone_reads_as_the_standard_says() {
        // EBU Tech 3341, case 1: 1 kHz at -23 dBFS in both channels reads -23 LUFS.
        let loudness = measure(|i| [tone(i, amplitude(-23.0) as f32); 2]);
        let lufs = loudness.integrated_lufs.expect("loud");
        assert!((lufs + 23.0).abs() < 0.1, "{lufs}");
        assert!((loudness.true_peak_dbtp + 23.0).abs() < 0.2);
        assert!((loudness.gain_db() - 5.0).abs() < 0.1);
        assert!(!loudness.opposed);
    }

    #[test]
    fn silence_stays_silence_and_noise_is_not_blown_up() {
        let silence = measure(|_| [0.0; 2]);
        assert_eq!((silence.integrated_lufs, silence.gain_db()), (None, 0.0));
        let faint = measure(|i| [tone(i, amplitude(-60.0) as f32); 2]);
        assert_eq!(faint.gain_db(), MOST_GAIN_DB);
    }

    #[test]
    fn channels_that_cancel_are_seen() {
        assert!(measure(|i| [tone(i, 0.1), -tone(i, 0.1)]).opposed);
        assert!(!measure(|i| [tone(i, 0.1), 0.0]).opposed);
    }
}
