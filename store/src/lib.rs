//! Everything durable: recordings and their manifests, object storage, the job queue, events, keys.
//!
//! Object storage is the truth; Redis holds only what [`rebuild`] can make again from it.

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod announcer;
pub mod authority;
pub mod clock;
pub mod deletion;
mod error;
mod events;
pub mod failure;
pub mod inventory;
mod jitter;
mod job;
mod keys;
pub mod layout;
mod leases;
pub mod listing;
mod manifest_writer;
pub mod names;
pub mod objects;
pub mod projection;
pub mod queue;
pub mod rebuild;
mod recording;
mod redis_client;
mod redis_connection;
pub mod refused;
pub mod retry;
mod revocations;
mod step;
pub mod submit;
mod tenants;
pub mod vocabulary;

#[cfg(test)]
mod redis_tls_tests;
#[cfg(test)]
mod testing;

pub use authority::{Authority, RevocationCursor};
pub use error::{Error, Kind, Result};
pub use events::{Event, EventKind, Events, MAX_EVENTS_PER_READ, Position};
pub use failure::{Blame, Failure};
pub use inventory::{Inventory, InventoryIndex, InventoryObject, InventoryPart, InventoryRef, Location};
pub use keys::{ApiKey, NewApiKey, RevokedKey, SigningKey};
pub use leases::{Leases, Renewed};
pub use manifest_writer::{list_manifest, put_manifest, write_manifest};
pub use objects::{
    Listed, ObjectBody, ObjectFacts, Objects, Part, Store, delete_prefix, delete_where, list_all, open,
};
pub use projection::{LiveRevisionNote, PublishedRevision, StepResult};
pub use queue::{
    CLASSES, ClassStats, FailOutcome, FailureReport, Heartbeat, JobFilter, JobHealth, JobSpec, JobState,
    JobView, Lease, LeaseOffer, LeaseRequest, MachineCheck, Occupancy, Outcome, Pause, Progress, Queue,
    QueueStats, RetryPolicy, StepView, Submitted, WorkerView,
};
pub use recording::{
    Manifest, ManifestFolder, MediaFacts, NewestObjects, Notice, Revision, SourceFacts, State,
    newest as newest_objects, parse as parse_manifest, read_manifest, read_newest,
};
pub use revocations::{Revocation, Target, TargetKind, TargetName, forget_old_revocations};
pub use step::{StepRecord, StepSpec, StepState};
pub use submit::{Pending, Submission};
pub use tenants::Tenant;
