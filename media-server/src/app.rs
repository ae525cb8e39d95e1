//! The composition root: all parts of the server, made once when it starts.

use std::net::SocketAddr;
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::FromRef;
use chalkstream_config::Settings;
use chalkstream_store::{Authority, Events, Leases, Queue, Store, open};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::access::Access;
use crate::corrections::{Corrections, Layers};
use crate::deletion::{Deletions, Eraser, LocalCopies};
use crate::delivery::Delivery;
use crate::error::Error;
use crate::events::{Hub, Streams};
use crate::health::Health;
use crate::maintenance::Maintenance;
use crate::manifests::Manifests;
use crate::metrics::Metrics;
use crate::moments::Moments;
use crate::names::NameLists;
use crate::playback::Links;
use crate::player::Player;
use crate::recordings::{Lists, Recordings};
use crate::search::Search;
use crate::token::Lifetimes;
use crate::transcripts::Transcripts;
use crate::uploads::{Counters, Uploads};
use crate::url::PublicUrl;
use crate::vocabulary::Vocabularies;

/// The state of the server's routes. Each handler takes the parts that it names.
#[derive(Clone)]
pub struct App(Arc<AppParts>);

/// The parts of the server.
pub struct AppParts {
    pub access: Access,
    pub delivery: Delivery,
    pub streams: Streams,
    pub search: Search,
    pub links: Links,
    pub uploads: Uploads,
    pub recordings: Recordings,
    pub deletions: Deletions,
    pub player: Player,
    pub manifests: Manifests,
    pub transcripts: Transcripts,
    pub corrections: Corrections,
    pub moments: Moments,
    pub names: NameLists,
    pub vocabularies: Vocabularies,
    pub health: Health,
    /// Sites whose pages may use the server.
    pub origins: Arc<[String]>,
    /// Background work that shutdown waits for.
    pub tasks: TaskTracker,
}

impl Deref for App {
    type Target = AppParts;

    fn deref(&self) -> &AppParts {
        &self.0
    }
}

macro_rules! from_ref {
    ($($part:ident: $type:ty),* $(,)?) => {
        $(impl FromRef<App> for $type {
            fn from_ref(app: &App) -> Self {
                app.$part.clone()
            }
        })*
    };
}

from_ref! {
    access: Access,
    delivery: Delivery,
    streams: Streams,
    search: Search,
    links: Links,
    uploads: Uploads,
    recordings: Recordings,
    deletions: Deletions,
    player: Player,
    manifests: Manifests,
    transcripts: Transcripts,
    corrections: Corrections,
    moments: Moments,
    names: NameLists,
    vocabularies: Vocabularies,
    health: Health,
}

impl App {
    /// Opens storage and Redis, and starts the background work. Tenants, keys and revocations are
    /// read before this returns; Redis may be away.
    ///
    /// # Errors
    /// If a setting is wrong, or storage stays away until `shutdown`.
    pub async fn start(
        settings: Settings,
        bound: SocketAddr,
        shutdown: CancellationToken,
    ) -> Result<Self, Error> {
        let store = open(&settings.store).await?;
        let queue = Queue::connect_lazy(&settings.redis)?;
        let events = Events::connect(&settings.redis)?;
        let authority = load_authority(&store, &settings, &shutdown).await?;
        let tasks = TaskTracker::new();
        tasks.spawn(authority.clone().follow(shutdown.clone()));
        let hub = Hub::start(events.clone(), &tasks, shutdown.clone());
        let search =
            Search::start(&settings, store.clone(), events.clone(), &tasks, shutdown.clone()).await?;

        let metrics = Arc::new(Metrics::default());
        let public_url = PublicUrl::new(&settings.server, bound);
        let (manifests, listener) = Manifests::listening(store.clone(), hub.clone());
        let stop = shutdown.clone();
        tasks.spawn(async move { stop.run_until_cancelled(listener).await });
        let lists = Lists::new(store.clone());
        let leases = Arc::new(Leases::connect(&settings.redis)?);
        let layers = Layers::new(store.clone(), manifests.clone());
        let names = NameLists::new(store.clone());
        let vocabularies = Vocabularies::new(store.clone());
        let corrections =
            Corrections::new(store.clone(), events.clone(), Arc::clone(&leases), layers, names.clone());
        let transcripts = Transcripts::new(store.clone(), corrections.clone());
        let moments = Moments::new(store.clone(), transcripts.clone(), names.clone());
        let delivery = Delivery::new(
            store.clone(),
            transcripts.clone(),
            public_url.clone(),
            metrics.delivered_bytes.clone(),
            settings.server.shared_cache,
        );
        let links = Links::new(authority.clone(), &settings, public_url.clone(), metrics.sessions.clone());
        let uploads = Uploads::new(
            &settings,
            (store.clone(), queue.clone(), events.clone()),
            names.clone(),
            public_url.clone(),
            Counters {
                uploaded_bytes: metrics.uploaded_bytes.clone(),
                finished: metrics.uploads_finished.clone(),
            },
            (tasks.clone(), shutdown.clone()),
        )?;
        let deletions = Deletions::new(
            Eraser {
                store: store.clone(),
                queue: queue.clone(),
                events: events.clone(),
                uploads: uploads.clone(),
                leases: Arc::clone(&leases),
                authority: authority.clone(),
            },
            LocalCopies {
                manifests: manifests.clone(),
                lists: lists.clone(),
                transcripts: transcripts.clone(),
                corrections: corrections.clone(),
                delivery: delivery.clone(),
                search: search.clone(),
            },
            public_url.clone(),
            metrics.deletions.clone(),
            (tasks.clone(), shutdown.clone()),
        );
        let lifetimes = Lifetimes::from_settings(&settings);
        let origins: Arc<[String]> = settings.server.cors_origins.into();
        let maintenance = Maintenance {
            store: store.clone(),
            uploads: uploads.clone(),
            deletions: deletions.clone(),
            authority: authority.clone(),
            leases,
        };
        maintenance.start(&tasks, shutdown.clone());
        Ok(Self(Arc::new(AppParts {
            access: Access::new(
                authority.clone(),
                manifests.clone(),
                lifetimes,
                metrics.tokens_refused.clone(),
                settings.server.max_connections as usize,
            ),
            streams: Streams::new(
                hub,
                events.clone(),
                authority.clone(),
                metrics.event_streams.clone(),
                shutdown,
            ),
            recordings: Recordings::new(store.clone(), queue.clone(), events, lists.clone()),
            player: Player {
                queue: queue.clone(),
                manifests: manifests.clone(),
                links: links.clone(),
                delivery: delivery.clone(),
                public_url,
                embedders: Arc::clone(&origins),
            },
            health: Health {
                store,
                queue,
                authority,
                search: search.clone(),
                manifests: manifests.clone(),
                lists,
                transcripts: transcripts.clone(),
                corrections: corrections.clone(),
                delivery: delivery.clone(),
                metrics,
            },
            delivery,
            search,
            links,
            uploads,
            deletions,
            manifests,
            transcripts,
            corrections,
            moments,
            names,
            vocabularies,
            origins,
            tasks,
        })))
    }
}

/// Reads tenants, keys and revocations. Storage may come up after this server, and until they are
/// read every request is refused.
async fn load_authority(
    store: &Store,
    settings: &Settings,
    shutdown: &CancellationToken,
) -> Result<Authority, Error> {
    let mut logged = false;
    loop {
        match Authority::load(store.clone(), Some(&settings.redis)).await {
            Ok(authority) => return Ok(authority),
            Err(error) if error.is_transient() => {
                if !std::mem::replace(&mut logged, true) {
                    tracing::warn!(%error, "waiting for storage to read keys and revocations");
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
