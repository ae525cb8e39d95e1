//! A deletion as the API shows it.

use std::collections::BTreeMap;
use std::time::Duration;

use chalkstream_store::authority;
use chalkstream_store::deletion::{Amount, Deletion};
use serde::Serialize;
use utoipa::ToSchema;

use super::erase::LINGER_MS;
use crate::clock::{now_ms, rfc3339};

/// Time between two sweeps, and some for the last of them.
const SWEEP_MS: u64 = 3 * 60 * 1000;

/// Longest time from the announcement of a deletion until no server serves the recording. An event
/// takes two seconds at most; without Redis a revocation takes its place.
const ANNOUNCED_WITHIN: Duration = authority::MAX_AGE;

/// The progress of a deletion.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum DeletionState {
    /// Nothing is served any more; bytes are still being removed.
    Erasing,
    /// Nothing is left.
    Erased,
}

/// Number and size of objects.
#[derive(Debug, Serialize, ToSchema)]
pub struct RemovedAmount {
    objects: u64,
    size_bytes: u64,
}

impl From<Amount> for RemovedAmount {
    fn from(amount: Amount) -> Self {
        Self { objects: amount.objects, size_bytes: amount.size_bytes }
    }
}

/// What is removed, counted before the first object goes.
#[derive(Debug, Serialize, ToSchema)]
pub struct Removed {
    /// Number of objects.
    objects: u64,
    /// Their bytes.
    size_bytes: u64,
    /// The same by folder: `source`, `hls`, `stills`, `transcript`, …
    folders: BTreeMap<String, RemovedAmount>,
    /// Hex SHA-256 over a line `{key} {size}\n` for each object, in the order of their keys.
    listing_sha256: String,
    /// Hex SHA-256 of the uploaded file.
    #[serde(skip_serializing_if = "Option::is_none")]
    source_sha256: Option<String>,
    /// What a worker wrote after the count, which is removed too.
    late: RemovedAmount,
}

/// The receipt of a deletion.
#[derive(Debug, Serialize, ToSchema)]
pub struct DeletionReceipt {
    /// The recording.
    recording: String,
    /// Its progress.
    state: DeletionState,
    /// When it was requested.
    requested_at: String,
    /// From then on no address of any server has it: five seconds after the deletion was announced
    /// to all servers.
    #[serde(skip_serializing_if = "Option::is_none")]
    not_found_from: Option<String>,
    /// When objects, job and upload were gone.
    #[serde(skip_serializing_if = "Option::is_none")]
    emptied_at: Option<String>,
    /// By then nothing is left anywhere, the files of search indexes included. While `erasing`, an
    /// estimate; it moves if a service is away.
    erased_by: String,
    /// `None` until it is counted.
    #[serde(skip_serializing_if = "Option::is_none")]
    removed: Option<Removed>,
}

impl DeletionReceipt {
    /// The receipt of a deletion.
    pub fn new(deletion: Deletion) -> Self {
        let text = |at_ms: u64| rfc3339(at_ms.div_ceil(1000));
        let not_found = |buried_at_ms: u64| rfc3339(buried_at_ms.div_ceil(1000) + ANNOUNCED_WITHIN.as_secs());
        let expected = deletion.emptied_at_ms.unwrap_or_else(now_ms) + LINGER_MS + SWEEP_MS;
        let removed = deletion.contents.map(|contents| Removed {
            objects: contents.total.objects,
            size_bytes: contents.total.size_bytes,
            folders: contents.folders.into_iter().map(|(name, amount)| (name, amount.into())).collect(),
            listing_sha256: contents.listing_sha256,
            source_sha256: deletion.source_sha256,
            late: deletion.late.into(),
        });
        Self {
            recording: deletion.recording,
            state: match deletion.erased_at_ms {
                Some(_) => DeletionState::Erased,
                None => DeletionState::Erasing,
            },
            requested_at: rfc3339(deletion.requested_at_ms / 1000),
            not_found_from: deletion.buried_at_ms.map(not_found),
            emptied_at: deletion.emptied_at_ms.map(text),
            erased_by: text(deletion.erased_at_ms.unwrap_or(expected)),
            removed,
        }
    }
}
