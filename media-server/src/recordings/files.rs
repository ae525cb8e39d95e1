//! A recording's transcript, for platforms.

use axum::extract::{Path, State};
use axum::response::Response;
use http::{HeaderMap, Method};

use super::service::Recordings;
use crate::access::ApiCaller;
use crate::delivery::{CachePolicy, Delivery, object_response};
use crate::problem::{Problem, ProblemBody};

/// Get the transcript, as JSON, WebVTT, SRT or plain text.
///
/// 404 until it is written; a recording without speech has one without cues.
#[utoipa::path(get, path = "/v1/recordings/{id}/transcript.{format}", tag = "recordings",
    params(("id" = String, Path), ("format" = String, Path, description = "json, vtt, srt or txt")),
    responses((status = 200, description = "The transcript"), (status = 404, body = ProblemBody)))]
pub async fn transcript(
    State(recordings): State<Recordings>,
    State(delivery): State<Delivery>,
    caller: ApiCaller,
    Path((id, format)): Path<(String, String)>,
    method: Method,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let name = match format.as_str() {
        "json" => "transcript.json",
        "vtt" => "captions.vtt",
        "srt" => "captions.srt",
        "txt" => "transcript.txt",
        _ => return Err(Problem::not_found()),
    };
    let manifest = recordings.current(&caller.tenant, &id).await?;
    let key = manifest.files.get(name).ok_or_else(Problem::not_found)?;
    let object = delivery.find(&manifest, key).await?.ok_or_else(Problem::not_found)?;
    object_response(&delivery, object, &method, &headers, CachePolicy::Private).await
}
