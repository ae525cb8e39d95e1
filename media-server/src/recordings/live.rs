//! Event streams for platforms.

use axum::extract::{Path, State};
use axum::response::Response;
use chalkstream_store::Target;
use http::HeaderMap;

use super::service::Recordings;
use crate::access::ApiCaller;
use crate::events::{Audience, Streams, last_event_id};
use crate::problem::{Problem, ProblemBody};

/// Stream a recording's events (server-sent events).
///
/// `Last-Event-ID` resumes after that event. If events may have been lost, `reset` comes first:
/// read again what you follow. A stream ends after five minutes, and as soon as its key is revoked;
/// reconnect with the last id.
#[utoipa::path(
    get, path = "/v1/recordings/{id}/events", tag = "events", params(("id" = String, Path)),
    responses(
        (status = 200, content_type = "text/event-stream",
            description = "state, progress, step, transcript_ready, transcript_corrected, revision, deleted, reset"),
        (status = 404, body = ProblemBody),
        (status = 429, body = ProblemBody),
    ),
)]
pub async fn recording_events(
    State(recordings): State<Recordings>,
    State(streams): State<Streams>,
    caller: ApiCaller,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    recordings.current(&caller.tenant, &id).await?;
    let audience = Audience::Recording(caller.tenant, id);
    streams.open(audience, (vec![Target::Key(caller.key)], None), last_event_id(&headers))
}

/// Stream all events of the tenant (server-sent events).
///
/// `Last-Event-ID` resumes after that event. If events may have been lost, `reset` comes first:
/// read again what you follow. A stream ends after five minutes, and as soon as its key is revoked;
/// reconnect with the last id.
#[utoipa::path(
    get, path = "/v1/events", tag = "events",
    responses(
        (status = 200, content_type = "text/event-stream",
            description = "state, progress, step, transcript_ready, transcript_corrected, revision, deleted, reset"),
        (status = 401, body = ProblemBody),
        (status = 429, body = ProblemBody),
    ),
)]
pub async fn tenant_events(
    State(streams): State<Streams>,
    caller: ApiCaller,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    streams.open(
        Audience::Tenant(caller.tenant),
        (vec![Target::Key(caller.key)], None),
        last_event_id(&headers),
    )
}
