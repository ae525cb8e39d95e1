//! The index of a tenant: its names, its settings and its fields. A change here, in the terms of
//! `words.rs` or in `entry.rs` needs a new `VERSION`.

use chalkstream_meaning::DIMENSIONS;
use chalkstream_store::layout;
use serde_json::{Value, json};

use super::super::engine::Error;

/// Version of the index's format. Servers of another version use indexes of their own.
pub const VERSION: u32 = 1;

/// The names of a cluster's indexes. No tenant's id has a `_` or a `.`, so no name means two
/// things.
pub struct Names {
    prefix: String,
}

impl Names {
    /// Names that begin with a prefix, which has no `_` either.
    pub fn new(prefix: &str) -> Self {
        Self { prefix: prefix.into() }
    }

    /// The alias of a tenant's index. All requests use it.
    pub fn alias(&self, tenant: &str) -> Result<String, Error> {
        match layout::valid_tenant(tenant) {
            true => Ok(format!("{}_{tenant}_v{VERSION}", self.prefix)),
            false => Err(Error::Tenant),
        }
    }

    /// The tenant whose index has this alias.
    pub fn tenant<'a>(&self, alias: &'a str) -> Option<&'a str> {
        let rest = alias.strip_prefix(self.prefix.as_str())?.strip_prefix('_')?;
        let (tenant, version) = rest.split_once('_')?;
        (version == format!("v{VERSION}") && layout::valid_tenant(tenant)).then_some(tenant)
    }

    /// All aliases, as a pattern.
    pub fn all(&self) -> String {
        format!("{}_*_v{VERSION}", self.prefix)
    }

    /// The index of the servers' positions.
    pub fn positions(&self) -> String {
        format!("{}.positions_v{VERSION}", self.prefix)
    }
}

/// The index of positions. Nothing in it is searched.
pub fn positions() -> Value {
    json!({ "mappings": { "dynamic": false } })
}

/// A new index behind its alias. Not every cluster has vectors.
pub fn index(alias: &str, with_vectors: bool) -> Value {
    let words = |gap: u32| json!({ "type": "text", "analyzer": "whitespace", "position_increment_gap": gap });
    let keyword = || json!({ "type": "keyword", "ignore_above": 8_000 });
    let mut fields = json!({
        "kind": keyword(),
        "recording": keyword(),
        "tag": keyword(),
        "uploader": keyword(),
        "language": keyword(),
        "created_at_ms": { "type": "long" },
        "start_ms": { "type": "long" },
        "end_ms": { "type": "long" },
        "trust": { "type": "float" },
        "exact": words(0),
        "stem": words(0),
        "sound": words(0),
        // Title and uploader are two values, and no phrase reaches across.
        "title": words(100),
        "title_stem": words(100),
        "stored": { "type": "keyword", "index": false, "doc_values": false },
    });
    let mut settings = json!({
        // A change is visible after our own refresh, not before.
        "refresh_interval": "-1",
        "codec": "best_compression",
        // By default, removed documents are kept for 12 hours, and a merge leaves a tenth of them.
        "soft_deletes": { "retention_lease": { "period": "1m" } },
        "merge": { "policy": { "deletes_pct_allowed": 10, "expunge_deletes_allowed": 0 } },
    });
    if with_vectors {
        settings["knn"] = json!(true);
        fields["vector"] = json!({
            "type": "knn_vector",
            "dimension": DIMENSIONS,
            "data_type": "byte",
            "method": { "name": "hnsw", "engine": "lucene", "space_type": "cosinesimil" },
        });
    }
    // What is only searched is not stored a second time.
    let unstored = ["exact", "stem", "sound", "title", "title_stem", "vector"];
    json!({
        "aliases": { alias: {} },
        "settings": { "index": settings },
        "mappings": { "dynamic": false, "_source": { "excludes": unstored }, "properties": fields },
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_name_has_one_tenant() {
        let names = Names::new("chalkstream");
        for tenant in ["acme", "v1", "acme-v1", "positions", "a--"] {
            let alias = names.alias(tenant).unwrap();
            assert_eq!(names.tenant(&alias), Some(tenant));
            assert_eq!(Names::new("chalk").tenant(&alias), None);
        }
        for wrong in ["../acme", "", "Acme", "a_b", "*", "a,b"] {
            assert!(names.alias(wrong).is_err(), "{wrong}");
        }
        assert_eq!(names.tenant(&names.positions()), None);
        assert_eq!(names.tenant("chalkstream_acme_v0"), None);
    }
}
