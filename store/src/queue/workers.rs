//! Workers: which step each gets, and which are paused.

use super::{
    Lease, LeaseOffer, LeaseRequest, MachineCheck, Occupancy, Pause, Queue, WorkerView, scripts, wire,
};
use crate::Result;
use crate::redis_connection::RetryOnDisconnect;

impl Queue {
    /// As [`Queue::offer`] for an idle worker; `None` if there is nothing for it.
    pub async fn lease(&self, worker: &str, lease_ms: u64) -> Result<Option<Lease>> {
        let request = LeaseRequest {
            worker,
            lease_ms,
            only_short: false,
            occupancy: Occupancy::Idle,
            tenant_steps_max: 0,
            capabilities: &[],
        };
        Ok(match self.offer(&request).await? {
            LeaseOffer::Step(lease) => Some(*lease),
            LeaseOffer::Nothing | LeaseOffer::Paused(_) => None,
        })
    }

    /// Gives the next ready step to a worker.
    ///
    /// Looks and publications go first, idle steps last. The others are shared among tenants by
    /// estimated work. Within a tenant the job due first goes first, then the lower class, then the
    /// job submitted first; a day of age is worth a class. A step that this worker failed goes to
    /// others first, and one that requires what it lacks to those that have it.
    pub async fn offer(&self, request: &LeaseRequest<'_>) -> Result<LeaseOffer> {
        let args = [
            request.worker.to_string(),
            request.lease_ms.to_string(),
            self.policy.losses.to_string(),
            u8::from(request.only_short).to_string(),
            request.occupancy.as_str().to_string(),
            request.tenant_steps_max.to_string(),
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
