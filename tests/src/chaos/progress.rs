//! How far a run is: a line each half a minute, for a person who waits.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::violation::Violation;

/// Time between two lines.
const INTERVAL: Duration = Duration::from_secs(30);
/// Time limit of a look at a tenant's recordings: servers may be stopped.
const MAX_LOOK: Duration = Duration::from_secs(3);

/// How far a run is.
pub struct Progress {
    start: Instant,
    faults: usize,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    phase: String,
    ended_faults: usize,
    /// Faults that are not over, by their number.
    present: BTreeMap<usize, String>,
    /// Recordings by state, as a server listed them last.
    recordings: BTreeMap<String, usize>,
    /// What is wrong so far.
    violations: Vec<String>,
}

impl Progress {
    /// Of a run with so many faults.
    pub fn new(faults: usize) -> Arc<Self> {
        let state = State { phase: "starting".to_owned(), ..State::default() };
        Arc::new(Self { start: Instant::now(), faults, state: Mutex::new(state) })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins a phase of the run, or names what it waits for.
    pub fn enter(&self, phase: impl Into<String>) {
        self.state().phase = phase.into();
    }

    /// Sets what is wrong so far.
    pub fn set_violations(&self, violations: &[Violation]) {
        let texts = violations.iter().map(|Violation { recording, what, .. }| format!("{recording}: {what}"));
        self.state().violations = texts.collect();
    }

    /// Begins a fault.
    pub fn begin_fault(&self, number: usize, what: String) {
        self.state().present.insert(number, what);
    }

    /// Ends a fault.
    pub fn end_fault(&self, number: usize) {
        let mut state = self.state();
        state.present.remove(&number);
        state.ended_faults += 1;
    }

    /// The state as a line.
    pub fn describe(&self) -> String {
        let state = self.state();
        let present: Vec<&str> = state.present.values().map(String::as_str).collect();
        let present = if present.is_empty() { "none" } else { &present.join(", ") };
        format!(
            "{:4} s  {}; {} of {} faults, now {present}; recordings {:?}; {} violations",
            self.start.elapsed().as_secs(),
            state.phase,
            state.ended_faults,
            self.faults,
            state.recordings,
            state.violations.len()
        )
    }

    /// Prints a line each half a minute. `urls` are the servers', `keys` one a tenant.
    pub async fn print(self: Arc<Self>, urls: Vec<String>, keys: Vec<String>) {
        let mut ticks = tokio::time::interval(INTERVAL);
        loop {
            ticks.tick().await;
            // A server that does not answer leaves what was known before.
            for url in &urls {
                if let Ok(recordings) = look(url, &keys).await {
                    self.state().recordings = recordings;
                    break;
                }
            }
            print(&self.describe());
        }
    }
}

/// Prints the state if a run is dropped before its end: it was stopped, or it panicked.
pub struct EarlyEnd {
    /// How far the run is.
    pub progress: Arc<Progress>,
    /// The folder that stays.
    pub folder: PathBuf,
    /// Whether the run came to its end.
    pub is_complete: bool,
}

impl Drop for EarlyEnd {
    fn drop(&mut self) {
        if !self.is_complete {
            print(&format!("ended early: {}", self.progress.describe()));
            for violation in &self.progress.state().violations {
                print(&format!("VIOLATION {violation}"));
            }
            print(&format!("all logs and objects are in {}", self.folder.display()));
        }
    }
}

/// Recordings of all tenants by state.
async fn look(url: &str, keys: &[String]) -> reqwest::Result<BTreeMap<String, usize>> {
    let http = reqwest::Client::builder().timeout(MAX_LOOK).build()?;
    let mut states = BTreeMap::new();
    for key in keys {
        let request = http.get(format!("{url}/v1/recordings?limit=200")).bearer_auth(key);
        let list: Value = request.send().await?.error_for_status()?.json().await?;
        for recording in list["recordings"].as_array().into_iter().flatten() {
            let state = recording["state"].as_str().unwrap_or("unknown");
            *states.entry(state.to_owned()).or_default() += 1;
        }
    }
    Ok(states)
}

#[allow(clippy::print_stderr)]
fn print(line: &str) {
    eprintln!("{line}");
}
