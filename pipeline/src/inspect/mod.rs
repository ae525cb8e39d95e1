//! What a file is, or why it is refused.

use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::source::Source;
use crate::step::StepContext;

/// What the step is asked.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct InspectRequest {
    /// Limits the file is held to.
    pub limits: crate::media::Limits,
}

/// Runs the step.
pub fn run(
    _request: &InspectRequest,
    _source: Source,
    _ctx: &StepContext,
) -> Result<crate::media::MediaInfo> {
    Err(crate::Error::internal("not built yet"))
}
