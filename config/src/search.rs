//! Settings of search.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Secret;

/// Which engine keeps the search index.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SearchEngineKind {
    /// Each server has an index of its own.
    #[default]
    Embedded,
    /// All servers share an OpenSearch cluster.
    #[serde(rename = "opensearch")]
    OpenSearch,
}

/// Search.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Search {
    /// `embedded` or `opensearch`.
    pub engine: SearchEngineKind,
    /// The cluster of the `opensearch` engine.
    pub opensearch: OpenSearch,
}

/// An OpenSearch cluster.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct OpenSearch {
    /// Base URL of the cluster.
    pub url: String,
    /// User name; empty for none.
    pub username: String,
    /// Password.
    pub password: Secret,
    /// PEM file of the authorities that an `https://` address is trusted by; empty for the system's.
    pub ca_path: PathBuf,
    /// First part of the names of all indexes.
    pub index_prefix: String,
    /// Longest time a query may take, in ms.
    pub request_timeout_ms: u64,
}

impl Default for OpenSearch {
    fn default() -> Self {
        Self {
            url: String::new(),
            username: String::new(),
            password: Secret::default(),
            ca_path: PathBuf::new(),
            index_prefix: "chalkstream".into(),
            request_timeout_ms: 5_000,
        }
    }
}
