//! Revoking, lifting and listing revocations.

use jiff::Timestamp;

use super::Authority;
use super::snapshot;
use crate::clock::{now_ms, now_s};
use crate::revocations::{RevocationEntry, RevocationRecord};
use crate::{Error, Result, Revocation, RevokedKey, Target, TargetKind, TargetName, layout};

/// First part of the id of a key's revocation.
const KEY_ID: &str = "key-";
/// Bytes of the longest id that can be revoked.
const MAX_ID_BYTES: usize = 512;

/// A place in a list of revocations.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RevocationCursor {
    /// When the last one of a page was made, in ms since 1970.
    pub at_ms: u64,
    /// Its id.
    pub id: String,
}

impl Authority {
    /// Revokes everything of a target that was issued before now. Durable when this returns, in
    /// force here at once and on every server within five seconds.
    ///
    /// All that it can refuse has ended `life_s` seconds from now: then it is forgotten. A key
    /// stays revoked until that is lifted.
    ///
    /// # Errors
    /// [`Kind::NotFound`](crate::Kind) for a key that the tenant does not have.
    pub async fn revoke(&self, tenant: &str, target: &Target, life_s: u64) -> Result<Revocation> {
        let is_id = (1..=MAX_ID_BYTES).contains(&target.id().len());
        if !layout::valid_tenant(tenant) || !is_id {
            return Err(Error::invalid("nothing that can be revoked"));
        }
        let Some(name) = TargetName::new(tenant, target) else {
            return self.revoke_key(tenant, target.id()).await;
        };
        let mut at_ms = now_ms();
        // Another server lifted it, whose clock is ahead.
        if let Some(lifted) = self.live().entry(tenant, &name).filter(RevocationEntry::is_lifted) {
            at_ms = at_ms.max(lifted.at_ms() + 1);
        }
        let entry = RevocationEntry::new(at_ms, at_ms / 1000 + 1 + life_s, false);
        self.log().append(RevocationRecord { tenant: tenant.into(), name, entry }).await?;
        Revocation::new(&name, &entry).ok_or_else(|| Error::internal("a time beyond the calendar"))
    }

    async fn revoke_key(&self, tenant: &str, id: &str) -> Result<Revocation> {
        if !self.copy().has_key(tenant, id) {
            self.refresh().await?;
        }
        if !self.copy().has_key(tenant, id) {
            return Err(Error::not_found("this tenant has no such key"));
        }
        let revoked = RevokedKey { tenant: tenant.into(), key: id.into(), revoked_at: Timestamp::now() };
        let record = snapshot::Record::RevokedKey(revoked.clone());
        self.write(layout::revoked_key_key(id), &revoked, record).await?;
        Ok(key_revocation(&revoked))
    }

    /// Lifts a revocation by its id, on every server within five seconds. What was issued before it
    /// counts again.
    ///
    /// # Errors
    /// [`Kind::NotFound`](crate::Kind) if none of that id is in force.
    pub async fn lift(&self, tenant: &str, id: &str) -> Result<()> {
        let missing = || Error::not_found("there is no such revocation");
        if let Some(key) = id.strip_prefix(KEY_ID) {
            if !self.copy().is_key_revoked(tenant, key) {
                self.refresh().await?;
            }
            if !self.copy().is_key_revoked(tenant, key) {
                return Err(missing());
            }
            return self.remove(&layout::revoked_key_key(key)).await;
        }
        let name = TargetName::parse(id).ok_or_else(missing)?;
        let in_force =
            || self.live().entry(tenant, &name).filter(|e| !e.is_lifted() && e.until_s() > now_s());
        if in_force().is_none() {
            self.refresh().await?;
        }
        let revoked = in_force().ok_or_else(missing)?;
        let entry = RevocationEntry::new(now_ms().max(revoked.at_ms() + 1), revoked.until_s(), true);
        self.log().append(RevocationRecord { tenant: tenant.into(), name, entry }).await
    }

    /// True if a token with any of these targets, or a key, is refused. Without an issue time it
    /// counts as issued before every revocation.
    pub fn any_revoked(&self, tenant: &str, targets: &[Target], issued_at_s: Option<u64>) -> bool {
        let copy = self.copy();
        let is_key_revoked =
            |target: &Target| matches!(target, Target::Key(id) if copy.is_key_revoked(tenant, id));
        targets.iter().any(is_key_revoked) || self.live().refuses_any(tenant, targets, issued_at_s)
    }

    /// When a token that is issued now says it was: not before the targets' last revocation, which
    /// may be of this very second.
    pub fn issue_time_s(&self, tenant: &str, targets: &[Target]) -> u64 {
        let names = targets.iter().filter_map(|target| TargetName::new(tenant, target));
        let revoked = names
            .filter_map(|name| self.live().entry(tenant, &name))
            .filter(|entry| !entry.is_lifted())
            .map(|entry| entry.issued_before_s());
        revoked.chain([now_s()]).max().unwrap_or_default()
    }

    /// The number of targets of a tenant that are, or recently were, revoked.
    pub fn revocation_count(&self, tenant: &str) -> usize {
        self.live().count(tenant)
    }

    /// The number of all.
    pub fn all_revocations_count(&self) -> usize {
        self.live().count_all()
    }

    /// The revocation of one target, if it is in force.
    pub fn revocation(&self, tenant: &str, target: &Target) -> Option<Revocation> {
        match TargetName::new(tenant, target) {
            Some(name) => {
                let entry = self.live().entry(tenant, &name)?;
                (!entry.is_lifted() && entry.until_s() > now_s())
                    .then(|| Revocation::new(&name, &entry))
                    .flatten()
            }
            None => self.copy().revoked_keys(tenant).find(|key| key.key == target.id()).map(key_revocation),
        }
    }

    /// A tenant's revocations in force, newest first, at most `limit` after a place in the list. It
    /// looks at all of them: not for the runtime's own threads.
    pub fn revocations(
        &self,
        tenant: &str,
        kind: Option<TargetKind>,
        after: Option<&RevocationCursor>,
        limit: usize,
    ) -> Vec<Revocation> {
        let before = after.map(|after| (after.at_ms, TargetName::parse(&after.id)));
        let newest = self.live().newest(tenant, kind, before, limit, now_s());
        let mut found: Vec<Revocation> =
            newest.iter().filter_map(|(name, entry)| Revocation::new(name, entry)).collect();
        if kind.is_none() {
            let copy = self.copy();
            let keys = copy.revoked_keys(tenant).map(key_revocation);
            let is_after =
                |key: &Revocation| after.is_none_or(|after| order(key) < (after.at_ms, &*after.id));
            found.extend(keys.filter(is_after));
        }
        found.sort_by(|a, b| order(b).cmp(&order(a)));
        found.truncate(limit);
        found
    }

    /// A tenant's revoked keys, newest first.
    pub fn revoked_keys(&self, tenant: &str) -> Vec<Revocation> {
        let mut found: Vec<Revocation> = self.copy().revoked_keys(tenant).map(key_revocation).collect();
        found.sort_by(|a, b| order(b).cmp(&order(a)));
        found
    }
}

fn order(revocation: &Revocation) -> (u64, &str) {
    (u64::try_from(revocation.revoked_at.as_millisecond()).unwrap_or_default(), &revocation.id)
}

fn key_revocation(revoked: &RevokedKey) -> Revocation {
    Revocation {
        id: format!("{KEY_ID}{}", revoked.key),
        kind: "key",
        target: Some(revoked.key.clone()),
        revoked_at: revoked.revoked_at,
        issued_before: revoked.revoked_at,
        until: None,
    }
}
