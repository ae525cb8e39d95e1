//! Minting links.

use axum::Json;
use axum::extract::State;
use chalkstream_store::{State as RecordingState, layout};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::service::{Links, new_id};
use crate::access::ApiCaller;
use crate::body::JsonBody;
use crate::clock::rfc3339;
use crate::manifests::Manifests;
use crate::problem::{Problem, ProblemBody};
use crate::token::{self, Link, Window};

/// The rights that a link is asked to grant.
#[derive(Clone, Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LinkRequest {
    /// The recording.
    pub recording: String,
    /// The viewer: an opaque name of at most 128 bytes.
    pub viewer: String,
    /// Seconds until it expires; the default is a setting of the server.
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
    /// Rights beyond watching. Servers of earlier builds refuse a link that has any.
    #[serde(default)]
    pub rights: Vec<LinkRight>,
}

/// A right that a link grants beyond watching.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum LinkRight {
    /// To correct the transcript on the page.
    Correct,
}

/// A link.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct MintedLink {
    /// The id by which it can be revoked.
    pub id: String,
    /// Address of the page.
    pub url: String,
    /// Address of the stream, for players other than the page.
    pub master_url: String,
    /// When it expires (RFC 3339).
    pub expires_at: String,
}

/// Mint a link to a recording.
///
/// A link opens one recording for one viewer until it expires. It can be limited to a bandwidth and
/// to a part of the lesson. `POST /v1/revocations` withdraws it. An unknown or deleted recording is
/// refused with 404, and limits that no link can have with 400.
#[utoipa::path(
    post, path = "/v1/links", tag = "playback", request_body = LinkRequest,
    responses(
        (status = 201, body = MintedLink),
        (status = 400, body = ProblemBody),
        (status = 401, body = ProblemBody),
        (status = 404, body = ProblemBody),
    ),
)]
pub async fn create(
    State(links): State<Links>,
    State(manifests): State<Manifests>,
    caller: ApiCaller,
    JsonBody(request): JsonBody<LinkRequest>,
) -> Result<(StatusCode, Json<MintedLink>), Problem> {
    if !layout::valid_recording(&request.recording) {
        return Err(Problem::not_found());
    }
    match manifests.get(&caller.tenant, &request.recording).await? {
        Some(manifest) if manifest.state != RecordingState::Deleted => {}
        _ => return Err(Problem::not_found()),
    }
    Ok((StatusCode::CREATED, Json(links.mint(&caller.tenant, &request)?)))
}

impl Links {
    /// Mints a link with the tenant's newest signing key. It does not check whether the recording
    /// exists: a link to nothing opens nothing.
    ///
    /// # Errors
    /// If a link cannot express the request, or the tenant has no signing key.
    pub fn mint(&self, tenant: &str, request: &LinkRequest) -> Result<MintedLink, Problem> {
        let key = self
            .newest_key(tenant)
            .ok_or_else(|| Problem::invalid("no_signing_key", "This tenant has no signing key yet."))?;
        let secret = key.secret_bytes()?;
        let life_s = self.check(request)?;
        let issued_at_s = self.issue_time_s(tenant, &request.viewer, &request.recording);
        let expires_at_s = issued_at_s + life_s;
        let link = Link {
            id: new_id(),
            recording: request.recording.clone(),
            viewer: request.viewer.clone(),
            issued_at_s: Some(issued_at_s),
            expires_at_s,
            window: Window { start_ms: request.start_ms, end_ms: request.end_ms },
            max_bps: request.max_bps,
            may_correct: request.rights.contains(&LinkRight::Correct),
        };
        let (base, token) = (self.public_url.as_str(), link.seal(&key.kid, &secret));
        Ok(MintedLink {
            url: format!("{base}/watch/{token}"),
            master_url: format!("{base}/p/{token}/master.m3u8"),
            expires_at: rfc3339(expires_at_s),
            id: link.id,
        })
    }

    /// Checks a request; returns the seconds that its link lives.
    fn check(&self, request: &LinkRequest) -> Result<u64, Problem> {
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
        let ttl_s = request.expires_s.unwrap_or(self.limits.link_ttl_s);
        if !(1..=self.limits.link_ttl_max_s).contains(&ttl_s) {
            return Err(Problem::invalid(
                "expires_s",
                format!("A link lives between 1 and {} seconds.", self.limits.link_ttl_max_s),
            ));
        }
        Ok(ttl_s)
    }
}
