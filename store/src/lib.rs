//! Everything durable: recordings and their manifests, object storage, the job queue, events, keys.
//!
//! Object storage is the truth; Redis holds only what [`rebuild`] can make again from it.

#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod authority;
mod error;
mod events;
mod jitter;
mod keys;
pub mod layout;
mod leases;
pub mod objects;
pub mod pending;
pub mod queue;
pub mod rebuild;
mod recording;
mod redis_link;
mod revocations;
mod tenants;

#[cfg(test)]
mod testing;

pub use authority::Authority;
pub use error::{Error, Kind, Result};
pub use events::{Event, EventKind, Events, Position};
pub use keys::{ApiKey, NewApiKey, SigningKey};
pub use leases::{Leases, Renewed};
pub use objects::{Listed, ObjectBody, ObjectFacts, Objects, Part, Store, delete_prefix, open};
pub use pending::Pending;
pub use queue::{
    CODE_WORKER_LOST, FailOutcome, Fault, Heartbeat, JobFilter, JobSpec, JobState, JobView, Lease, Outcome,
    Progress, Queue, Retry, RetryPolicy, StepFailure, StepSpec, StepState, StepView, Submitted,
};
pub use recording::{
    Failure, Manifest, MediaFacts, Notice, Revision, SourceFacts, State, StepRecord, read_manifest,
    write_manifest,
};
pub use revocations::{Revocation, Target, forget_old_revocations};
pub use tenants::Tenant;
