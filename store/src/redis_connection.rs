//! One connection to Redis that comes back, and fails quickly while Redis is away. It leads to
//! wherever our keys are just now: after a failover, or when a slot of a cluster has moved, it is
//! made again.
//!
//! Made here rather than taken from the client library: its manager keeps the answer of a failed
//! reconnect for good where that was not an I/O error, such as LOADING while a restarted Redis
//! reads its file.

use std::time::{Duration, Instant};

use redis::Value;
use redis::{Cmd, ErrorKind, FromRedisValue, RedisError, RedisResult, Script};
use tokio::sync::Mutex;

use crate::redis_client::{OpenConnection, RedisClient};
use crate::{Error, Kind, Result};

/// Time for an answer to a command that does not block.
pub(crate) const ANSWER: Duration = Duration::from_secs(3);
/// After a failed connect, calls within this time fail at once instead of queueing up behind
/// another try.
const PAUSE: Duration = Duration::from_millis(200);

/// One connection, shared by all callers, replaced when it breaks.
pub(crate) struct RedisConnection {
    client: RedisClient,
    answer: Duration,
    slot: Mutex<ConnectionSlot>,
}

#[derive(Default)]
struct ConnectionSlot {
    /// Counts connections, so that a late failure on an old one does not drop its successor.
    number: u64,
    open: Option<OpenConnection>,
    failed: Option<Instant>,
}

/// Whether a call is retried if the connection turns out to be broken.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum RetryOnDisconnect {
    /// Sends the command once more on a new connection: doing it twice is harmless.
    Once,
    /// Reports it: the command may have been carried out.
    Never,
}

impl RedisConnection {
    /// A connection that is made on its first use and waits `answer` for replies (a blocking read
    /// waits longer than the library's half a second).
    pub(crate) fn new(client: RedisClient, answer: Duration) -> Self {
        Self { client, answer, slot: Mutex::default() }
    }

    /// Sends a command.
    pub(crate) async fn query<T: FromRedisValue>(
        &self,
        command: &Cmd,
        again: RetryOnDisconnect,
    ) -> Result<T> {
        let value = match self.send(command).await {
            Err(error) if again == RetryOnDisconnect::Once && error.is_connection_dropped() => {
                self.send(command).await
            }
            // It was refused before it ran.
            Err(error) if is_from_another(&error) => self.send(command).await,
            answered => answered,
        };
        value.and_then(|value| redis::from_redis_value(value).map_err(RedisError::from)).map_err(from_redis)
    }

    /// Runs a script by its hash; sends its text where Redis does not know it (yet, or any more).
    pub(crate) async fn script<T: FromRedisValue>(
        &self,
        script: &LuaScript,
        base: &str,
        args: &[String],
        again: RetryOnDisconnect,
    ) -> Result<T> {
        let command = |verb: &str, text: &str| {
            let mut command = redis::cmd(verb);
            command.arg(text).arg(1).arg(base).arg(args);
            command
        };
        match self.query(&command("EVALSHA", script.hash.get_hash()), again).await {
            Err(error) if error.message == NO_SCRIPT => {
                self.query(&command("EVAL", script.text), again).await
            }
            answered => answered,
        }
    }

    async fn send(&self, command: &Cmd) -> RedisResult<Value> {
        let (number, mut connection) = self.connection().await?;
        // The library's own limit applies too; this one also ends a call whose connection never
        // gets the bytes out.
        let sent = tokio::time::timeout(self.answer, connection.send(command));
        let answered = sent.await.unwrap_or_else(|_| Err(away("redis did not answer in time")));
        if let Err(error) = &answered
            && (error.is_unrecoverable_error() || error.is_io_error() || is_from_another(error))
        {
            let mut slot = self.slot.lock().await;
            if slot.number == number {
                slot.open = None;
            }
        }
        answered
    }

    async fn connection(&self) -> RedisResult<(u64, OpenConnection)> {
        let mut slot = self.slot.lock().await;
        if let Some(open) = &slot.open {
            return Ok((slot.number, open.clone()));
        }
        if slot.failed.is_some_and(|at| at.elapsed() < PAUSE) {
            return Err(away("redis was away a moment ago"));
        }
        match tokio::time::timeout(self.client.connect_limit(), self.client.connect(self.answer)).await {
            Ok(Ok(open)) => {
                *slot = ConnectionSlot { number: slot.number + 1, open: Some(open.clone()), failed: None };
                Ok((slot.number, open))
            }
            Ok(Err(error)) => {
                slot.failed = Some(Instant::now());
                Err(unreached(error))
            }
            Err(_) => {
                slot.failed = Some(Instant::now());
                Err(away("redis did not answer in time"))
            }
        }
    }
}

/// A script's text and hash.
pub(crate) struct LuaScript {
    text: &'static str,
    hash: Script,
}

impl LuaScript {
    pub(crate) fn new(text: &'static str) -> Self {
        Self { text, hash: Script::new(text) }
    }

    /// Its text with the time as last two arguments, in seconds and µs, instead of Redis's own.
    #[cfg(test)]
    pub(crate) fn with_clock(&self) -> String {
        const CLOCK: &str = "redis.call('TIME')";
        assert!(self.text.contains(CLOCK));
        self.text.replace(CLOCK, "{ ARGV[#ARGV - 1], ARGV[#ARGV] }")
    }
}

const NO_SCRIPT: &str = "redis does not know the script";

fn away(what: &'static str) -> RedisError {
    RedisError::from((ErrorKind::Io, what))
}

/// Why nothing could be reached. Sentinels that know no primary, and a cluster without ours, are as
/// good as away; a server that refuses us is not.
fn unreached(error: RedisError) -> RedisError {
    let is_answer = error.code().is_some() || error.kind() == ErrorKind::AuthenticationFailed;
    if is_answer || error.is_io_error() {
        return error;
    }
    (ErrorKind::Io, "redis cannot be reached", error.to_string()).into()
}

/// Whether another connection may answer otherwise: this one leads to a server that is a replica by
/// now, does not have our slot, or has another password. The command was refused before it ran.
fn is_from_another(error: &RedisError) -> bool {
    matches!(
        error.code(),
        Some("READONLY" | "MOVED" | "CLUSTERDOWN" | "MASTERDOWN" | "LOADING" | "NOAUTH" | "WRONGPASS")
    ) || error.kind() == ErrorKind::ClusterConnectionNotFound
        || is_unauthenticated(error)
}

/// Whether Redis does not read a command because the client is not logged in: to a long one it
/// gives no code of its own (`Protocol error: unauthenticated multibulk length`).
fn is_unauthenticated(error: &RedisError) -> bool {
    error.detail().is_some_and(|detail| detail.contains("unauthenticated"))
}

/// Whether a failure passes: everything that has to do with the way there, or with a server that is
/// starting, full or being replaced, or whose password is being rotated. A result must not be lost
/// meanwhile.
fn from_redis(error: RedisError) -> Error {
    let (kind, message) = match (error.kind(), error.code().unwrap_or_default()) {
        (ErrorKind::Io | ErrorKind::ClusterConnectionNotFound, _) => (Kind::Unavailable, "redis is away"),
        (_, "NOSCRIPT") => (Kind::Internal, NO_SCRIPT),
        (_, "LOADING" | "TRYAGAIN" | "CLUSTERDOWN" | "MASTERDOWN" | "READONLY" | "MOVED" | "ASK") => {
            (Kind::Unavailable, "redis is not ready")
        }
        (_, "OOM" | "MISCONF" | "BUSY" | "NOREPLICAS") => (Kind::Unavailable, "redis takes no writes"),
        (ErrorKind::AuthenticationFailed, _) | (_, "NOAUTH" | "WRONGPASS" | "NOPERM") => {
            (Kind::Unavailable, "redis does not accept our password")
        }
        _ if is_unauthenticated(&error) => (Kind::Unavailable, "redis does not accept our password"),
        (ErrorKind::Parse | ErrorKind::UnexpectedReturnType, _) => {
            (Kind::Corrupt, "redis returned something unexpected")
        }
        _ => (Kind::Internal, "redis refused a command"),
    };
    Error::new(kind, message).with_source(error)
}
