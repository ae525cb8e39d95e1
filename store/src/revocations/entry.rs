//! What is known of one target.

use super::target::TargetKind;

/// The state of a target. Twelve bytes, because there may be a million.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RevocationEntry {
    at_s: u32,
    at_sub_ms: u16,
    is_lifted: bool,
    until_s: u32,
}

impl RevocationEntry {
    /// Revoked, or lifted, at a time in ms; forgotten after `until_s`.
    pub(crate) fn new(at_ms: u64, until_s: u64, is_lifted: bool) -> Self {
        let seconds = |value: u64| u32::try_from(value).unwrap_or(u32::MAX);
        Self {
            at_s: seconds(at_ms / 1000),
            at_sub_ms: u16::try_from(at_ms % 1000).unwrap_or_default(),
            is_lifted,
            until_s: seconds(until_s),
        }
    }

    /// When, in ms since 1970.
    pub(crate) fn at_ms(&self) -> u64 {
        u64::from(self.at_s) * 1000 + u64::from(self.at_sub_ms)
    }

    /// The first second in which a token is issued after it.
    pub(crate) fn issued_before_s(&self) -> u64 {
        u64::from(self.at_s) + 1
    }

    /// When all that it concerns has ended, in seconds since 1970.
    pub(crate) fn until_s(&self) -> u64 {
        self.until_s.into()
    }

    /// True if the revocation was lifted.
    pub(crate) fn is_lifted(&self) -> bool {
        self.is_lifted
    }

    /// The later one counts. Of two at the same time, the revocation.
    pub(super) fn merged(self, other: Self) -> Self {
        let order = |entry: &Self| (entry.at_s, entry.at_sub_ms, !entry.is_lifted);
        let later = if order(&other) > order(&self) { other } else { self };
        Self { until_s: self.until_s.max(other.until_s), ..later }
    }

    /// True if a token of this target is refused. A link or session is issued once, so its
    /// revocation means that one; a token without an issue time counts as issued before.
    pub(super) fn refuses(&self, kind: TargetKind, issued_at_s: Option<u64>) -> bool {
        let is_issued_once = matches!(kind, TargetKind::Link | TargetKind::Session);
        let is_before = issued_at_s.is_none_or(|at_s| at_s < self.issued_before_s());
        !self.is_lifted && (is_issued_once || is_before)
    }
}
