//! The request of the step.

use serde::{Deserialize, Serialize};

use crate::limits::Limits;
use crate::media::MediaInfo;

/// The recording to take stills of.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct StillsRequest {
    /// The file, as `inspect` found it.
    pub media: MediaInfo,
    /// Limits that decoding is held to.
    pub limits: Limits,
}
