//! The part of the server that manages recordings.

use chalkstream_store::{
    EventKind, Events, Kind, Manifest, Queue, State as RecordingState, Store, deletion, layout, read_manifest,
};
use serde_json::json;

use super::lists::Lists;
use crate::events::announce;
use crate::problem::Problem;

/// Lists and reads recordings, and controls their jobs.
#[derive(Clone)]
pub struct Recordings {
    pub(super) store: Store,
    pub(super) queue: Queue,
    pub(super) lists: Lists,
    events: Events,
}

impl Recordings {
    /// The recordings in `store`.
    pub fn new(store: Store, queue: Queue, events: Events, lists: Lists) -> Self {
        Self { store, queue, lists, events }
    }

    /// Returns the recording as it is now, not from the cache.
    ///
    /// # Errors
    /// 404 if there is none, 410 if it was deleted.
    pub async fn current(&self, tenant: &str, id: &str) -> Result<Manifest, Problem> {
        if !layout::valid_recording(id) {
            return Err(Problem::not_found());
        }
        let manifest = match read_manifest(&self.store, tenant, id).await {
            Ok(manifest) => manifest,
            Err(error) if error.kind == Kind::NotFound => None,
            Err(error) => return Err(error.into()),
        };
        match manifest {
            Some(manifest) if manifest.state == RecordingState::Deleted => Err(deleted()),
            Some(manifest) => Ok(manifest),
            None => match deletion::read(&self.store, tenant, id).await? {
                Some(_) => Err(deleted()),
                None => Err(Problem::not_found()),
            },
        }
    }

    /// Publishes a recording's new state.
    pub(super) async fn announce(&self, manifest: &Manifest) {
        let data = json!({ "state": manifest.state.as_str() });
        announce(&self.events, &manifest.tenant, &manifest.recording, EventKind::State, data).await;
    }
}

fn deleted() -> Problem {
    Problem::new(http::StatusCode::GONE, "deleted", "This recording was deleted.")
}
