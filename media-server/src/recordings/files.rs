//! A recording's transcript and talk times, for platforms.

use axum::extract::{Path, State};
use axum::response::Response;
use http::{HeaderMap, Method};

use super::service::Recordings;
use crate::access::ApiCaller;
use crate::delivery::{CachePolicy, Delivery, object_response, transcript_file};
use crate::problem::{Problem, ProblemBody};

/// Get the transcript, as JSON, WebVTT, SRT or plain text.
///
/// It has the corrections of its cues; a corrected cue says so. 404 until it is written; a
/// recording without speech has one without cues.
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
    let manifest = recordings.current(&caller.tenant, &id).await?;
    transcript_file(&delivery, &manifest, &format, &method, &headers).await
}

/// Get who speaks when, and for how long.
///
/// The main voice is the one that speaks longest. The figures are estimates; no voice is
/// identified. 404 until the transcript is written, and where no voice encoder is installed.
#[utoipa::path(get, path = "/v1/recordings/{id}/talk", tag = "recordings", params(("id" = String, Path)),
    responses((status = 200, description = "Turns, talk times and questions"),
        (status = 404, body = ProblemBody)))]
pub async fn talk(
    State(recordings): State<Recordings>,
    State(delivery): State<Delivery>,
    caller: ApiCaller,
    Path(id): Path<String>,
    method: Method,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let manifest = recordings.current(&caller.tenant, &id).await?;
    let key = manifest.files.get("talk.json").ok_or_else(Problem::not_found)?;
    let object = delivery.find(&manifest, key).await?.ok_or_else(Problem::not_found)?;
    object_response(&delivery, object, &method, &headers, CachePolicy::Private).await
}
