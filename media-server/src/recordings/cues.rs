//! Correcting the cues of a transcript, for platforms.

use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use chalkstream_store::Manifest;
use http::HeaderMap;
use serde::Deserialize;
use utoipa::ToSchema;

use super::service::Recordings;
use crate::access::ApiCaller;
use crate::body::JsonBody;
use crate::corrections::{Corrections, CueChange, CueRequest, CueView, Revealed, check_author, one_line};
use crate::problem::{Problem, ProblemBody};
use crate::token::Window;

/// The new text of a cue.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CueCorrection {
    /// At most 1,000 characters; line breaks become spaces. Empty if nothing was said.
    text: String,
    /// The person who corrects: an opaque name of at most 128 bytes.
    author: String,
}

/// Who takes a correction back.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CueUndo {
    /// The person: an opaque name of at most 128 bytes.
    author: String,
}

/// Get a cue and its corrections, with the entity tag that a change needs.
///
/// Its number is its `id` in `transcript.json`. A new recognition may give the number to another
/// cue; the entity tag is another one then.
#[utoipa::path(get, path = "/v1/recordings/{id}/transcript/cues/{cue}", tag = "recordings",
    params(("id" = String, Path), ("cue" = u64, Path)),
    responses((status = 200, body = CueView), (status = 404, body = ProblemBody)))]
pub async fn get(
    State(recordings): State<Recordings>,
    State(corrections): State<Corrections>,
    caller: ApiCaller,
    Path((id, cue)): Path<(String, String)>,
) -> Result<Response, Problem> {
    let manifest = recordings.current(&caller.tenant, &id).await?;
    Ok(corrections.cue(request(&manifest, &cue)?).await?.into_response())
}

/// Correct the text of a cue.
///
/// Words that stay keep their times, and new ones are spread between them. Captions, transcript and
/// search of every server follow within five seconds. A new recognition keeps the correction: it is
/// anchored by time and words. 412 if the cue is not as `If-Match` says, 409 if the recording has
/// as many corrections as one can have.
#[utoipa::path(patch, path = "/v1/recordings/{id}/transcript/cues/{cue}", tag = "recordings",
    params(("id" = String, Path), ("cue" = u64, Path),
        ("If-Match" = String, Header, description = "The entity tag of the cue that is corrected")),
    request_body = CueCorrection,
    responses(
        (status = 200, body = CueView),
        (status = 400, body = ProblemBody),
        (status = 404, body = ProblemBody),
        (status = 409, body = ProblemBody),
        (status = 412, body = ProblemBody),
        (status = 428, body = ProblemBody),
    ))]
pub async fn correct(
    State(recordings): State<Recordings>,
    State(corrections): State<Corrections>,
    caller: ApiCaller,
    Path((id, cue)): Path<(String, String)>,
    headers: HeaderMap,
    JsonBody(body): JsonBody<CueCorrection>,
) -> Result<Response, Problem> {
    let change = CueChange::Text(one_line(&body.text)?);
    apply((&recordings, &corrections), &caller, (&id, &cue), &headers, (&change, &body.author)).await
}

/// Take the newest correction of a cue back: the text before it applies again.
///
/// 409 if there is none left; 412 if the cue is not as `If-Match` says.
#[utoipa::path(post, path = "/v1/recordings/{id}/transcript/cues/{cue}/undo", tag = "recordings",
    params(("id" = String, Path), ("cue" = u64, Path),
        ("If-Match" = String, Header, description = "The entity tag of the cue")),
    request_body = CueUndo,
    responses(
        (status = 200, body = CueView),
        (status = 404, body = ProblemBody),
        (status = 409, body = ProblemBody),
        (status = 412, body = ProblemBody),
        (status = 428, body = ProblemBody),
    ))]
pub async fn undo(
    State(recordings): State<Recordings>,
    State(corrections): State<Corrections>,
    caller: ApiCaller,
    Path((id, cue)): Path<(String, String)>,
    headers: HeaderMap,
    JsonBody(body): JsonBody<CueUndo>,
) -> Result<Response, Problem> {
    let change = (&CueChange::Undo, body.author.as_str());
    apply((&recordings, &corrections), &caller, (&id, &cue), &headers, change).await
}

async fn apply(
    (recordings, corrections): (&Recordings, &Corrections),
    caller: &ApiCaller,
    (id, cue): (&str, &str),
    headers: &HeaderMap,
    (change, author): (&CueChange, &str),
) -> Result<Response, Problem> {
    check_author(author)?;
    let manifest = recordings.current(&caller.tenant, id).await?;
    let request = request(&manifest, cue)?;
    Ok(corrections.change(request, headers, change, author).await?.into_response())
}

/// A platform sees every cue and every author.
fn request<'a>(manifest: &'a Manifest, cue: &str) -> Result<CueRequest<'a>, Problem> {
    let cue = cue.parse().map_err(|_| Problem::not_found())?;
    Ok(CueRequest { manifest, cue, window: Window::default(), revealed: Revealed::All })
}
