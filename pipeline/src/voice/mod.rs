//! Voice activity: the probability of speech in every 32 ms of 16 kHz mono audio.
//!
//! The choice of an audio track, the gain and the transcript depend on it. A small network judges
//! the audio if its model is installed ([`network`]). Otherwise the envelope of the signal does,
//! which is less reliable ([`envelope`]).

mod envelope;
mod level;
mod network;
mod window;

use std::path::Path;

use crate::error::Result;
use envelope::Envelope;
use network::Network;
pub use window::{RATE_HZ, WINDOW_SAMPLES};

/// Probability from which a window counts as speech.
pub const MIN_PROBABILITY: f32 = 0.5;
/// Windows judged in one call, about a minute: memory does not depend on the recording's length.
const BLOCK_WINDOWS: usize = 2_000;
/// Samples in that block.
const BLOCK_SAMPLES: usize = BLOCK_WINDOWS * WINDOW_SAMPLES as usize;

/// Finds speech in a signal that arrives in pieces.
pub struct Detector {
    method: DetectionMethod,
    /// Whether the audio may have any level, so that quiet audio is raised first.
    is_raw: bool,
    pending: Vec<f32>,
}

enum DetectionMethod {
    Network(Network),
    Envelope(Envelope),
}

impl Detector {
    /// A detector that runs the network.
    ///
    /// # Errors
    /// `internal` if the model cannot be used.
    pub fn with_model(model: &Path) -> Result<Self> {
        Ok(Self {
            method: DetectionMethod::Network(Network::load(model)?),
            is_raw: false,
            pending: Vec::new(),
        })
    }

    /// A detector for audio of any level, as recordings have it. It judges the envelope if there is
    /// no usable model.
    pub fn for_raw_audio(model: Option<&Path>) -> Self {
        let network = model.and_then(|path| Network::load(path).ok());
        let method =
            network.map_or_else(|| DetectionMethod::Envelope(Envelope::default()), DetectionMethod::Network);
        Self { method, is_raw: true, pending: Vec::new() }
    }

    /// Takes samples. Appends the probability of every window of the blocks that are complete.
    pub fn push(&mut self, mut samples: &[f32], out: &mut Vec<f32>) -> Result<()> {
        while !samples.is_empty() {
            let (now, rest) = samples.split_at(samples.len().min(BLOCK_SAMPLES - self.pending.len()));
            self.pending.extend_from_slice(now);
            if self.pending.len() == BLOCK_SAMPLES {
                self.judge_pending(out)?;
            }
            samples = rest;
        }
        Ok(())
    }

    /// Appends the probabilities of the remaining windows; the last one may be incomplete.
    pub fn finish(&mut self, out: &mut Vec<f32>) -> Result<()> {
        if self.pending.is_empty() { Ok(()) } else { self.judge_pending(out) }
    }

    fn judge_pending(&mut self, out: &mut Vec<f32>) -> Result<()> {
        match &mut self.method {
            DetectionMethod::Envelope(envelope) => envelope.judge(&self.pending, out),
            DetectionMethod::Network(network) => {
                if self.is_raw {
                    level::raise_quiet(&mut self.pending);
                }
                network.judge(&self.pending, out)?;
            }
        }
        self.pending.clear();
        Ok(())
    }
}

/// The voice activity model that tests use.
#[cfg(test)]
pub fn test_model() -> std::path::PathBuf {
    let dir = std::env::var_os("CHALKSTREAM_TEST_MODELS").map(std::path::PathBuf::from).unwrap_or_default();
    let model = dir.join(crate::model::VAD_FILE);
    assert!(model.is_file(), "scripts/setup test installs the voice activity model");
    model
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::f32::consts::TAU;
    use std::path::PathBuf;
    use std::process::Command;

    use serde_json::Value;

    use super::test_model as model;
    use super::*;

    /// The composed lesson, and whether its ground truth has speech in each window.
    fn lesson() -> (Vec<f32>, Vec<bool>) {
        let from = std::env::var_os("CHALKSTREAM_LESSON").map(PathBuf::from).unwrap();
        let output = Command::new("ffmpeg")
            .args(["-v", "error", "-nostdin", "-i"])
            .arg(from.join("lesson.mp4"))
            .args(["-vn", "-ac", "1", "-ar", "16000", "-f", "f32le", "-"])
            .output()
            .expect("ffmpeg is needed: scripts/setup test installs it");
        let samples: Vec<f32> =
            output.stdout.chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect();
        let truth = std::fs::read_to_string(from.join("lesson.truth.json")).unwrap();
        let truth: Value = serde_json::from_str(&truth).unwrap();
        let mut spoken = vec![false; samples.len().div_ceil(WINDOW_SAMPLES as usize)];
        for utterance in truth["utterances"].as_array().unwrap() {
            let window =
                |field: &str| (utterance[field].as_u64().unwrap() * RATE_HZ / 1000 / WINDOW_SAMPLES) as usize;
            spoken[window("start_ms")..window("end_ms")].fill(true);
        }
        (samples, spoken)
    }

    fn judged(mut detector: Detector, samples: &[f32], piece: usize) -> Vec<f32> {
        let mut out = Vec::new();
        samples.chunks(piece).for_each(|piece| detector.push(piece, &mut out).unwrap());
        detector.finish(&mut out).unwrap();
        out
    }

    fn speech_share(probabilities: &[f32]) -> f32 {
        let speech = probabilities.iter().filter(|probability| **probability >= MIN_PROBABILITY);
        speech.count() as f32 / probabilities.len() as f32
    }

    #[test]
    fn speech_of_any_level_is_found_with_and_without_the_model() {
        let (lesson, spoken) = lesson();
        let truth = spoken.iter().filter(|spoken| **spoken).count() as f32 / spoken.len() as f32;
        for (model, within) in [(Some(model()), 0.15), (None, 0.35)] {
            for gain in [1.0, 0.1, 0.01] {
                let quiet: Vec<f32> = lesson.iter().map(|sample| sample * gain).collect();
                let found = judged(Detector::for_raw_audio(model.as_deref()), &quiet, 7000);
                assert_eq!(found.len(), spoken.len());
                let share = speech_share(&found);
                assert!((share - truth).abs() < truth * within, "{model:?} {gain}: {share}, not {truth}");
                let hits = found.iter().zip(&spoken).filter(|(p, spoken)| **spoken && **p >= MIN_PROBABILITY);
                let hits = hits.count() as f32 / (truth * spoken.len() as f32);
                assert!(hits > 1.0 - within, "{model:?} {gain}: {hits} of the speech");
            }
        }
    }

    #[test]
    fn pieces_and_blocks_do_not_matter() {
        let (lesson, _) = lesson();
        let part = &lesson[..BLOCK_SAMPLES + 100_000];
        let of = |piece| judged(Detector::with_model(&model()).unwrap(), part, piece);
        assert_eq!(of(part.len()), of(1111));
        assert!(judged(Detector::for_raw_audio(None), &[], 1).is_empty());
    }

    #[test]
    fn noise_tones_bells_and_typing_are_no_speech() {
        let mut seed = 1u32;
        let mut noise = || {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (seed >> 8) as f32 / 8_388_608.0 - 1.0
        };
        let seconds = |i: usize| i as f32 / RATE_HZ as f32;
        let partials =
            |t: f32| [1200.0, 2400.0, 3170.0].map(|hz: f32| (TAU * hz * t).sin()).iter().sum::<f32>();
        let count = 20 * RATE_HZ as usize;
        let signals: [(&str, Vec<f32>); 6] = [
            ("noise", (0..count).map(|_| noise() * 0.1).collect()),
            ("tone", (0..count).map(|i| (TAU * 440.0 * seconds(i)).sin() * 0.3).collect()),
            ("tremolo", {
                let wave = |t: f32| (TAU * 440.0 * t).sin() * (0.55 + 0.45 * (TAU * 4.0 * t).sin());
                (0..count).map(|i| wave(seconds(i)) * 0.3).collect()
            }),
            ("bell", (0..count).map(|i| partials(seconds(i)) * 0.2 * (-seconds(i)).exp()).collect()),
            ("ring", {
                let wave = |t: f32| partials(t) * 0.2 * (-(t * 14.0).fract() * 2.0).exp();
                (0..count).map(|i| wave(seconds(i))).collect()
            }),
            ("typing", (0..count).map(|i| noise() * if i % 5400 < 200 { 0.2 } else { 0.002 }).collect()),
        ];
        for (name, samples) in &signals {
            for model in [Some(model()), None] {
                let share = speech_share(&judged(Detector::for_raw_audio(model.as_deref()), samples, 16_000));
                assert!(share < 0.1, "{name}, {model:?}: {share}");
            }
        }
    }

    #[test]
    fn a_model_that_is_missing_or_damaged_is_replaced_by_the_envelope() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.bin");
        assert!(Detector::with_model(&path).is_err());
        std::fs::write(&path, b"nothing of the kind").unwrap();
        assert!(Detector::with_model(&path).is_err());
        assert_eq!(judged(Detector::for_raw_audio(Some(&path)), &[0.0; 5120], 512), [0.1; 10]);
    }
}
