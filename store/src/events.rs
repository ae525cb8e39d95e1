//! The event stream: what happened to recordings, in order, for whoever listens.

use std::time::Duration;

use chalkstream_config as config;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{Error, Result};

/// What an event is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EventKind {
    /// The recording's state changed.
    State,
    /// A step got further.
    Progress,
    /// A step began, ended or failed.
    Step,
    /// The transcript can be read.
    TranscriptReady,
    /// A newer revision is out.
    Revision,
    /// The recording is gone.
    Deleted,
}

impl EventKind {
    /// Its name, as in the API.
    pub fn as_str(self) -> &'static str {
        match self {
            EventKind::State => "state",
            EventKind::Progress => "progress",
            EventKind::Step => "step",
            EventKind::TranscriptReady => "transcript_ready",
            EventKind::Revision => "revision",
            EventKind::Deleted => "deleted",
        }
    }
}

/// One event.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// Its place in the stream; rises.
    pub id: String,
    /// Tenant of the recording.
    pub tenant: String,
    /// The recording.
    pub recording: String,
    /// What it is about.
    pub kind: EventKind,
    /// Details, by kind.
    pub data: Value,
    /// When, in ms since the epoch.
    pub at_ms: u64,
}

/// A place in the stream that outlives a loss of Redis: after one, the epoch is another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    /// Which life of the stream.
    pub epoch: String,
    /// Id of the last event seen.
    pub id: String,
}

/// The event stream. Clones share connections; blocking reads have their own.
#[derive(Clone)]
pub struct Events {}

fn soon<T>() -> Result<T> {
    Err(Error::internal("not built yet"))
}

impl Events {
    /// Does not connect before the first call.
    pub fn connect(_settings: &config::Redis) -> Result<Self> {
        Ok(Self {})
    }

    /// Appends an event; answers its id.
    pub async fn publish(
        &self,
        _tenant: &str,
        _recording: &str,
        _kind: EventKind,
        _data: Value,
    ) -> Result<String> {
        soon()
    }

    /// At most 256 events after `id`, waiting up to `block` for the first. An `id` from before a loss of Redis
    /// that is ahead of the new stream reads that one from its start.
    pub async fn read_after(&self, _id: &str, _block: Duration) -> Result<Vec<Event>> {
        soon()
    }

    /// Id of the newest event; `0-0` where there is none.
    pub async fn latest_id(&self) -> Result<String> {
        soon()
    }

    /// Where the stream is now.
    pub async fn position(&self) -> Result<Position> {
        soon()
    }

    /// True where every event after `position` can still be read; else a reader must catch up from storage.
    pub async fn covers(&self, _position: &Position) -> Result<bool> {
        soon()
    }
}
