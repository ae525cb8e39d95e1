//! An event stream as one HTTP response: first the events that were missed, then new ones.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::response::sse::{Event as Message, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use chalkstream_store::{Authority, Event, EventKind, Events, Target};
use futures_util::stream;
use http::{HeaderMap, HeaderValue, header};
use prometheus_client::metrics::gauge::Gauge;
use serde_json::json;
use tokio::sync::broadcast;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::hub::{Hub, News};
use crate::clock::now_ms;
use crate::permits::{Permit, PermitLimits, Permits, Reached};
use crate::problem::Problem;

/// Event streams open at once; further ones are asked to come back later. A page has one, and opens
/// the next before the server notices that the last one is closed.
const MAX_STREAMS: PermitLimits = PermitLimits { server: 2_000, tenant: 1_000, session: 8 };
/// A stream ends after this, so that its reader is checked again: an expired session gets no more
/// events.
const MAX_LIFE: Duration = Duration::from_secs(300);
/// How often an open stream checks whether its reader was revoked.
const REVOCATION_CHECK_INTERVAL: Duration = Duration::from_secs(1);

/// Opens event streams. Clones share the limit on open ones.
#[derive(Clone)]
pub struct Streams {
    hub: Hub,
    events: Events,
    authority: Authority,
    permits: Permits,
    open: Gauge,
    shutdown: CancellationToken,
}

impl Streams {
    /// Streams of what `hub` hands on, counted in `open`, until `shutdown`.
    pub fn new(
        hub: Hub,
        events: Events,
        authority: Authority,
        open: Gauge,
        shutdown: CancellationToken,
    ) -> Self {
        Self { hub, events, authority, permits: Permits::new(MAX_STREAMS), open, shutdown }
    }

    /// Responds with the stream of `audience`, from `after` on, until one of `targets` is revoked.
    /// A session is among the targets.
    ///
    /// # Errors
    /// 503 if too many streams are open, 429 if they are the caller's own.
    pub fn open(
        &self,
        audience: Audience,
        (targets, issued_at_s): (Vec<Target>, Option<u64>),
        after: Option<String>,
    ) -> Result<Response, Problem> {
        let session = targets.iter().find_map(|target| match target {
            Target::Session(id) => Some(id.as_str()),
            _ => None,
        });
        let permit = self.permits.take(audience.tenant(), session).map_err(too_many)?;
        self.open.inc();
        let feed = EventStream {
            // Subscribed before the past is read, so that no event falls between the two.
            receiver: self.hub.subscribe(),
            until: Instant::now() + MAX_LIFE,
            last: after.as_deref().and_then(position),
            behind: after,
            waiting: VecDeque::new(),
            audience,
            targets,
            issued_at_s,
            _permit: permit,
            _open: OpenGauge(self.open.clone()),
            streams: self.clone(),
        };
        // Fused: the response may be polled once more after the end.
        let messages = futures_util::StreamExt::fuse(stream::unfold(feed, |mut feed| async move {
            let (streams, until) = (feed.streams.clone(), feed.until);
            let (tenant, targets) = (feed.audience.tenant().to_owned(), feed.targets.clone());
            let issued_at_s = feed.issued_at_s;
            let item = tokio::select! {
                () = streams.shutdown.cancelled() => None,
                () = tokio::time::sleep_until(until) => None,
                () = streams.revoked(&tenant, &targets, issued_at_s) => None,
                item = feed.next() => item,
            }?;
            Some((Ok::<_, Infallible>(message(&item)), feed))
        }));
        let keep_alive = KeepAlive::new().interval(Duration::from_secs(15)).text("still here");
        let mut response = Sse::new(messages).keep_alive(keep_alive).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-store"));
        headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
        Ok(response)
    }

    /// Returns when one of `targets` is revoked.
    async fn revoked(&self, tenant: &str, targets: &[Target], issued_at_s: Option<u64>) {
        while !self.authority.any_revoked(tenant, targets, issued_at_s) {
            tokio::time::sleep(REVOCATION_CHECK_INTERVAL).await;
        }
    }
}

fn too_many(reached: Reached) -> Problem {
    Problem::new(reached.status(), "too_many_streams", "Too many event streams are open; try again shortly.")
        .retry_after_s(10)
}

/// The recordings whose events a stream carries.
#[derive(Clone, Debug)]
pub enum Audience {
    /// All recordings of a tenant.
    Tenant(String),
    /// One recording: tenant, recording.
    Recording(String, String),
}

impl Audience {
    fn tenant(&self) -> &str {
        match self {
            Audience::Tenant(tenant) | Audience::Recording(tenant, _) => tenant,
        }
    }

    fn includes(&self, event: &Event) -> bool {
        match self {
            Audience::Tenant(tenant) => event.tenant == *tenant,
            Audience::Recording(tenant, recording) => {
                event.tenant == *tenant && event.recording == *recording
            }
        }
    }
}

/// The request's `Last-Event-ID`. `None` if it is missing or malformed.
pub fn last_event_id(headers: &HeaderMap) -> Option<String> {
    let text = headers.get("last-event-id")?.to_str().ok()?;
    let (ms, sequence) = text.split_once('-')?;
    let number = |text: &str| (1..=20).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
    (number(ms) && number(sequence)).then(|| text.to_owned())
}

/// An open stream.
struct EventStream {
    streams: Streams,
    audience: Audience,
    /// Everything whose revocation ends the stream.
    targets: Vec<Target>,
    /// When the reader's token was issued.
    issued_at_s: Option<u64>,
    /// Read from Redis up to here; `None` for a stream that starts now.
    behind: Option<String>,
    waiting: VecDeque<Arc<Event>>,
    last: Option<(u64, u64)>,
    receiver: broadcast::Receiver<News>,
    until: Instant,
    _permit: Permit,
    _open: OpenGauge,
}

/// Counts open streams, however they end.
struct OpenGauge(Gauge);

impl Drop for OpenGauge {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// One message of a stream.
enum Item {
    Event(Arc<Event>),
    /// Events were lost up to this id.
    Reset(String),
}

impl EventStream {
    async fn next(&mut self) -> Option<Item> {
        loop {
            if let Some(event) = self.waiting.pop_front() {
                if self.is_news(&event) {
                    return Some(Item::Event(event));
                }
                continue;
            }
            if let Some(id) = self.behind.take() {
                // End the stream after a failure: the client comes back with its Last-Event-ID and
                // misses nothing.
                let page = self.streams.events.read_after(&id, Duration::ZERO).await.ok()?;
                let gap = self.streams.events.gap_after(&id).await.ok()?;
                if let Some(left) = gap {
                    self.last = position(&left);
                    self.behind = Some(left.clone());
                    return Some(Item::Reset(left));
                }
                self.behind = page.last().map(|event| event.id.clone());
                self.waiting.extend(page.into_iter().map(Arc::new));
                continue;
            }
            match self.receiver.recv().await {
                Ok(News::Event(event)) if self.is_news(&event) => return Some(Item::Event(event)),
                Ok(News::Event(_)) => {}
                Ok(News::Gap(left)) => {
                    self.last = position(&left);
                    return Some(Item::Reset(left.to_string()));
                }
                Err(broadcast::error::RecvError::Lagged(_)) => {
                    let (ms, sequence) = self.last?;
                    self.behind = Some(format!("{ms}-{sequence}"));
                }
                Err(broadcast::error::RecvError::Closed) => return None,
            }
        }
    }

    /// True for an event of this audience that was not sent yet: the past and the present overlap.
    fn is_news(&mut self, event: &Event) -> bool {
        // Progress has a stream of its own, which is read once.
        if event.kind == EventKind::Progress {
            return self.audience.includes(event);
        }
        let at = position(&event.id);
        if at.is_some() && at <= self.last {
            return false;
        }
        self.last = at.or(self.last);
        self.audience.includes(event)
    }
}

fn position(id: &str) -> Option<(u64, u64)> {
    let (ms, sequence) = id.split_once('-')?;
    Some((ms.parse().ok()?, sequence.parse().ok()?))
}

fn message(item: &Item) -> Message {
    match item {
        Item::Event(event) => {
            let body = json!({ "recording": event.recording, "at_ms": event.at_ms, "data": event.data });
            let message = Message::default().event(event.kind.as_str()).data(body.to_string());
            match event.kind {
                // Not a position from which a client can go on.
                EventKind::Progress => message,
                _ => message.id(&event.id),
            }
        }
        Item::Reset(left) => {
            let body = json!({ "at_ms": now_ms(), "data": {} });
            Message::default().id(left).event("reset").data(body.to_string())
        }
    }
}
