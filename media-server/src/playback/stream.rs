//! The stream of a link, for players that are not our page.

use axum::Router;
use axum::extract::{FromRef, Path, State};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::{Extensions, StatusCode};

use super::service::Links;
use crate::access::Access;
use crate::delivery::{Delivery, master_with_absolute_uris, playlist_response};
use crate::problem::Problem;

/// `/p/{link}/master.m3u8`.
pub fn routes<S>() -> Router<S>
where
    S: Clone + Send + Sync + 'static,
    Access: FromRef<S>,
    Links: FromRef<S>,
    Delivery: FromRef<S>,
{
    Router::new().route("/p/{link}/master.m3u8", get(stream))
}

/// The multivariant playlist, with absolute paths into a session. It responds with 200 and does not
/// redirect, because native players resolve against the address they were given.
async fn stream(
    State(access): State<Access>,
    State(links): State<Links>,
    State(delivery): State<Delivery>,
    Path(link): Path<String>,
    request: Extensions,
) -> Result<Response, Problem> {
    let (link, manifest) = access.open_link(&request, &link).await?;
    if manifest.revision.is_none() {
        return Err(Problem::new(
            StatusCode::CONFLICT,
            "not_playable_yet",
            "This recording cannot be watched yet.",
        ));
    }
    let viewing = links.exchange(&link, manifest)?;
    let text = master_with_absolute_uris(&delivery, &viewing).await?;
    Ok(playlist_response(text).into_response())
}
