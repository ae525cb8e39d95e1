//! Types that go into the queue and come out of it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::failure::Failure;
use crate::step::{StepRecord, StepSpec, StepState};

/// A recording to process.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct JobSpec {
    /// Its tenant.
    pub tenant: String,
    /// Its id.
    pub recording: String,
    /// The first steps.
    pub steps: Vec<StepSpec>,
    /// When someone needs it, in ms since the epoch: goes first within its tenant.
    #[serde(default)]
    pub due_at_ms: Option<u64>,
    /// A second job of this tenant with the same value is not made (unless the first failed or was
    /// cancelled). The caller puts into it all that must agree, such as the uploader and the
    /// content's hash.
    #[serde(default)]
    pub dedupe: Option<String>,
}

/// Answer to a submission.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Submitted {
    /// The recording that stands for what was submitted: another one where there already was a job.
    pub recording: String,
    /// Whether a job was made.
    pub created: bool,
}

/// A worker that asks for a step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeaseRequest<'a> {
    /// Name of the worker.
    pub worker: &'a str,
    /// How long it has the step before it must renew the lease, in ms.
    pub lease_ms: u64,
    /// Whether it takes only short steps: looks, publications, audio and stills.
    pub only_short: bool,
    /// What it does now.
    pub occupancy: Occupancy,
    /// Steps of one tenant that may run at once, on all workers; 0 for any number.
    pub tenant_steps_max: u32,
    /// Its capabilities.
    pub capabilities: &'a [&'a str],
}

/// What a worker does when it asks for a step. A step that must run alone is an idle worker's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Occupancy {
    /// It runs no step.
    Idle,
    /// It runs steps. After a minute it is offered a step that must run alone, and ends them first.
    Busy,
    /// It ends its steps, to make room for one it has.
    Draining,
}

impl Occupancy {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Busy => "busy",
            Self::Draining => "draining",
        }
    }
}

/// The queue's answer to a worker that asks for a step.
#[derive(Clone, Debug, PartialEq)]
pub enum LeaseOffer {
    /// This step.
    Step(Box<Lease>),
    /// There is none for it.
    Nothing,
    /// It failed too often.
    Paused(Pause),
}

/// How long a worker gets no step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pause {
    /// From now on, in ms.
    pub for_ms: u64,
    /// Code of its last failure.
    pub code: String,
}

/// Outcome of a worker's check of its own machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MachineCheck<'a> {
    /// It was not made, or says nothing new.
    NotMade,
    /// It passed after it had failed: a pause ends.
    Passed,
    /// It failed with this code: a pause begins, or goes on.
    Failed(&'a str),
}

/// A worker, as the queue knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkerView {
    /// Its name.
    pub name: String,
    /// Failures in a row.
    pub failures: u64,
    /// Steps it did, within a day of the last one.
    pub done: u64,
    /// Its pause, if it has one.
    pub pause: Option<Pause>,
}

/// A step, given to one worker until its lease ends.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Lease {
    /// Tenant of the job.
    pub tenant: String,
    /// Recording of the job.
    pub recording: String,
    /// Name of the step.
    pub step: String,
    /// Fencing number: strictly greater than every one given out for this recording before.
    pub fence: u64,
    /// Which try this is, from 1.
    pub attempt: u32,
    /// Whether the recording is complete without it.
    pub optional: bool,
    /// Input of the step.
    pub input: Value,
    /// Results of the steps it needed; `None` for an optional one that failed.
    pub needs: BTreeMap<String, Option<Value>>,
    /// Whether it must run alone: two workers were lost with it.
    pub alone: bool,
}

/// How far a step is, in media time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// Media time done, in ms.
    pub done_ms: u64,
    /// Media time in all, in ms; 0 while unknown.
    pub total_ms: u64,
}

/// The queue's answer to a heartbeat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heartbeat {
    /// The lease was renewed.
    Continue,
    /// Stop: the job was cancelled, or failed elsewhere.
    Cancelled,
    /// Stop: the step was given to another worker, or the job is gone.
    Lost,
}

/// A failed step, as it is reported to the queue. The [table](crate::failure) says what follows.
#[derive(Clone, Debug, PartialEq)]
pub struct FailureReport {
    /// Stable, API-visible code.
    pub code: String,
    /// One plain sentence.
    pub message: String,
}

/// Consequence of a failed step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It will be tried again after this many ms.
    Retry {
        /// The wait, in ms.
        after_ms: u64,
    },
    /// It will not be tried again, and the job goes on without it.
    OptionalFailed,
    /// It will not be tried again, and the job failed with it.
    JobFailed,
}

/// Answer to a failure that was reported.
#[derive(Clone, Debug, PartialEq)]
pub struct FailOutcome {
    /// The job after it, under a fresh fence.
    pub job: JobView,
    /// Consequence for the step.
    pub outcome: Outcome,
    /// Consequence for the worker.
    pub pause: Option<Pause>,
}

/// State of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JobState {
    /// No step was ever started.
    Queued,
    /// Some step was started.
    Running,
    /// Every step is over, and no required one failed.
    Done,
    /// A required step failed for good: a dead letter.
    Failed,
    /// Someone stopped it.
    Cancelled,
}

impl JobState {
    /// True if nothing more happens by itself.
    pub fn is_terminal(self) -> bool {
        matches!(self, JobState::Done | JobState::Failed | JobState::Cancelled)
    }
}

/// A job at one moment.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct JobView {
    /// Its tenant.
    pub tenant: String,
    /// Its recording.
    pub recording: String,
    /// Its state.
    pub state: JobState,
    /// The highest fencing number given out. A manifest made from this view is written under it.
    pub fence: u64,
    /// When it was submitted, in ms since the epoch.
    pub created_at_ms: u64,
    /// When it ended, in ms since the epoch.
    pub finished_at_ms: Option<u64>,
    /// When someone needs it, in ms since the epoch.
    pub due_at_ms: Option<u64>,
    /// Why it failed, where it did.
    pub failure: Option<Failure>,
    /// Its steps in the order they were added. In a list of jobs without their inputs and results.
    pub steps: Vec<StepView>,
}

/// A step at one moment.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct StepView {
    /// Name.
    pub name: String,
    /// Its state.
    pub state: StepState,
    /// Counted attempts since it was last asked for by hand.
    pub attempts: u32,
    /// Workers that were lost with it since then.
    pub losses: u32,
    /// Whether the recording is complete without it.
    pub optional: bool,
    /// Its class, lower goes first.
    pub priority: i64,
    /// Estimated work, in ms of one core.
    pub cost_ms: u64,
    /// The steps it waits for.
    pub needs: Vec<String>,
    /// The worker that has it, or had it last.
    pub worker: Option<String>,
    /// How far it is.
    pub progress: Option<Progress>,
    /// Note of its worker, if any.
    #[serde(skip)]
    pub note: Option<Value>,
    /// Its input.
    #[serde(skip)]
    pub input: Value,
    /// Capabilities that a worker needs for it.
    #[serde(skip)]
    pub requires: Vec<String>,
    /// Its result.
    #[serde(skip)]
    pub result: Option<Value>,
    /// Why its last try failed.
    pub failure: Option<Failure>,
}

impl JobView {
    /// A step by name.
    pub fn step(&self, name: &str) -> Option<&StepView> {
        self.steps.iter().find(|step| step.name == name)
    }

    /// The steps as a manifest keeps them.
    pub fn records(&self) -> BTreeMap<String, StepRecord> {
        let record = |step: &StepView| StepRecord {
            state: step.state,
            attempts: step.attempts,
            optional: step.optional,
            needs: step.needs.clone(),
            priority: step.priority,
            cost_ms: step.cost_ms,
            input: step.input.clone(),
            requires: step.requires.clone(),
            result: step.result.clone(),
            failure: step.failure.clone(),
        };
        self.steps.iter().map(|step| (step.name.clone(), record(step))).collect()
    }
}

/// Which jobs to list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum JobFilter {
    /// All that are still known, newest first.
    #[default]
    All,
    /// The dead letters, newest first.
    Failed,
    /// Those that are not over, newest first.
    Open,
}

/// How often and how soon a failed step is tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryPolicy {
    /// Times a step is started at most.
    pub attempts: u32,
    /// Workers that may be lost with a step.
    pub losses: u32,
    /// Ceiling of the first wait, in ms; it doubles with each try.
    pub base_ms: u64,
    /// Ceiling of every wait, in ms.
    pub cap_ms: u64,
    /// First pause of a worker that failed, in ms; it doubles with each failure in a row.
    pub pause_ms: u64,
    /// Longest pause of a worker, in ms.
    pub max_pause_ms: u64,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            attempts: 5,
            losses: 10,
            base_ms: 1_000,
            cap_ms: 60_000,
            pause_ms: 5_000,
            max_pause_ms: 300_000,
        }
    }
}

/// State of a job after [`Queue::heal`](crate::Queue::heal).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JobHealth {
    /// Its state.
    pub state: JobState,
    /// When it ended, in ms since the epoch.
    pub finished_at_ms: Option<u64>,
    /// Whether a list had lost it or one of its steps.
    pub was_broken: bool,
}
