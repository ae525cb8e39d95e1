//! Revoking a link, a session, a viewer, a recording or a key; listing and lifting revocations.

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use chalkstream_store::{Revocation, RevocationCursor, Target, TargetKind};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::service::Links;
use crate::access::ApiCaller;
use crate::body::JsonBody;
use crate::problem::{Problem, ProblemBody};

/// Most revocations in a page.
const MAX_PAGE: usize = 1_000;
/// Revocations in a page by default.
const DEFAULT_PAGE: usize = 100;

/// The target of a revocation. Give exactly one field.
#[derive(Clone, Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub struct RevocationRequest {
    /// A link's id; the sessions made of it end too.
    link: Option<String>,
    /// A session's id.
    session: Option<String>,
    /// All links of a viewer that were issued before now, and the sessions made of them.
    viewer: Option<String>,
    /// All links to a recording that were issued before now, and the sessions made of them.
    recording: Option<String>,
    /// A signing key's `kid`, or an API key's id.
    key: Option<String>,
}

/// A revocation in force.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct RevocationView {
    /// Names the revocation, to lift it. The same target has the same id again.
    id: String,
    /// `link`, `session`, `viewer`, `recording` or `key`.
    kind: &'static str,
    /// The id of a recording or key. The ids of links, sessions and viewers are not stored: find
    /// those revocations by asking for the target.
    #[serde(skip_serializing_if = "Option::is_none")]
    target: Option<String>,
    /// Time of the revocation (RFC 3339).
    revoked_at: String,
    /// Tokens issued before are refused (RFC 3339, a full second).
    issued_before: String,
    /// When all that it refuses has ended, and it is forgotten (RFC 3339); absent for a key.
    #[serde(skip_serializing_if = "Option::is_none")]
    ends_at: Option<String>,
    /// Seconds until every server applies it, at most.
    in_force_within_s: u32,
}

impl From<Revocation> for RevocationView {
    fn from(revocation: Revocation) -> Self {
        Self {
            id: revocation.id,
            kind: revocation.kind,
            target: revocation.target,
            revoked_at: revocation.revoked_at.to_string(),
            issued_before: revocation.issued_before.to_string(),
            ends_at: revocation.until.map(|until| until.to_string()),
            in_force_within_s: 5,
        }
    }
}

/// A page of revocations.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct RevocationList {
    /// Newest first.
    revocations: Vec<RevocationView>,
    /// Ask for the next page with this as `after`.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

/// Which revocations. At most one of `kind` and the five targets.
#[derive(Clone, Debug, Default, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct RevocationQuery {
    /// `link`, `session`, `viewer`, `recording` or `key`.
    kind: Option<String>,
    /// The revocation of this link.
    link: Option<String>,
    /// The revocation of this session.
    session: Option<String>,
    /// The revocation of this viewer.
    viewer: Option<String>,
    /// The revocation of this recording.
    recording: Option<String>,
    /// The revocation of this key.
    key: Option<String>,
    /// Most to return: 1 to 1,000, by default 100.
    limit: Option<usize>,
    /// `next` of the page before.
    after: Option<String>,
}

/// Revoke a link, session, viewer, recording or key.
///
/// Give exactly one of them. Every server refuses what was issued before within five seconds, and
/// open event streams end. A link for the same viewer that is made afterwards is valid. A key is
/// refused altogether. A revocation ends by itself when the last token that it refuses would have
/// ended. The rate for each tenant is limited (`playback.revocations_per_minute`), and so is the
/// number of revocations in force (`playback.revocations_max`): then 429.
#[utoipa::path(
    post, path = "/v1/revocations", tag = "playback", request_body = RevocationRequest,
    responses(
        (status = 201, body = RevocationView),
        (status = 400, body = ProblemBody),
        (status = 401, body = ProblemBody),
        (status = 404, body = ProblemBody, description = "the tenant has no such key"),
        (status = 429, body = ProblemBody),
    ),
)]
pub async fn create(
    State(links): State<Links>,
    caller: ApiCaller,
    JsonBody(request): JsonBody<RevocationRequest>,
) -> Result<(StatusCode, Json<RevocationView>), Problem> {
    let target = exactly_one(request)?;
    links.quota.take(&caller.tenant)?;
    let is_new = links.authority.revocation(&caller.tenant, &target).is_none();
    if is_new && links.authority.revocation_count(&caller.tenant) >= links.limits.revocations_max {
        return Err(Problem::new(
            StatusCode::TOO_MANY_REQUESTS,
            "too_many_revocations",
            "Too many revocations are in force; revoke the viewers, the recording or the signing key instead.",
        ));
    }
    let revocation = links.authority.revoke(&caller.tenant, &target, links.revocation_life_s).await?;
    Ok((StatusCode::CREATED, Json(revocation.into())))
}

/// List the revocations in force.
///
/// Newest first. Ask for a target (such as `viewer`) to find its revocation.
#[utoipa::path(
    get, path = "/v1/revocations", tag = "playback", operation_id = "list_revocations", params(RevocationQuery),
    responses(
        (status = 200, body = RevocationList),
        (status = 400, body = ProblemBody),
        (status = 401, body = ProblemBody),
    ),
)]
pub async fn list(
    State(links): State<Links>,
    caller: ApiCaller,
    query: Result<Query<RevocationQuery>, QueryRejection>,
) -> Result<Json<RevocationList>, Problem> {
    let Query(query) = query.map_err(|_| Problem::invalid("query", "The query string is not valid."))?;
    let request = RevocationRequest {
        link: query.link,
        session: query.session,
        viewer: query.viewer,
        recording: query.recording,
        key: query.key,
    };
    let page = |found: Vec<Revocation>, next| {
        Json(RevocationList { revocations: found.into_iter().map(Into::into).collect(), next })
    };
    let mut targets = targets(request);
    match (targets.pop(), targets.is_empty(), query.kind.as_deref()) {
        (Some(target), true, None) => {
            Ok(page(links.authority.revocation(&caller.tenant, &target).into_iter().collect(), None))
        }
        (None, _, Some("key")) => Ok(page(links.authority.revoked_keys(&caller.tenant), None)),
        (None, _, word) => {
            let kind = match word {
                Some(word) => Some(TargetKind::parse(word).ok_or_else(which)?),
                None => None,
            };
            let limit = query.limit.unwrap_or(DEFAULT_PAGE);
            if !(1..=MAX_PAGE).contains(&limit) {
                return Err(Problem::invalid("limit", format!("limit is between 1 and {MAX_PAGE}.")));
            }
            let after = match query.after.as_deref() {
                Some(text) => Some(cursor(text).ok_or_else(|| {
                    Problem::invalid("after", "after is the value of next in the page before.")
                })?),
                None => None,
            };
            // It looks at every revocation of the tenant.
            let (authority, tenant) = (links.authority.clone(), caller.tenant);
            let found = tokio::task::spawn_blocking(move || {
                authority.revocations(&tenant, kind, after.as_ref(), limit)
            });
            let found = found.await.map_err(Problem::internal)?;
            let next = found.last().filter(|_| found.len() == limit).map(cursor_text);
            Ok(page(found, next))
        }
        _ => Err(which()),
    }
}

/// Lift a revocation.
///
/// What was issued before it is valid again, on every server within five seconds.
#[utoipa::path(
    delete, path = "/v1/revocations/{id}", tag = "playback", operation_id = "lift_revocation", params(("id" = String, Path)),
    responses(
        (status = 204),
        (status = 401, body = ProblemBody),
        (status = 404, body = ProblemBody),
        (status = 429, body = ProblemBody),
    ),
)]
pub async fn lift(
    State(links): State<Links>,
    caller: ApiCaller,
    Path(id): Path<String>,
) -> Result<StatusCode, Problem> {
    links.quota.take(&caller.tenant)?;
    links.authority.lift(&caller.tenant, &id).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn which() -> Problem {
    Problem::invalid("revocation", "Ask for one kind, or for one link, session, viewer, recording or key.")
}

fn cursor_text(last: &Revocation) -> String {
    format!("{}-{}", last.revoked_at.as_millisecond(), last.id)
}

fn cursor(text: &str) -> Option<RevocationCursor> {
    let (at_ms, id) = text.split_once('-')?;
    Some(RevocationCursor { at_ms: at_ms.parse().ok()?, id: id.into() })
}

fn targets(request: RevocationRequest) -> Vec<Target> {
    let given = [
        request.link.map(Target::Link),
        request.session.map(Target::Session),
        request.viewer.map(Target::Viewer),
        request.recording.map(Target::Recording),
        request.key.map(Target::Key),
    ];
    given.into_iter().flatten().collect()
}

fn exactly_one(request: RevocationRequest) -> Result<Target, Problem> {
    let mut targets = targets(request);
    match (targets.pop(), targets.is_empty()) {
        (Some(target), true) if (1..=128).contains(&target.id().len()) => Ok(target),
        _ => Err(Problem::invalid(
            "revocation",
            "Name exactly one of link, session, viewer, recording or key, with 1 to 128 bytes.",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exactly_one_thing_is_revoked_at_a_time() {
        let parse = |text: &str| exactly_one(serde_json::from_str(text).expect("json"));
        assert_eq!(parse(r#"{"viewer":"v"}"#).expect("one"), Target::Viewer("v".into()));
        for bad in ["{}", r#"{"viewer":"v","link":"l"}"#, r#"{"link":""}"#] {
            assert_eq!(parse(bad).expect_err("refused").code(), "revocation");
        }
    }

    #[test]
    fn a_place_in_the_list_is_read_back() {
        let id = "viewer-00000000000000000000000000000000";
        let read = cursor(&format!("1795000000123-{id}")).expect("a cursor");
        assert_eq!((read.at_ms, read.id.as_str()), (1_795_000_000_123, id));
        assert!(cursor("x-viewer").is_none() && cursor("").is_none());
    }
}
