//! Signing links and sessions.

use std::sync::Arc;

use chalkstream_config::{Playback, Settings};
use chalkstream_store::{Authority, Manifest, SigningKey, Target};
use prometheus_client::metrics::counter::Counter;

use super::quota::Quota;
use crate::access::Viewing;
use crate::problem::Problem;
use crate::reason::Reason;
use crate::token::{Link, Session, VerifiedToken, Window};
use crate::url::PublicUrl;

/// Mints links and makes sessions of them.
#[derive(Clone)]
pub struct Links {
    pub(super) authority: Authority,
    pub(super) limits: Playback,
    pub(super) public_url: PublicUrl,
    pub(super) quota: Quota,
    /// How long a revocation is kept.
    pub(super) revocation_life_s: u64,
    max_session_s: u64,
    sessions: Counter,
}

impl Links {
    /// Signs with the keys of `authority`, and counts the sessions.
    pub fn new(authority: Authority, settings: &Settings, public_url: PublicUrl, sessions: Counter) -> Self {
        let limits = settings.playback.clone();
        Self {
            authority,
            public_url,
            quota: Quota::new(limits.revocations_per_minute),
            limits,
            revocation_life_s: settings.revocation_life_s(),
            max_session_s: settings.max_session_s(),
            sessions,
        }
    }

    /// Makes a session of a valid link, for the newest revision. It lives for the length of the
    /// lesson and some hours, and carries the link's issue time. A link of version 1 has none, so
    /// its session has version 1 too: both count as issued before every revocation.
    ///
    /// # Errors
    /// If the link's key cannot sign any more.
    pub fn exchange(
        &self,
        link: &VerifiedToken<Link, String>,
        manifest: Arc<Manifest>,
    ) -> Result<Viewing, Problem> {
        let key = self.authority.signing_key(&link.kid).ok_or_else(no_signing_key)?;
        let claims = &link.claims;
        let issued_at_s = self.issue_time_s(&link.owner, &claims.viewer, &claims.recording);
        let lifetime_s = length_s(&manifest) + self.limits.session_extra_s;
        let session = Session {
            id: new_id(),
            link: claims.id.clone(),
            recording: claims.recording.clone(),
            viewer: claims.viewer.clone(),
            issued_at_s: claims.issued_at_s.map(|_| issued_at_s),
            expires_at_s: issued_at_s + lifetime_s.min(self.max_session_s),
            window: claims.window,
            max_bps: claims.max_bps,
            revision: newest_revision(&manifest),
            link_issued_at_s: claims.issued_at_s,
            may_correct: claims.may_correct,
        };
        let token = session.seal(&link.kid, &key.secret_bytes()?).into();
        self.sessions.inc();
        Ok(Viewing { tenant: link.owner.clone(), kid: link.kid.clone(), session, token, manifest })
    }

    /// Moves a session to the newest revision of its manifest. Its id, end and limits stay.
    ///
    /// # Errors
    /// If the session's key cannot sign any more.
    pub fn at_newest_revision(&self, mut viewing: Viewing) -> Result<Viewing, Problem> {
        let revision = newest_revision(&viewing.manifest);
        if revision != viewing.session.revision {
            let key = self.authority.signing_key(&viewing.kid).ok_or_else(no_signing_key)?;
            viewing.session.revision = revision;
            viewing.token = viewing.session.seal(&viewing.kid, &key.secret_bytes()?).into();
        }
        Ok(viewing)
    }

    /// Returns `{public_url}/s/{token}/{recording}/` for the still of a search result. The token
    /// loads images alone, lives as long as a link, and is revoked with it.
    ///
    /// # Errors
    /// If the tenant has no signing key.
    pub fn still_base(&self, link_id: &str, viewer: &str, manifest: &Manifest) -> Result<String, Problem> {
        let key = self.newest_key(&manifest.tenant).ok_or_else(no_signing_key)?;
        let issued_at_s = self.issue_time_s(&manifest.tenant, viewer, &manifest.recording);
        let session = Session {
            id: new_id(),
            link: link_id.into(),
            recording: manifest.recording.clone(),
            viewer: viewer.into(),
            issued_at_s: Some(issued_at_s),
            expires_at_s: issued_at_s + self.limits.link_ttl_s.min(self.max_session_s),
            window: Window::default(),
            max_bps: None,
            revision: newest_revision(manifest),
            link_issued_at_s: Some(issued_at_s),
            may_correct: false,
        };
        let token = session.seal_for_images(&key.kid, &key.secret_bytes()?);
        Ok(format!("{}/s/{token}/{}/", self.public_url.as_str(), manifest.recording))
    }

    /// The tenant's newest signing key that is not revoked.
    pub(super) fn newest_key(&self, tenant: &str) -> Option<SigningKey> {
        self.authority.newest_signing_key(tenant)
    }

    /// The issue time of what is made now for a viewer.
    pub(super) fn issue_time_s(&self, tenant: &str, viewer: &str, recording: &str) -> u64 {
        let targets = [Target::Viewer(viewer.into()), Target::Recording(recording.into())];
        self.authority.issue_time_s(tenant, &targets)
    }
}

/// A new id for a link or session.
pub(super) fn new_id() -> String {
    uuid::Uuid::now_v7().simple().to_string()
}

/// The newest published revision; 0 before there is one.
pub fn newest_revision(manifest: &Manifest) -> u32 {
    manifest.revision.as_ref().map_or(0, |revision| revision.id)
}

fn no_signing_key() -> Problem {
    Problem::forbidden(Reason::NoSigningKey)
}

fn length_s(manifest: &Manifest) -> u64 {
    manifest.media.as_ref().map_or(0, |media| media.duration_ms.div_ceil(1000))
}
