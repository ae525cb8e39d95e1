//! Makes what Redis lost again from what storage holds.

use crate::queue::{JobView, Queue};
use crate::{Error, Result, Store};

/// What a pass found and did.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rebuilt {
    /// Pending recordings looked at.
    pub seen: u64,
    /// (tenant, recording) of those that had no job and now have one.
    pub enqueued: Vec<(String, String)>,
    /// Jobs that are over although their marker is still there: whoever ended them stopped before writing the
    /// manifest. The caller writes it and clears the marker.
    pub unrecorded: Vec<JobView>,
}

/// Enqueues every pending recording that has no job, keeping finished steps and fences. Run at start and each
/// minute; running it twice, or on two machines at once, changes nothing.
pub async fn pending(_store: &Store, _queue: &Queue) -> Result<Rebuilt> {
    Err(Error::internal("not built yet"))
}

/// Enqueues one recording again from its manifest, although it may have ended: failed and cancelled steps are
/// tried again, finished ones kept. `None` where there is no manifest.
pub async fn resubmit(
    _store: &Store,
    _queue: &Queue,
    _tenant: &str,
    _recording: &str,
) -> Result<Option<JobView>> {
    Err(Error::internal("not built yet"))
}
