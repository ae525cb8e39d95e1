//! The job queue and the step graph on Redis.
//!
//! Every change is one Lua script, so it happens completely or not at all; every result is accepted
//! only under the fencing number of the lease it was made under. All keys share one hash tag.
//! `lua/common.lua` documents the keys.

mod repair;
mod scripts;
mod stats;
mod types;
mod wire;
mod workers;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;

use chalkstream_config as config;
use serde_json::Value;

pub use stats::{CLASSES, ClassStats, QueueStats};
pub use types::*;
use wire::{Fields, job_id};

use crate::failure::{self, Failure};
use crate::redis_client::{RedisClient, base};
use crate::redis_connection::{ANSWER, LuaScript, RedisConnection, RetryOnDisconnect};
use crate::step::{StepRecord, StepSpec};
use crate::{Error, Kind, Result, layout};

/// Jobs that are done or cancelled stay known this long, in ms.
const FINISHED_KEPT_MS: u64 = 24 * 3_600_000;
/// Dead letters do, in ms.
const DEAD_KEPT_MS: u64 = 30 * 24 * 3_600_000;
/// Deduplication values do at most, in ms; one goes with its job, and storage knows it for longer.
const DEDUPE_KEPT_MS: u64 = 7 * 24 * 3_600_000;
/// For how long other workers go first after a failure, in ms.
const RETRY_ELSEWHERE_MS: u64 = 600_000;

/// The job queue. Clones share connections.
///
/// Every call returns within seconds: with [`Kind::Unavailable`] if Redis is away.
#[derive(Clone)]
pub struct Queue {
    inner: Arc<QueueInner>,
    policy: RetryPolicy,
    /// Time of the scripts, in ms since the epoch, where a test moves it.
    #[cfg(test)]
    clock: Option<Arc<std::sync::atomic::AtomicU64>>,
}

struct QueueInner {
    base: String,
    main: RedisConnection,
    /// A connection of its own: a heartbeat must not wait behind large results.
    heartbeats: RedisConnection,
}

impl Queue {
    /// Connects, and checks that Redis answers.
    pub async fn connect(settings: &config::Redis) -> Result<Self> {
        let queue = Self::connect_lazy(settings)?;
        queue.ping().await?;
        Ok(queue)
    }

    /// Does not connect before the first call.
    pub fn connect_lazy(settings: &config::Redis) -> Result<Self> {
        let client = RedisClient::new(settings)?;
        let inner = QueueInner {
            base: base(settings),
            main: RedisConnection::new(client.clone(), ANSWER),
            heartbeats: RedisConnection::new(client, ANSWER),
        };
        Ok(Self {
            inner: Arc::new(inner),
            policy: RetryPolicy::default(),
            #[cfg(test)]
            clock: None,
        })
    }

    /// With another retry policy.
    pub fn with_policy(mut self, policy: RetryPolicy) -> Self {
        self.policy = policy;
        self
    }

    /// Checks that Redis answers.
    pub async fn ping(&self) -> Result<()> {
        let _: String = self.inner.main.query(&redis::cmd("PING"), RetryOnDisconnect::Once).await?;
        Ok(())
    }

    /// Makes a job, unless this recording or this `dedupe` value already has one.
    pub async fn submit(&self, spec: &JobSpec) -> Result<Submitted> {
        self.put_job(spec, None, 0, None).await
    }

    /// Puts a job together again from what its manifest kept: finished steps stay finished, and
    /// fences go on above `fence`.
    pub async fn restore(
        &self,
        spec: &JobSpec,
        kept: &BTreeMap<String, StepRecord>,
        fence: u64,
        created_at_ms: u64,
    ) -> Result<Submitted> {
        self.put_job(spec, Some(kept), fence, Some(created_at_ms)).await
    }

    async fn put_job(
        &self,
        spec: &JobSpec,
        kept: Option<&BTreeMap<String, StepRecord>>,
        fence: u64,
        created_at_ms: Option<u64>,
    ) -> Result<Submitted> {
        layout::check_ids(&spec.tenant, &spec.recording)?;
        if spec.steps.is_empty() {
            return Err(Error::invalid("a job needs a step"));
        }
        let mut args = vec![
            job_id(&spec.tenant, &spec.recording),
            spec.tenant.clone(),
            spec.recording.clone(),
            spec.due_at_ms.map(|at| at.to_string()).unwrap_or_default(),
            spec.dedupe.as_deref().map(hashed).unwrap_or_default(),
            created_at_ms.map(|at| at.to_string()).unwrap_or_default(),
            fence.to_string(),
            DEDUPE_KEPT_MS.to_string(),
        ];
        wire::push_steps(&mut args, &spec.steps, kept)?;
        let (recording, created): (String, String) =
            self.run(&scripts::SUBMIT, &args, RetryOnDisconnect::Never).await?;
        if recording == "invalid" {
            return Err(unknown_need());
        }
        Ok(Submitted { recording, created: created == "1" })
    }

    /// First and longest pause of a worker, as scripts take them.
    fn pauses(&self) -> [String; 2] {
        [self.policy.pause_ms.to_string(), self.policy.max_pause_ms.to_string()]
    }

    /// Renews a lease for `lease_ms` from now, on a connection of its own.
    pub async fn heartbeat(
        &self,
        lease: &Lease,
        lease_ms: u64,
        progress: Option<Progress>,
    ) -> Result<Heartbeat> {
        let mut args = held(lease).to_vec();
        args.push(lease_ms.to_string());
        args.push(progress.map(|p| p.done_ms.to_string()).unwrap_or_default());
        args.push(progress.map(|p| p.total_ms.to_string()).unwrap_or_default());
        let link = &self.inner.heartbeats;
        let status: String =
            link.script(&scripts::HEARTBEAT, &self.inner.base, &args, RetryOnDisconnect::Once).await?;
        Ok(match status.as_str() {
            "continue" => Heartbeat::Continue,
            "cancelled" => Heartbeat::Cancelled,
            _ => Heartbeat::Lost,
        })
    }

    /// Notes what the manifest must contain of a step before it is over; the job is returned under
    /// a fresh fence. [`Kind::Lost`] where the lease was given away.
    pub async fn note(&self, lease: &Lease, note: &Value) -> Result<JobView> {
        let mut args = held(lease).to_vec();
        args.push(wire::json(note)?);
        let (status, fields): (String, Fields) =
            self.run(&scripts::NOTE, &args, RetryOnDisconnect::Once).await?;
        if status == "ok" { view(&fields) } else { Err(lost()) }
    }

    /// Stores a step's result and adds steps (those of a name that is there already are left out).
    /// [`Kind::Lost`] where the lease was given away; the same result twice is accepted once and
    /// answered twice.
    pub async fn complete(&self, lease: &Lease, result: Value, add_steps: &[StepSpec]) -> Result<JobView> {
        let mut args = held(lease).to_vec();
        args.push(wire::json(&result)?);
        args.push(failure::REFUSAL_REFUTED.into());
        args.extend(self.pauses());
        wire::push_steps(&mut args, add_steps, None)?;
        let (status, fields): (String, Fields) =
            self.run(&scripts::COMPLETE, &args, RetryOnDisconnect::Once).await?;
        match status.as_str() {
            "ok" => view(&fields),
            "invalid" => Err(unknown_need()),
            _ => Err(lost()),
        }
    }

    /// Reports a failed step; the [table](failure) says what follows. [`Kind::Lost`] where the
    /// lease was given away.
    pub async fn fail(&self, lease: &Lease, report: &FailureReport) -> Result<FailOutcome> {
        let (blame, tries) = failure::judge(&report.code, lease.step == StepSpec::FIRST);
        let record = Failure {
            code: report.code.clone(),
            message: report.message.clone(),
            step: lease.step.clone(),
            blame,
        };
        let record = serde_json::to_string(&record)
            .map_err(|e| Error::internal("a failure cannot be written as json").with_source(e))?;
        let random = (crate::jitter::random_u64() >> 11) as f64 / (1u64 << 53) as f64;
        let mut args = held(lease).to_vec();
        args.extend([
            record,
            report.code.clone(),
            tries.as_str().to_string(),
            self.policy.attempts.to_string(),
            self.policy.losses.to_string(),
            self.policy.base_ms.to_string(),
            self.policy.cap_ms.to_string(),
            format!("{random:.15}"),
            RETRY_ELSEWHERE_MS.to_string(),
        ]);
        args.extend(self.pauses());
        let (status, after_ms, pause_ms, fields): (String, u64, String, Fields) =
            self.run(&scripts::FAIL, &args, RetryOnDisconnect::Never).await?;
        let outcome = match status.as_str() {
            "retry" => Outcome::Retry { after_ms },
            "optional" => Outcome::OptionalFailed,
            "job" => Outcome::JobFailed,
            _ => return Err(lost()),
        };
        Ok(FailOutcome { job: view(&fields)?, outcome, pause: wire::pause(&pause_ms, &report.code)? })
    }

    /// Gives a step back untouched (the worker stops); the try is not counted. Nothing happens
    /// where the lease was given away.
    pub async fn release(&self, lease: &Lease) -> Result<()> {
        let _: String = self.run(&scripts::RELEASE, &held(lease), RetryOnDisconnect::Once).await?;
        Ok(())
    }

    /// Stops a job that is not over; `None` if there is none. From then on its workers'
    /// heartbeats answer [`Heartbeat::Cancelled`].
    pub async fn cancel(&self, tenant: &str, recording: &str) -> Result<Option<JobView>> {
        let fields: Fields =
            self.run(&scripts::CANCEL, &[job_id(tenant, recording)], RetryOnDisconnect::Once).await?;
        wire::job(&fields)
    }

    /// Tries failed and cancelled steps of a job that is over again, with those that went on
    /// without them; `None` if there is no such job (see [`crate::rebuild::resubmit`]).
    pub async fn retry(&self, tenant: &str, recording: &str) -> Result<Option<JobView>> {
        let fields: Fields =
            self.run(&scripts::RETRY, &[job_id(tenant, recording)], RetryOnDisconnect::Once).await?;
        wire::job(&fields)
    }

    /// A job with its steps' inputs and results.
    pub async fn job(&self, tenant: &str, recording: &str) -> Result<Option<JobView>> {
        let mut command = redis::cmd("HGETALL");
        command.arg(format!("{}:job:{}", self.inner.base, job_id(tenant, recording)));
        wire::job(&self.inner.main.query(&command, RetryOnDisconnect::Once).await?)
    }

    /// At most `limit` (and 1,000) jobs, newest first, of one tenant or of all; without inputs and
    /// results.
    pub async fn jobs(&self, tenant: Option<&str>, filter: JobFilter, limit: usize) -> Result<Vec<JobView>> {
        if limit == 0 {
            return Ok(Vec::new());
        }
        let kind = match filter {
            JobFilter::All => "all",
            JobFilter::Failed => "dead",
            JobFilter::Open => "open",
        };
        let index = tenant.map_or_else(|| kind.to_string(), |tenant| format!("{kind}:{tenant}"));
        let args = [index, limit.min(1_000).to_string()];
        let found: Vec<Fields> = self.run(&scripts::JOBS, &args, RetryOnDisconnect::Once).await?;
        found.iter().filter_map(|fields| wire::job(fields).transpose()).collect()
    }

    /// Takes back leases that ended more than `grace_ms` ago, and forgets old jobs. Answers the
    /// jobs whose manifests are for the caller to write: a step then failed for good, or a live
    /// rendition was lost with its worker.
    pub async fn sweep(&self, grace_ms: u64) -> Result<Vec<JobView>> {
        let args = [
            grace_ms.to_string(),
            self.policy.losses.to_string(),
            failure::WORKER_LOST.to_string(),
            "The machine that worked on this recording stopped answering.".to_string(),
            FINISHED_KEPT_MS.to_string(),
            DEAD_KEPT_MS.to_string(),
        ];
        let mut failed = Vec::new();
        // Each pass is a bounded piece of work for Redis; so is the number of passes of one call.
        for _ in 0..100 {
            let mut reply: Vec<redis::Value> =
                self.run(&scripts::SWEEP, &args, RetryOnDisconnect::Never).await?;
            let more = reply.first().is_some_and(|more| *more == redis::Value::BulkString(b"1".to_vec()));
            for value in reply.drain(..).skip(1) {
                let fields: Fields = redis::from_redis_value(value)
                    .map_err(|e| Error::corrupt("redis answered something else").with_source(e))?;
                failed.extend(wire::job(&fields)?);
            }
            if !more {
                break;
            }
        }
        Ok(failed)
    }

    /// Drops a job and what it was deduplicated by. Its workers' heartbeats answer
    /// [`Heartbeat::Lost`].
    pub async fn forget(&self, tenant: &str, recording: &str) -> Result<()> {
        let _: String =
            self.run(&scripts::FORGET, &[job_id(tenant, recording)], RetryOnDisconnect::Once).await?;
        Ok(())
    }

    /// Binds a value (an `Idempotency-Key`, say) to a recording of a tenant for seven days, unless
    /// it is bound already; returns the recording it is bound to.
    pub async fn claim(&self, tenant: &str, value: &str, recording: &str) -> Result<String> {
        layout::check_ids(tenant, recording)?;
        let mut command = redis::cmd("SET");
        command.arg(format!("{}:claim:{tenant}:{}", self.inner.base, hashed(value)));
        command.arg(recording).arg("NX").arg("GET").arg("PX").arg(DEDUPE_KEPT_MS);
        let before: Option<String> = self.inner.main.query(&command, RetryOnDisconnect::Once).await?;
        Ok(before.unwrap_or_else(|| recording.to_string()))
    }

    /// Releases a value that was bound to this recording; one of another recording stays bound.
    pub async fn unclaim(&self, tenant: &str, value: &str, recording: &str) -> Result<()> {
        let args = [tenant.to_string(), hashed(value), recording.to_string()];
        let _: i64 = self.run(&scripts::UNCLAIM, &args, RetryOnDisconnect::Once).await?;
        Ok(())
    }

    /// The policy by which Redis evicts keys when it is full; `None` if Redis does not say. Any but
    /// `noeviction` loses jobs, until the sweeper queues them again.
    pub async fn eviction_policy(&self) -> Result<Option<String>> {
        let mut command = redis::cmd("INFO");
        command.arg("memory");
        let info: String = self.inner.main.query(&command, RetryOnDisconnect::Once).await?;
        let policy = info.lines().find_map(|line| line.strip_prefix("maxmemory_policy:"));
        Ok(policy.map(|policy| policy.trim().to_owned()))
    }

    async fn run<T: redis::FromRedisValue>(
        &self,
        script: &LuaScript,
        args: &[String],
        again: RetryOnDisconnect,
    ) -> Result<T> {
        #[cfg(test)]
        if let Some(now_ms) = &self.clock {
            let now_ms = now_ms.load(std::sync::atomic::Ordering::Relaxed);
            let mut command = redis::cmd("EVAL");
            command.arg(script.with_clock()).arg(1).arg(&self.inner.base).arg(args);
            command.arg(now_ms / 1000).arg(now_ms % 1000 * 1000);
            return self.inner.main.query(&command, again).await;
        }
        self.inner.main.script(script, &self.inner.base, args, again).await
    }
}

/// Arguments that identify a lease in a script.
fn held(lease: &Lease) -> [String; 3] {
    [job_id(&lease.tenant, &lease.recording), lease.step.clone(), lease.fence.to_string()]
}

/// Deduplication values may name people and may be long.
fn hashed(value: &str) -> String {
    crate::objects::sha256_hex(value.as_bytes())
}

fn view(fields: &Fields) -> Result<JobView> {
    wire::job(fields)?.ok_or_else(|| Error::corrupt("the queue holds something that cannot be read"))
}

fn lost() -> Error {
    Error::new(Kind::Lost, "the lease was given away")
}

fn unknown_need() -> Error {
    Error::invalid("a step needs one that is not in its job")
}
