//! One reader of changes, and one of progress, for all listeners of this server.

use std::sync::Arc;
use std::time::Duration;

use chalkstream_store::{Event, Events};
use tokio::sync::broadcast;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Events that a slow listener may fall behind before it has to read them from Redis.
const MAX_BUFFERED_EVENTS: usize = 1024;

/// Passes events on to listeners. Clones share the readers.
#[derive(Clone)]
pub struct Hub {
    sender: broadcast::Sender<Arc<Event>>,
}

impl Hub {
    /// Starts the readers.
    pub fn start(events: Events, tasks: &TaskTracker, shutdown: CancellationToken) -> Self {
        let (sender, _) = broadcast::channel(MAX_BUFFERED_EVENTS);
        for events in [events.for_progress(), events] {
            let (sender, shutdown) = (sender.clone(), shutdown.clone());
            tasks.spawn(async move {
                tokio::select! {
                    () = shutdown.cancelled() => {}
                    () = read(events, sender) => {}
                }
            });
        }
        Self { sender }
    }

    /// Returns events from now on.
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
                    // It is fine if there is no listener.
                    let _ = sender.send(Arc::new(event));
                }
            }
            Err(error) => {
                if !std::mem::replace(&mut away, true) {
                    tracing::warn!(%error, "event stream unreadable");
                }
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        }
    }
}
