//! The sample rate of all audio after the decoder, and its conversions to time.

/// Samples per second of everything after the decoder.
pub const RATE_HZ: u64 = 48_000;

/// Converts a time to frames, rounded to the nearest.
pub fn frames_from_ns(ns: i64) -> i64 {
    ((i128::from(ns) * i128::from(RATE_HZ) + 500_000_000).div_euclid(1_000_000_000)) as i64
}

/// Converts a number of frames to milliseconds, rounded up.
pub fn ms_from_frames(frames: u64) -> u64 {
    (frames * 1000).div_ceil(RATE_HZ)
}
