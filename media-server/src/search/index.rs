//! One server's search index: an engine, and how far it is.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::Notify;

use super::engine::{Error, SearchEngine};

/// The index. Clones share it.
#[derive(Clone)]
pub struct Index(Arc<State>);

struct State {
    engine: Box<dyn SearchEngine>,
    ready: AtomicBool,
    /// Notified when a commit may have removed words.
    removed: Notify,
}

impl Index {
    /// An index kept by an engine.
    pub fn new(engine: Box<dyn SearchEngine>) -> Self {
        Self(Arc::new(State { engine, ready: AtomicBool::new(false), removed: Notify::new() }))
    }

    /// Its engine.
    pub fn engine(&self) -> &dyn SearchEngine {
        self.0.engine.as_ref()
    }

    /// True once the index contains everything that was in storage when the server started.
    pub fn ready(&self) -> bool {
        self.0.ready.load(Ordering::Acquire)
    }

    pub(super) fn set_ready(&self) {
        self.0.ready.store(true, Ordering::Release);
    }

    /// Makes all changes durable and visible. Blocks.
    pub(super) fn commit(&self) -> Result<(), Error> {
        self.engine().commit()?;
        self.0.removed.notify_one();
        Ok(())
    }

    /// Removes a recording at once, if it is there or in the changes that wait for a commit.
    /// Blocks.
    pub(super) fn remove_now(&self, tenant: &str, recording: &str) -> Result<(), Error> {
        self.engine().remove(tenant, recording)?;
        self.commit()
    }

    /// Waits until a commit may have removed words.
    pub(super) async fn removed(&self) {
        self.0.removed.notified().await;
    }
}
