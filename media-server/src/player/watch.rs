//! The page of a link or session.

use axum::extract::{Path, State};
use axum::response::Response;
use http::{Extensions, HeaderValue, header};

use super::page;
use super::service::Player;
use crate::access::{Access, Viewing};
use crate::playback::Links;
use crate::problem::Problem;

/// `/watch/{link}`: exchanges the link for a session. The page of a recording that cannot be
/// watched yet waits for it.
pub(super) async fn watch(
    State(access): State<Access>,
    State(links): State<Links>,
    State(player): State<Player>,
    Path(link): Path<String>,
    request: Extensions,
) -> Response {
    let viewing = match access.open_link(&request, &link).await {
        Ok((link, manifest)) => links.exchange(&link, manifest),
        Err(problem) => Err(problem),
    };
    respond(&player, viewing).await
}

/// `/watch/s/{session}`: the address that the page moves itself to.
pub(super) async fn watch_session(
    State(access): State<Access>,
    State(player): State<Player>,
    Path(session): Path<String>,
    request: Extensions,
) -> Response {
    respond(&player, access.open_session(&request, &session, None).await).await
}

async fn respond(player: &Player, viewing: Result<Viewing, Problem>) -> Response {
    let page = match viewing {
        Ok(viewing) => {
            let page = page::page(player, &viewing).await;
            page.map_err(|problem| problem.with_recording(viewing.recording()))
        }
        Err(problem) => Err(problem),
    };
    let mut response = page.unwrap_or_else(|problem| page::refusal(player, problem));
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-store"));
    response
}
