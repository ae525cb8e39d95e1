//! Revoking a link, a session, a viewer, a recording or a key.

use axum::Json;
use axum::extract::State;
use chalkstream_store::Target;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::service::Links;
use crate::access::ApiCaller;
use crate::body::JsonBody;
use crate::problem::{Problem, ProblemBody};

/// What is refused from now on. Give exactly one field.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub struct RevocationRequest {
    /// A link's id; the sessions made of it end too.
    link: Option<String>,
    /// A session's id.
    session: Option<String>,
    /// All links and sessions of a viewer.
    viewer: Option<String>,
    /// All links to and sessions of a recording.
    recording: Option<String>,
    /// A signing key's `kid`, or an API key's id.
    key: Option<String>,
}

/// A revocation in force.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct RevocationView {
    /// Time of the revocation (RFC 3339).
    revoked_at: String,
    /// Seconds until every server applies it, at most.
    in_force_within_s: u32,
}

/// Revoke a link, session, viewer, recording or key.
///
/// Give exactly one of them. Every server refuses it within five seconds, and open event streams
/// end. A revocation cannot be undone.
#[utoipa::path(
    post, path = "/v1/revocations", tag = "playback", request_body = RevocationRequest,
    responses(
        (status = 201, body = RevocationView),
        (status = 400, body = ProblemBody),
        (status = 401, body = ProblemBody),
    ),
)]
pub async fn create(
    State(links): State<Links>,
    caller: ApiCaller,
    JsonBody(request): JsonBody<RevocationRequest>,
) -> Result<(StatusCode, Json<RevocationView>), Problem> {
    let target = target(request)?;
    let revocation = links.authority.revoke(&caller.tenant, target, None).await?;
    let view = RevocationView { revoked_at: revocation.at.to_string(), in_force_within_s: 5 };
    Ok((StatusCode::CREATED, Json(view)))
}

fn target(request: RevocationRequest) -> Result<Target, Problem> {
    let given = [
        request.link.map(Target::Link),
        request.session.map(Target::Session),
        request.viewer.map(Target::Viewer),
        request.recording.map(Target::Recording),
        request.key.map(Target::Key),
    ];
    let mut given = given.into_iter().flatten();
    match (given.next(), given.next()) {
        (Some(target), None) if (1..=128).contains(&name(&target).len()) => Ok(target),
        _ => Err(Problem::invalid(
            "revocation",
            "Name exactly one of link, session, viewer, recording or key, with 1 to 128 bytes.",
        )),
    }
}

fn name(target: &Target) -> &str {
    match target {
        Target::Link(id)
        | Target::Session(id)
        | Target::Viewer(id)
        | Target::Recording(id)
        | Target::Key(id) => id,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exactly_one_thing_is_revoked_at_a_time() {
        let parse = |text: &str| target(serde_json::from_str(text).expect("json"));
        assert_eq!(parse(r#"{"viewer":"v"}"#).expect("one"), Target::Viewer("v".into()));
        for bad in ["{}", r#"{"viewer":"v","link":"l"}"#, r#"{"link":""}"#] {
            assert_eq!(parse(bad).expect_err("refused").code(), "revocation");
        }
    }
}
