//! Revocations: one object each under `_system/revocations/`, so they survive a loss of Redis.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::objects::all_keys;
use crate::{Result, Store, layout};

/// Target of a revocation.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "kind", content = "id", rename_all = "snake_case")]
pub enum Target {
    /// One link, by its id.
    Link(String),
    /// One session, by its id.
    Session(String),
    /// Everything of a viewer.
    Viewer(String),
    /// Everything of a recording.
    Recording(String),
    /// Everything signed by a signing key (its `kid`), or asked with an API key (its id).
    Key(String),
}

/// One revocation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Revocation {
    /// The tenant it belongs to; it says nothing about another's.
    pub tenant: String,
    /// The revoked target.
    pub target: Target,
    /// When.
    pub at: Timestamp,
    /// When all it could stop is over by itself, so that it can be forgotten; `None` for never.
    pub until: Option<Timestamp>,
}

impl Target {
    /// Its kind, as in the API.
    pub fn kind(&self) -> &'static str {
        match self {
            Target::Link(_) => "link",
            Target::Session(_) => "session",
            Target::Viewer(_) => "viewer",
            Target::Recording(_) => "recording",
            Target::Key(_) => "key",
        }
    }

    /// The id within its kind.
    pub fn id(&self) -> &str {
        match self {
            Target::Link(id)
            | Target::Session(id)
            | Target::Viewer(id)
            | Target::Recording(id)
            | Target::Key(id) => id,
        }
    }

    /// Names the target within its tenant. Hashed, since a viewer's id may name a person; each part
    /// goes in with its length, so that no two targets run into one.
    pub(crate) fn digest(&self, tenant: &str) -> String {
        let mut text = String::new();
        for part in [tenant, self.kind(), self.id()] {
            text.push_str(&format!("{}:{part}", part.len()));
        }
        crate::objects::sha256_hex(text.as_bytes())
    }
}

impl Revocation {
    /// The object it is kept in.
    pub(crate) fn key(&self) -> String {
        let until_ms = self.until.map(|at| at.as_millisecond());
        layout::revocation_key(&self.target.digest(&self.tenant), until_ms)
    }
}

/// Removes revocations whose `until` is more than an hour past; returns how many. For the sweeper.
pub async fn forget_old_revocations(store: &Store) -> Result<u64> {
    let before_ms = Timestamp::now().as_millisecond() - 3_600_000;
    let mut removed = 0;
    for key in all_keys(store, &layout::revocations_prefix(), Duration::MAX).await? {
        if layout::revocation_until_ms(&key).is_some_and(|until_ms| until_ms < before_ms) {
            store.delete(&key).await?;
            removed += 1;
        }
    }
    Ok(removed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_do_not_run_into_each_other() {
        let all = [
            ("a", Target::Link("x".into())),
            ("a", Target::Session("x".into())),
            ("b", Target::Link("x".into())),
            ("a4:link", Target::Link("x".into())),
            ("a", Target::Link("x1:".into())),
        ];
        let digests: std::collections::BTreeSet<_> = all.iter().map(|(tenant, t)| t.digest(tenant)).collect();
        assert_eq!(digests.len(), all.len());
    }
}
