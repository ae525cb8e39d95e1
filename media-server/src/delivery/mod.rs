//! Delivery: the streams of a session, and nothing but what its own playlists name.

mod conditional;
mod hls;
mod hot;
mod index;
mod joined;
mod object;

#[cfg(test)]
mod joined_tests;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use chalkstream_store::layout;
use http::{HeaderMap, HeaderValue, Method, header};

pub use hot::Hot;
pub use object::{Keep, object_response};

use crate::app::{App, AppState};
use crate::auth::Viewing;
use crate::problem::Problem;
use hls::Plan;
use hot::Place;

/// `/s/{session}/{recording}/hls/…`.
pub fn routes() -> Router<App> {
    Router::new().route("/s/{session}/{recording}/hls/{*path}", get(serve))
}

async fn serve(
    State(app): State<App>,
    viewing: Viewing,
    Path((_, _, path)): Path<(String, String, String)>,
    method: Method,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let key = format!("hls/{path}");
    let master_key = layout::master_relative(viewing.session.revision);
    let master = master(&app, &viewing).await?;
    if key == master_key {
        return Ok(playlist_response(master.text.clone()).into_response());
    }
    // What the session's own playlists name, and the manifest knows: nothing else is there for it.
    if master.reachable.contains(&key) {
        return Ok(playlist_response(media(&app, &viewing, &key).await?.text.clone()).into_response());
    }
    let playlist = playlist_beside(&key).ok_or_else(Problem::forbidden)?;
    if !master.reachable.contains(&playlist)
        || !media(&app, &viewing, &playlist).await?.reachable.contains(&key)
    {
        return Err(Problem::forbidden());
    }
    let Some(facts) = viewing.manifest.objects.get(&key) else {
        // The source's own segments are named and not there.
        return joined::joined_response(&app, &viewing, &key, &method, &headers).await;
    };
    let place = (viewing.tenant.as_str(), viewing.recording(), key.as_str());
    if key.ends_with(".vtt") && !viewing.window().is_open() {
        return captions(&app, &viewing, &key).await;
    }
    object_response(&app, place, facts, &method, &headers, Keep::Immutable).await
}

/// A segment of captions for a session with a window: it holds a minute of words, and only those inside are given.
async fn captions(app: &AppState, viewing: &Viewing, key: &str) -> Result<Response, Problem> {
    let body = app.store.get(&layout::object_key(&viewing.tenant, viewing.recording(), key)).await?;
    let text = hls::captions_within(&String::from_utf8_lossy(&body), viewing.window());
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("text/vtt; charset=utf-8")),
        (header::CACHE_CONTROL, HeaderValue::from_static("private, no-store")),
    ];
    Ok((headers, text).into_response())
}

/// The multivariant playlist of a session, for a player that was given a link: with absolute paths.
pub async fn master_with_absolute_uris(app: &AppState, viewing: &Viewing) -> Result<String, Problem> {
    let plan = master(app, viewing).await?;
    let key = layout::master_relative(viewing.session.revision);
    Ok(hls::with_absolute_uris(&plan.text, &key, &viewing.base_path(app)))
}

/// A playlist as an answer: it belongs to the session, so nobody may keep it.
pub fn playlist_response(text: String) -> impl IntoResponse {
    let length = HeaderValue::from(text.len());
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("application/vnd.apple.mpegurl")),
        (header::CACHE_CONTROL, HeaderValue::from_static("private, no-store")),
        (header::CONTENT_LENGTH, length),
    ];
    (headers, text)
}

async fn master(app: &AppState, viewing: &Viewing) -> Result<Arc<Plan>, Problem> {
    let key = layout::master_relative(viewing.session.revision);
    let place = place(viewing, &key)?;
    app.hot.master(&place, viewing.session.max_bps, viewing.window()).await
}

async fn media(app: &AppState, viewing: &Viewing, key: &str) -> Result<Arc<Plan>, Problem> {
    app.hot.media(&place(viewing, key)?, viewing.window()).await
}

fn place<'a>(viewing: &'a Viewing, key: &'a str) -> Result<Place<'a>, Problem> {
    let facts = viewing.manifest.objects.get(key).ok_or_else(Problem::forbidden)?;
    Ok(Place { tenant: &viewing.tenant, recording: viewing.recording(), key, facts })
}

/// The media playlist that would name this segment: the one in its own folder.
fn playlist_beside(key: &str) -> Option<String> {
    Some(format!("{}/index.m3u8", key.rsplit_once('/')?.0))
}
