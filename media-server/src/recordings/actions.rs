//! Cancelling a recording's job, and retrying it.

use axum::Json;
use axum::extract::{Path, State};
use chalkstream_store::{
    JobState, State as RecordingState, projection, retry as store_retry, submit, write_manifest,
};
use http::StatusCode;

use super::service::Recordings;
use super::view::RecordingView;
use crate::access::ApiCaller;
use crate::problem::{Problem, ProblemBody};

/// Cancel the job of a recording. Finished parts stay, and can be watched if there is a revision.
///
/// A recording that is cancelled already stays so. One that is ready, failed or still
/// awaiting its upload is refused with 409.
#[utoipa::path(
    post, path = "/v1/recordings/{id}/cancel", tag = "recordings", params(("id" = String, Path)),
    responses(
        (status = 200, body = RecordingView),
        (status = 404, body = ProblemBody),
        (status = 409, body = ProblemBody),
    ),
)]
pub async fn cancel(
    State(recordings): State<Recordings>,
    caller: ApiCaller,
    Path(id): Path<String>,
) -> Result<Json<RecordingView>, Problem> {
    let manifest = recordings.current(&caller.tenant, &id).await?;
    if manifest.state == RecordingState::Cancelled {
        return Ok(Json(RecordingView::new(&manifest, None)));
    }
    if manifest.state.is_terminal() || manifest.state == RecordingState::AwaitingUpload {
        return Err(conflict("This recording has no running job to cancel."));
    }
    let job = recordings.queue.cancel(&caller.tenant, &id).await?;
    // Read only now: a worker may have written a manifest since the first read.
    let mut manifest = recordings.current(&caller.tenant, &id).await?;
    match job {
        Some(job) if job.state != JobState::Cancelled => {
            return Err(conflict("The job of this recording has just ended."));
        }
        // A step's result is in the queue a moment before a worker writes it into the manifest.
        // After a cancellation no worker does.
        Some(job) => projection::project(&mut manifest, &job)?,
        // Not queued yet, or lost with Redis: without its marker it will never be.
        None => manifest.fence += 1,
    }
    manifest.state = RecordingState::Cancelled;
    write_manifest(&recordings.store, &manifest).await?;
    submit::clear(&recordings.store, &caller.tenant, &id).await?;
    recordings.announce(&manifest).await;
    Ok(Json(RecordingView::new(&manifest, None)))
}

/// Retry what failed or was cancelled. Finished steps are kept.
///
/// A recording that is failed or cancelled runs again, and so do failed optional steps of a ready
/// one. Anything else is refused with 409, and so is a recording whose source is gone.
#[utoipa::path(
    post, path = "/v1/recordings/{id}/retry", tag = "recordings", params(("id" = String, Path)),
    responses(
        (status = 202, body = RecordingView),
        (status = 404, body = ProblemBody),
        (status = 409, body = ProblemBody),
    ),
)]
pub async fn retry(
    State(recordings): State<Recordings>,
    caller: ApiCaller,
    Path(id): Path<String>,
) -> Result<(StatusCode, Json<RecordingView>), Problem> {
    let mut manifest = recordings.current(&caller.tenant, &id).await?;
    if !store_retry::is_possible(&manifest) {
        return Err(conflict("There is nothing to retry."));
    }
    let job = store_retry::one(&recordings.store, &recordings.queue, &mut manifest).await?;
    let job = job.ok_or_else(Problem::not_found)?;
    recordings.announce(&manifest).await;
    Ok((StatusCode::ACCEPTED, Json(RecordingView::new(&manifest, Some(&job)))))
}

fn conflict(detail: &'static str) -> Problem {
    Problem::new(StatusCode::CONFLICT, "conflict", detail)
}
