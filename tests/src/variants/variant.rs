//! A generated recording.

use std::path::PathBuf;

use crate::ground_truth::GroundTruth;

/// A generated recording and its ground truth.
pub struct Variant {
    /// The file.
    pub file: PathBuf,
    /// The right result for it.
    pub truth: GroundTruth,
}
