//! Why a step did not succeed: what happened, whose fault it is, and whether trying again may help.

use std::fmt;
use std::io;

use chalkstream_formats::Fault;
use chalkstream_pipeline::Fault as PipelineFault;
use chalkstream_store::{FailureReport, Kind, Retry};
use serde::{Deserialize, Serialize};

/// Cause of a step's end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// The step itself said what was wrong.
    Reported,
    /// The child ended without a result.
    Crashed,
    /// It worked longer than it may.
    Deadline,
    /// It made no progress.
    Stalled,
    /// It took more memory than it may.
    Memory,
    /// It took more disk than it may.
    Disk,
    /// It made more than it may.
    Output,
    /// It tried to leave its sandbox.
    Sandbox,
    /// Its outputs are not what it said.
    Unverified,
    /// Storage did not give or take bytes.
    Storage,
    /// It was cancelled.
    Cancelled,
    /// Something of ours: a child that could not be started, a folder that could not be made.
    Ours,
}

/// A step that did not succeed.
#[derive(Clone, Debug)]
pub struct StepFailure {
    /// Stable code, visible in the API.
    pub code: String,
    /// One plain sentence for the uploader.
    pub message: String,
    /// Whose fault.
    pub fault: Fault,
    /// Cause of the step's end.
    pub cause: Cause,
    /// For the log alone: exit status, system error, the end of what the child complained about.
    pub detail: String,
}

impl StepFailure {
    /// A failure that the step itself did not report.
    pub fn new(cause: Cause, detail: impl fmt::Display) -> Self {
        let (code, message) = match cause {
            Cause::Reported | Cause::Ours => ("internal", "Something went wrong on our side."),
            Cause::Crashed => ("step_crashed", "Reading the recording ended in an error."),
            Cause::Deadline => ("step_too_slow", "Reading the recording took too long."),
            Cause::Stalled => ("step_stalled", "Reading the recording came to a halt."),
            Cause::Memory => ("step_memory", "Reading the recording takes more memory than is allowed."),
            Cause::Disk => ("step_disk", "Reading the recording takes more disk space than is allowed."),
            Cause::Output => {
                ("output_too_large", "What would be made of the recording is more than is allowed.")
            }
            Cause::Sandbox => (
                "step_forbidden",
                "Reading the recording was stopped because it did something that is not allowed.",
            ),
            Cause::Unverified => ("step_unverified", "What was made of the recording is not complete."),
            Cause::Storage => ("storage_unavailable", "The storage did not answer."),
            Cause::Cancelled => ("cancelled", "The work was cancelled."),
        };
        Self {
            code: code.into(),
            message: message.into(),
            fault: if cause == Cause::Output { Fault::Input } else { Fault::Ours },
            cause,
            detail: detail.to_string(),
        }
    }

    /// Something of ours went wrong.
    pub fn ours(detail: impl fmt::Display) -> Self {
        Self::new(Cause::Ours, detail)
    }

    /// The pipeline said what was wrong.
    pub fn reported(code: String, message: String, fault: PipelineFault) -> Self {
        let fault = match fault {
            PipelineFault::Input => Fault::Input,
            PipelineFault::Dependency => Fault::Dependency,
            PipelineFault::Ours => Fault::Ours,
        };
        Self { code, message, fault, ..Self::new(Cause::Reported, "") }
    }

    /// Storage or the queue failed. A refusal (a wrong key, a folder that we may not write to)
    /// counts as an outage, because someone can put it right. What is gone or corrupt does not come
    /// back.
    pub fn storage(error: chalkstream_store::Error) -> Self {
        let cause = match error.kind {
            Kind::Unavailable | Kind::Internal => Cause::Storage,
            _ => Cause::Ours,
        };
        Self::new(cause, error)
    }

    /// A file operation of ours failed: a full disk passes when someone makes room.
    pub fn file(error: io::Error) -> Self {
        let full = matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded);
        Self::new(if full { Cause::Storage } else { Cause::Ours }, error)
    }

    /// Whether trying again may help.
    ///
    /// An input's fault never passes. A crash, a hang or an error of the step's own is tried once
    /// more: it may have been the machine. What we did may pass, so it is tried until attempts run
    /// out; an outage of storage does, and may take days without costing a lesson.
    pub fn retry(&self) -> Retry {
        match (self.fault, self.cause) {
            (Fault::Input | Fault::Dependency, _) | (_, Cause::Cancelled | Cause::Sandbox) => Retry::Never,
            (_, Cause::Storage) => Retry::Uncounted,
            (_, Cause::Ours) => Retry::Backoff,
            _ => Retry::Once,
        }
    }

    /// The failure as it is reported to the queue.
    pub fn to_report(&self) -> FailureReport {
        FailureReport {
            code: self.code.clone(),
            message: self.message.clone(),
            fault: self.fault,
            retry: self.retry(),
        }
    }
}

impl fmt::Display for StepFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for StepFailure {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_may_pass_is_tried_again() {
        let mut bad_file = StepFailure::new(Cause::Reported, "");
        bad_file.fault = Fault::Input;
        assert_eq!(bad_file.retry(), Retry::Never);
        for (cause, retry) in [
            (Cause::Crashed, Retry::Once),
            (Cause::Stalled, Retry::Once),
            (Cause::Ours, Retry::Backoff),
            (Cause::Storage, Retry::Uncounted),
            (Cause::Sandbox, Retry::Never),
            (Cause::Output, Retry::Never),
        ] {
            assert_eq!(StepFailure::new(cause, "").retry(), retry, "{cause:?}");
        }
    }

    #[test]
    fn an_outage_is_told_from_what_is_gone_or_broken() {
        for (kind, cause) in [
            (Kind::Unavailable, Cause::Storage),
            (Kind::Internal, Cause::Storage),
            (Kind::NotFound, Cause::Ours),
            (Kind::Corrupt, Cause::Ours),
        ] {
            assert_eq!(
                StepFailure::storage(chalkstream_store::Error::new(kind, "x")).cause,
                cause,
                "{kind:?}"
            );
        }
    }
}
