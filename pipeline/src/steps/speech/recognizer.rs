//! whisper.cpp, called for one chunk at a time.
//!
//! Every state runs on one thread. On a busy machine, two threads in one state cost three to four
//! times the CPU, because they wait for each other after every operation. More threads mean more
//! states that share the weights.

use std::path::Path;

use whisper_rs::{FullParams, SamplingStrategy, WhisperContext, WhisperContextParameters, WhisperState};

use super::hallucinations;
use super::wav::RATE_HZ;
use super::words::Token;
use crate::error::{Error, Result};

/// Maximum number of the encoder's positions: 30 s.
const MAX_POSITIONS: u64 = 30 * POSITIONS_PER_S;
/// Positions in a second of audio.
const POSITIONS_PER_S: u64 = 50;
/// Positions beyond a chunk's end.
const MARGIN_POSITIONS: u64 = 128;
/// Minimum number of positions of a second attempt.
const MIN_SECOND_POSITIONS: u64 = 768;
/// Minimum mean log-probability of the tokens; below it a chunk is transcribed a second time.
const MIN_CONFIDENCE: f32 = -1.0;

/// Maximum number of tokens in a second of speech: people do not speak faster.
const MAX_TOKENS_PER_S: u64 = 8;

/// Output of the model for a chunk.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Recognition {
    /// Text tokens in order.
    pub tokens: Vec<Token>,
    /// Mean log-probability of the tokens.
    pub confidence: f32,
}

impl Recognition {
    /// Returns the tokens' text.
    pub fn text(&self) -> String {
        let bytes: Vec<u8> = self.tokens.iter().flat_map(|t| t.bytes.iter().copied()).collect();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    fn is_doubtful(&self) -> bool {
        self.confidence < MIN_CONFIDENCE || hallucinations::is_repetitive(&self.text())
    }
}

/// The weights, shared by all states.
pub struct WhisperModel {
    context: WhisperContext,
}

impl WhisperModel {
    /// Loads the model.
    pub fn load(path: &Path) -> Result<Self> {
        // Without hooks whisper.cpp writes to standard error.
        whisper_rs::install_logging_hooks();
        let mut params = WhisperContextParameters::default();
        // Flash attention is slower on a CPU, and the image may run where there is no GPU.
        params.use_gpu(false).flash_attn(false);
        let context = WhisperContext::new_with_params(path, params).map_err(failed)?;
        Ok(Self { context })
    }

    /// Whether the model supports languages other than English.
    pub fn is_multilingual(&self) -> bool {
        self.context.is_multilingual()
    }

    /// Creates a recognizer for one thread, with a state of its own.
    pub fn recognizer(&self) -> Result<Recognizer<'_>> {
        Ok(Recognizer { model: self, state: self.context.create_state().map_err(failed)? })
    }
}

/// A recognizer with a state of the model.
pub struct Recognizer<'a> {
    model: &'a WhisperModel,
    state: WhisperState,
}

impl Recognizer<'_> {
    /// Returns the probability of each language, by whisper.cpp's numbering, for up to 30 s of
    /// audio.
    pub fn language_probabilities(&mut self, samples: &[f32]) -> Result<Vec<f32>> {
        self.state.pcm_to_mel(samples, 1).map_err(failed)?;
        Ok(self.state.lang_detect(0, 1).map_err(failed)?.1)
    }

    /// Transcribes a chunk. Repeats a doubtful one with more positions, and returns the better
    /// result.
    pub fn transcribe(&mut self, samples: &[f32], language: &str) -> Result<Recognition> {
        let fitting = (samples.len() as u64 * POSITIONS_PER_S).div_ceil(RATE_HZ) + MARGIN_POSITIONS;
        let first = self.transcribe_once(samples, language, fitting.min(MAX_POSITIONS))?;
        if !first.is_doubtful() || fitting >= MAX_POSITIONS {
            return Ok(first);
        }
        let wider = (fitting * 2).clamp(MIN_SECOND_POSITIONS, MAX_POSITIONS);
        let second = self.transcribe_once(samples, language, wider)?;
        let better = match (
            hallucinations::is_repetitive(&first.text()),
            hallucinations::is_repetitive(&second.text()),
        ) {
            (true, false) => true,
            (false, true) => false,
            _ => second.confidence > first.confidence,
        };
        Ok(if better { second } else { first })
    }

    fn transcribe_once(&mut self, samples: &[f32], language: &str, positions: u64) -> Result<Recognition> {
        let mut params = FullParams::new(SamplingStrategy::Greedy { best_of: 1 });
        params.set_n_threads(1);
        params.set_language(Some(language));
        params.set_audio_ctx(positions as i32);
        // Higher temperatures invent text. `transcribe` makes our own second attempt.
        params.set_temperature(0.0);
        params.set_temperature_inc(0.0);
        params.set_no_context(true);
        // A chunk is one segment. Timestamps make the model stop where speech stops; without them
        // it writes short sentences twice.
        params.set_no_timestamps(false);
        params.set_single_segment(true);
        params.set_token_timestamps(true);
        // The limit ends a loop early.
        params.set_max_tokens((samples.len() as u64 * MAX_TOKENS_PER_S / RATE_HZ + 16) as i32);
        params.set_print_progress(false);
        params.set_print_special(false);
        params.set_print_realtime(false);
        params.set_print_timestamps(false);
        self.state.full(params, samples).map_err(failed)?;

        let first_special = self.model.context.token_eot();
        let mut recognition = Recognition::default();
        let mut sum = 0.0;
        for segment in self.state.as_iter() {
            let tokens = (0..segment.n_tokens()).filter_map(|index| segment.get_token(index));
            for token in tokens.filter(|token| token.token_id() < first_special) {
                let data = token.token_data();
                sum += data.plog;
                let bytes = token.to_bytes().map_err(failed)?.to_vec();
                recognition.tokens.push(Token { bytes, start_ms: data.t0.max(0) as u64 * 10 });
            }
        }
        let count = recognition.tokens.len();
        recognition.confidence = if count == 0 { 0.0 } else { sum / count as f32 };
        Ok(recognition)
    }
}

fn failed(error: whisper_rs::WhisperError) -> Error {
    Error::internal("the speech model failed").with_source(error)
}
