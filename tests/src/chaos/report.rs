//! The report of a run.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use super::client::End;
use super::plan::FaultKind;
use super::steps::StepCounts;
use super::violation::Violation;

/// Runs of one step from which on its history is printed: it may show a defect.
const MANY_RUNS: usize = 8;

/// The report of a run.
#[derive(Debug, Default)]
pub struct Report {
    /// Its seed.
    pub seed: u64,
    /// How long it took, in seconds.
    pub seconds: u64,
    /// Faults by kind: injected, and left out because there was nothing to hit.
    pub faults: BTreeMap<FaultKind, (usize, usize)>,
    /// Recordings by their end.
    pub ends: BTreeMap<End, usize>,
    /// Runs of steps.
    pub steps: StepCounts,
    /// Answers that asked a client to try again, by their status.
    pub statuses: BTreeMap<u16, usize>,
    /// Events of level `error` in the logs.
    pub errors: BTreeMap<String, usize>,
    /// Segments that viewers fetched at the end.
    pub segments: usize,
    /// Receipts that were held to what was there just before.
    pub exact_receipts: usize,
    /// Why scratch disks could not be filled, if they could not.
    pub no_disks: Option<String>,
    /// The step that ran most often, and its recording's history.
    pub most_runs: String,
    /// The folder of the run, if it is kept.
    pub folder: Option<PathBuf>,
    /// What is wrong.
    pub violations: Vec<Violation>,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let injected: usize = self.faults.values().map(|(injected, _)| injected).sum();
        writeln!(f, "seed {}: {injected} faults in {} s", self.seed, self.seconds)?;
        for (kind, (injected, missed)) in &self.faults {
            let missed = if *missed > 0 { format!(", {missed} with nothing to hit") } else { String::new() };
            writeln!(f, "  {injected:4} {kind:?}{missed}")?;
        }
        if let Some(reason) = &self.no_disks {
            writeln!(f, "  scratch disks were not filled: {reason}")?;
        }
        writeln!(
            f,
            "recordings: {:?}; {} segments watched; receipts checked exactly: {}",
            self.ends, self.segments, self.exact_receipts
        )?;
        let StepCounts { started, done, failed, given_up, lost, most, most_of: _ } = &self.steps;
        writeln!(
            f,
            "steps: {started} runs, {done} done, {lost} lost with their worker, most of one step {most}\n  \
             failed: {failed:?}\n  given up: {given_up:?}"
        )?;
        writeln!(f, "answers to try again, by status: {:?}", self.statuses)?;
        writeln!(f, "logged errors: {:?}", self.errors)?;
        if *most > MANY_RUNS {
            writeln!(f, "most often ran {}", self.most_runs)?;
        }
        if let Some(folder) = &self.folder {
            writeln!(f, "all logs and objects are in {}", folder.display())?;
        }
        for violation in &self.violations {
            writeln!(f, "VIOLATION {}: {}\n{}", violation.recording, violation.what, violation.history)?;
        }
        writeln!(f, "{} violations", self.violations.len())
    }
}
