//! Minting links.

use axum::Json;
use axum::extract::State;
use chalkstream_store::{State as RecordingState, layout};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::app::{App, AppState};
use crate::auth::ApiCaller;
use crate::body::JsonBody;
use crate::problem::{Problem, ProblemBody};
use crate::recordings::now_s;
use crate::token::{self, Link, Window};

/// What a link is asked to allow.
#[derive(Clone, Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LinkRequest {
    /// The recording.
    pub recording: String,
    /// For whom: an opaque name of at most 128 bytes.
    pub viewer: String,
    /// Seconds until it expires.
    #[serde(default)]
    pub expires_s: Option<u64>,
    /// Most bits per second a variant may have.
    #[serde(default)]
    pub max_bps: Option<u64>,
    /// First ms that may be seen.
    #[serde(default)]
    pub start_ms: Option<u64>,
    /// First ms that may no longer be seen.
    #[serde(default)]
    pub end_ms: Option<u64>,
}

/// A link.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct MintedLink {
    /// Name to revoke it by.
    pub id: String,
    /// The page.
    pub url: String,
    /// The stream alone, for a player of one's own.
    pub master_url: String,
    /// When it expires (RFC 3339).
    pub expires_at: String,
}

/// Mint a link to a recording.
#[utoipa::path(post, path = "/v1/links", tag = "playback", request_body = LinkRequest,
    responses((status = 201, body = MintedLink), (status = 400, body = ProblemBody), (status = 401, body = ProblemBody), (status = 404, body = ProblemBody)))]
pub async fn create(
    State(app): State<App>,
    caller: ApiCaller,
    JsonBody(request): JsonBody<LinkRequest>,
) -> Result<(StatusCode, Json<MintedLink>), Problem> {
    if !layout::valid_recording(&request.recording) {
        return Err(Problem::not_found());
    }
    match app.manifests.get(&caller.tenant, &request.recording).await? {
        Some(manifest) if manifest.state != RecordingState::Deleted => {}
        _ => return Err(Problem::not_found()),
    }
    Ok((StatusCode::CREATED, Json(mint(&app, &caller.tenant, &request)?)))
}

/// Mints a link with the tenant's newest signing key. Whether the recording exists is not looked at: a link to
/// nothing opens nothing.
///
/// # Errors
/// Where the request asks for what a link cannot say, or the tenant has no signing key.
pub fn mint(app: &AppState, tenant: &str, request: &LinkRequest) -> Result<MintedLink, Problem> {
    let key = app
        .authority
        .signing_keys(tenant)
        .into_iter()
        .find(|key| !key.revoked)
        .ok_or_else(|| Problem::invalid("no_signing_key", "This tenant has no signing key yet."))?;
    let secret = key.secret_bytes()?;
    let expires_at_s = now_s() + check(app, request)?;
    let link = Link {
        id: uuid::Uuid::now_v7().simple().to_string(),
        recording: request.recording.clone(),
        viewer: request.viewer.clone(),
        expires_at_s,
        window: Window { start_ms: request.start_ms, end_ms: request.end_ms },
        max_bps: request.max_bps,
    };
    let text = link.seal(&key.kid, &secret);
    Ok(MintedLink {
        url: format!("{}/watch/{text}", app.public_url),
        master_url: format!("{}/p/{text}/master.m3u8", app.public_url),
        expires_at: timestamp(expires_at_s),
        id: link.id,
    })
}

/// The seconds the link lives, if the request can be granted.
fn check(app: &AppState, request: &LinkRequest) -> Result<u64, Problem> {
    let limits = &app.settings.playback;
    if !token::is_viewer(&request.viewer) {
        return Err(Problem::invalid(
            "viewer",
            "A viewer is named with 1 to 128 bytes, without control characters.",
        ));
    }
    if let (Some(start), Some(end)) = (request.start_ms, request.end_ms)
        && start >= end
    {
        return Err(Problem::invalid("window", "start_ms must be below end_ms."));
    }
    let lives_s = request.expires_s.unwrap_or(limits.link_ttl_s);
    if !(1..=limits.link_ttl_max_s).contains(&lives_s) {
        return Err(Problem::invalid(
            "expires_s",
            format!("A link lives between 1 and {} seconds.", limits.link_ttl_max_s),
        ));
    }
    Ok(lives_s)
}

/// Seconds since 1970 as RFC 3339.
pub fn timestamp(at_s: u64) -> String {
    i64::try_from(at_s)
        .ok()
        .and_then(|at| jiff::Timestamp::from_second(at).ok())
        .map(|at| at.to_string())
        .unwrap_or_default()
}
