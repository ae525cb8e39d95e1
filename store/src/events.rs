//! The event stream: what happened to recordings, in order, for subscribers. Progress has a short
//! stream of its own, so that no amount of it pushes out what others must not miss.

use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use chalkstream_config as config;
use redis::streams::{StreamId, StreamRangeReply, StreamReadReply};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::redis_client::{RedisClient, base};
use crate::redis_connection::{ANSWER, LuaScript, RedisConnection, RetryOnDisconnect};
use crate::{Error, Result};

/// Appends an event: most entries, tenant, recording, kind, data. It also passes when Redis is out
/// of memory: the stream is bounded, and an event that was refused is lost.
static PUBLISH: LazyLock<LuaScript> = LazyLock::new(|| {
    LuaScript::new(concat!(
        "#!lua flags=allow-oom\n",
        "return redis.call('XADD', KEYS[1], 'MAXLEN', '~', ARGV[1], '*',\n",
        "  'tenant', ARGV[2], 'recording', ARGV[3], 'kind', ARGV[4], 'data', ARGV[5])",
    ))
});

/// Most events of one read.
pub const MAX_EVENTS_PER_READ: usize = 256;
/// Longest single wait in Redis.
const WAIT: Duration = Duration::from_secs(2);
/// Progress events that are kept: readers read them at once. The last progress of each
/// step is in its job.
const KEPT_PROGRESS: u64 = 1_000;
/// Time for a waiting read's answer: its wait and a margin.
const READ_ANSWER: Duration = Duration::from_secs(5);

/// Subject of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EventKind {
    /// The recording's state changed.
    State,
    /// A step got further.
    Progress,
    /// A step began, ended or failed.
    Step,
    /// The transcript can be read.
    TranscriptReady,
    /// The text of the transcript was corrected.
    TranscriptCorrected,
    /// A newer revision is published.
    Revision,
    /// The recording is gone.
    Deleted,
}

impl EventKind {
    /// Its name, as in the API.
    pub fn as_str(self) -> &'static str {
        match self {
            EventKind::State => "state",
            EventKind::Progress => "progress",
            EventKind::Step => "step",
            EventKind::TranscriptReady => "transcript_ready",
            EventKind::TranscriptCorrected => "transcript_corrected",
            EventKind::Revision => "revision",
            EventKind::Deleted => "deleted",
        }
    }
}

/// One event.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// Its position in the stream; rises.
    pub id: String,
    /// Tenant of the recording.
    pub tenant: String,
    /// The recording.
    pub recording: String,
    /// Its subject.
    pub kind: EventKind,
    /// Details, by kind.
    pub data: Value,
    /// When, in ms since the epoch.
    pub at_ms: u64,
}

/// A position in the stream that outlives a loss of Redis: after one, the epoch is another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    /// Which life of the stream.
    pub epoch: String,
    /// Id of the last event seen.
    pub id: String,
}

/// The event stream.
///
/// A clone reads on a connection of its own, since a read that waits holds its connection up: a
/// process has one clone for each of its readers (best one, that hands events on), not one for each
/// of its viewers.
pub struct Events {
    inner: Arc<EventsInner>,
    /// Key of the stream that is read.
    stream: String,
    reads: RedisConnection,
}

struct EventsInner {
    client: RedisClient,
    changes: String,
    progress: String,
    epoch: String,
    kept: u64,
    writes: RedisConnection,
}

impl Clone for Events {
    fn clone(&self) -> Self {
        let reads = RedisConnection::new(self.inner.client.clone(), READ_ANSWER);
        Self { inner: self.inner.clone(), stream: self.stream.clone(), reads }
    }
}

impl Events {
    /// Does not connect before the first call.
    pub fn connect(settings: &config::Redis) -> Result<Self> {
        let client = RedisClient::new(settings)?;
        let base = base(settings);
        let inner = EventsInner {
            client: client.clone(),
            changes: format!("{base}:events"),
            progress: format!("{base}:progress"),
            epoch: format!("{base}:epoch"),
            kept: settings.events_kept.max(1),
            writes: RedisConnection::new(client.clone(), ANSWER),
        };
        let (stream, reads) = (inner.changes.clone(), RedisConnection::new(client, READ_ANSWER));
        Ok(Self { inner: Arc::new(inner), stream, reads })
    }

    /// The same, for reading progress instead of changes.
    pub fn for_progress(&self) -> Self {
        Self { stream: self.inner.progress.clone(), ..self.clone() }
    }

    /// Appends an event to the stream of its kind; returns its id.
    pub async fn publish(
        &self,
        tenant: &str,
        recording: &str,
        kind: EventKind,
        data: Value,
    ) -> Result<String> {
        let (stream, kept) = match kind {
            EventKind::Progress => (&self.inner.progress, KEPT_PROGRESS),
            _ => (&self.inner.changes, self.inner.kept),
        };
        let args =
            [kept.to_string(), tenant.into(), recording.into(), kind.as_str().into(), data.to_string()];
        // Sent twice, it is one event that its readers see twice, which they must bear anyway.
        self.inner.writes.script(&PUBLISH, stream, &args, RetryOnDisconnect::Once).await
    }

    /// At most 256 events after `id`, waiting up to `block` for the first. Where the stream was
    /// lost and started again behind `id`, this reads the new one from its start.
    pub async fn read_after(&self, id: &str, block: Duration) -> Result<Vec<Event>> {
        let id = Id::parse(id)?;
        let end = Instant::now() + block;
        loop {
            // Before each wait, which is short: a stream started again might never pass an id from
            // its former life.
            let after = match self.last().await? {
                Some(last) if last < id => Id::default(),
                _ => id,
            };
            let left = end.saturating_duration_since(Instant::now());
            let events = self.read(after, left.min(WAIT)).await?;
            if !events.is_empty() || left.is_zero() {
                return Ok(events);
            }
        }
    }

    async fn read(&self, after: Id, wait: Duration) -> Result<Vec<Event>> {
        let mut command = redis::cmd("XREAD");
        command.arg("COUNT").arg(MAX_EVENTS_PER_READ);
        if !wait.is_zero() {
            // BLOCK 0 would wait for ever.
            command.arg("BLOCK").arg(wait.as_millis().max(1) as u64);
        }
        command.arg("STREAMS").arg(&self.stream).arg(after.to_string());
        let reply: Option<StreamReadReply> = self.reads.query(&command, RetryOnDisconnect::Once).await?;
        let entries = reply.into_iter().flat_map(|reply| reply.keys).flat_map(|stream| stream.ids);
        Ok(entries.filter_map(|entry| event(&entry)).collect())
    }

    /// Id of the newest event; `0-0` where there is none.
    pub async fn latest_id(&self) -> Result<String> {
        Ok(self.last().await?.unwrap_or_default().to_string())
    }

    async fn last(&self) -> Result<Option<Id>> {
        self.end_of_stream("XREVRANGE", "+", "-").await
    }

    async fn first(&self) -> Result<Option<Id>> {
        self.end_of_stream("XRANGE", "-", "+").await
    }

    async fn end_of_stream(&self, verb: &str, from: &str, to: &str) -> Result<Option<Id>> {
        let mut command = redis::cmd(verb);
        command.arg(&self.stream).arg(from).arg(to).arg("COUNT").arg(1);
        let reply: StreamRangeReply = self.inner.writes.query(&command, RetryOnDisconnect::Once).await?;
        reply.ids.first().map(|entry| Id::parse(&entry.id)).transpose()
    }

    /// Current position of the stream.
    pub async fn position(&self) -> Result<Position> {
        Ok(Position { epoch: self.epoch().await?.to_string(), id: self.latest_id().await? })
    }

    /// The name of this life of Redis's data, which it gets now if it has none.
    async fn epoch(&self) -> Result<uuid::Uuid> {
        let mut command = redis::cmd("GET");
        command.arg(&self.inner.epoch);
        let mut named: Option<String> = self.inner.writes.query(&command, RetryOnDisconnect::Once).await?;
        if named.is_none() {
            // By the clock of Redis, as the ids of events: later ones belong to this life.
            let time: (u64, u32) =
                self.inner.writes.query(&redis::cmd("TIME"), RetryOnDisconnect::Once).await?;
            let at = uuid::Timestamp::from_unix(uuid::NoContext, time.0, time.1.saturating_mul(1000));
            let fresh = uuid::Uuid::new_v7(at).to_string();
            let mut command = redis::cmd("SET");
            command.arg(&self.inner.epoch).arg(&fresh).arg("NX").arg("GET");
            named = self.inner.writes.query(&command, RetryOnDisconnect::Once).await?;
            named = named.or(Some(fresh));
        }
        named
            .and_then(|name| name.parse().ok())
            .ok_or_else(|| Error::corrupt("the name of the event stream's life cannot be read"))
    }

    /// True if every event after `position` can still be read; else a reader must catch up from
    /// storage.
    pub async fn covers(&self, position: &Position) -> Result<bool> {
        let id = Id::parse(&position.id)?;
        let now = self.position().await?;
        if now.epoch != position.epoch || Id::parse(&now.id)? < id {
            return Ok(false);
        }
        self.has_all_after(id).await
    }

    /// If an event after `id` may have been lost, the id after which all that is left can be read.
    ///
    /// An id alone does not say in which life of the stream it was made. One from before this life
    /// began has lost events. It began when it got its name, or with an event that came sooner.
    pub async fn gap_after(&self, id: &str) -> Result<Option<String>> {
        let id = Id::parse(id)?;
        let epoch =
            self.epoch().await?.get_timestamp().ok_or_else(|| Error::corrupt("no time in an epoch"))?;
        let (s, ns) = epoch.to_unix();
        // An event of the same millisecond comes after it.
        let named = Id { ms: s * 1000 + u64::from(ns / 1_000_000), number: 0 }.predecessor();
        let (first, last) = (self.first().await?.map(Id::predecessor), self.last().await?);
        let began = first.map_or(named, |first| first.min(named));
        if id >= began && last.unwrap_or_default().max(began) >= id && self.has_all_after(id).await? {
            return Ok(None);
        }
        Ok(Some(first.unwrap_or(began).to_string()))
    }

    async fn has_all_after(&self, id: Id) -> Result<bool> {
        // The newest is never trimmed, and the oldest one left shows which were.
        match self.first().await? {
            Some(first) if first.predecessor() <= id => Ok(true),
            Some(_) => self.nothing_trimmed().await,
            // Trimmed to nothing is never.
            None => Ok(true),
        }
    }

    async fn nothing_trimmed(&self) -> Result<bool> {
        let mut command = redis::cmd("XINFO");
        command.arg("STREAM").arg(&self.stream);
        let info: std::collections::HashMap<String, redis::Value> =
            self.inner.writes.query(&command, RetryOnDisconnect::Once).await?;
        let number = |name: &str| match info.get(name) {
            Some(redis::Value::Int(n)) => Some(*n),
            _ => None,
        };
        Ok(number("entries-added").is_some() && number("entries-added") == number("length"))
    }
}

/// An event of a stream's entry; `None` (logged) where it is not one of ours.
fn event(entry: &StreamId) -> Option<Event> {
    let text = |field: &str| entry.get::<String>(field);
    let made = (|| {
        Some(Event {
            id: entry.id.clone(),
            tenant: text("tenant")?,
            recording: text("recording")?,
            kind: serde_json::from_value(Value::String(text("kind")?)).ok()?,
            data: serde_json::from_str(&text("data")?).ok()?,
            at_ms: Id::parse(&entry.id).ok()?.ms,
        })
    })();
    if made.is_none() {
        tracing::warn!(id = %entry.id, "event cannot be read, it is skipped");
    }
    made
}

/// An entry's id: time in ms, and a number within that.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Id {
    ms: u64,
    number: u64,
}

impl Id {
    fn parse(text: &str) -> Result<Self> {
        let (ms, number) = text.split_once('-').unwrap_or((text, "0"));
        match (ms.parse(), number.parse()) {
            (Ok(ms), Ok(number)) => Ok(Self { ms, number }),
            _ => Err(Error::invalid("not an event id")),
        }
    }
}

impl Id {
    /// The highest id below.
    fn predecessor(self) -> Self {
        match self.number.checked_sub(1) {
            Some(number) => Self { number, ..self },
            None => Self { ms: self.ms.saturating_sub(1), number: u64::MAX },
        }
    }
}

impl std::fmt::Display for Id {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}-{}", self.ms, self.number)
    }
}

#[cfg(test)]
mod tests;
