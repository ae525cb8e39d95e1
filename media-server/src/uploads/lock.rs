//! One writer per upload at a time.
//!
//! A second request does not wait for a connection that may be dead. It asks the first to stop,
//! which then makes its bytes durable and lets go. On one server a turn does this, among servers a
//! lease in Redis. While Redis is away there is only the turn, so each write first checks whether
//! another request has written since (`Ingest`).
//!
//! HEAD takes the upload over as PATCH does. A client that asks for the offset has lost its
//! connection, which may stay open at our end for minutes. Its last bytes must not move the offset
//! once the client knows it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chalkstream_config as config;
use chalkstream_store::{Leases, Renewed};
use tokio::sync::OwnedMutexGuard;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::problems::locked;
use crate::problem::Problem;

/// How long a request waits for its turn.
const WAIT: Duration = Duration::from_secs(8);
/// The lease of a dead server ends after this.
const LEASE: Duration = Duration::from_secs(5);
/// How often a lease is renewed. A waiting request asks for it five times as often.
const BEAT: Duration = Duration::from_millis(500);
/// First wait for a lease: a request that has just ended returns it within this time, and PATCH
/// follows HEAD at once.
const FIRST_WAIT: Duration = Duration::from_millis(5);

type Name = (String, String);
type Slots = Arc<Mutex<HashMap<Name, LockSlot>>>;

#[derive(Default)]
struct LockSlot {
    turn: Arc<tokio::sync::Mutex<()>>,
    /// Stops the request that asked last.
    stop: Option<CancellationToken>,
}

/// The uploads that this server is writing to.
pub struct Locks {
    slots: Slots,
    leases: Arc<Leases>,
    wait: Duration,
}

/// The right to write to one upload, until it is dropped.
pub struct UploadGuard {
    /// Cancelled when another request wants the upload.
    pub stop: CancellationToken,
    slots: Slots,
    name: Name,
    turn: Option<OwnedMutexGuard<()>>,
    /// Ends the renewal, which then returns the lease.
    _renewing: Option<DropGuard>,
}

impl Locks {
    /// No locks yet.
    ///
    /// # Errors
    /// If the Redis URL is malformed.
    pub fn new(redis: &config::Redis) -> Result<Self, chalkstream_store::Error> {
        Ok(Self { slots: Slots::default(), leases: Arc::new(Leases::connect(redis)?), wait: WAIT })
    }

    /// Takes over the upload from its current writer.
    ///
    /// # Errors
    /// 423 if the writer does not let go in time, or if a third request took over meanwhile.
    pub async fn take(&self, tenant: &str, id: &str) -> Result<UploadGuard, Problem> {
        let held = self.take_to_read(tenant, id).await?;
        if held.stop.is_cancelled() { Err(locked()) } else { Ok(held) }
    }

    /// As [`Locks::take`], for a request that receives no bytes. Several of them at once all
    /// succeed.
    ///
    /// # Errors
    /// 423 if the upload's writer does not let go in time.
    pub async fn take_to_read(&self, tenant: &str, id: &str) -> Result<UploadGuard, Problem> {
        let name = (tenant.to_owned(), id.to_owned());
        let stop = CancellationToken::new();
        let (turn, before) = {
            let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
            let slot = slots.entry(name.clone()).or_default();
            (Arc::clone(&slot.turn), slot.stop.replace(stop.clone()))
        };
        // From here on the guard removes the slot, whatever happens.
        let mut held =
            UploadGuard { stop, slots: Arc::clone(&self.slots), name, turn: None, _renewing: None };
        if let Some(before) = before {
            before.cancel();
        }
        let turn = tokio::time::timeout(self.wait, turn.lock_owned()).await.map_err(|_| locked())?;
        held.turn = Some(turn);
        tokio::time::timeout(self.wait, self.lease(&mut held)).await.map_err(|_| locked())?;
        Ok(held)
    }

    /// Gets the lease from the server that has it, and renews it.
    async fn lease(&self, held: &mut UploadGuard) {
        let name = format!("upload:{}:{}", held.name.0, held.name.1);
        let holder = uuid::Uuid::now_v7().simple().to_string();
        let mut wait = FIRST_WAIT;
        loop {
            match self.leases.take(&name, &holder, LEASE).await {
                Ok(true) => break,
                Ok(false) => {
                    tokio::time::sleep(wait).await;
                    wait = (wait * 2).min(BEAT / 5);
                }
                Err(error) => {
                    tracing::debug!(%error, "upload continues without a lease");
                    return;
                }
            }
        }
        let (leases, stop, over) = (Arc::clone(&self.leases), held.stop.clone(), CancellationToken::new());
        held._renewing = Some(over.clone().drop_guard());
        tokio::spawn(async move {
            loop {
                tokio::select! {
                    () = over.cancelled() => break,
                    () = tokio::time::sleep(BEAT) => {}
                }
                match leases.renew(&name, &holder, LEASE).await {
                    Ok(Renewed::Wanted) => stop.cancel(),
                    Ok(Renewed::Lost) => {
                        stop.cancel();
                        return;
                    }
                    Ok(Renewed::Held) | Err(_) => {}
                }
            }
            // If this fails, the lease is lost with Redis or ends by itself in five seconds.
            let _ = leases.release(&name, &holder).await;
        });
    }

    /// Takes an upload without a writer; never stops one. For housekeeping.
    pub fn try_take(&self, tenant: &str, id: &str) -> Option<UploadGuard> {
        let name = (tenant.to_owned(), id.to_owned());
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        let slot = slots.entry(name.clone()).or_default();
        let turn = Arc::clone(&slot.turn).try_lock_owned().ok()?;
        let stop = CancellationToken::new();
        slot.stop = Some(stop.clone());
        Some(UploadGuard { stop, slots: Arc::clone(&self.slots), name, turn: Some(turn), _renewing: None })
    }
}

impl Drop for UploadGuard {
    fn drop(&mut self) {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        self.turn = None;
        // A waiting request holds a clone of the turn.
        if slots.get(&self.name).is_some_and(|slot| Arc::strong_count(&slot.turn) == 1) {
            slots.remove(&self.name);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// Locks without Redis: only the turn.
    fn alone() -> Locks {
        let url = chalkstream_config::Secret::new("redis://127.0.0.1:1");
        Locks::new(&config::Redis { url, ..config::Redis::default() }).unwrap()
    }

    #[tokio::test]
    async fn the_newest_request_asks_the_older_one_to_stop() {
        let locks = alone();
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

    #[tokio::test]
    async fn requests_that_only_read_do_not_refuse_each_other() {
        let locks = alone();
        let writer = locks.take("t", "u").await.unwrap();
        let stopped = async {
            writer.stop.cancelled().await;
            drop(writer);
        };
        let read = async || locks.take_to_read("t", "u").await.map(drop);
        let (one, two, three, ()) = tokio::join!(read(), read(), read(), stopped);
        assert!(one.is_ok() && two.is_ok() && three.is_ok());
    }

    #[tokio::test]
    async fn a_holder_that_does_not_stop_is_answered_with_423() {
        let locks = Locks { wait: Duration::from_millis(50), ..alone() };
        let _first = locks.take("t", "u").await.unwrap();
        assert_eq!(locks.take("t", "u").await.err().unwrap().code(), "upload_locked");
    }
}
