//! A step of a job: what it is asked for, where it is, and why it failed.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::failure::Failure;

/// One step of a job, as it is asked for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StepSpec {
    /// Name, unique in its job: 1 to 64 of `a-z`, `0-9`, `_`, `-`.
    pub name: String,
    /// Steps that must be over before it starts.
    #[serde(default)]
    pub needs: Vec<String>,
    /// Whether the recording is complete without it.
    #[serde(default)]
    pub optional: bool,
    /// Its class, lower goes first: 0 inspects or publishes, 10 makes audio or stills, 20 the
    /// weak line, 30 words, 40 the ladder, 50 waits for idle time. Earlier builds had 0, 1 and 2.
    #[serde(default)]
    pub priority: i64,
    /// Estimated work, in ms of one core; 0 if there is no estimate. Tenants share by it.
    #[serde(default)]
    pub cost_ms: u64,
    /// Its input.
    #[serde(default)]
    pub input: Value,
    /// Capabilities that a worker needs for it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub requires: Vec<String>,
}

/// State of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StepState {
    /// Some step it needs is not over.
    Waiting,
    /// Waits for a worker.
    Ready,
    /// A worker has it.
    Leased,
    /// Waits for its next try.
    Delayed,
    /// Its result was accepted.
    Done,
    /// It failed for good.
    Failed,
    /// Its job ended before it did.
    Cancelled,
}

impl StepSpec {
    /// Name of the step that every job begins with.
    pub const FIRST: &str = "inspect";
    /// Its estimated work, in ms of one core.
    pub const FIRST_COST_MS: u64 = 500;

    /// The step that every job begins with.
    pub fn first() -> Self {
        Self {
            name: Self::FIRST.into(),
            needs: Vec::new(),
            optional: false,
            priority: 0,
            cost_ms: Self::FIRST_COST_MS,
            input: Value::Object(serde_json::Map::new()),
            requires: Vec::new(),
        }
    }
}

impl StepState {
    /// True if nothing more happens by itself.
    pub fn is_terminal(self) -> bool {
        matches!(self, StepState::Done | StepState::Failed | StepState::Cancelled)
    }
}

/// One step, with all that is needed to put its job together again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StepRecord {
    /// How far it came.
    pub state: StepState,
    /// Times it was started.
    #[serde(default)]
    pub attempts: u32,
    /// Whether the recording is complete without it.
    #[serde(default)]
    pub optional: bool,
    /// The steps it waits for.
    #[serde(default)]
    pub needs: Vec<String>,
    /// Its class, lower goes first.
    #[serde(default)]
    pub priority: i64,
    /// Estimated work, in ms of one core.
    #[serde(default)]
    pub cost_ms: u64,
    /// Its input.
    #[serde(default)]
    pub input: Value,
    /// Capabilities that a worker needs for it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub requires: Vec<String>,
    /// Its result.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<Value>,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
}

impl StepRecord {
    /// The step as it would be asked for again.
    pub fn spec(&self, name: &str) -> StepSpec {
        StepSpec {
            name: name.into(),
            needs: self.needs.clone(),
            optional: self.optional,
            priority: self.priority,
            cost_ms: self.cost_ms,
            input: self.input.clone(),
            requires: self.requires.clone(),
        }
    }
}
