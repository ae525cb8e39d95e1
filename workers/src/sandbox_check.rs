//! The check at the start of a worker that its sandbox holds.

use std::time::Duration;

use chalkstream_config::Settings;
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use crate::Error;
use crate::failure::{Cause, StepFailure};
use crate::runner::Runner;
use crate::runner::protocol::Probe;

/// Time between two tries of a check that the machine cut short.
const RETRY_INTERVAL: Duration = Duration::from_secs(1);

/// Refuses to start if a child could open a socket. Waits while the machine cannot run a child at
/// all, or until `shutdown`.
pub async fn check(runner: &Runner, settings: &Settings, shutdown: &CancellationToken) -> Result<(), Error> {
    let reason = loop {
        match SandboxVerdict::from_probe(runner.probe(Probe::Socket).await) {
            SandboxVerdict::Holds => return Ok(()),
            SandboxVerdict::Broken(reason) => break reason,
            SandboxVerdict::Unknown(failure) => {
                tracing::warn!(code = failure.code, error = failure.detail, "sandbox not checked yet");
            }
        }
        tokio::select! {
            () = shutdown.cancelled() => return Ok(()),
            () = tokio::time::sleep(RETRY_INTERVAL) => {}
        }
    };
    if settings.worker.allow_unsandboxed {
        tracing::warn!(reason, "children run without a sandbox, as the settings allow");
        return Ok(());
    }
    Err(Error::Sandbox(reason))
}

/// What a child's attempt to open a socket says about the sandbox.
#[derive(Debug)]
enum SandboxVerdict {
    /// It stopped the attempt.
    Holds,
    /// It did not, or there is none.
    Broken(String),
    /// The child did not get that far: the machine killed it, or could not start it.
    Unknown(StepFailure),
}

impl SandboxVerdict {
    fn from_probe(outcome: Result<Value, StepFailure>) -> Self {
        match outcome {
            Ok(_) => Self::Broken("a child can open an internet socket".into()),
            Err(failure) => match failure.cause {
                Cause::Sandbox => Self::Holds,
                Cause::Killed | Cause::Deadline | Cause::Stalled | Cause::DiskFull | Cause::Machine => {
                    Self::Unknown(failure)
                }
                _ => Self::Broken(failure.detail),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_child_that_was_killed_says_nothing_about_the_sandbox() {
        let verdict = |cause| SandboxVerdict::from_probe(Err(StepFailure::new(cause, "")));
        for cause in [Cause::Killed, Cause::DiskFull, Cause::Machine, Cause::Stalled] {
            assert!(matches!(verdict(cause), SandboxVerdict::Unknown(_)), "{cause:?}");
        }
        assert!(matches!(verdict(Cause::Sandbox), SandboxVerdict::Holds));
        // There is no sandbox on this machine, or the child broke.
        for cause in [Cause::Reported, Cause::Crashed] {
            assert!(matches!(verdict(cause), SandboxVerdict::Broken(_)), "{cause:?}");
        }
        assert!(matches!(SandboxVerdict::from_probe(Ok(json!({}))), SandboxVerdict::Broken(_)));
    }
}
