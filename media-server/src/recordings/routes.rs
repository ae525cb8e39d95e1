//! Listing and reading recordings.

use axum::Json;
use axum::extract::{Path, Query, State};
use chalkstream_store::{Manifest, State as RecordingState, layout};
use futures_util::StreamExt;
use futures_util::stream;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::service::Recordings;
use super::view::{RecordingView, state_name};
use crate::access::ApiCaller;
use crate::problem::{Problem, ProblemBody};

/// Manifests read in parallel for a list.
const READ_AT_ONCE: usize = 8;

/// The selection of recordings.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ListQuery {
    /// Page size, 1 to 200 (default 50).
    limit: Option<usize>,
    /// `next` of the previous page.
    after: Option<String>,
    /// Only recordings in this state.
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
    responses((status = 200, body = RecordingList), (status = 401, body = ProblemBody)))]
pub async fn list(
    State(recordings): State<Recordings>,
    caller: ApiCaller,
    query: Result<Query<ListQuery>, axum::extract::rejection::QueryRejection>,
) -> Result<Json<RecordingList>, Problem> {
    let Query(query) = query.map_err(|_| Problem::invalid("query", "The query string is not valid."))?;
    let limit = query.limit.unwrap_or(50).clamp(1, 200);
    // Ids rise with time; the list of folders is the only index.
    let mut ids = recordings.store.list_dirs(&layout::tenant_prefix(&caller.tenant)).await?;
    ids.retain(|id| layout::valid_recording(id) && query.after.as_ref().is_none_or(|after| id < after));
    let mut manifests = stream::iter(ids.into_iter().rev())
        .map(|id| {
            let (recordings, tenant) = (&recordings, &caller.tenant);
            async move { recordings.manifests.get(tenant, &id).await }
        })
        .buffered(READ_AT_ONCE);
    let mut page = Vec::new();
    let mut next = None;
    while let Some(manifest) = manifests.next().await {
        let Some(manifest) = manifest? else { continue };
        if manifest.state == RecordingState::Deleted
            || query.state.as_ref().is_some_and(|state| *state != state_name(manifest.state))
        {
            continue;
        }
        if page.len() == limit {
            next = page.last().map(|manifest: &std::sync::Arc<Manifest>| manifest.recording.clone());
            break;
        }
        page.push(manifest);
    }
    let page = page.iter().map(|manifest| RecordingView::brief(manifest)).collect();
    Ok(Json(RecordingList { recordings: page, next }))
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
