//! The pieces of audio that are judged: 32 ms at 16 kHz, as the network takes them.

/// Sample rate of the audio that is judged.
pub const RATE_HZ: u64 = 16_000;
/// Samples for which one probability is given.
pub const WINDOW_SAMPLES: u64 = 512;
