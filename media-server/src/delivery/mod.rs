//! Delivery: the streams of a session, and nothing but what its own playlists name.

mod conditional;
mod hls;
mod hot;
mod index;
mod joined;
mod object;
mod opening;
mod original;
mod units;

#[cfg(test)]
mod joined_tests;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use chalkstream_store::objects::sha256_hex;
use chalkstream_store::{ObjectFacts, layout};
use http::{HeaderMap, HeaderValue, Method, header};

pub use hot::Hot;
pub use object::{Keep, object_response};
pub use opening::{Opening, opening};
pub use original::{Original, original};

use crate::app::{App, AppState};
use crate::auth::Viewing;
use crate::problem::Problem;
use crate::token::Window;
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
    let master = master(&app, &viewing).await?;
    if key == layout::master_relative(viewing.session.revision) {
        return Ok(playlist_response(master.text.clone()).into_response());
    }
    if key == layout::hevc_relative(viewing.session.revision) {
        let plan = hevc(&app, &viewing).await?.ok_or_else(Problem::forbidden)?;
        return Ok(playlist_response(plan.text.clone()).into_response());
    }
    if let Some(growing) = master.growing() {
        return growing_revision(&app, &viewing, &master, growing, &key, (&method, &headers)).await;
    }
    // What the session's own playlists name, and the manifest knows: nothing else is there for it.
    let playlist = if master.reachable.contains(&key) { Some(key.clone()) } else { playlist_beside(&key) };
    let playlist = playlist.ok_or_else(Problem::forbidden)?;
    let named = master.reachable.contains(&playlist)
        || hevc(&app, &viewing).await?.is_some_and(|plan| plan.reachable.contains(&playlist));
    if !named {
        return Err(Problem::forbidden());
    }
    let plan = media(&app, &viewing, &playlist).await?;
    if playlist == key {
        return Ok(playlist_response(plan.text.clone()).into_response());
    }
    if !plan.reachable.contains(&key) {
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

/// A revision whose picture is still being made. Its media playlist is read anew, the sound's is kept in step with it, and
/// the segments are not in any manifest yet: the playlist names them once they are whole and in their place.
async fn growing_revision(
    app: &AppState,
    viewing: &Viewing,
    master: &Plan,
    growing: &str,
    key: &str,
    (method, headers): (&Method, &HeaderMap),
) -> Result<Response, Problem> {
    let at = |key| (viewing.tenant.as_str(), viewing.recording(), key);
    let all = app.hot.growing(at(growing), Window::default()).await?;
    let folder = growing.strip_suffix(layout::GROWING).unwrap_or(growing);
    if key == growing {
        let plan = hls::plan_media(&all.text, growing, viewing.window());
        return Ok(playlist_response(plan.text).into_response());
    }
    if let Some(name) = key.strip_prefix(folder) {
        let reachable = hls::plan_media(&all.text, growing, viewing.window()).reachable;
        if name.contains('/') || !reachable.contains(key) {
            return Err(Problem::forbidden());
        }
        let full = layout::object_key(&viewing.tenant, viewing.recording(), key);
        let facts = match viewing.manifest.objects.get(key) {
            Some(facts) => facts.clone(),
            // The key is written once, so it can stand for the bytes.
            None => {
                ObjectFacts { size_bytes: app.store.head(&full).await?, sha256: sha256_hex(full.as_bytes()) }
            }
        };
        return object_response(app, at(key), &facts, method, headers, Keep::Immutable).await;
    }
    let playlist = if master.reachable.contains(key) {
        key.to_owned()
    } else {
        playlist_beside(key).unwrap_or_default()
    };
    if !master.reachable.contains(&playlist) {
        return Err(Problem::forbidden());
    }
    let complete = media(app, viewing, &playlist).await?;
    if playlist == key {
        // Both as they are: the window is applied once, to what keeps step.
        let complete = app.hot.media(&place(viewing, &playlist)?, Window::default()).await?;
        let plan = hls::plan_media(&hls::in_step(&complete.text, &all.text), key, viewing.window());
        return Ok(playlist_response(plan.text).into_response());
    }
    let facts = viewing.manifest.objects.get(key).filter(|_| complete.reachable.contains(key));
    let facts = facts.ok_or_else(Problem::forbidden)?;
    object_response(app, at(key), facts, method, headers, Keep::Immutable).await
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

/// The multivariant playlist of the session's H.265 source, where there is one and the session may have so much.
async fn hevc(app: &AppState, viewing: &Viewing) -> Result<Option<Arc<Plan>>, Problem> {
    let key = layout::hevc_relative(viewing.session.revision);
    if !viewing.manifest.objects.contains_key(&key) {
        return Ok(None);
    }
    let place = place(viewing, &key)?;
    let plan = app.hot.master(&place, viewing.session.max_bps, viewing.window()).await?;
    // A cap leaves the lowest variant of any playlist, and this one may have no other.
    let least = original::least_bps(&plan.text);
    let may = least.is_some_and(|least| viewing.session.max_bps.is_none_or(|cap| least <= cap));
    Ok(Some(plan).filter(|_| may))
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
