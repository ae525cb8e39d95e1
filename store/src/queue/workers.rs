//! Workers: which step each gets, and which are paused.

use super::{Lease, LeaseOffer, LeaseRequest, MachineCheck, Pause, Queue, WorkerView, scripts, wire};
use crate::Result;
use crate::redis_connection::RetryOnDisconnect;

impl Queue {
    /// As [`Queue::offer`] for an idle worker; `None` if there is nothing for it.
    pub async fn lease(&self, worker: &str, lease_ms: u64) -> Result<Option<Lease>> {
        let request = LeaseRequest { worker, lease_ms, max_priority: None, running: 0, capabilities: &[] };
        Ok(match self.offer(&request).await? {
            LeaseOffer::Step(lease) => Some(*lease),
            LeaseOffer::Nothing | LeaseOffer::Paused(_) => None,
        })
    }

    /// Gives the next ready step to a worker.
    ///
    /// Steps of a lower `priority` go first, across tenants; tenants take turns; within a tenant
    /// the job due first, then the one submitted first. A step that this worker failed goes to
    /// others first, and one that requires what it lacks to those that have it.
    pub async fn offer(&self, request: &LeaseRequest<'_>) -> Result<LeaseOffer> {
        let args = [
            request.worker.to_string(),
            request.lease_ms.to_string(),
            self.policy.losses.to_string(),
            request.max_priority.map(|priority| priority.to_string()).unwrap_or_default(),
            request.running.to_string(),
            request.capabilities.join(" "),
        ];
        let reply: Vec<String> = self.run(&scripts::LEASE, &args, RetryOnDisconnect::Never).await?;
        wire::offer(&reply)
    }

    /// Says that a worker is there; once within 35 s or it counts as gone. Returns its pause, if it
    /// has one.
    pub async fn announce(
        &self,
        worker: &str,
        capabilities: &[&str],
        check: MachineCheck<'_>,
    ) -> Result<Option<Pause>> {
        let (outcome, code) = match check {
            MachineCheck::NotMade => ("", ""),
            MachineCheck::Passed => ("passed", ""),
            MachineCheck::Failed(code) => ("failed", code),
        };
        let args = [&[worker, &capabilities.join(" "), outcome, code].map(String::from)[..], &self.pauses()]
            .concat();
        let (for_ms, code): (String, String) =
            self.run(&scripts::ANNOUNCE, &args, RetryOnDisconnect::Never).await?;
        wire::pause(&for_ms, &code)
    }

    /// Says that a worker stopped: no step waits for it.
    pub async fn leave(&self, worker: &str) -> Result<()> {
        let _: String = self.run(&scripts::LEAVE, &[worker.to_string()], RetryOnDisconnect::Once).await?;
        Ok(())
    }

    /// The workers that are there.
    pub async fn workers(&self) -> Result<Vec<WorkerView>> {
        let rows: Vec<Vec<String>> = self.run(&scripts::WORKERS, &[], RetryOnDisconnect::Once).await?;
        rows.iter().map(|row| wire::worker(row)).collect()
    }
}
