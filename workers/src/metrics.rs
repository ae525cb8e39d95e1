//! The worker's metrics. No label names a recording, a tenant or a token.

use std::future::Future;
use std::sync::atomic::AtomicU64;
use std::time::Instant;

use chalkstream_store::{Lease, Outcome, StepSpec, failure};
use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};

use crate::admission::Capacity;
use crate::attempt::StepOutcome;
use crate::failure::StepFailure;
use crate::steps::StepKind;

/// Label of a step this program does not know, or of a failure's code that is not in the table.
const OTHER: &str = "other";

/// How an attempt ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttemptEnd {
    /// Its result was accepted.
    Done,
    /// It failed, and the step will be tried again.
    Retried,
    /// The step failed for good, and its job goes on.
    OptionalFailed,
    /// The step failed for good, and its job with it: a dead letter.
    JobFailed,
    /// The step was given back because the worker stops.
    GivenBack,
    /// The lease was given to another worker.
    LeaseLost,
    /// The job was cancelled, or failed elsewhere.
    JobOver,
}

impl AttemptEnd {
    const ALL: [Self; 7] = [
        Self::Done,
        Self::Retried,
        Self::OptionalFailed,
        Self::JobFailed,
        Self::GivenBack,
        Self::LeaseLost,
        Self::JobOver,
    ];

    fn label(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Retried => "retried",
            Self::OptionalFailed => "optional_failed",
            Self::JobFailed => "job_failed",
            Self::GivenBack => "given_back",
            Self::LeaseLost => "lease_lost",
            Self::JobOver => "job_over",
        }
    }
}

impl From<Outcome> for AttemptEnd {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Retry { .. } => Self::Retried,
            Outcome::OptionalFailed => Self::OptionalFailed,
            Outcome::JobFailed => Self::JobFailed,
        }
    }
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct StepLabels {
    step: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct AttemptLabels {
    step: &'static str,
    outcome: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct CodeLabels {
    code: &'static str,
}

type HistogramByStep = Family<StepLabels, Histogram, fn() -> Histogram>;

/// State of a worker that is read when the metrics are.
#[derive(Clone, Copy, Debug, Default)]
pub struct WorkerState {
    /// Whether it takes no steps.
    pub is_paused: bool,
    /// Memory planned for steps.
    pub planned_memory_bytes: u64,
    /// Free space for temporary files.
    pub free_disk_bytes: u64,
}

/// All the worker's metrics.
pub struct WorkerMetrics {
    registry: Registry,
    attempts: Family<AttemptLabels, Counter>,
    failures: Family<CodeLabels, Counter>,
    step_seconds: HistogramByStep,
    realtime_ratio: HistogramByStep,
    running: Family<StepLabels, Gauge>,
    slots: Gauge<u64, AtomicU64>,
    memory_allowed_bytes: Gauge<u64, AtomicU64>,
    memory_planned_bytes: Gauge<u64, AtomicU64>,
    scratch_free_bytes: Gauge<u64, AtomicU64>,
    paused: Gauge,
    pauses: Family<CodeLabels, Counter>,
}

impl WorkerMetrics {
    /// Metrics of a worker with this room for steps. Every label exists from the start, so that the
    /// first failure is an increase.
    pub fn new(capacity: Capacity) -> Self {
        let mut metrics = Self {
            registry: Registry::with_prefix("chalkstream"),
            attempts: Family::default(),
            failures: Family::default(),
            step_seconds: Family::new_with_constructor(|| {
                Histogram::new([0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1e3, 3e3, 1e4])
            }),
            realtime_ratio: Family::new_with_constructor(|| {
                Histogram::new([0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0])
            }),
            running: Family::default(),
            slots: Gauge::default(),
            memory_allowed_bytes: Gauge::default(),
            memory_planned_bytes: Gauge::default(),
            scratch_free_bytes: Gauge::default(),
            paused: Gauge::default(),
            pauses: Family::default(),
        };
        // With the slot for short steps.
        metrics.slots.set(capacity.long_steps() as u64 + 1);
        metrics.memory_allowed_bytes.set(capacity.memory_bytes);
        for step in StepKind::ALL.map(StepKind::name) {
            metrics.running.get_or_create_owned(&StepLabels { step });
            metrics.step_seconds.get_or_create_owned(&StepLabels { step });
            for end in AttemptEnd::ALL {
                metrics.attempts.get_or_create_owned(&AttemptLabels { step, outcome: end.label() });
            }
        }
        for kind in StepKind::ALL.into_iter().filter(|kind| !kind.is_publication()) {
            metrics.realtime_ratio.get_or_create_owned(&StepLabels { step: kind.name() });
        }
        for rule in failure::TABLE {
            metrics.failures.get_or_create_owned(&CodeLabels { code: rule.code });
            metrics.pauses.get_or_create_owned(&CodeLabels { code: rule.code });
        }
        let r = &mut metrics.registry;
        r.register("step_attempts", "Attempts that ended", metrics.attempts.clone());
        r.register("step_failures", "Attempts that failed, by code", metrics.failures.clone());
        r.register_with_unit(
            "step",
            "Duration of attempts that made their result",
            Unit::Seconds,
            metrics.step_seconds.clone(),
        );
        r.register(
            "step_realtime_ratio",
            "Duration of such attempts, divided by that of the recording",
            metrics.realtime_ratio.clone(),
        );
        r.register("worker_steps_running", "Steps that run", metrics.running.clone());
        r.register("worker_slots", "Steps that may run at once", metrics.slots.clone());
        for (name, help, gauge) in [
            ("worker_memory_allowed", "Memory that steps may take", &metrics.memory_allowed_bytes),
            ("worker_memory_planned", "Memory planned for steps that run", &metrics.memory_planned_bytes),
            ("worker_scratch_free", "Free space for temporary files", &metrics.scratch_free_bytes),
        ] {
            r.register_with_unit(name, help, Unit::Bytes, gauge.clone());
        }
        r.register("worker_paused", "Whether the worker takes no steps", metrics.paused.clone());
        r.register("worker_pauses", "Pauses of the worker, by code", metrics.pauses.clone());
        r.register("build", "The version that runs", Info::new([("version", env!("CARGO_PKG_VERSION"))]));
        metrics
    }

    /// Makes an attempt, and measures it.
    pub async fn measure(
        &self,
        lease: &Lease,
        attempt: impl Future<Output = Result<StepOutcome, StepFailure>>,
    ) -> Result<StepOutcome, StepFailure> {
        let labels = StepLabels { step: step_label(&lease.step) };
        let running = RunningStep::new(self.running.get_or_create_owned(&labels));
        let start = Instant::now();
        let outcome = attempt.await?;
        drop(running);
        let seconds = start.elapsed().as_secs_f64();
        self.step_seconds.get_or_create(&labels).observe(seconds);
        let is_publication = StepKind::from_name(&lease.step).is_none_or(StepKind::is_publication);
        if let Some(media_ms) = media_ms(lease, &outcome).filter(|&ms| ms > 0 && !is_publication) {
            self.realtime_ratio.get_or_create(&labels).observe(seconds * 1000.0 / media_ms as f64);
        }
        Ok(outcome)
    }

    /// Counts an attempt that ended.
    pub fn count_end(&self, lease: &Lease, end: AttemptEnd) {
        let labels = AttemptLabels { step: step_label(&lease.step), outcome: end.label() };
        self.attempts.get_or_create(&labels).inc();
    }

    /// Counts a failure by its code.
    pub fn count_failure(&self, code: &str) {
        self.failures.get_or_create(&CodeLabels { code: code_label(code) }).inc();
    }

    /// Counts a pause by its code.
    pub fn count_pause(&self, code: &str) {
        self.pauses.get_or_create(&CodeLabels { code: code_label(code) }).inc();
    }

    /// Number of steps that run.
    pub fn steps_running(&self) -> i64 {
        let running = StepKind::ALL.into_iter().map(|kind| StepLabels { step: kind.name() });
        running.filter_map(|labels| self.running.get(&labels).map(|gauge| gauge.get())).sum()
    }

    /// The text a scraper reads (OpenMetrics).
    pub fn render(&self, now: &WorkerState) -> Result<String, std::fmt::Error> {
        self.paused.set(now.is_paused.into());
        self.memory_planned_bytes.set(now.planned_memory_bytes);
        self.scratch_free_bytes.set(now.free_disk_bytes);
        let mut out = String::new();
        text::encode(&mut out, &self.registry)?;
        Ok(out)
    }
}

/// A step that runs; counted until this is dropped.
struct RunningStep(Gauge);

impl RunningStep {
    fn new(gauge: Gauge) -> Self {
        gauge.inc();
        Self(gauge)
    }
}

impl Drop for RunningStep {
    fn drop(&mut self) {
        self.0.dec();
    }
}

fn step_label(step: &str) -> &'static str {
    StepKind::from_name(step).map_or(OTHER, StepKind::name)
}

fn code_label(code: &str) -> &'static str {
    failure::find(code).map_or(OTHER, |rule| rule.code)
}

/// Duration of the recording, by its inspection.
fn media_ms(lease: &Lease, outcome: &StepOutcome) -> Option<u64> {
    if lease.step == StepSpec::FIRST {
        return outcome.result.report["duration_ms"].as_u64();
    }
    lease.needs.get(StepSpec::FIRST)?.as_ref()?["report"]["duration_ms"].as_u64()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::collections::BTreeMap;

    use chalkstream_store::StepResult;
    use serde_json::{Value, json};

    use super::*;

    const CAPACITY: Capacity = Capacity { slots: Some(2), cores: 8, memory_bytes: 64 << 30 };

    fn lease(step: &str) -> Lease {
        let inspection = json!({ "report": { "duration_ms": 1 } });
        Lease {
            tenant: "t".into(),
            recording: "r".into(),
            step: step.into(),
            fence: 1,
            attempt: 1,
            optional: false,
            input: Value::Null,
            needs: BTreeMap::from([(StepSpec::FIRST.to_owned(), Some(inspection))]),
            alone: false,
        }
    }

    fn outcome() -> Result<StepOutcome, StepFailure> {
        let result = StepResult { fence: 1, report: json!({}), objects: BTreeMap::new(), inventory: None };
        Ok(StepOutcome { result, added_steps: Vec::new() })
    }

    #[tokio::test]
    async fn an_attempt_is_timed_and_counted_while_it_runs() {
        let metrics = WorkerMetrics::new(CAPACITY);
        let attempt = async {
            assert_eq!(metrics.steps_running(), 1);
            outcome()
        };
        metrics.measure(&lease("ladder"), attempt).await.unwrap();
        metrics.count_end(&lease("ladder"), AttemptEnd::Done);
        metrics.count_failure("no_such_code");
        let text = metrics.render(&WorkerState { is_paused: true, ..WorkerState::default() }).unwrap();
        for line in [
            "chalkstream_step_seconds_count{step=\"ladder\"} 1\n",
            "chalkstream_step_realtime_ratio_count{step=\"ladder\"} 1\n",
            "chalkstream_step_attempts_total{step=\"ladder\",outcome=\"done\"} 1\n",
            "chalkstream_step_attempts_total{step=\"ladder\",outcome=\"job_failed\"} 0\n",
            "chalkstream_step_failures_total{code=\"other\"} 1\n",
            "chalkstream_worker_steps_running{step=\"ladder\"} 0\n",
            "chalkstream_worker_slots 3\n",
            "chalkstream_worker_paused 1\n",
        ] {
            assert!(text.contains(line), "{line} in {text}");
        }
    }

    #[tokio::test]
    async fn an_attempt_that_fails_is_not_timed() {
        let metrics = WorkerMetrics::new(CAPACITY);
        let attempt = async { Err(StepFailure::ours("broken")) };
        assert!(metrics.measure(&lease("stills"), attempt).await.is_err());
        assert_eq!(metrics.steps_running(), 0);
        assert!(
            metrics
                .render(&WorkerState::default())
                .unwrap()
                .contains("chalkstream_step_seconds_count{step=\"stills\"} 0\n")
        );
    }
}
