//! What every step works with: a folder for its outputs, a place for its events, and a flag that stops it.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::error::{Error, Fault, Result};

/// What a child writes, one JSON object a line, on its standard output.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum StepEvent {
    /// How much of the recording is done.
    Progress {
        /// Media time done, in ms.
        done_ms: u64,
        /// Media time in all, in ms.
        total_ms: u64,
    },
    /// A file is complete; it is not touched again by the step.
    Output {
        /// Path relative to the step's folder, with `/`.
        path: String,
        /// Size, in bytes.
        size_bytes: u64,
    },
    /// A segment of a growing media playlist was announced as an output.
    Segment {
        /// Path of the media playlist it belongs to.
        playlist: String,
        /// Its name, relative to the playlist.
        uri: String,
        /// How long it lasts, in ticks.
        duration_ticks: u64,
        /// Ticks per second.
        timescale: u32,
    },
    /// The step is done.
    Result {
        /// The step's report.
        value: Value,
    },
    /// The step failed.
    Error {
        /// Stable code.
        code: String,
        /// One plain sentence.
        message: String,
        /// Whose fault.
        fault: Fault,
    },
}

/// What a step works with.
#[derive(Clone)]
pub struct StepContext {
    /// The folder outputs are written to.
    pub out_dir: PathBuf,
    /// Where events go.
    pub emit: Arc<dyn Fn(StepEvent) + Send + Sync>,
    /// Set when the work should stop.
    pub cancel: Arc<AtomicBool>,
}

impl StepContext {
    /// Reports progress in media time.
    pub fn report_progress(&self, done_ms: u64, total_ms: u64) {
        (self.emit)(StepEvent::Progress { done_ms: done_ms.min(total_ms), total_ms });
    }

    /// Announces a complete file by its path relative to the step's folder.
    pub fn announce_output(&self, path: &str) -> Result<()> {
        let size_bytes = std::fs::metadata(self.out_dir.join(path))?.len();
        (self.emit)(StepEvent::Output { path: path.to_owned(), size_bytes });
        Ok(())
    }

    /// Announces that an output is the next segment of a media playlist that grows.
    pub fn announce_segment(&self, playlist: &str, uri: &str, duration_ticks: u64, timescale: u32) {
        let (playlist, uri) = (playlist.to_owned(), uri.to_owned());
        (self.emit)(StepEvent::Segment { playlist, uri, duration_ticks, timescale });
    }

    /// The absolute path of an output, its folder made.
    pub fn create_path(&self, path: &str) -> Result<PathBuf> {
        let full = self.out_dir.join(path);
        if let Some(folder) = full.parent() {
            std::fs::create_dir_all(folder)?;
        }
        Ok(full)
    }

    /// Writes a whole small file and announces it.
    pub fn write_output(&self, path: &str, bytes: &[u8]) -> Result<()> {
        std::fs::write(self.create_path(path)?, bytes)?;
        self.announce_output(path)
    }

    /// Fails when the work should stop.
    pub fn check_cancelled(&self) -> Result<()> {
        if self.cancel.load(Ordering::Relaxed) { Err(Error::cancelled()) } else { Ok(()) }
    }
}

/// What was announced in a test: paths and sizes.
#[cfg(test)]
pub type AnnouncedOutputs = Arc<std::sync::Mutex<Vec<(String, u64)>>>;

/// A context for tests, and what is announced in it.
#[cfg(test)]
pub fn capturing_context(folder: &std::path::Path) -> (StepContext, AnnouncedOutputs) {
    let announced = AnnouncedOutputs::default();
    let sink = announced.clone();
    let emit = move |event| {
        if let StepEvent::Output { path, size_bytes } = event
            && let Ok(mut heard) = sink.lock()
        {
            heard.push((path, size_bytes));
        }
    };
    let (out_dir, cancel) = (folder.to_owned(), Arc::default());
    (StepContext { out_dir, emit: Arc::new(emit), cancel }, announced)
}
