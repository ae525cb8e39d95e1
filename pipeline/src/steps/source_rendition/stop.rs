//! Early end of packaging.

use std::io;

use crate::declined::DeclineReason;
use crate::error::Error;

/// Reason why packaging ended early. A declined source is a result of the step, a failure is none.
#[derive(Debug)]
pub enum Stop {
    /// The source is not fit to be served as it is.
    Declined(DeclineReason),
    /// The step failed.
    Failed(Error),
}

impl From<DeclineReason> for Stop {
    fn from(declined: DeclineReason) -> Self {
        Self::Declined(declined)
    }
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        Self::Failed(error.into())
    }
}
