//! Why a step did not succeed: what happened, as a code of the [failure table].
//!
//! [failure table]: chalkstream_store::failure

use std::fmt;
use std::io;

use chalkstream_pipeline::Fault;
use chalkstream_store::failure::{self, Blame, Tries};
use chalkstream_store::{FailureReport, Kind};
use serde::{Deserialize, Serialize};

/// Cause of a step's end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// The step itself said what was wrong.
    Reported,
    /// The child ended without a result.
    Crashed,
    /// Something outside killed the child: the kernel, where memory is short.
    Killed,
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
    /// The list of names to remove cannot be read.
    Names,
    /// The scratch disk is full.
    DiskFull,
    /// A folder that could not be made, a child that could not be started.
    Machine,
    /// This program does not know such a step: another release does.
    UnknownStep,
    /// It was cancelled.
    Cancelled,
    /// Something of ours.
    Ours,
}

/// A step that did not succeed.
#[derive(Clone, Debug)]
pub struct StepFailure {
    /// Stable code, visible in the API.
    pub code: String,
    /// One plain sentence for the uploader.
    pub message: String,
    /// Cause of the step's end.
    pub cause: Cause,
    /// For the log alone: exit status, system error, the end of what the child complained about.
    pub detail: String,
}

impl StepFailure {
    /// A failure that the step itself did not report.
    pub fn new(cause: Cause, detail: impl fmt::Display) -> Self {
        let (code, message) = match cause {
            Cause::Reported => (failure::STEP_FAILED, "Something went wrong on our side."),
            Cause::Ours => (failure::INTERNAL, "Something went wrong on our side."),
            Cause::Crashed => ("step_crashed", "Reading the recording ended in an error."),
            Cause::Killed => ("step_killed", "The machine that worked on this recording ran out of memory."),
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
            Cause::Names => {
                (failure::NAMES_UNREADABLE, "The names that are to be removed could not be read.")
            }
            Cause::DiskFull => {
                ("disk_full", "The machine that worked on this recording has no disk space left.")
            }
            Cause::Machine => ("machine_failed", "The machine that worked on this recording has a problem."),
            Cause::UnknownStep => {
                ("step_unknown", "The machine that worked on this recording is out of date.")
            }
            Cause::Cancelled => ("cancelled", "The work was cancelled."),
        };
        Self { code: code.into(), message: message.into(), cause, detail: detail.to_string() }
    }

    /// Something of ours went wrong.
    pub fn ours(detail: impl fmt::Display) -> Self {
        Self::new(Cause::Ours, detail)
    }

    /// The child said what was wrong. A code that no child may report is not believed.
    pub fn reported(code: String, message: String, fault: Fault) -> Self {
        let other = |code: &str| Self { code: code.into(), ..Self::new(Cause::Reported, "") };
        match fault {
            _ if failure::is_reportable_by_child(&code) => Self { message, ..other(&code) },
            Fault::Dependency => Self { message, ..other("tool_missing") },
            _ if code == failure::INTERNAL => other(failure::STEP_FAILED),
            _ => Self { detail: format!("the child reported {code}"), ..other(failure::STEP_FAILED) },
        }
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

    /// The machine did not do what every machine can: a full disk, one that can only be read, too
    /// many open files or processes.
    pub fn machine(error: io::Error) -> Self {
        let full = matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded);
        Self::new(if full { Cause::DiskFull } else { Cause::Machine }, error)
    }

    /// Whose fault it is, in a step of this name.
    pub fn blame(&self, step: &str) -> Blame {
        failure::judge(&self.code, is_inspection(step)).0
    }

    /// Whether something is missing here that another machine may have.
    pub fn is_missing_here(&self, step: &str) -> bool {
        failure::judge(&self.code, is_inspection(step)).1 == Tries::Elsewhere
    }

    /// The failure as it is reported to the queue.
    pub fn to_report(&self) -> FailureReport {
        FailureReport { code: self.code.clone(), message: self.message.clone() }
    }
}

fn is_inspection(step: &str) -> bool {
    step == chalkstream_store::StepSpec::FIRST
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

    const CAUSES: [Cause; 17] = [
        Cause::Reported,
        Cause::Crashed,
        Cause::Killed,
        Cause::Deadline,
        Cause::Stalled,
        Cause::Memory,
        Cause::Disk,
        Cause::Output,
        Cause::Sandbox,
        Cause::Unverified,
        Cause::Storage,
        Cause::Names,
        Cause::DiskFull,
        Cause::Machine,
        Cause::UnknownStep,
        Cause::Cancelled,
        Cause::Ours,
    ];

    #[test]
    fn every_cause_has_a_code_of_the_table_and_none_blames_the_recording() {
        for cause in CAUSES {
            let failure = StepFailure::new(cause, "");
            assert!(failure::find(&failure.code).is_some(), "{cause:?}");
            assert_ne!(failure.blame("inspect"), Blame::Input, "{cause:?}");
        }
    }

    #[test]
    fn a_child_is_believed_only_what_a_child_may_report() {
        let reported = |code: &str, fault| StepFailure::reported(code.into(), "It broke.".into(), fault);
        assert_eq!(reported("not_media", Fault::Input).blame("inspect"), Blame::Input);
        assert_eq!(reported("decode_failed", Fault::Input).blame("ladder"), Blame::Internal);
        // A decoder that was taken over must not pause its worker, or wait for days.
        for code in ["disk_full", "storage_unavailable", "worker_lost", "made_up"] {
            let failure = reported(code, Fault::Input);
            assert_eq!((failure.code.as_str(), failure.blame("inspect")), ("step_failed", Blame::Internal));
        }
        assert_eq!(reported("internal", Fault::Ours).code, "step_failed");
        assert_eq!(reported("internal", Fault::Dependency).code, "tool_missing");
        assert!(reported("model_missing", Fault::Dependency).is_missing_here("transcribe"));
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
