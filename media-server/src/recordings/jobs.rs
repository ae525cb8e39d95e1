//! The jobs of a tenant, for operators.

use axum::Json;
use axum::extract::{Query, State};
use chalkstream_store::{JobFilter, JobView};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::service::Recordings;
use crate::access::ApiCaller;
use crate::problem::{Problem, ProblemBody};

/// The selection of jobs.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub struct JobsQuery {
    /// `true` for failed jobs only.
    failed: Option<bool>,
    /// Page size, 1 to 500 (default 100).
    limit: Option<usize>,
}

/// Jobs, newest first.
#[derive(Serialize, ToSchema)]
pub struct JobList {
    /// The jobs with their steps.
    #[schema(value_type = Vec<Object>)]
    jobs: Vec<JobView>,
}

/// List jobs, newest first.
#[utoipa::path(
    get, path = "/v1/jobs", tag = "recordings", params(JobsQuery),
    responses(
        (status = 200, body = JobList),
        (status = 401, body = ProblemBody),
        (status = 503, body = ProblemBody),
    ),
)]
pub async fn list(
    State(recordings): State<Recordings>,
    caller: ApiCaller,
    query: Result<Query<JobsQuery>, axum::extract::rejection::QueryRejection>,
) -> Result<Json<JobList>, Problem> {
    let Query(query) = query.map_err(|_| Problem::invalid("query", "The query string is not valid."))?;
    let filter = if query.failed.unwrap_or(false) { JobFilter::Failed } else { JobFilter::All };
    let limit = query.limit.unwrap_or(100).clamp(1, 500);
    Ok(Json(JobList { jobs: recordings.queue.jobs(Some(&caller.tenant), filter, limit).await? }))
}
