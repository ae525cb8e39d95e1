//! Repairs of what Redis lost in part, or knows less of than storage does.

use super::wire::{self, Fields, job_id};
use super::{JobHealth, JobView, Queue, scripts};
use crate::Result;
use crate::redis_connection::RetryOnDisconnect;

impl Queue {
    /// Puts a job and its steps back into the lists that lost them; `None` if there is no such job.
    /// Moves a few bytes, whatever the size of the job.
    pub async fn heal(&self, tenant: &str, recording: &str) -> Result<Option<JobHealth>> {
        let reply: Vec<String> =
            self.run(&scripts::HEAL, &[job_id(tenant, recording)], RetryOnDisconnect::Once).await?;
        wire::health(&reply)
    }

    /// Raises a job's fence above `fence`, that of its manifest, if it is below: Redis failed over
    /// to a server that is behind. `None` if the job has caught up, or is not there.
    pub async fn catch_up(&self, tenant: &str, recording: &str, fence: u64) -> Result<Option<JobView>> {
        let args = [job_id(tenant, recording), fence.to_string()];
        let fields: Fields = self.run(&scripts::CATCH_UP, &args, RetryOnDisconnect::Once).await?;
        wire::job(&fields)
    }
}
