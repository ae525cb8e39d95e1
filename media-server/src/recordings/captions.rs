//! Captions that a platform uploads in place of what was recognised.

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use chalkstream_store::Manifest;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::service::Recordings;
use crate::access::ApiCaller;
use crate::body::TextBody;
use crate::corrections::{Corrections, NoCaptions, check_author, read_captions};
use crate::problem::{Problem, ProblemBody};

/// Who changes captions.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub struct CaptionsQuery {
    /// The person: an opaque name of at most 128 bytes.
    #[serde(default)]
    author: String,
}

/// Captions that were taken.
#[derive(Debug, Serialize, ToSchema)]
pub struct UploadedCaptions {
    /// Cues of the transcript now.
    cues: usize,
}

/// Upload captions, which replace the recognised transcript.
///
/// The body is a WebVTT or SubRip file in UTF-8, at most 2 MiB and 5,000 captions of 1,000
/// characters. Words that were recognised too keep their times. Corrections made before do not
/// apply to it, later ones do. Transcript, captions and search follow within five seconds, and a
/// new recognition changes nothing. 409 if there is no transcript yet.
#[utoipa::path(put, path = "/v1/recordings/{id}/transcript/captions", tag = "recordings",
    params(("id" = String, Path), CaptionsQuery),
    request_body(content = String, content_type = "text/vtt"),
    responses(
        (status = 200, body = UploadedCaptions),
        (status = 400, body = ProblemBody),
        (status = 404, body = ProblemBody),
        (status = 409, body = ProblemBody),
        (status = 413, body = ProblemBody),
    ))]
pub async fn upload(
    State(recordings): State<Recordings>,
    State(corrections): State<Corrections>,
    caller: ApiCaller,
    Path(id): Path<String>,
    query: Result<Query<CaptionsQuery>, QueryRejection>,
    TextBody(text): TextBody,
) -> Result<Json<UploadedCaptions>, Problem> {
    let author = author(query)?;
    let manifest = editable(&recordings, &caller, &id).await?;
    let duration_ms = manifest.media.as_ref().map_or(u64::MAX, |media| media.duration_ms);
    let cues = read_captions(&text, duration_ms).map_err(|none| {
        let detail = match none {
            NoCaptions::Empty => {
                "The body has no caption in the time of the recording: send WebVTT or SubRip."
            }
            NoCaptions::TooMany => "The file has more than 5,000 captions.",
            NoCaptions::TooLong => "A caption has more than 1,000 characters.",
        };
        Problem::invalid("captions", detail)
    })?;
    corrections.upload(&manifest, Some(&cues), &author).await?;
    Ok(Json(UploadedCaptions { cues: cues.len() }))
}

/// Take uploaded captions back: what was recognised applies again, with its corrections.
#[utoipa::path(delete, path = "/v1/recordings/{id}/transcript/captions", tag = "recordings",
    params(("id" = String, Path), CaptionsQuery),
    responses(
        (status = 204),
        (status = 400, body = ProblemBody),
        (status = 404, body = ProblemBody),
        (status = 409, body = ProblemBody),
    ))]
pub async fn take_back(
    State(recordings): State<Recordings>,
    State(corrections): State<Corrections>,
    caller: ApiCaller,
    Path(id): Path<String>,
    query: Result<Query<CaptionsQuery>, QueryRejection>,
) -> Result<StatusCode, Problem> {
    let author = author(query)?;
    let manifest = editable(&recordings, &caller, &id).await?;
    corrections.upload(&manifest, None, &author).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn author(query: Result<Query<CaptionsQuery>, QueryRejection>) -> Result<String, Problem> {
    let Query(query) = query.map_err(|_| Problem::invalid("query", "The query string is not valid."))?;
    check_author(&query.author)?;
    Ok(query.author)
}

async fn editable(recordings: &Recordings, caller: &ApiCaller, id: &str) -> Result<Manifest, Problem> {
    let manifest = recordings.current(&caller.tenant, id).await?;
    if !manifest.files.contains_key("transcript.json") {
        let detail = "The recording has no transcript yet, whose captions these could replace.";
        return Err(Problem::new(StatusCode::CONFLICT, "conflict", detail));
    }
    Ok(manifest)
}
