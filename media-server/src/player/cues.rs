//! Correcting cues on the page, for sessions whose link grants it.

use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use http::HeaderMap;

use crate::access::Viewing;
use crate::body::JsonBody;
use crate::corrections::{Corrections, CueChange, CueRequest, CueText, Revealed, one_line};
use crate::problem::Problem;
use crate::reason::Reason;

/// `/s/{session}/{recording}/cues/{cue}`: a cue and its versions.
pub(super) async fn get(
    State(corrections): State<Corrections>,
    viewing: Viewing,
    Path((_, _, cue)): Path<(String, String, String)>,
) -> Result<Response, Problem> {
    Ok(corrections.cue(request(&viewing, &cue)?).await?.into_response())
}

/// `PATCH` of the same: its text.
pub(super) async fn correct(
    State(corrections): State<Corrections>,
    viewing: Viewing,
    Path((_, _, cue)): Path<(String, String, String)>,
    headers: HeaderMap,
    JsonBody(body): JsonBody<CueText>,
) -> Result<Response, Problem> {
    let change = CueChange::Text(one_line(&body.text)?);
    let request = request(&viewing, &cue)?;
    Ok(corrections.change(request, &headers, &change, &viewing.session.viewer).await?.into_response())
}

/// `POST` to `…/undo`: takes its newest correction back.
pub(super) async fn undo(
    State(corrections): State<Corrections>,
    viewing: Viewing,
    Path((_, _, cue)): Path<(String, String, String)>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let request = request(&viewing, &cue)?;
    Ok(corrections
        .change(request, &headers, &CueChange::Undo, &viewing.session.viewer)
        .await?
        .into_response())
}

fn request<'a>(viewing: &'a Viewing, cue: &str) -> Result<CueRequest<'a>, Problem> {
    if !viewing.session.may_correct {
        return Err(Problem::forbidden(Reason::NoRightToCorrect));
    }
    let cue = cue.parse().map_err(|_| Problem::not_found())?;
    let revealed = Revealed::Only(&viewing.session.viewer);
    Ok(CueRequest { manifest: &viewing.manifest, cue, window: viewing.window(), revealed })
}
