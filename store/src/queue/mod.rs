//! The job queue and the step graph on Redis.
//!
//! Every change is one Lua script, so it happens whole or not at all; every result is accepted only under the
//! fencing number of the lease it was made under. All keys share one hash tag.

mod types;

use chalkstream_config as config;
use serde_json::Value;

pub use types::*;

use crate::{Error, Result};

/// The job queue. Clones share connections.
#[derive(Clone)]
pub struct Queue {
    policy: RetryPolicy,
}

fn soon<T>() -> Result<T> {
    Err(Error::internal("not built yet"))
}

impl Queue {
    /// Connects, and checks that Redis answers.
    pub async fn connect(settings: &config::Redis) -> Result<Self> {
        let queue = Self::connect_lazy(settings)?;
        queue.ping().await?;
        Ok(queue)
    }

    /// Does not connect before the first call.
    pub fn connect_lazy(_settings: &config::Redis) -> Result<Self> {
        Ok(Self { policy: RetryPolicy::default() })
    }

    /// With another retry policy.
    pub fn with_policy(mut self, policy: RetryPolicy) -> Self {
        self.policy = policy;
        self
    }

    /// Checks that Redis answers.
    pub async fn ping(&self) -> Result<()> {
        soon()
    }

    /// Makes a job, unless this recording or this `dedupe` value already has one.
    pub async fn submit(&self, _spec: &JobSpec) -> Result<Submitted> {
        soon()
    }

    /// Gives the next ready step to a worker for `lease_ms`; `None` where there is none.
    pub async fn lease(&self, _worker: &str, _lease_ms: u64) -> Result<Option<Lease>> {
        soon()
    }

    /// Renews a lease for `lease_ms` from now, on a connection of its own.
    pub async fn heartbeat(
        &self,
        _lease: &Lease,
        _lease_ms: u64,
        _progress: Option<Progress>,
    ) -> Result<Heartbeat> {
        soon()
    }

    /// Stores a step's result and adds steps. [`Kind::Lost`](crate::Kind::Lost) where the lease was given away.
    pub async fn complete(&self, _lease: &Lease, _result: Value, _add_steps: &[StepSpec]) -> Result<JobView> {
        soon()
    }

    /// Reports a failed step. [`Kind::Lost`](crate::Kind::Lost) where the lease was given away.
    pub async fn fail(&self, _lease: &Lease, _failure: &StepFailure) -> Result<FailOutcome> {
        soon()
    }

    /// Gives a step back untouched (the worker stops); the try is not counted.
    pub async fn release(&self, _lease: &Lease) -> Result<()> {
        soon()
    }

    /// Stops a job that is not over; `None` where there is none.
    pub async fn cancel(&self, _tenant: &str, _recording: &str) -> Result<Option<JobView>> {
        soon()
    }

    /// Tries failed and cancelled steps again; `None` where there is no such job.
    pub async fn retry(&self, _tenant: &str, _recording: &str) -> Result<Option<JobView>> {
        soon()
    }

    /// A job with its steps' inputs and results.
    pub async fn job(&self, _tenant: &str, _recording: &str) -> Result<Option<JobView>> {
        soon()
    }

    /// At most `limit` jobs, newest first, of one tenant or of all.
    pub async fn jobs(
        &self,
        _tenant: Option<&str>,
        _filter: JobFilter,
        _limit: usize,
    ) -> Result<Vec<JobView>> {
        soon()
    }

    /// Takes back leases that ended more than `grace_ms` ago. Answers the jobs in which a step then failed for good.
    pub async fn sweep(&self, _grace_ms: u64) -> Result<Vec<JobView>> {
        soon()
    }

    /// Drops a job and all that is known of it.
    pub async fn forget(&self, _tenant: &str, _recording: &str) -> Result<()> {
        soon()
    }

    /// Binds a value (an `Idempotency-Key`, say) to a recording, unless it is bound already; answers the one it
    /// is bound to. Forgotten after seven days, or with the recording's job.
    pub async fn claim(&self, _tenant: &str, _value: &str, _recording: &str) -> Result<String> {
        soon()
    }
}
