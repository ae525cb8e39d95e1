//! The context of every step: a folder for its outputs, a receiver of its events, and a flag that
//! cancels it.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::error::{Error, Fault, Result};

/// An event that a child process writes to its standard output, as one line of JSON.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum StepEvent {
    /// The step has made progress.
    Progress {
        /// Media time done, in ms.
        done_ms: u64,
        /// Total media time, in ms.
        total_ms: u64,
    },
    /// A file is complete. The step does not change it again.
    Output {
        /// Path relative to the step's folder, with `/`.
        path: String,
        /// Size, in bytes.
        size_bytes: u64,
    },
    /// An announced output is the next segment of a growing media playlist.
    Segment {
        /// Path of the media playlist it belongs to.
        playlist: String,
        /// Its name, relative to the playlist.
        uri: String,
        /// Duration, in ticks.
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
        /// Whose fault it is.
        fault: Fault,
    },
}

/// The context of a step.
#[derive(Clone)]
pub struct StepContext {
    /// Folder for outputs.
    pub out_dir: PathBuf,
    /// Receiver of events.
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

    /// Returns the absolute path of an output, and creates its folder.
    pub fn create_path(&self, path: &str) -> Result<PathBuf> {
        let full = self.out_dir.join(path);
        if let Some(folder) = full.parent() {
            std::fs::create_dir_all(folder)?;
        }
        Ok(full)
    }

    /// Writes a small file and announces it.
    pub fn write_output(&self, path: &str, bytes: &[u8]) -> Result<()> {
        std::fs::write(self.create_path(path)?, bytes)?;
        self.announce_output(path)
    }

    /// Returns an error if the work should stop.
    pub fn check_cancelled(&self) -> Result<()> {
        if self.cancel.load(Ordering::Relaxed) { Err(Error::cancelled()) } else { Ok(()) }
    }
}

/// Outputs announced in a test: paths and sizes.
#[cfg(test)]
pub type AnnouncedOutputs = Arc<std::sync::Mutex<Vec<(String, u64)>>>;

/// Makes a context for tests, with the list of outputs announced in it.
#[cfg(test)]
pub fn capturing_context(folder: &std::path::Path) -> (StepContext, AnnouncedOutputs) {
    let announced = AnnouncedOutputs::default();
    let sink = announced.clone();
    let emit = move |event| {
        if let StepEvent::Output { path, size_bytes } = event
            && let Ok(mut outputs) = sink.lock()
        {
            outputs.push((path, size_bytes));
        }
    };
    let (out_dir, cancel) = (folder.to_owned(), Arc::default());
    (StepContext { out_dir, emit: Arc::new(emit), cancel }, announced)
}
