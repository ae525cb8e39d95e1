//! One reader of changes, and one of progress, for all listeners of this server.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use chalkstream_store::{Error, Event, Events, MAX_EVENTS_PER_READ};
use tokio::sync::broadcast;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::clock::now_ms;

/// Events that a slow listener may fall behind before it has to read them from Redis.
const MAX_BUFFERED_EVENTS: usize = 1024;
/// Longest single wait for events. It bounds how soon a silent loss of Redis is noticed.
const MAX_WAIT: Duration = Duration::from_millis(500);
/// The same for progress, of which nothing depends on the time.
const MAX_PROGRESS_WAIT: Duration = Duration::from_secs(5);

/// What listeners get.
#[derive(Clone, Debug)]
pub enum News {
    /// An event.
    Event(Arc<Event>),
    /// Events were lost. What is left comes after this id.
    Gap(Arc<str>),
}

/// Passes events on to listeners. Clones share the readers.
#[derive(Clone)]
pub struct Hub {
    sender: broadcast::Sender<News>,
    coverage: Arc<Coverage>,
}

/// Between these times, in ms since 1970, every event was passed on.
#[derive(Default)]
struct Coverage {
    since_ms: AtomicU64,
    /// 0 before the first read.
    until_ms: AtomicU64,
}

impl Hub {
    /// Starts the readers.
    pub fn start(events: Events, tasks: &TaskTracker, shutdown: CancellationToken) -> Self {
        let (sender, _) = broadcast::channel(MAX_BUFFERED_EVENTS);
        let hub = Self { sender, coverage: Arc::default() };
        let (changes, progress) = (hub.clone(), hub.clone());
        let stop = shutdown.clone();
        let of_progress = events.for_progress();
        tasks.spawn(async move { stop.run_until_cancelled(progress.read_progress(of_progress)).await });
        tasks.spawn(async move { shutdown.run_until_cancelled(changes.read(events)).await });
        hub
    }

    /// Returns news from now on.
    pub fn subscribe(&self) -> broadcast::Receiver<News> {
        self.sender.subscribe()
    }

    /// True if every event since `since_ms` was passed on, up to at most `max_silence_ms` ago.
    pub fn has_passed_on_all(&self, since_ms: u64, max_silence_ms: u64) -> bool {
        let until_ms = self.coverage.until_ms.load(Ordering::Acquire);
        // A clock that was set back makes no news fresh.
        now_ms().abs_diff(until_ms) <= max_silence_ms
            && self.coverage.since_ms.load(Ordering::Acquire) <= since_ms
    }

    /// Events were lost, or a listener has missed some: coverage starts now.
    pub fn restart_coverage(&self) {
        self.coverage.since_ms.store(now_ms(), Ordering::Release);
    }

    async fn read(&self, events: Events) {
        let mut last: Option<String> = None;
        let mut away = false;
        loop {
            let began_ms = now_ms();
            match self.read_once(&events, &mut last).await {
                Ok(has_more) => {
                    if std::mem::replace(&mut away, false) {
                        tracing::info!("event stream readable again");
                    }
                    if !has_more {
                        self.coverage.until_ms.store(began_ms, Ordering::Release);
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

    /// Passes on what is new. True if there is more.
    async fn read_once(&self, events: &Events, last: &mut Option<String>) -> Result<bool, Error> {
        let Some(id) = last.clone() else {
            // The position names this life of the stream, so that a loss can be noticed. An empty
            // stream has no event to start from: then its start is where this life began.
            let id = events.position().await?.id;
            *last = Some(events.gap_after(&id).await?.unwrap_or(id));
            self.restart_coverage();
            return Ok(false);
        };
        let page = events.read_after(&id, MAX_WAIT).await?;
        // Only now: a stream that was lost before the read has a new life by now.
        if let Some(left) = events.gap_after(&id).await? {
            tracing::warn!("events were lost");
            self.restart_coverage();
            *last = Some(left.clone());
            let _ = self.sender.send(News::Gap(left.into()));
        }
        let has_more = page.len() >= MAX_EVENTS_PER_READ;
        for event in page {
            *last = Some(event.id.clone());
            // It is fine if there is no listener.
            let _ = self.sender.send(News::Event(Arc::new(event)));
        }
        Ok(has_more)
    }

    /// Passes on progress. What was missed of it is not needed.
    async fn read_progress(&self, events: Events) {
        let mut last: Option<String> = None;
        loop {
            let page = match &last {
                Some(id) => events.read_after(id, MAX_PROGRESS_WAIT).await,
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
                    for event in page {
                        last = Some(event.id.clone());
                        let _ = self.sender.send(News::Event(Arc::new(event)));
                    }
                }
                // The reader of changes logs it.
                Err(_) => tokio::time::sleep(Duration::from_secs(1)).await,
            }
        }
    }
}
