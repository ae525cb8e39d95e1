//! The routes of deletions.

use axum::Json;
use axum::extract::{FromRef, Path, State};
use chalkstream_store::layout;
use http::{HeaderValue, StatusCode, header};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::receipt::DeletionReceipt;
use super::service::Deletions;
use crate::access::{Access, ApiCaller};
use crate::problem::{Problem, ProblemBody};

/// `DELETE /v1/recordings/{id}`, and `/v1/deletions/{id}`.
pub fn routes<S>() -> OpenApiRouter<S>
where
    S: Clone + Send + Sync + 'static,
    Access: FromRef<S>,
    Deletions: FromRef<S>,
{
    OpenApiRouter::new().routes(routes!(delete)).routes(routes!(get))
}

/// Delete a recording with everything made of it.
///
/// Once this answers, the recording is gone for platforms, and for viewers within five seconds. Its
/// job, upload and objects are removed in the background, also if the client goes away;
/// `Location` is the receipt. The same file can be uploaded again at once, as a new recording. A
/// second request gives the same receipt, and completes a first one that failed. 404 if there was
/// no such recording.
#[utoipa::path(
    delete, path = "/v1/recordings/{id}", tag = "recordings", params(("id" = String, Path)),
    responses(
        (status = 202, body = DeletionReceipt,
            description = "No longer served; Location is the address of the receipt"),
        (status = 401, body = ProblemBody),
        (status = 404, body = ProblemBody),
        (status = 503, body = ProblemBody),
    ),
)]
pub async fn delete(
    State(deletions): State<Deletions>,
    caller: ApiCaller,
    Path(id): Path<String>,
) -> Result<(StatusCode, [(header::HeaderName, HeaderValue); 1], Json<DeletionReceipt>), Problem> {
    if !layout::valid_recording(&id) {
        return Err(Problem::not_found());
    }
    let location = HeaderValue::try_from(deletions.receipt_path(&id)).map_err(Problem::internal)?;
    // A task of its own: if the client hangs up, the request's future is dropped.
    let work = tokio::spawn(async move { deletions.delete(&caller.tenant, &id).await });
    let deletion = work.await.map_err(Problem::internal)??;
    Ok((StatusCode::ACCEPTED, [(header::LOCATION, location)], Json(DeletionReceipt::new(deletion))))
}

/// Get the receipt of a deletion: what was removed, and by when nothing is left.
///
/// 404 if the recording was not deleted.
#[utoipa::path(
    get, path = "/v1/deletions/{id}", tag = "recordings", operation_id = "get_deletion",
    params(("id" = String, Path, description = "The recording that was deleted")),
    responses(
        (status = 200, body = DeletionReceipt),
        (status = 401, body = ProblemBody),
        (status = 404, body = ProblemBody),
    ),
)]
pub async fn get(
    State(deletions): State<Deletions>,
    caller: ApiCaller,
    Path(id): Path<String>,
) -> Result<Json<DeletionReceipt>, Problem> {
    if !layout::valid_recording(&id) {
        return Err(Problem::not_found());
    }
    Ok(Json(DeletionReceipt::new(deletions.read(&caller.tenant, &id).await?)))
}
