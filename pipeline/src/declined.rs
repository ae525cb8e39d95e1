//! Why a recording cannot be served as it was uploaded.

use serde::{Deserialize, Serialize};

/// Why a source is not a rendition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeclineReason {
    /// Stable code.
    pub code: String,
    /// One plain sentence.
    pub message: String,
}

pub fn declined(code: &str, message: &str) -> DeclineReason {
    DeclineReason { code: code.into(), message: message.into() }
}

pub fn open_gop() -> DeclineReason {
    declined(
        "open_gop",
        "The recording's keyframes need pictures before them, so a player could not start at them.",
    )
}

pub fn cut_off() -> DeclineReason {
    declined("cut_off", "The recording is cut off: its end is missing.")
}
