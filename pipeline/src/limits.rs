//! Limits that a file must obey before and while it is decoded.

use serde::{Deserialize, Serialize};

/// Files up to this size are read completely, so that the ends of tracks are exact.
pub const MAX_FULL_SCAN_BYTES: u64 = 64 << 20;

/// Limits that a file must obey before and while it is decoded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Maximum number of pixels in a frame.
    pub max_pixels: u64,
    /// Maximum duration of a recording, in ms.
    pub max_duration_ms: u64,
    /// Maximum number of tracks in a file.
    pub max_tracks: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self { max_pixels: 8192 * 4352, max_duration_ms: 6 * 3_600_000, max_tracks: 32 }
    }
}
