//! Revocations: what was issued before a time counts no longer.
//!
//! Storage is the truth. A process writes what it is asked for in small objects of many
//! revocations, the log. Objects are merged from time to time, and every server reads what is new.
//! No object names a person.

mod compaction;
mod entry;
mod hasher;
mod legacy;
mod live;
mod log;
mod record;
mod target;

#[cfg(test)]
mod tests;

#[cfg(test)]
pub(crate) use tests::write_log;

pub(crate) use compaction::compact;
pub use compaction::forget_old_revocations;
pub(crate) use entry::RevocationEntry;
pub(crate) use legacy::LegacyRevocation;
pub(crate) use live::LiveRevocations;
pub(crate) use log::{KnownObjects, RevocationLog};
pub(crate) use record::RevocationRecord;
pub use target::{Target, TargetKind, TargetName};

use jiff::Timestamp;

use crate::{RevokedKey, layout};

/// A revocation as it is listed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Revocation {
    /// Names it, to lift it; says nothing about a person.
    pub id: String,
    /// `link`, `session`, `viewer`, `recording` or `key`.
    pub kind: &'static str,
    /// The id of a recording or key; `None` for the others, which are stored as a hash.
    pub target: Option<String>,
    /// When it was made.
    pub revoked_at: Timestamp,
    /// Tokens issued before are refused.
    pub issued_before: Timestamp,
    /// When everything that it refuses has ended by itself, and it is forgotten; `None` for a key.
    pub until: Option<Timestamp>,
}

/// Takes a stored object into memory. Returns the key that one of an earlier build revokes.
pub(crate) fn read(key: &str, body: &[u8], live: &LiveRevocations) -> Option<RevokedKey> {
    if layout::revocation_log_level(key).is_some() {
        let parsed = record::parse(body);
        live.apply(&parsed.records);
        if parsed.unreadable > 0 {
            tracing::error!(key, lines = parsed.unreadable, "revocations cannot be read");
        }
        return None;
    }
    let Some(legacy) = LegacyRevocation::parse(key, body) else {
        tracing::error!(key, "object cannot be read, it is ignored");
        return None;
    };
    live.apply(legacy.record().as_ref());
    legacy.revoked_key()
}

impl Revocation {
    /// `None` if a time is beyond the calendar.
    pub(crate) fn new(name: &TargetName, entry: &RevocationEntry) -> Option<Self> {
        let second = |at_s: u64| Timestamp::from_second(i64::try_from(at_s).ok()?).ok();
        Some(Self {
            id: name.to_string(),
            kind: name.kind().as_str(),
            target: name.recording(),
            revoked_at: Timestamp::from_millisecond(i64::try_from(entry.at_ms()).ok()?).ok()?,
            issued_before: second(entry.issued_before_s())?,
            until: second(entry.until_s()),
        })
    }
}
