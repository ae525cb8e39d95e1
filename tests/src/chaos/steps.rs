//! Counts the runs of each step in the workers' logs.
//!
//! A run whose result is accepted is the last one of its step, unless Redis lost what it had
//! accepted, or a client retried the recording.

use std::collections::BTreeMap;

use super::client::Acknowledged;
use super::history::LogLine;
use super::violation::Violation;

/// Results are logged a moment after they were accepted, in ms.
const LOG_DELAY_MS: u64 = 5_000;

/// Counts over all steps.
#[derive(Debug, Default)]
pub struct StepCounts {
    /// Runs that were started.
    pub started: usize,
    /// Runs whose result was accepted.
    pub done: usize,
    /// Failed runs by their code.
    pub failed: BTreeMap<String, usize>,
    /// Runs that their worker gave up, by the reason.
    pub given_up: BTreeMap<String, usize>,
    /// Runs without an end in the logs: their worker was killed, perhaps before it logged one.
    pub lost: usize,
    /// Most runs of one step.
    pub most: usize,
    /// The recording and name of that step.
    pub most_of: Option<(String, String)>,
}

/// Counts runs; `losses_ms` are the times, in ms since 1970, at which Redis lost what it had
/// accepted.
pub fn count(
    logs: &[LogLine],
    recordings: &[Acknowledged],
    losses_ms: &[u64],
) -> (StepCounts, Vec<Violation>) {
    let mut counts = StepCounts::default();
    let mut started: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    let mut done: BTreeMap<(&str, &str), Vec<u64>> = BTreeMap::new();
    for line in logs {
        let step = (line.recording(), line.text("step"));
        match line.text("message") {
            "step started" => *started.entry(step).or_default() += 1,
            "step done" => done.entry(step).or_default().push(line.at_ms),
            "step failed" => *counts.failed.entry(line.text("code").to_owned()).or_default() += 1,
            "step given up" => *counts.given_up.entry(line.text("reason").to_owned()).or_default() += 1,
            _ => {}
        }
    }
    counts.started = started.values().sum();
    if let Some(((recording, step), runs)) = started.iter().max_by_key(|(_, runs)| **runs) {
        counts.most = *runs;
        counts.most_of = Some(((*recording).to_owned(), (*step).to_owned()));
    }
    counts.done = done.values().map(Vec::len).sum();
    let ended = counts.done + counts.failed.values().sum::<usize>() + counts.given_up.values().sum::<usize>();
    counts.lost = counts.started.saturating_sub(ended);

    let mut violations = Vec::new();
    for ((recording, step), mut times) in done {
        times.sort_unstable();
        let retries = recordings.iter().find(|r| r.recording == recording);
        let retries = retries.map(|r| r.retried_at_ms.as_slice()).unwrap_or_default();
        for pair in times.windows(2) {
            let between = |at: &u64| (pair[0].saturating_sub(LOG_DELAY_MS)..=pair[1]).contains(at);
            if !losses_ms.iter().chain(retries).any(between) {
                violations.push(Violation::about(recording, format!("{step} ran again after it was done")));
            }
        }
    }
    (counts, violations)
}
