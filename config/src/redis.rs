//! Settings of Redis: one server, the primary that sentinels name, or a cluster.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Secret;

/// Arrangement of the Redis servers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RedisTopology {
    /// One server.
    #[default]
    Single,
    /// A primary with replicas, and sentinels that say which one it is.
    Sentinel,
    /// A cluster.
    Cluster,
}

/// The job queue and event stream.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Redis {
    /// `redis://`, `rediss://` or `redis+unix://` URL; empty means what [`Redis::address`] returns.
    /// It may name several hosts where there are several.
    pub url: Secret,
    /// Arrangement of the servers.
    pub topology: RedisTopology,
    /// Name by which sentinels know the primary.
    pub sentinel_service: String,
    /// User name at the sentinels; empty for none.
    pub sentinel_username: String,
    /// Password at the sentinels; empty for none.
    pub sentinel_password: Secret,
    /// PEM file of the authorities that `rediss://` trusts; empty for the public ones.
    pub ca_path: PathBuf,
    /// PEM file of the certificate that we show to `rediss://` servers; empty for none.
    pub client_cert_path: PathBuf,
    /// PEM file of its key.
    pub client_key_path: PathBuf,
    /// Prefix of every key, kept in one hash tag.
    pub prefix: String,
    /// Most events kept in the stream (older ones are trimmed).
    pub events_kept: u64,
}

impl Default for Redis {
    fn default() -> Self {
        Self {
            url: Secret::new(""),
            topology: RedisTopology::Single,
            sentinel_service: "mymaster".into(),
            sentinel_username: String::new(),
            sentinel_password: Secret::default(),
            ca_path: PathBuf::new(),
            client_cert_path: PathBuf::new(),
            client_key_path: PathBuf::new(),
            prefix: "chalkstream".into(),
            events_kept: 100_000,
        }
    }
}

impl Redis {
    /// The URL in force: the usual port of Redis on this machine if none is given.
    pub fn address(&self) -> &str {
        let given = self.url.expose();
        if given.is_empty() { "redis://127.0.0.1:6379" } else { given }
    }

    /// One URL for each host that the setting names, with the same user, database and options.
    pub fn addresses(&self) -> Vec<String> {
        let url = self.address();
        let Some((scheme, rest)) = url.split_once("://") else { return vec![url.to_owned()] };
        // A socket's path may contain anything.
        if !matches!(scheme, "redis" | "rediss") {
            return vec![url.to_owned()];
        }
        let (authority, tail) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        let (user, hosts) = match authority.rsplit_once('@') {
            Some((user, hosts)) => (format!("{user}@"), hosts),
            None => (String::new(), authority),
        };
        hosts.split(',').map(|host| format!("{scheme}://{user}{}{tail}", host.trim())).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(url: &str) -> Vec<String> {
        Redis { url: Secret::new(url), ..Redis::default() }.addresses()
    }

    #[test]
    fn every_host_has_the_user_and_the_options() {
        assert_eq!(addresses(""), ["redis://127.0.0.1:6379"]);
        assert_eq!(
            addresses("rediss://u:p,w@a:1, b:2,[::1]:3/4?protocol=resp3"),
            [
                "rediss://u:p,w@a:1/4?protocol=resp3",
                "rediss://u:p,w@b:2/4?protocol=resp3",
                "rediss://u:p,w@[::1]:3/4?protocol=resp3"
            ]
        );
        assert_eq!(addresses("redis+unix:///a,b/s"), ["redis+unix:///a,b/s"]);
    }
}
