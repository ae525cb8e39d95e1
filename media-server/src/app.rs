//! What every route needs, made once when the server starts.

use std::sync::Arc;
use std::time::Duration;

use chalkstream_config::Settings;
use chalkstream_store::{Authority, EventKind, Events, Queue, Store, open};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::delivery::Hot;
use crate::events::Hub;
use crate::metrics::Metrics;
use crate::recordings::Manifests;
use crate::search::Search;
use crate::uploads::Locks;
use crate::{Error, url};

/// Shared by all routes.
pub type App = Arc<AppState>;

/// Event streams open at once; further ones are told to come back.
const MAX_EVENT_STREAMS: usize = 2_000;
/// PATCH requests at once. Each holds at most one part in memory.
const MAX_PATCHES: usize = 64;

/// The server's parts.
pub struct AppState {
    /// All settings.
    pub settings: Settings,
    /// Base URL under which viewers reach this server, without a slash at its end.
    pub public_url: String,
    /// Object storage.
    pub store: Store,
    /// The job queue.
    pub queue: Queue,
    /// The event stream.
    pub events: Events,
    /// Tenants, keys and revocations.
    pub authority: Authority,
    /// Events as they come in, for everyone who listens here.
    pub hub: Hub,
    /// Manifests, at most two seconds old.
    pub manifests: Manifests,
    /// Playlists, worked out.
    pub hot: Hot,
    /// The search index.
    pub search: Search,
    /// Uploads being written to.
    pub locks: Locks,
    /// Numbers.
    pub metrics: Metrics,
    /// Places for event streams.
    pub event_streams: Arc<Semaphore>,
    /// Places for PATCH requests.
    pub patches: Arc<Semaphore>,
    /// Ends everything.
    pub shutdown: CancellationToken,
    /// Background work that shutdown waits for.
    pub tasks: TaskTracker,
}

impl AppState {
    /// Opens storage and Redis and starts the background work. Tenants, keys and revocations are read before this
    /// answers; Redis may be away.
    ///
    /// # Errors
    /// Where a setting is wrong, or where storage stays away until `shutdown`.
    pub async fn start(
        settings: Settings,
        bound: std::net::SocketAddr,
        shutdown: CancellationToken,
    ) -> Result<App, Error> {
        let store = open(&settings.store).await?;
        let queue = Queue::connect_lazy(&settings.redis)?;
        let events = Events::connect(&settings.redis)?;
        let authority = load_authority(&store, &settings, &shutdown).await?;
        let tasks = TaskTracker::new();
        tasks.spawn(authority.clone().follow(shutdown.clone()));
        let hub = Hub::start(events.clone(), &tasks, shutdown.clone());
        let search =
            Search::start(&settings, store.clone(), events.clone(), &tasks, shutdown.clone()).await?;
        let app = Arc::new(Self {
            public_url: url::base(&settings.server, bound),
            manifests: Manifests::new(store.clone()),
            hot: Hot::new(store.clone()),
            locks: Locks::new(&settings.redis)?,
            metrics: Metrics::default(),
            event_streams: Arc::new(Semaphore::new(MAX_EVENT_STREAMS)),
            patches: Arc::new(Semaphore::new(MAX_PATCHES)),
            settings,
            store,
            queue,
            events,
            authority,
            hub,
            search,
            shutdown,
            tasks,
        });
        crate::uploads::start_housekeeping(&app);
        Ok(app)
    }

    /// Tells whoever listens. Events may be lost with Redis; what they tell of can be read from storage.
    pub async fn announce(&self, tenant: &str, recording: &str, kind: EventKind, data: serde_json::Value) {
        if let Err(error) = self.events.publish(tenant, recording, kind, data).await {
            tracing::debug!(%error, "an event was not published: {error}");
        }
    }
}

/// Storage may come up after us. Until its keys and revocations are read nobody can be let in.
async fn load_authority(
    store: &Store,
    settings: &Settings,
    shutdown: &CancellationToken,
) -> Result<Authority, Error> {
    let mut told = false;
    loop {
        match Authority::load(store.clone(), Some(&settings.redis)).await {
            Ok(authority) => return Ok(authority),
            Err(error) if error.retryable() => {
                if !std::mem::replace(&mut told, true) {
                    tracing::warn!(%error, "waiting for storage to read keys and revocations: {error}");
                }
            }
            Err(error) => return Err(error.into()),
        }
        tokio::select! {
            () = shutdown.cancelled() => return Err(Error::Stopped),
            () = tokio::time::sleep(Duration::from_secs(1)) => {}
        }
    }
}
