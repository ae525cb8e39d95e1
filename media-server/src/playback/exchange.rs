//! A link is exchanged for a session: on opening the page, or the stream.

use axum::Router;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use chalkstream_store::Manifest;
use http::{HeaderValue, StatusCode, header};

use crate::app::{App, AppState};
use crate::auth::{Viewing, open_link};
use crate::delivery;
use crate::problem::Problem;
use crate::recordings::now_s;
use crate::token::{Link, Session, Verified};

/// `/watch/{link}`, `/watch/s/{session}` and `/p/{link}/master.m3u8`.
pub fn routes() -> Router<App> {
    Router::new()
        .route("/watch/{link}", get(watch))
        .route("/watch/s/{session}", get(watch_session))
        .route("/p/{link}/master.m3u8", get(stream))
}

/// The page of a link. A recording that cannot be watched yet gets a page that waits.
async fn watch(State(app): State<App>, Path(link): Path<String>) -> Response {
    let viewing = match open_link(&app, &link).await {
        Ok((link, manifest)) => exchange(&app, &link, manifest).await,
        Err(problem) => Err(problem),
    };
    page(&app, viewing).await
}

/// The page of a session: where the page has moved its own address to.
async fn watch_session(State(app): State<App>, Path(session): Path<String>) -> Response {
    let viewing = Viewing::open(&app, &session).await;
    page(&app, viewing).await
}

async fn page(app: &App, viewing: Result<Viewing, Problem>) -> Response {
    let shown = match viewing {
        Ok(viewing) => crate::player::page(app, &viewing).await,
        Err(problem) => Err(problem),
    };
    let mut response = shown.unwrap_or_else(|problem| crate::player::refusal(&problem));
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-store"));
    response
}

/// The multivariant playlist, with absolute paths into a session: 200 and no redirect, since native players keep
/// resolving against the address they were given.
async fn stream(State(app): State<App>, Path(link): Path<String>) -> Result<Response, Problem> {
    let (link, manifest) = open_link(&app, &link).await?;
    if manifest.revision.is_none() {
        return Err(Problem::new(
            StatusCode::CONFLICT,
            "not_playable_yet",
            "This recording cannot be watched yet.",
        ));
    }
    let viewing = exchange(&app, &link, manifest).await?;
    let text = delivery::master_with_absolute_uris(&app, &viewing).await?;
    Ok(delivery::playlist_response(text).into_response())
}

/// Makes a session of a good link: pinned to the newest revision, good for the lesson's length and some hours.
async fn exchange(
    app: &AppState,
    link: &Verified<Link, String>,
    manifest: std::sync::Arc<Manifest>,
) -> Result<Viewing, Problem> {
    let key = app.authority.signing_key(&link.kid).ok_or_else(Problem::forbidden)?;
    let secret = key.secret_bytes()?;
    let session = session_of(app, &link.claims, &manifest);
    let text = session.seal(&link.kid, &secret);
    app.metrics.sessions.inc();
    Ok(Viewing { tenant: link.owner.clone(), kid: link.kid.clone(), session, token: text.into(), manifest })
}

fn length_s(manifest: &Manifest) -> u64 {
    manifest.media.as_ref().map_or(0, |media| media.duration_ms.div_ceil(1000))
}

fn session_of(app: &AppState, link: &Link, manifest: &Manifest) -> Session {
    Session {
        id: uuid::Uuid::now_v7().simple().to_string(),
        link: link.id.clone(),
        recording: link.recording.clone(),
        viewer: link.viewer.clone(),
        expires_at_s: now_s() + length_s(manifest) + app.settings.playback.session_extra_s,
        window: link.window,
        max_bps: link.max_bps,
        revision: manifest.revision.as_ref().map_or(0, |revision| revision.id),
    }
}
