//! Silero's network, run by whisper.cpp. It gives one probability for every window and remembers
//! the windows before.

use std::path::Path;

use whisper_rs::{WhisperVadContext, WhisperVadContextParams};

use super::window::WINDOW_SAMPLES;
use crate::error::{Error, Result};

/// Windows judged again before a block, about two seconds, because each call starts with an empty
/// memory.
const WARM_UP_WINDOWS: usize = 64;

/// The network and the end of the audio it has judged.
pub struct Network {
    context: WhisperVadContext,
    /// The last complete windows of the block before, then the block itself.
    input: Vec<f32>,
}

impl Network {
    /// Loads the model.
    pub fn load(path: &Path) -> Result<Self> {
        // Without hooks whisper.cpp writes to standard error.
        whisper_rs::install_logging_hooks();
        let mut params = WhisperVadContextParams::new();
        params.set_n_threads(1);
        // For a missing file, whisper.cpp returns a null pointer without a reason.
        std::fs::File::open(path)?;
        let text = path.to_str().ok_or_else(|| Error::internal("the model's path is not text"))?;
        let context = WhisperVadContext::new(text, params).map_err(unusable)?;
        Ok(Self { context, input: Vec::new() })
    }

    /// Appends the probability of every window of `samples`, which continue those of the previous
    /// call.
    pub fn judge(&mut self, samples: &[f32], out: &mut Vec<f32>) -> Result<()> {
        let window_samples = WINDOW_SAMPLES as usize;
        let warm_up = self.input.len() / window_samples;
        self.input.extend_from_slice(samples);
        self.context.detect_speech(&self.input).map_err(unusable)?;
        out.extend_from_slice(self.context.probabilities().get(warm_up..).unwrap_or_default());
        let complete = self.input.len() / window_samples;
        self.input.truncate(complete * window_samples);
        self.input.drain(..complete.saturating_sub(WARM_UP_WINDOWS) * window_samples);
        Ok(())
    }
}

fn unusable(error: whisper_rs::WhisperError) -> Error {
    Error::internal("the voice activity model could not be used").with_source(error)
}
