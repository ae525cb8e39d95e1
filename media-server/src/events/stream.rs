//! An event stream as one HTTP answer: first what was missed, then what comes.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::response::sse::{Event as Message, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use chalkstream_store::{Event, Target};
use futures_util::stream;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde_json::json;
use tokio::sync::{OwnedSemaphorePermit, broadcast};
use tokio::time::Instant;

use crate::app::App;
use crate::problem::Problem;

/// A stream is closed after this, so that whoever listens has to be let in again: an expired session hears no more.
const LIFE: Duration = Duration::from_secs(300);
/// How often an open stream asks whether its right to listen was taken back.
const ASK: Duration = Duration::from_secs(1);

/// Whose events a stream carries.
#[derive(Clone, Debug)]
pub enum Audience {
    /// All of a tenant.
    Tenant(String),
    /// Those of one recording: tenant, recording.
    Recording(String, String),
}

impl Audience {
    fn tenant(&self) -> &str {
        match self {
            Audience::Tenant(tenant) | Audience::Recording(tenant, _) => tenant,
        }
    }

    fn hears(&self, event: &Event) -> bool {
        match self {
            Audience::Tenant(tenant) => event.tenant == *tenant,
            Audience::Recording(tenant, recording) => {
                event.tenant == *tenant && event.recording == *recording
            }
        }
    }
}

/// The `Last-Event-ID` a client comes back with, if it has the form of one.
pub fn last_event_id(headers: &HeaderMap) -> Option<String> {
    let text = headers.get("last-event-id")?.to_str().ok()?;
    let (ms, sequence) = text.split_once('-')?;
    let number = |text: &str| (1..=20).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
    (number(ms) && number(sequence)).then(|| text.to_owned())
}

/// The open end of a stream.
struct Feed {
    app: App,
    audience: Audience,
    /// Those whose revocation ends the stream.
    targets: Vec<Target>,
    /// Read from Redis up to here; `None` for a stream that starts now.
    behind: Option<String>,
    waiting: VecDeque<Arc<Event>>,
    last: Option<(u64, u64)>,
    receiver: broadcast::Receiver<Arc<Event>>,
    until: Instant,
    _permit: OwnedSemaphorePermit,
    _open: OpenGauge,
}

/// Counts open streams, however they end.
struct OpenGauge(App);

impl Drop for OpenGauge {
    fn drop(&mut self) {
        self.0.metrics.event_streams.dec();
    }
}

/// Answers with the stream of `audience`, from `after` on, until one of `targets` is revoked.
///
/// # Errors
/// 503 where too many streams are open.
pub fn answer(
    app: &App,
    audience: Audience,
    targets: Vec<Target>,
    after: Option<String>,
) -> Result<Response, Problem> {
    let permit = Arc::clone(&app.event_streams).try_acquire_owned().map_err(|_| {
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, "too_many_streams", "Too many event streams are open.")
            .retry_after_s(10)
    })?;
    app.metrics.event_streams.inc();
    let feed = Feed {
        // Subscribed before the past is read: nothing falls between the two.
        receiver: app.hub.subscribe(),
        until: Instant::now() + LIFE,
        last: after.as_deref().and_then(position),
        behind: after,
        waiting: VecDeque::new(),
        audience,
        targets,
        _permit: permit,
        _open: OpenGauge(app.clone()),
        app: app.clone(),
    };
    // Fused: the response may be polled once more after the end.
    let messages = futures_util::StreamExt::fuse(stream::unfold(feed, |mut feed| async move {
        let (app, until) = (Arc::clone(&feed.app), feed.until);
        let (tenant, targets) = (feed.audience.tenant().to_owned(), feed.targets.clone());
        let event = tokio::select! {
            () = app.shutdown.cancelled() => None,
            () = tokio::time::sleep_until(until) => None,
            () = revoked(&app, &tenant, &targets) => None,
            event = feed.next() => event,
        }?;
        Some((Ok::<_, Infallible>(message(&event)), feed))
    }));
    let keep_alive = KeepAlive::new().interval(Duration::from_secs(15)).text("still here");
    let mut response = Sse::new(messages).keep_alive(keep_alive).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-store"));
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    Ok(response)
}

/// Returns when one of `targets` is revoked.
async fn revoked(app: &App, tenant: &str, targets: &[Target]) {
    while !app.authority.any_revoked(tenant, targets) {
        tokio::time::sleep(ASK).await;
    }
}

impl Feed {
    async fn next(&mut self) -> Option<Arc<Event>> {
        loop {
            if let Some(event) = self.waiting.pop_front() {
                if self.is_news(&event) {
                    return Some(event);
                }
                continue;
            }
            if let Some(id) = self.behind.take() {
                match self.app.events.read_after(&id, Duration::ZERO).await {
                    Ok(page) => {
                        self.behind = page.last().map(|event| event.id.clone());
                        self.waiting.extend(page.into_iter().map(Arc::new));
                    }
                    // Closed, so that the client comes back with its Last-Event-ID and misses nothing.
                    Err(_) => return None,
                }
                continue;
            }
            match self.receiver.recv().await {
                Ok(event) if self.is_news(&event) => return Some(event),
                Ok(_) => {}
                Err(broadcast::error::RecvError::Lagged(_)) => {
                    let (ms, sequence) = self.last?;
                    self.behind = Some(format!("{ms}-{sequence}"));
                }
                Err(broadcast::error::RecvError::Closed) => return None,
            }
        }
    }

    /// True for what this audience hears and has not heard: the past and the present overlap.
    fn is_news(&mut self, event: &Event) -> bool {
        let at = position(&event.id);
        // A lost Redis starts counting anew, but by its clock, which does not go back this far.
        if at.is_some() && at <= self.last {
            return false;
        }
        self.last = at.or(self.last);
        self.audience.hears(event)
    }
}

fn position(id: &str) -> Option<(u64, u64)> {
    let (ms, sequence) = id.split_once('-')?;
    Some((ms.parse().ok()?, sequence.parse().ok()?))
}

fn message(event: &Event) -> Message {
    let body = json!({ "recording": event.recording, "at_ms": event.at_ms, "data": event.data });
    Message::default().id(&event.id).event(event.kind.as_str()).data(body.to_string())
}
