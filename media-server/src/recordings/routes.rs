//! Listing and reading recordings.

use axum::Json;
use axum::extract::{Path, Query, State};
use chalkstream_store::{State as RecordingState, layout};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::service::Recordings;
use super::view::RecordingView;
use crate::access::ApiCaller;
use crate::problem::{Problem, ProblemBody};

/// The selection of recordings.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ListQuery {
    /// Page size, 1 to 200 (default 50).
    limit: Option<usize>,
    /// `next` of the previous page.
    after: Option<String>,
    /// Only recordings in this state; 400 if there is no such state.
    state: Option<String>,
}

/// Recordings, newest first.
#[derive(Serialize, ToSchema)]
pub struct RecordingList {
    /// This page.
    recordings: Vec<RecordingView>,
    /// `after` of the next page; absent on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

/// List recordings, newest first.
#[utoipa::path(get, path = "/v1/recordings", tag = "recordings", params(ListQuery),
    responses(
        (status = 200, body = RecordingList),
        (status = 400, body = ProblemBody),
        (status = 401, body = ProblemBody),
    ))]
pub async fn list(
    State(recordings): State<Recordings>,
    caller: ApiCaller,
    query: Result<Query<ListQuery>, axum::extract::rejection::QueryRejection>,
) -> Result<Json<RecordingList>, Problem> {
    let Query(query) = query.map_err(|_| Problem::invalid("query", "The query string is not valid."))?;
    let limit = query.limit.unwrap_or(50).clamp(1, 200);
    let state = query.state.as_deref().map(parse_state).transpose()?;
    if query.after.as_ref().is_some_and(|after| !layout::valid_recording(after)) {
        return Err(Problem::invalid("after", "`after` is not the `next` of a page."));
    }
    let page = recordings.lists.page(&caller.tenant, state, query.after.as_deref(), limit).await?;
    let views = page.recordings.iter().map(|summary| RecordingView::brief(summary)).collect();
    Ok(Json(RecordingList { recordings: views, next: page.next }))
}

fn parse_state(name: &str) -> Result<RecordingState, Problem> {
    RecordingState::parse(name)
        .filter(|state| *state != RecordingState::Deleted)
        .ok_or_else(|| Problem::invalid("state", "There is no such state of a recording."))
}

/// Get a recording: its state, the progress of each step, and failures.
///
/// 410 once it is deleted.
#[utoipa::path(
    get, path = "/v1/recordings/{id}", tag = "recordings", params(("id" = String, Path)),
    responses(
        (status = 200, body = RecordingView),
        (status = 401, body = ProblemBody),
        (status = 404, body = ProblemBody),
        (status = 410, body = ProblemBody),
    ),
)]
pub async fn get(
    State(recordings): State<Recordings>,
    caller: ApiCaller,
    Path(id): Path<String>,
) -> Result<Json<RecordingView>, Problem> {
    let manifest = recordings.current(&caller.tenant, &id).await?;
    // If Redis is away, only the live progress is missing: the manifest has the state.
    let job = match manifest.state.is_terminal() {
        true => None,
        false => recordings.queue.job(&caller.tenant, &id).await.unwrap_or(None),
    };
    Ok(Json(RecordingView::new(&manifest, job.as_ref())))
}
