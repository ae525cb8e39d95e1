//! Who asks: a platform with an API key, or a viewer with a session. Extractors, so that a handler that names one
//! cannot be reached without it.

use std::sync::Arc;

use axum::extract::{FromRequestParts, RawPathParams};
use chalkstream_store::{Authority, Manifest, ObjectFacts, State, Target, layout};
use http::header;
use http::request::Parts;
use zeroize::Zeroizing;

use crate::app::{App, AppState};
use crate::problem::Problem;
use crate::recordings::now_s;
use crate::token::{self, Keys, Link, Refused, Session, Verified, Window};

/// The authority's copy is re-read every few seconds; when that has failed for this long, revocations can no longer
/// be promised and nobody is let in.
const AUTHORITY_MAX_AGE_S: u64 = 10;

/// A request with a good API key. All it may touch belongs to `tenant`.
#[derive(Clone, Debug)]
pub struct ApiCaller {
    /// The tenant the key speaks for.
    pub tenant: String,
    /// The key's id.
    pub key: String,
}

impl FromRequestParts<App> for ApiCaller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        check_age(app)?;
        let text = parts
            .headers
            .get(header::AUTHORIZATION)
            .and_then(|value| value.to_str().ok())
            .and_then(|value| value.split_once(' '))
            .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
            .map(|(_, text)| text.trim())
            .ok_or_else(Problem::unauthorized)?;
        let key = app.authority.verify_api_key(text).ok_or_else(Problem::unauthorized)?;
        Ok(Self { tenant: key.tenant, key: key.id })
    }
}

/// A request under `/s/{session}/{recording}/…` with a good session for that very recording.
///
/// Whoever serves words or pictures under it applies [`Viewing::window`], and reads nothing but
/// [`Viewing::tenant`]'s [`Viewing::recording`].
#[derive(Clone, Debug)]
pub struct Viewing {
    /// The tenant whose key signed the session.
    pub tenant: String,
    /// Name of that key.
    pub kid: String,
    /// What the session says.
    pub session: Session,
    /// The session's own text, for the addresses it inherits. Never to be logged.
    pub token: Arc<str>,
    /// The recording, at most two seconds old. Never a deleted one.
    pub manifest: Arc<Manifest>,
}

impl FromRequestParts<App> for Viewing {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        let params = RawPathParams::from_request_parts(parts, app).await.map_err(|_| Problem::not_found())?;
        let param = |name: &str| params.iter().find(|(key, _)| *key == name).map(|(_, value)| value);
        let text = param("session").ok_or_else(Problem::not_found)?;
        let viewing = Self::open(app, text).await?;
        // As whole segments: a session for one recording is nothing to any other.
        if param("recording").is_some_and(|asked| asked != viewing.session.recording) {
            return Err(Problem::forbidden());
        }
        Ok(viewing)
    }
}

impl Viewing {
    /// Verifies a session's text and reads its recording.
    ///
    /// # Errors
    /// 403 for a session that is not good, 503 while keys cannot be trusted.
    pub async fn open(app: &AppState, text: &str) -> Result<Self, Problem> {
        check_age(app)?;
        let verified = token::verify_session(text, &Ring(&app.authority), now_s())
            .and_then(|verified| {
                check_revoked(app, &verified.owner, &targets(&verified.claims, &verified.kid))?;
                Ok(verified)
            })
            .map_err(|refused| count(app, refused))?;
        let manifest = manifest(app, &verified.owner, &verified.claims.recording).await?;
        Ok(Self {
            tenant: verified.owner,
            kid: verified.kid,
            session: verified.claims,
            token: text.into(),
            manifest,
        })
    }

    /// All whose revocation ends this session.
    pub fn targets(&self) -> Vec<Target> {
        targets(&self.session, &self.kid).into()
    }

    /// The recording's id.
    pub fn recording(&self) -> &str {
        &self.session.recording
    }

    /// The part of the lesson that may be seen.
    pub fn window(&self) -> Window {
        self.session.window
    }

    /// `/s/{session}/{recording}/`, below the public URL's own path.
    pub fn base_path(&self, app: &AppState) -> String {
        format!("{}/s/{}/{}/", crate::url::path_of(&app.public_url), self.token, self.recording())
    }

    /// Absolute path of the multivariant playlist of the session's revision.
    pub fn master_path(&self, app: &AppState) -> String {
        self.base_path(app) + &layout::master_relative(self.session.revision)
    }

    /// Key (relative to the recording) and facts of a file by its logical name: `poster`, `transcript.json`, ….
    pub fn file(&self, name: &str) -> Option<(&str, &ObjectFacts)> {
        let key = self.manifest.files.get(name)?;
        Some((key, self.manifest.objects.get(key)?))
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

/// Verifies a link's text, and reads its recording. The link's tenant is the one whose key signed it.
///
/// # Errors
/// 403 for a link that is not good, 503 while keys cannot be trusted.
pub async fn open_link(
    app: &AppState,
    text: &str,
) -> Result<(Verified<Link, String>, Arc<Manifest>), Problem> {
    check_age(app)?;
    let verified = token::verify_link(text, &Ring(&app.authority), now_s())
        .and_then(|verified| {
            let targets = [
                Target::Link(verified.claims.id.clone()),
                Target::Viewer(verified.claims.viewer.clone()),
                Target::Recording(verified.claims.recording.clone()),
                Target::Key(verified.kid.clone()),
            ];
            check_revoked(app, &verified.owner, &targets)?;
            Ok(verified)
        })
        .map_err(|refused| count(app, refused))?;
    let (tenant, recording) = (&verified.owner, &verified.claims.recording);
    let known = manifest(app, tenant, recording).await?;
    // A revision that grows goes with the attempt that makes it: nobody is sent to one that was taken back.
    let grows = known.revision.as_ref().is_some_and(|revision| revision.growing);
    let manifest =
        if grows { unless_deleted(app.manifests.renewed(tenant, recording).await?)? } else { known };
    Ok((verified, manifest))
}

/// The tenant's signing keys, as tokens need them.
struct Ring<'a>(&'a Authority);

impl Keys for Ring<'_> {
    type Owner = String;

    fn find(&self, kid: &str) -> Option<(String, Zeroizing<Vec<u8>>)> {
        let key = self.0.signing_key(kid)?;
        let secret = key.secret_bytes().ok().filter(|secret| secret.len() >= 32)?;
        Some((key.tenant, secret))
    }
}

fn check_age(app: &AppState) -> Result<(), Problem> {
    if app.authority.age().as_secs() > AUTHORITY_MAX_AGE_S {
        return Err(Problem::unavailable(
            "Keys and revocations cannot be read at the moment; try again shortly.",
        ));
    }
    Ok(())
}

fn check_revoked(app: &AppState, tenant: &str, targets: &[Target]) -> Result<(), Refused> {
    if app.authority.any_revoked(tenant, targets) { Err(Refused::Revoked) } else { Ok(()) }
}

fn count(app: &AppState, refused: Refused) -> Problem {
    let problem = Problem::from(refused);
    let reason = crate::metrics::ReasonLabels { reason: problem.code() };
    app.metrics.tokens_refused.get_or_create(&reason).inc();
    problem
}

async fn manifest(app: &AppState, tenant: &str, recording: &str) -> Result<Arc<Manifest>, Problem> {
    unless_deleted(app.manifests.get(tenant, recording).await?)
}

/// A recording that is not there, or not any more, is answered like one that was never meant.
fn unless_deleted(manifest: Option<Arc<Manifest>>) -> Result<Arc<Manifest>, Problem> {
    manifest.filter(|manifest| manifest.state != State::Deleted).ok_or_else(Problem::forbidden)
}
