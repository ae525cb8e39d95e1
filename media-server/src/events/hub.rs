//! One reader of the event stream for all who listen on this server.

use std::sync::Arc;
use std::time::Duration;

use chalkstream_store::{Event, Events};
use tokio::sync::broadcast;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Events a slow listener may fall behind before it has to read them from Redis again.
const BUFFERED: usize = 1024;

/// Hands events on. Clones share the reader.
#[derive(Clone)]
pub struct Hub {
    sender: broadcast::Sender<Arc<Event>>,
}

impl Hub {
    /// Starts the reader.
    pub fn start(events: Events, tasks: &TaskTracker, shutdown: CancellationToken) -> Self {
        let (sender, _) = broadcast::channel(BUFFERED);
        let hub = Self { sender: sender.clone() };
        tasks.spawn(async move {
            tokio::select! {
                () = shutdown.cancelled() => {}
                () = read(events, sender) => {}
            }
        });
        hub
    }

    /// Events from now on.
    pub fn subscribe(&self) -> broadcast::Receiver<Arc<Event>> {
        self.sender.subscribe()
    }
}

async fn read(events: Events, sender: broadcast::Sender<Arc<Event>>) {
    let mut last: Option<String> = None;
    let mut away = false;
    loop {
        let page = match &last {
            Some(id) => events.read_after(id, Duration::from_secs(5)).await,
            None => match events.latest_id().await {
                Ok(id) => {
                    last = Some(id);
                    Ok(Vec::new())
                }
                Err(error) => Err(error),
            },
        };
        match page {
            Ok(page) => {
                away = false;
                for event in page {
                    last = Some(event.id.clone());
                    // Nobody listening is fine.
                    let _ = sender.send(Arc::new(event));
                }
            }
            Err(error) => {
                if !std::mem::replace(&mut away, true) {
                    tracing::warn!(%error, "the event stream cannot be read: {error}");
                }
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        }
    }
}
