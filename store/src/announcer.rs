//! Announces to the other processes, through Redis, that something changed. Best effort: they list
//! storage anyway.

use std::time::Duration;

use chalkstream_config as config;

use crate::Result;
use crate::redis_client::{RedisClient, base};
use crate::redis_connection::{ANSWER, RedisConnection, RetryOnDisconnect};

/// Time for Redis to announce changes: less than what would delay a listing.
const LIMIT: Duration = Duration::from_millis(500);

/// A mark in Redis that changes with every change. Clones share the connection.
#[derive(Clone)]
pub(crate) struct Announcer(Option<std::sync::Arc<(RedisConnection, String)>>);

impl Announcer {
    /// Without settings nothing is announced. Does not connect before the first call.
    pub(crate) fn new(settings: Option<&config::Redis>) -> Result<Self> {
        let Some(settings) = settings else { return Ok(Self(None)) };
        let key = format!("{}:authority", base(settings));
        let connection = RedisConnection::new(RedisClient::new(settings)?, ANSWER);
        Ok(Self(Some(std::sync::Arc::new((connection, key)))))
    }

    /// The mark; `None` if Redis has none.
    pub(crate) async fn mark(&self) -> Option<String> {
        let (connection, key) = self.0.as_deref()?;
        let mut command = redis::cmd("GET");
        command.arg(key);
        let asked = connection.query::<Option<String>>(&command, RetryOnDisconnect::Once);
        tokio::time::timeout(LIMIT, asked).await.ok()?.ok()?
    }

    /// Changes the mark.
    pub(crate) async fn announce(&self) {
        let Some((connection, key)) = self.0.as_deref() else { return };
        let mut command = redis::cmd("SET");
        // Not a counter: after a loss of Redis it might count to the same number again.
        command.arg(key).arg(uuid::Uuid::now_v7().to_string());
        let announced = connection.query::<()>(&command, RetryOnDisconnect::Once);
        if !matches!(tokio::time::timeout(LIMIT, announced).await, Ok(Ok(()))) {
            tracing::debug!("change was not announced");
        }
    }
}
