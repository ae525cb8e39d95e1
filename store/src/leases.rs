//! A right that one process holds for a short time, and that another can ask it to give up.

use std::time::Duration;

use chalkstream_config as config;

use crate::Result;
use crate::redis_client::{RedisClient, base};
use crate::redis_connection::{ANSWER, LuaScript, RedisConnection, RetryOnDisconnect};

/// Answer to a renewal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Renewed {
    /// Still held.
    Held,
    /// Still held, and someone else waits for it.
    Wanted,
    /// Another holds it.
    Lost,
}

/// Leases in Redis. A lost Redis loses them: a holder that needs more than a courtesy checks its
/// writes otherwise.
pub struct Leases {
    link: RedisConnection,
    base: String,
    take: LuaScript,
    renew: LuaScript,
    release: LuaScript,
}

// Who held it last is remembered for 200 times as long.
const TAKE: &str = "
local key = KEYS[1] .. ':held:' .. ARGV[1]
if redis.call('SET', key, ARGV[2], 'NX', 'PX', ARGV[3]) or redis.call('GET', key) == ARGV[2] then
  redis.call('PEXPIRE', key, ARGV[3])
  redis.call('SET', key .. ':last', ARGV[2], 'PX', 200 * ARGV[3])
  redis.call('DEL', key .. ':wanted')
  return 1
end
redis.call('SET', key .. ':wanted', '1', 'PX', ARGV[3])
return 0";

// What Redis forgot is taken again; what another has held meanwhile is not, although it may be free
// again.
const RENEW: &str = "
local key = KEYS[1] .. ':held:' .. ARGV[1]
local last = redis.call('GET', key .. ':last')
if last and last ~= ARGV[2] then return 0 end
redis.call('SET', key, ARGV[2], 'NX', 'PX', ARGV[3])
if redis.call('GET', key) ~= ARGV[2] then return 0 end
redis.call('PEXPIRE', key, ARGV[3])
redis.call('SET', key .. ':last', ARGV[2], 'PX', 200 * ARGV[3])
return 1 + redis.call('EXISTS', key .. ':wanted')";

const RELEASE: &str = "
local key = KEYS[1] .. ':held:' .. ARGV[1]
if redis.call('GET', key) == ARGV[2] then return redis.call('DEL', key) end
return 0";

impl Leases {
    /// Does not connect before the first call.
    pub fn connect(settings: &config::Redis) -> Result<Self> {
        Ok(Self {
            link: RedisConnection::new(RedisClient::new(settings)?, ANSWER),
            base: base(settings),
            take: LuaScript::new(TAKE),
            renew: LuaScript::new(RENEW),
            release: LuaScript::new(RELEASE),
        })
    }

    /// Takes the right to `name` for `holder`; `false` if another holds it, who then learns that
    /// it is wanted.
    pub async fn take(&self, name: &str, holder: &str, lives: Duration) -> Result<bool> {
        self.run(&self.take, name, holder, lives).await.map(|answer| answer == 1)
    }

    /// Keeps it for `lives` from now.
    pub async fn renew(&self, name: &str, holder: &str, lives: Duration) -> Result<Renewed> {
        Ok(match self.run(&self.renew, name, holder, lives).await? {
            0 => Renewed::Lost,
            1 => Renewed::Held,
            _ => Renewed::Wanted,
        })
    }

    /// Gives it up; not holding it is fine.
    pub async fn release(&self, name: &str, holder: &str) -> Result<()> {
        self.run(&self.release, name, holder, Duration::from_millis(1)).await.map(|_| ())
    }

    /// True if `holder` is the one process that does what only one needs to do, for `lives` from
    /// now. While Redis is away every process is: the work must be harmless twice.
    pub async fn is_elected(&self, name: &str, holder: &str, lives: Duration) -> bool {
        self.take(name, holder, lives).await.unwrap_or(true)
    }

    async fn run(&self, script: &LuaScript, name: &str, holder: &str, lives: Duration) -> Result<i64> {
        let args = [name.to_owned(), holder.to_owned(), lives.as_millis().max(1).to_string()];
        self.link.script(script, &self.base, &args, RetryOnDisconnect::Once).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::RedisServer;

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_lease_that_another_held_meanwhile_is_lost_and_one_that_redis_forgot_is_not() {
        const LONG: Duration = Duration::from_secs(60);
        let redis = RedisServer::start().await;
        let leases = Leases::connect(&redis.settings()).unwrap();
        assert!(leases.take("u", "a", LONG).await.unwrap());
        assert!(!leases.take("u", "b", LONG).await.unwrap());
        assert_eq!(leases.renew("u", "a", LONG).await.unwrap(), Renewed::Wanted);
        redis.flush().await;
        assert_eq!(leases.renew("u", "a", LONG).await.unwrap(), Renewed::Held);
        // It ended while its holder was paused; another had it, and is done.
        leases.release("u", "a").await.unwrap();
        assert!(leases.take("u", "b", LONG).await.unwrap());
        leases.release("u", "b").await.unwrap();
        assert_eq!(leases.renew("u", "a", LONG).await.unwrap(), Renewed::Lost);
        assert!(leases.take("u", "c", LONG).await.unwrap(), "being told so took nothing");
    }
}
