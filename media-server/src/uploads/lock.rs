//! One writer per upload at a time. A second one does not wait for a connection that may be dead: it asks the first
//! to stop, which then makes durable what it has and lets go.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::StatusCode;
use tokio::sync::OwnedMutexGuard;
use tokio_util::sync::CancellationToken;

use crate::problem::Problem;

/// How long a request waits for its turn.
const WAIT: Duration = Duration::from_secs(8);

type Name = (String, String);
type Slots = Arc<Mutex<HashMap<Name, Slot>>>;

#[derive(Default)]
struct Slot {
    turn: Arc<tokio::sync::Mutex<()>>,
    /// Of whoever asked last.
    stop: Option<CancellationToken>,
}

/// All uploads being written to by this server.
#[derive(Default)]
pub struct Locks {
    slots: Slots,
}

/// The right to write to one upload, until dropped.
pub struct Held {
    /// Cancelled when another request wants the upload.
    pub stop: CancellationToken,
    slots: Slots,
    name: Name,
    turn: Option<OwnedMutexGuard<()>>,
}

impl Locks {
    /// Takes the upload over from whoever writes to it.
    ///
    /// # Errors
    /// 423 where its writer does not let go in time, or where a third request took it over meanwhile.
    pub async fn take(&self, tenant: &str, id: &str) -> Result<Held, Problem> {
        let name = (tenant.to_owned(), id.to_owned());
        let stop = CancellationToken::new();
        let (turn, before) = {
            let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
            let slot = slots.entry(name.clone()).or_default();
            (Arc::clone(&slot.turn), slot.stop.replace(stop.clone()))
        };
        // From here on the slot is tidied away whatever happens.
        let mut held = Held { stop, slots: Arc::clone(&self.slots), name, turn: None };
        if let Some(before) = before {
            before.cancel();
        }
        let turn = tokio::time::timeout(WAIT, turn.lock_owned()).await.map_err(|_| locked())?;
        held.turn = Some(turn);
        if held.stop.is_cancelled() { Err(locked()) } else { Ok(held) }
    }

    /// Takes an upload that nobody writes to; for housekeeping, which asks nobody to stop.
    pub fn try_take(&self, tenant: &str, id: &str) -> Option<Held> {
        let name = (tenant.to_owned(), id.to_owned());
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        let slot = slots.entry(name.clone()).or_default();
        let turn = Arc::clone(&slot.turn).try_lock_owned().ok()?;
        let stop = CancellationToken::new();
        slot.stop = Some(stop.clone());
        Some(Held { stop, slots: Arc::clone(&self.slots), name, turn: Some(turn) })
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        self.turn = None;
        // Whoever waits holds a clone of the turn.
        if slots.get(&self.name).is_some_and(|slot| Arc::strong_count(&slot.turn) == 1) {
            slots.remove(&self.name);
        }
    }
}

fn locked() -> Problem {
    Problem::new(
        StatusCode::LOCKED,
        "upload_locked",
        "Another request is writing to this upload; try again shortly.",
    )
    .retry_after_s(2)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[tokio::test]
    async fn the_newest_request_asks_the_older_one_to_stop() {
        let locks = Locks::default();
        let first = locks.take("t", "u").await.unwrap();
        let stop = first.stop.clone();
        let holder = tokio::spawn(async move {
            first.stop.cancelled().await;
            drop(first);
        });
        let second = locks.take("t", "u").await.unwrap();
        assert!(stop.is_cancelled() && !second.stop.is_cancelled());
        holder.await.unwrap();
        drop(second);
        assert!(locks.slots.lock().unwrap().is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn a_holder_that_does_not_stop_is_answered_with_423() {
        let locks = Locks::default();
        let _first = locks.take("t", "u").await.unwrap();
        assert_eq!(locks.take("t", "u").await.err().unwrap().code(), "upload_locked");
    }
}
