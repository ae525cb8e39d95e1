//! How full the queue is, and how long steps wait.

use super::{Queue, scripts};
use crate::redis_connection::RetryOnDisconnect;
use crate::{Error, Result};

/// Names of the classes of steps, in the order in which they go.
pub const CLASSES: [&str; 6] = ["look", "audio_and_stills", "weak_line", "words", "ladder", "idle"];

/// How full the queue is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QueueStats {
    /// Jobs that are not over.
    pub open: u64,
    /// Jobs that failed: the dead letters.
    pub dead: u64,
    /// Steps that wait for a worker.
    pub ready: u64,
    /// Steps a worker has.
    pub leased: u64,
    /// Steps that wait for their next try.
    pub delayed: u64,
    /// Leases that were lost with their worker, since Redis was last emptied.
    pub lost: u64,
    /// Steps that wait for a worker, in the order of [`CLASSES`].
    pub classes: [ClassStats; CLASSES.len()],
}

/// The steps of one class that wait for a worker, of at most a thousand tenants.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ClassStats {
    /// How many.
    pub ready: u64,
    /// How long the step that is next has waited, in ms: the longest of all tenants.
    pub waited_ms: u64,
}

impl Queue {
    /// How full the queue is.
    pub async fn stats(&self) -> Result<QueueStats> {
        type Lanes = Vec<(String, u64, u64)>;
        let (open, dead, leased, delayed, lost, lanes): (u64, u64, u64, u64, u64, Lanes) =
            self.run(&scripts::STATS, &[], RetryOnDisconnect::Once).await?;
        let mut stats = QueueStats { open, dead, leased, delayed, lost, ..QueueStats::default() };
        for (class, ready, waited_ms) in lanes {
            let class: usize = class.parse().map_err(|_| Error::corrupt("a lane has no class"))?;
            let class = &mut stats.classes[(class / 10).min(CLASSES.len() - 1)];
            stats.ready += ready;
            class.ready += ready;
            class.waited_ms = class.waited_ms.max(waited_ms);
        }
        Ok(stats)
    }
}
