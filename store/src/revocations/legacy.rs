//! Revocations as earlier builds stored them: one object each, with the target in clear.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::entry::RevocationEntry;
use super::record::RevocationRecord;
use super::target::{Target, TargetName};
use crate::clock::now_s;
use crate::objects::sha256_hex;
use crate::{RevokedKey, layout};

/// No token lives longer, whatever the settings are: a link of 366 days, and its session.
const MAX_TOKEN_LIFE_S: u64 = 376 * 86_400;

/// An object of an earlier build.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct LegacyRevocation {
    pub(crate) tenant: String,
    pub(crate) target: Target,
    pub(crate) at: Timestamp,
    pub(crate) until: Option<Timestamp>,
}

impl LegacyRevocation {
    /// Reads an object; `None` if it is not one, or lies under another's key.
    pub(crate) fn parse(key: &str, body: &[u8]) -> Option<Self> {
        serde_json::from_slice(body).ok().filter(|read: &Self| read.key() == key)
    }

    pub(crate) fn key(&self) -> String {
        let kind = match self.target {
            Target::Link(_) => "link",
            Target::Session(_) => "session",
            Target::Viewer(_) => "viewer",
            Target::Recording(_) => "recording",
            Target::Key(_) => "key",
        };
        let mut text = String::new();
        for part in [&self.tenant, kind, self.target.id()] {
            text.push_str(&format!("{}:{part}", part.len()));
        }
        let until = self.until.map(|until| format!(".{}", until.as_millisecond())).unwrap_or_default();
        format!("{}{}{until}.json", layout::revocations_prefix(), sha256_hex(text.as_bytes()))
    }

    /// The same as a record; `None` for a key's.
    pub(crate) fn record(&self) -> Option<RevocationRecord> {
        let name = TargetName::new(&self.tenant, &self.target)?;
        let at_ms = u64::try_from(self.at.as_millisecond()).unwrap_or_default();
        let until_s = match self.until {
            Some(until) => u64::try_from(until.as_second()).unwrap_or_default(),
            None => now_s() + MAX_TOKEN_LIFE_S,
        };
        Some(RevocationRecord {
            tenant: self.tenant.clone(),
            name,
            entry: RevocationEntry::new(at_ms, until_s, false),
        })
    }

    /// The same as a revoked key; `None` for another's.
    pub(crate) fn revoked_key(&self) -> Option<RevokedKey> {
        let Target::Key(key) = &self.target else { return None };
        Some(RevokedKey { tenant: self.tenant.clone(), key: key.clone(), revoked_at: self.at })
    }
}
