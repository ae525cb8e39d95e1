//! What every voice encoder does.

/// Turns windows of speech into numbers that are close for one voice and apart for two.
pub trait VoiceEncoder {
    /// Returns the embedding of every window. A window is a spectrogram, frame by frame.
    fn embed(&self, windows: &[&[f32]]) -> Vec<Vec<f32>>;
}
