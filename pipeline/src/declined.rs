//! The reason why a recording cannot be served as it was uploaded.

use serde::{Deserialize, Serialize};

/// Reason why a source is not offered as a rendition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeclineReason {
    /// Stable code.
    pub code: String,
    /// One plain sentence.
    pub message: String,
}

/// Creates a reason.
pub fn declined(code: &str, message: &str) -> DeclineReason {
    DeclineReason { code: code.into(), message: message.into() }
}

/// Frames of a keyframe's group refer to frames before it.
pub fn open_gop() -> DeclineReason {
    declined(
        "open_gop",
        "The recording's keyframes need pictures before them, so a player could not start at them.",
    )
}

/// The end of the recording is missing.
pub fn cut_off() -> DeclineReason {
    declined("cut_off", "The recording is cut off: its end is missing.")
}
