//! Revocations: one object each under `_system/revocations/`, so they survive a loss of Redis.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// What is no longer to be let in.
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
    /// What is revoked.
    pub target: Target,
    /// When.
    pub at: Timestamp,
    /// When all it could stop is over by itself, so that it can be forgotten; `None` for never.
    pub until: Option<Timestamp>,
}
