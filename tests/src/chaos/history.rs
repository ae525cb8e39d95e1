//! What happened in a run, for a person who looks for the cause of a violation.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, Write as _};
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde::Deserialize;

/// Faults that began or ended so close to an event of a recording belong into its history, in ms.
const NEAR_MS: u64 = 5_000;
/// Lines of a recording's history that are printed.
const MAX_LINES: usize = 120;

/// An event of the harness: a fault, or something a client did.
#[derive(Clone, Debug)]
struct Event {
    at_ms: u64,
    text: String,
}

/// The events of a run.
pub struct History {
    start: Instant,
    start_ms: u64,
    events: Mutex<Vec<Event>>,
    /// Has each event at once, also of a run that is stopped.
    log: File,
}

impl History {
    /// One that starts now, and writes its events to `log` too.
    ///
    /// # Errors
    /// If the file cannot be made.
    pub fn start(log: &Path) -> io::Result<Self> {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let start_ms = u64::try_from(since.as_millis()).unwrap_or_default();
        Ok(Self { start: Instant::now(), start_ms, events: Mutex::default(), log: File::create(log)? })
    }

    /// Time since the start.
    pub fn elapsed(&self) -> Duration {
        self.start.elapsed()
    }

    /// Adds an event; returns its time in ms since 1970.
    pub fn add(&self, text: impl Into<String>) -> u64 {
        let at_ms = self.start_ms + u64::try_from(self.elapsed().as_millis()).unwrap_or_default();
        let text = text.into();
        let mut events = self.events.lock().unwrap_or_else(PoisonError::into_inner);
        let _ = writeln!(&self.log, "{:8.3} s  {text}", self.elapsed().as_secs_f64());
        events.push(Event { at_ms, text });
        at_ms
    }

    /// The last part of a recording's history: its own lines of all logs, with the faults between.
    pub fn describe(&self, logs: &[LogLine], recording: &str) -> String {
        let events = self.events.lock().unwrap_or_else(PoisonError::into_inner);
        let is_fault = |text: &str| text.starts_with("fault ");
        let mut lines: Vec<(u64, String)> = events
            .iter()
            .filter(|event| event.text.contains(recording) || is_fault(&event.text))
            .map(|event| (event.at_ms, event.text.clone()))
            .chain(logs.iter().filter(|line| line.recording() == recording).map(|l| (l.at_ms, l.describe())))
            .collect();
        let own: Vec<u64> =
            lines.iter().filter(|(_, text)| !is_fault(text)).map(|(at_ms, _)| *at_ms).collect();
        lines.retain(|(at_ms, text)| !is_fault(text) || own.iter().any(|own| own.abs_diff(*at_ms) < NEAR_MS));
        lines.sort_by_key(|(at_ms, _)| *at_ms);
        let mut text = String::new();
        if lines.len() > MAX_LINES {
            let _ = writeln!(text, "    … {} lines before", lines.len() - MAX_LINES);
        }
        for (at_ms, line) in &lines[lines.len().saturating_sub(MAX_LINES)..] {
            let _ =
                writeln!(text, "    {:8.3} s  {line}", at_ms.saturating_sub(self.start_ms) as f64 / 1000.0);
        }
        text
    }
}

/// A line of a process's log.
#[derive(Clone, Debug)]
pub struct LogLine {
    /// The process: `worker-1`.
    pub process: String,
    /// Its time, in ms since 1970.
    pub at_ms: u64,
    /// Its level: `INFO`.
    pub level: String,
    /// The fields, the event's name among them.
    pub fields: serde_json::Map<String, serde_json::Value>,
}

#[derive(Deserialize)]
struct RawLine {
    timestamp: String,
    level: String,
    fields: serde_json::Map<String, serde_json::Value>,
}

impl LogLine {
    /// Reads a process's log; lines of another form are left out.
    pub fn read(process: &str, log: &Path) -> Vec<Self> {
        let text = std::fs::read_to_string(log).unwrap_or_default();
        text.lines()
            .filter_map(|line| serde_json::from_str::<RawLine>(line).ok())
            .filter_map(|raw| {
                let at: jiff::Timestamp = raw.timestamp.parse().ok()?;
                let at_ms = u64::try_from(at.as_millisecond()).ok()?;
                Some(Self { process: process.to_owned(), at_ms, level: raw.level, fields: raw.fields })
            })
            .collect()
    }

    /// A field's text; empty if there is none.
    pub fn text(&self, field: &str) -> &str {
        self.fields.get(field).and_then(|value| value.as_str()).unwrap_or_default()
    }

    /// Its recording; empty if there is none.
    pub fn recording(&self) -> &str {
        self.text("recording_id")
    }

    fn describe(&self) -> String {
        let mut text = format!("{}: {}", self.process, self.text("message"));
        for (key, value) in &self.fields {
            if !["message", "recording_id", "tenant_id"].contains(&key.as_str()) {
                let _ = write!(text, " {key}={value}");
            }
        }
        text
    }
}
