//! Silero's network by whisper.cpp: one probability for every window, with a memory of those before.

use std::path::Path;

use whisper_rs::{WhisperVadContext, WhisperVadContextParams};

use super::WINDOW;
use crate::error::{Error, Result};

/// Windows judged again before a block, about two seconds: each call starts with an empty memory.
const WARM_UP: usize = 64;

/// The network and the end of what it has judged.
pub struct Network {
    context: WhisperVadContext,
    /// Complete windows of the last block, then the block itself.
    input: Vec<f32>,
}

impl Network {
    /// Loads the model.
    pub fn load(path: &Path) -> Result<Self> {
        // Without hooks whisper.cpp writes to standard error.
        whisper_rs::install_logging_hooks();
        let mut params = WhisperVadContextParams::new();
        params.set_n_threads(1);
        // A missing file would come back as a null pointer without a reason.
        std::fs::File::open(path)?;
        let text = path.to_str().ok_or_else(|| Error::internal("the model's path is not text"))?;
        let context = WhisperVadContext::new(text, params).map_err(unusable)?;
        Ok(Self { context, input: Vec::new() })
    }

    /// Appends the probability of every window of `samples`, which follow those of the call before.
    pub fn judge(&mut self, samples: &[f32], out: &mut Vec<f32>) -> Result<()> {
        let window = WINDOW as usize;
        let warm_up = self.input.len() / window;
        self.input.extend_from_slice(samples);
        self.context.detect_speech(&self.input).map_err(unusable)?;
        out.extend_from_slice(self.context.probabilities().get(warm_up..).unwrap_or_default());
        let complete = self.input.len() / window;
        self.input.truncate(complete * window);
        self.input.drain(..complete.saturating_sub(WARM_UP) * window);
        Ok(())
    }
}

fn unusable(error: whisper_rs::WhisperError) -> Error {
    Error::internal("the voice activity model could not be used").because(error)
}
