//! Access control: a platform with an API key, or a viewer with a session. Both are extractors, so
//! that a handler that names one cannot be reached without it.

use std::cell::Cell;
use std::sync::Arc;

use axum::extract::{FromRef, FromRequestParts, RawPathParams};
use chalkstream_store::{Authority, Manifest, State, Target, authority};
use http::request::Parts;
use http::{Extensions, StatusCode, header};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use zeroize::Zeroizing;

use crate::clock::now_s;
use crate::manifests::Manifests;
use crate::metrics::ReasonLabels;
use crate::permits::{PermitLimits, Permits, RequestPermit};
use crate::problem::Problem;
use crate::reason::Reason;
use crate::token::{self, Keys, Lifetimes, Link, RefusalReason, Session, Validity, VerifiedToken, Window};
use crate::url::PublicUrl;

/// Requests of one session at once. A page makes some ten.
const MAX_SESSION_REQUESTS: usize = 128;
/// One tenant may have this part of all connections.
const TENANT_SHARE: usize = 2;

/// Checks keys, links and sessions.
#[derive(Clone)]
pub struct Access {
    authority: Authority,
    manifests: Manifests,
    lifetimes: Lifetimes,
    tokens_refused: Family<ReasonLabels, Counter>,
    requests: Permits,
}

impl Access {
    /// Checks against `authority`, and counts what is refused.
    pub fn new(
        authority: Authority,
        manifests: Manifests,
        lifetimes: Lifetimes,
        tokens_refused: Family<ReasonLabels, Counter>,
        max_connections: usize,
    ) -> Self {
        let requests = Permits::new(PermitLimits {
            // A request has a connection, and these are limited.
            server: usize::MAX,
            tenant: (max_connections / TENANT_SHARE).max(1),
            session: MAX_SESSION_REQUESTS,
        });
        Self { authority, manifests, lifetimes, tokens_refused, requests }
    }

    /// Takes the permit of a request as soon as its caller is known, before storage is read.
    fn admit(&self, request: &Extensions, tenant: &str, session: Option<&str>) -> Result<(), Problem> {
        let permit = self.requests.take(tenant, session).map_err(|_| {
            let detail = "Too many requests of this caller at once; try again shortly.";
            Problem::new(StatusCode::TOO_MANY_REQUESTS, "too_many_requests", detail).retry_after_s(1)
        })?;
        if let Some(slot) = request.get::<RequestPermit>() {
            slot.keep(permit);
        }
        Ok(())
    }

    /// Verifies the session of a request with these extensions, and reads its recording. `asked` is
    /// the recording that the address names, if it names one.
    ///
    /// # Errors
    /// 403 if the session is not valid or for another recording, 429 if the session or its tenant
    /// has too many requests, 503 while keys cannot be trusted.
    pub async fn open_session(
        &self,
        request: &Extensions,
        text: &str,
        asked: Option<&str>,
    ) -> Result<Viewing, Problem> {
        let keys = SigningKeys::new(&self.authority);
        let verified = token::verify_session(text, &keys, &self.validity());
        let verified = self.check_session(verified, keys.missed.get())?;
        self.open_verified(request, text, asked, verified).await
    }

    /// The same for a token that loads images alone.
    async fn open_images(
        &self,
        request: &Extensions,
        text: &str,
        asked: Option<&str>,
    ) -> Result<Viewing, Problem> {
        let keys = SigningKeys::new(&self.authority);
        let verified = token::verify_images(text, &keys, &self.validity());
        let verified = self.check_session(verified, keys.missed.get())?;
        self.open_verified(request, text, asked, verified).await
    }

    fn check_session(
        &self,
        verified: Result<VerifiedToken<Session, String>, RefusalReason>,
        is_key_missing: bool,
    ) -> Result<VerifiedToken<Session, String>, Problem> {
        self.check_age()?;
        verified
            .and_then(|verified| {
                let session = &verified.claims;
                let targets = targets(session, &verified.kid);
                self.check_revoked(&verified.owner, &targets, session.first_issued_at_s())?;
                Ok(verified)
            })
            .map_err(|refused| self.refuse(refused, is_key_missing))
    }

    async fn open_verified(
        &self,
        request: &Extensions,
        text: &str,
        asked: Option<&str>,
        verified: VerifiedToken<Session, String>,
    ) -> Result<Viewing, Problem> {
        let recording = &verified.claims.recording;
        // The entire path segment: a session opens no other recording.
        if asked.is_some_and(|asked| asked != recording) {
            return Err(Problem::forbidden(Reason::OtherRecording));
        }
        self.admit(request, &verified.owner, Some(&verified.claims.id))?;
        let manifest = unless_deleted(self.manifests.get(&verified.owner, recording).await?, recording)?;
        Ok(Viewing {
            tenant: verified.owner,
            kid: verified.kid,
            session: verified.claims,
            token: text.into(),
            manifest,
        })
    }

    /// Verifies the link of a request with these extensions, and reads its recording. The tenant is
    /// the one whose key signed the link.
    ///
    /// # Errors
    /// 403 if the link is not valid, 429 if its tenant has too many requests, 503 while keys cannot
    /// be trusted.
    pub async fn open_link(
        &self,
        request: &Extensions,
        text: &str,
    ) -> Result<(VerifiedToken<Link, String>, Arc<Manifest>), Problem> {
        self.check_age()?;
        let keys = SigningKeys::new(&self.authority);
        let verified = token::verify_link(text, &keys, &self.validity())
            .and_then(|verified| {
                let targets = [
                    Target::Link(verified.claims.id.clone()),
                    Target::Viewer(verified.claims.viewer.clone()),
                    Target::Recording(verified.claims.recording.clone()),
                    Target::Key(verified.kid.clone()),
                ];
                self.check_revoked(&verified.owner, &targets, verified.claims.issued_at_s)?;
                Ok(verified)
            })
            .map_err(|refused| self.refuse(refused, keys.missed.get()))?;
        let (tenant, recording) = (&verified.owner, &verified.claims.recording);
        self.admit(request, tenant, None)?;
        let mut manifest = unless_deleted(self.manifests.get(tenant, recording).await?, recording)?;
        // A live revision disappears if its step fails. Read again, so that no viewer is sent to
        // one that is gone.
        if manifest.revision.as_ref().is_some_and(|revision| revision.is_live) {
            manifest = unless_deleted(self.manifests.renewed(tenant, recording).await?, recording)?;
        }
        Ok((verified, manifest))
    }

    fn validity(&self) -> Validity {
        let version_2_since_s = self.authority.version_2_since_s();
        Validity { now_s: now_s(), lifetimes: self.lifetimes, version_2_since_s }
    }

    /// Everybody is refused while revocations cannot be promised.
    fn check_age(&self) -> Result<(), Problem> {
        if self.authority.age() > authority::MAX_AGE {
            return Err(Problem::unavailable(
                "Keys and revocations cannot be read at the moment; try again shortly.",
            ));
        }
        Ok(())
    }

    fn check_revoked(
        &self,
        tenant: &str,
        targets: &[Target],
        issued_at_s: Option<u64>,
    ) -> Result<(), RefusalReason> {
        let revoked = self.authority.any_revoked(tenant, targets, issued_at_s);
        if revoked { Err(RefusalReason::Revoked) } else { Ok(()) }
    }

    fn refuse(&self, refused: RefusalReason, is_key_missing: bool) -> Problem {
        let mut problem = Problem::from(refused);
        if is_key_missing {
            problem = problem.because(Reason::TokenKeyUnknown);
        }
        self.tokens_refused.get_or_create(&ReasonLabels { reason: problem.code() }).inc();
        problem
    }
}

/// A request with a valid API key. It may touch only what belongs to `tenant`.
#[derive(Clone, Debug)]
pub struct ApiCaller {
    /// The tenant that the key belongs to.
    pub tenant: String,
    /// The key's id.
    pub key: String,
}

impl<S: Send + Sync> FromRequestParts<S> for ApiCaller
where
    Access: FromRef<S>,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let access = Access::from_ref(state);
        access.check_age()?;
        let text = parts
            .headers
            .get(header::AUTHORIZATION)
            .and_then(|value| value.to_str().ok())
            .and_then(|value| value.split_once(' '))
            .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
            .map(|(_, text)| text.trim())
            .ok_or_else(Problem::unauthorized)?;
        let key = access.authority.verify_api_key(text).ok_or_else(Problem::unauthorized)?;
        access.admit(&parts.extensions, &key.tenant, None)?;
        Ok(Self { tenant: key.tenant, key: key.id })
    }
}

/// A request under `/s/{session}/{recording}/…` with a valid session for exactly that recording.
///
/// A handler that serves words or images applies [`Viewing::window`], and reads nothing but
/// [`Viewing::recording`] of [`Viewing::tenant`].
#[derive(Clone, Debug)]
pub struct Viewing {
    /// The tenant whose key signed the session.
    pub tenant: String,
    /// The id of that key.
    pub kid: String,
    /// The session's claims.
    pub session: Session,
    /// The session's text, part of the addresses below it. Never log it.
    pub token: Arc<str>,
    /// The recording, as old as [`Manifests::get`] may return it; never a deleted one.
    pub manifest: Arc<Manifest>,
}

impl<S: Send + Sync> FromRequestParts<S> for Viewing
where
    Access: FromRef<S>,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let access = Access::from_ref(state);
        let (text, recording) = session_and_recording(parts, state).await?;
        access.open_session(&parts.extensions, &text, recording.as_deref()).await
    }
}

/// A request for one of a lesson's files, with a session, or with a token for its images alone.
#[derive(Clone, Debug)]
pub struct FileViewing {
    /// The session, or what the token for images says in its place.
    pub viewing: Viewing,
    /// True if it may load images and nothing else.
    pub only_images: bool,
}

impl<S: Send + Sync> FromRequestParts<S> for FileViewing
where
    Access: FromRef<S>,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let access = Access::from_ref(state);
        let (text, recording) = session_and_recording(parts, state).await?;
        let only_images = token::is_for_images(&text);
        let (request, asked) = (&parts.extensions, recording.as_deref());
        let viewing = match only_images {
            true => access.open_images(request, &text, asked).await?,
            false => access.open_session(request, &text, asked).await?,
        };
        Ok(Self { viewing, only_images })
    }
}

/// The path's session, and its recording if it names one.
async fn session_and_recording<S: Send + Sync>(
    parts: &mut Parts,
    state: &S,
) -> Result<(String, Option<String>), Problem> {
    let params = RawPathParams::from_request_parts(parts, state).await.map_err(|_| Problem::not_found())?;
    let param = |name: &str| params.iter().find(|(key, _)| *key == name).map(|(_, value)| value.to_owned());
    Ok((param("session").ok_or_else(Problem::not_found)?, param("recording")))
}

impl Viewing {
    /// Returns everything whose revocation ends this session.
    pub fn targets(&self) -> Vec<Target> {
        targets(&self.session, &self.kid).into()
    }

    /// The recording's id.
    pub fn recording(&self) -> &str {
        &self.session.recording
    }

    /// The part of the lesson that the session may see.
    pub fn window(&self) -> Window {
        self.session.window
    }

    /// `/s/{session}/{recording}/`, below the public URL's own path.
    pub fn base_path(&self, public_url: &PublicUrl) -> String {
        format!("{}/s/{}/{}/", public_url.path(), self.token, self.recording())
    }
}

fn targets(session: &Session, kid: &str) -> [Target; 5] {
    [
        Target::Session(session.id.clone()),
        Target::Link(session.link.clone()),
        Target::Viewer(session.viewer.clone()),
        Target::Recording(session.recording.clone()),
        Target::Key(kid.to_owned()),
    ]
}

/// The tenants' signing keys, as tokens need them.
struct SigningKeys<'a> {
    authority: &'a Authority,
    /// Whether a token named a key that is unknown or revoked. A response does not say that, the
    /// log does.
    missed: Cell<bool>,
}

impl<'a> SigningKeys<'a> {
    fn new(authority: &'a Authority) -> Self {
        Self { authority, missed: Cell::new(false) }
    }
}

impl Keys for SigningKeys<'_> {
    type Owner = String;

    fn find(&self, kid: &str) -> Option<(String, Zeroizing<Vec<u8>>)> {
        let found = self.authority.signing_key(kid).and_then(|key| {
            let secret = key.secret_bytes().ok().filter(|secret| secret.len() >= 32)?;
            Some((key.tenant, secret))
        });
        self.missed.set(found.is_none());
        found
    }
}

/// The response for a missing or deleted recording does not say whether it ever existed.
fn unless_deleted(manifest: Option<Arc<Manifest>>, recording: &str) -> Result<Arc<Manifest>, Problem> {
    let reason = match manifest {
        Some(manifest) if manifest.state != State::Deleted => return Ok(manifest),
        Some(_) => Reason::RecordingDeleted,
        None => Reason::NoRecording,
    };
    Err(Problem::forbidden(reason).with_recording(recording))
}
