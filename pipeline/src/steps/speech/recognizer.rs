//! whisper.cpp, driven one chunk at a time.
//!
//! Every state runs on one thread: on a busy machine two threads in one state cost three to four times the CPU,
//! because they wait for each other after every operation. More threads mean more states on the same weights.

use std::path::Path;

use whisper_rs::{FullParams, SamplingStrategy, WhisperContext, WhisperContextParameters, WhisperState};

use super::hallucinations;
use super::wav::RATE;
use crate::error::{Error, Result};

/// Most positions the encoder has: 30 s at 50 a second.
const POSITIONS: u64 = 1500;
/// Positions heard beyond a chunk's end.
const MARGIN: u64 = 128;
/// Positions of a second try, at least.
const SECOND_LEAST: u64 = 768;
/// Mean log-probability of the tokens under which a chunk is heard a second time.
const DOUBTFUL: f32 = -1.0;

/// A token as the model gave it.
#[derive(Clone, Debug, PartialEq)]
pub struct Token {
    /// Its text: UTF-8, but one character may be spread over several tokens.
    pub bytes: Vec<u8>,
    /// When the model thinks it starts, in ms from the chunk's start: coarse.
    pub start_ms: u64,
}

/// What the model heard in a chunk.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Heard {
    /// Text tokens in order.
    pub tokens: Vec<Token>,
    /// Mean log-probability of the tokens.
    pub confidence: f32,
}

impl Heard {
    /// The tokens' text.
    pub fn text(&self) -> String {
        let bytes: Vec<u8> = self.tokens.iter().flat_map(|t| t.bytes.iter().copied()).collect();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    fn suspicious(&self) -> bool {
        self.confidence < DOUBTFUL || hallucinations::repeats(&self.text())
    }
}

/// The weights, shared by all states.
pub struct Model {
    context: WhisperContext,
}

impl Model {
    /// Loads the model.
    pub fn load(path: &Path) -> Result<Self> {
        // Without hooks whisper.cpp writes to standard error.
        whisper_rs::install_logging_hooks();
        let mut params = WhisperContextParameters::default();
        // Slower on a CPU, and there may be no GPU where the image runs.
        params.use_gpu(false).flash_attn(false);
        let context = WhisperContext::new_with_params(path, params).map_err(failed)?;
        Ok(Self { context })
    }

    /// Whether the model knows more than English.
    pub fn multilingual(&self) -> bool {
        self.context.is_multilingual()
    }

    /// A state of its own, for one thread.
    pub fn listener(&self) -> Result<Listener<'_>> {
        Ok(Listener { model: self, state: self.context.create_state().map_err(failed)? })
    }
}

/// One state of the model.
pub struct Listener<'a> {
    model: &'a Model,
    state: WhisperState,
}

impl Listener<'_> {
    /// Probability of each language, by whisper.cpp's numbering, for up to 30 s of sound.
    pub fn languages(&mut self, samples: &[f32]) -> Result<Vec<f32>> {
        self.state.pcm_to_mel(samples, 1).map_err(failed)?;
        Ok(self.state.lang_detect(0, 1).map_err(failed)?.1)
    }

    /// Hears a chunk, a second time with more of the encoder where the first result is doubtful.
    pub fn hear(&mut self, samples: &[f32], language: &str) -> Result<Heard> {
        let fitted = (samples.len() as u64 * 50).div_ceil(RATE) + MARGIN;
        let first = self.once(samples, language, fitted.min(POSITIONS))?;
        if !first.suspicious() || fitted >= POSITIONS {
            return Ok(first);
        }
        let wider = (fitted * 2).clamp(SECOND_LEAST, POSITIONS);
        let second = self.once(samples, language, wider)?;
        let better = match (hallucinations::repeats(&first.text()), hallucinations::repeats(&second.text())) {
            (true, false) => true,
            (false, true) => false,
            _ => second.confidence > first.confidence,
        };
        Ok(if better { second } else { first })
    }

    fn once(&mut self, samples: &[f32], language: &str, positions: u64) -> Result<Heard> {
        let mut params = FullParams::new(SamplingStrategy::Greedy { best_of: 1 });
        params.set_n_threads(1);
        params.set_language(Some(language));
        params.set_audio_ctx(positions as i32);
        // Hotter tries invent text; our own second try is in `hear`.
        params.set_temperature(0.0);
        params.set_temperature_inc(0.0);
        params.set_no_context(true);
        // A chunk is heard in one go. Timestamps make the model stop where speech stops: without them it says
        // short sentences twice.
        params.set_no_timestamps(false);
        params.set_single_segment(true);
        params.set_token_timestamps(true);
        // Nobody says more than this; it ends a loop early.
        params.set_max_tokens((samples.len() as u64 * 8 / RATE + 16) as i32);
        params.set_print_progress(false);
        params.set_print_special(false);
        params.set_print_realtime(false);
        params.set_print_timestamps(false);
        self.state.full(params, samples).map_err(failed)?;

        let first_special = self.model.context.token_eot();
        let mut heard = Heard::default();
        let mut sum = 0.0;
        for segment in self.state.as_iter() {
            let tokens = (0..segment.n_tokens()).filter_map(|index| segment.get_token(index));
            for token in tokens.filter(|token| token.token_id() < first_special) {
                let data = token.token_data();
                sum += data.plog;
                let bytes = token.to_bytes().map_err(failed)?.to_vec();
                heard.tokens.push(Token { bytes, start_ms: data.t0.max(0) as u64 * 10 });
            }
        }
        heard.confidence = if heard.tokens.is_empty() { 0.0 } else { sum / heard.tokens.len() as f32 };
        Ok(heard)
    }
}

fn failed(error: whisper_rs::WhisperError) -> Error {
    Error::internal("the speech model failed").with_source(error)
}
