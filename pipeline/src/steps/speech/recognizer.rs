//! whisper.cpp, called for one window of at most 30 s at a time.
//!
//! Every state runs on one thread. On a busy machine, two threads in one state cost three to four
//! times the CPU, because they wait for each other after every operation. More threads mean more
//! states that share the weights.

use std::path::Path;

use serde::{Deserialize, Serialize};
use whisper_rs::{
    DtwMode, DtwModelPreset, DtwParameters, FullParams, SamplingStrategy, WhisperContext,
    WhisperContextParameters, WhisperState,
};

use super::wav::RATE_HZ;
use super::words::Token;
use crate::error::{Error, Result};

/// Maximum number of the encoder's positions: 30 s.
const MAX_POSITIONS: u64 = 30 * POSITIONS_PER_S;
/// Positions in a second of audio.
const POSITIONS_PER_S: u64 = 50;
/// Positions beyond a window's end.
const MARGIN_POSITIONS: u64 = 128;
/// Number of the encoder's layers in a tiny model.
const TINY_LAYERS: i32 = 4;
/// Minimum number of positions of a second attempt.
const MIN_SECOND_POSITIONS: u64 = 768;
/// Duration of the audio that a time token counts, in ms.
const TIME_TOKEN_MS: u64 = 20;
/// Maximum number of tokens in a second of speech: people do not speak faster.
const MAX_TOKENS_PER_S: u64 = 8;
/// Maximum number of tokens, a little below whisper.cpp's own.
const MAX_TOKENS: u64 = 216;
/// Maximum number of tokens before a window's own: hints, then the text before. The model takes
/// 224, of which one opens them.
const MAX_PROMPT_TOKENS: usize = 223;
/// Maximum number of tokens of hints: half of what the model takes.
pub const MAX_HINT_TOKENS: usize = 112;
/// Sequences followed at once in a careful search.
const BEAMS: i32 = 5;
/// Memory for the alignment of tokens to audio, in bytes; a window takes 40 MiB at most.
const ALIGNMENT_BYTES: usize = 128 << 20;

/// How much is searched for the best words.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Effort {
    /// The likeliest token each time.
    Fast,
    /// Several sequences at once.
    #[default]
    Careful,
}

/// How one window is transcribed.
#[derive(Clone, Copy, Debug)]
pub struct Attempt<'a> {
    /// The language, as whisper.cpp names it.
    pub language: &'a str,
    /// How much is searched.
    pub effort: Effort,
    /// Tokens of words that may be said, at most [`MAX_HINT_TOKENS`]; empty for none.
    pub hints: &'a [i32],
    /// Tokens of the text before; as many of the last ones count as fit. Empty for none.
    pub context: &'a [i32],
    /// Whether brackets, notes and other marks of sounds are ruled out.
    pub speech_only: bool,
    /// Whether the encoder is given more positions than fit the audio.
    pub wider: bool,
}

/// Output of the model for a window.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Recognition {
    /// Text tokens in order.
    pub tokens: Vec<Token>,
    /// All tokens, those of time too: the context of the next window.
    pub ids: Vec<i32>,
    /// Where the model says that a sentence ends, in order.
    pub sentence_ends: Vec<SentenceEnd>,
    /// Mean log-probability of the tokens.
    pub confidence: f32,
    /// Whether the text was longer than people can speak, and was cut.
    pub is_cut: bool,
}

/// The end of a sentence or clause, by a time token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SentenceEnd {
    /// Its time, in ms from the window's start.
    pub end_ms: u64,
    /// Number of text tokens before it.
    pub tokens: usize,
    /// Number of all tokens before it, with its own.
    pub ids: usize,
}

/// The weights, shared by all states.
pub struct WhisperModel {
    context: WhisperContext,
    /// How early its times are.
    lead_ms: u64,
}

impl WhisperModel {
    /// Loads the model. `name` chooses the heads that align words to audio.
    pub fn load(path: &Path, name: &str) -> Result<Self> {
        // Without hooks whisper.cpp writes to standard error.
        whisper_rs::install_logging_hooks();
        let mut params = WhisperContextParameters::default();
        // Flash attention is slower on a CPU, and alignment needs the attention that it skips.
        params.use_gpu(false).flash_attn(false);
        params.dtw_parameters(DtwParameters { mode: alignment_heads(name), dtw_mem_size: ALIGNMENT_BYTES });
        let context = WhisperContext::new_with_params(path, params).map_err(failed)?;
        Ok(Self { context, lead_ms: attention_lead_ms(name) })
    }

    /// Whether the model supports languages other than English.
    pub fn is_multilingual(&self) -> bool {
        self.context.is_multilingual()
    }

    /// Whether the model is one of the smallest, which do better without the text before.
    pub fn is_tiny(&self) -> bool {
        self.context.model_n_audio_layer() <= TINY_LAYERS
    }

    /// Returns the tokens of a list of terms, of as many as fit [`MAX_HINT_TOKENS`].
    pub fn hint_tokens(&self, terms: &[String]) -> Result<Vec<i32>> {
        let (mut tokens, end) = (Vec::new(), self.context.token_eot());
        for term in terms {
            let text = format!("{} {term}", if tokens.is_empty() { "" } else { "," });
            // A token takes a byte at least.
            let found = self.context.tokenize(&text, text.len()).map_err(failed)?;
            if tokens.len() + found.len() + 1 > MAX_HINT_TOKENS {
                break;
            }
            // Text that is spelt like one of the model's own marks is no mark.
            tokens.extend(found.into_iter().filter(|token| *token < end));
        }
        if !tokens.is_empty() {
            tokens.extend(self.context.tokenize(".", 1).map_err(failed)?);
        }
        Ok(tokens)
    }

    /// Creates a recognizer for one thread, with a state of its own.
    pub fn recognizer(&self) -> Result<Recognizer<'_>> {
        Ok(Recognizer { model: self, state: self.context.create_state().map_err(failed)? })
    }
}

/// Returns how early a model's times are, in ms. Measured on continuous speech, where no pause
/// marks the start of a word.
fn attention_lead_ms(name: &str) -> u64 {
    if is_variant(name, "base") { 80 } else { 0 }
}

/// Whether a name is that of a model, or an operator's own file with a suffix, such as
/// `large-v3-turbo-q5_0`.
fn is_variant(name: &str, model: &str) -> bool {
    name.strip_prefix(model).is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
}

/// Returns the attention heads that follow the audio; for an unknown model, those of the upper
/// layers.
fn alignment_heads(name: &str) -> DtwMode<'static> {
    const PRESETS: [(&str, DtwModelPreset); 12] = [
        ("tiny.en", DtwModelPreset::TinyEn),
        ("tiny", DtwModelPreset::Tiny),
        ("base.en", DtwModelPreset::BaseEn),
        ("base", DtwModelPreset::Base),
        ("small.en", DtwModelPreset::SmallEn),
        ("small", DtwModelPreset::Small),
        ("medium.en", DtwModelPreset::MediumEn),
        ("medium", DtwModelPreset::Medium),
        ("large-v1", DtwModelPreset::LargeV1),
        ("large-v2", DtwModelPreset::LargeV2),
        ("large-v3-turbo", DtwModelPreset::LargeV3Turbo),
        ("large-v3", DtwModelPreset::LargeV3),
    ];
    let known = PRESETS.into_iter().find(|(preset, _)| is_variant(name, preset));
    match known {
        Some((_, model_preset)) => DtwMode::ModelPreset { model_preset },
        None => DtwMode::TopMost { n_top: 2 },
    }
}

/// A recognizer with a state of the model.
pub struct Recognizer<'a> {
    model: &'a WhisperModel,
    state: WhisperState,
}

impl Recognizer<'_> {
    /// Whether the text before a window is of use to the model.
    pub fn uses_context(&self) -> bool {
        !self.model.is_tiny()
    }

    /// Returns the probability of each language, by whisper.cpp's numbering, for up to 30 s of
    /// audio.
    pub fn language_probabilities(&mut self, samples: &[f32]) -> Result<Vec<f32>> {
        self.state.pcm_to_mel(samples, 1).map_err(failed)?;
        Ok(self.state.lang_detect(0, 1).map_err(failed)?.1)
    }

    /// Transcribes one window of at most 30 s.
    pub fn transcribe(&mut self, samples: &[f32], attempt: Attempt<'_>) -> Result<Recognition> {
        let careful = attempt.effort == Effort::Careful;
        let mut params = FullParams::new(if careful {
            SamplingStrategy::BeamSearch { beam_size: BEAMS, patience: -1.0 }
        } else {
            SamplingStrategy::Greedy { best_of: 1 }
        });
        params.set_n_threads(1);
        params.set_language(Some(attempt.language));
        params.set_audio_ctx(positions(samples.len() as u64, attempt.wider) as i32);
        params.set_temperature(0.0);
        // whisper.cpp would try higher temperatures, but then gives the probabilities of the
        // sharpened distribution: after the first step, any text seems certain.
        params.set_temperature_inc(0.0);
        // The state must not remember: several passes go over the same audio.
        params.set_no_context(true);
        let room = MAX_PROMPT_TOKENS.saturating_sub(attempt.hints.len());
        let context = &attempt.context[attempt.context.len().saturating_sub(room)..];
        let prompt = [attempt.hints, context].concat();
        params.set_tokens(&prompt);
        params.set_suppress_nst(attempt.speech_only);
        // Timestamps make the model stop where speech stops; without them it writes short
        // sentences twice. One segment, or whisper.cpp would encode the rest of a window again.
        params.set_no_timestamps(false);
        params.set_single_segment(true);
        // The limit ends a loop early.
        let max_tokens = (samples.len() as u64 * MAX_TOKENS_PER_S / RATE_HZ + 16).min(MAX_TOKENS) as i32;
        params.set_max_tokens(max_tokens);
        params.set_print_progress(false);
        params.set_print_special(false);
        params.set_print_realtime(false);
        params.set_print_timestamps(false);
        self.state.full(params, samples).map_err(failed)?;
        let mut recognition = self.read()?;
        recognition.is_cut = recognition.ids.len() >= max_tokens as usize;
        Ok(recognition)
    }

    /// Reads the result of the last call.
    fn read(&self) -> Result<Recognition> {
        let (end, first_time) = (self.model.context.token_eot(), self.model.context.token_beg());
        let mut recognition = Recognition::default();
        let mut sum = 0.0;
        let mut start_ms = 0;
        let mut segment = 0;
        for found in self.state.as_iter() {
            for token in (0..found.n_tokens()).filter_map(|index| found.get_token(index)) {
                let (id, data) = (token.token_id(), token.token_data());
                if id >= first_time {
                    start_ms = (id - first_time) as u64 * TIME_TOKEN_MS;
                    segment += 1;
                    recognition.ids.push(id);
                    let (tokens, ids) = (recognition.tokens.len(), recognition.ids.len());
                    if recognition.sentence_ends.last().map_or(0, |end| end.tokens) < tokens {
                        recognition.sentence_ends.push(SentenceEnd { end_ms: start_ms, tokens, ids });
                    }
                    continue;
                }
                if id >= end {
                    continue;
                }
                sum += data.plog;
                let bytes = token.to_bytes().map_err(failed)?.to_vec();
                recognition.tokens.push(Token {
                    bytes,
                    start_ms: start_ms + self.model.lead_ms,
                    log_probability: data.plog,
                    segment,
                });
                recognition.ids.push(id);
                // The attention of a token finds the start of the next one.
                if data.t_dtw >= 0 {
                    start_ms = data.t_dtw as u64 * 10;
                }
            }
        }
        let count = recognition.tokens.len();
        recognition.confidence = if count == 0 { 0.0 } else { sum / count as f32 };
        Ok(recognition)
    }
}

/// Returns the number of encoder positions for a window: those that fit it, or more.
fn positions(samples: u64, wider: bool) -> u64 {
    let fitting = (samples * POSITIONS_PER_S).div_ceil(RATE_HZ) + MARGIN_POSITIONS;
    let wanted = if wider { (fitting * 2).max(MIN_SECOND_POSITIONS) } else { fitting };
    wanted.min(MAX_POSITIONS)
}

fn failed(error: whisper_rs::WhisperError) -> Error {
    Error::internal("the speech model failed").with_source(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_models_name_chooses_the_heads_that_follow_the_audio() {
        let preset = |name| match alignment_heads(name) {
            DtwMode::ModelPreset { model_preset } => format!("{model_preset:?}"),
            _ => String::new(),
        };
        assert_eq!(preset("base"), "Base");
        assert_eq!(preset("base.en"), "BaseEn");
        assert_eq!(preset("large-v3-turbo-q5_0"), "LargeV3Turbo");
        assert_eq!(preset("mine"), "");
        assert_eq!(["base", "base-q5_1", "base.en", "mine"].map(attention_lead_ms), [80, 80, 0, 0]);
    }

    #[test]
    fn the_encoder_fits_the_window_and_never_exceeds_30_s() {
        assert_eq!(positions(4 * RATE_HZ, false), 328);
        assert_eq!(positions(4 * RATE_HZ, true), 768);
        assert_eq!(positions(29 * RATE_HZ, false), 1500);
    }
}
