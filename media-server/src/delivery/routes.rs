//! The routes of a session's streams.

use axum::Router;
use axum::extract::{FromRef, Path, State};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use chalkstream_store::objects::sha256_hex;
use chalkstream_store::{Location, ObjectFacts, layout, read_manifest};
use http::{HeaderMap, HeaderValue, Method, header};

use super::captions;
use super::hls_filter::{self, SessionPlaylist};
use super::object::{CachePolicy, object_response};
use super::object_ref::ObjectRef;
use super::service::Delivery;
use super::session_playlists::{hevc, master, media, object_ref, playlist_of_segment, reason_for};
use super::source_segment::segment_response;
use crate::access::{Access, Viewing};
use crate::problem::Problem;
use crate::reason::Reason;
use crate::token::Window;

/// `/s/{session}/{recording}/hls/…`.
pub fn routes<S>() -> Router<S>
where
    S: Clone + Send + Sync + 'static,
    Access: FromRef<S>,
    Delivery: FromRef<S>,
{
    Router::new().route("/s/{session}/{recording}/hls/{*path}", get(serve))
}

async fn serve(
    State(delivery): State<Delivery>,
    viewing: Viewing,
    Path((_, _, path)): Path<(String, String, String)>,
    method: Method,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    respond_to(&delivery, &viewing, &path, &method, &headers).await
}

/// Responds to a request of a session for `path`, below `hls/`.
///
/// # Errors
/// 403 if the session may not have it.
pub async fn respond_to(
    delivery: &Delivery,
    viewing: &Viewing,
    path: &str,
    method: &Method,
    headers: &HeaderMap,
) -> Result<Response, Problem> {
    let key = format!("hls/{path}");
    let master = master(delivery, viewing).await?;
    if key == layout::master_relative(viewing.session.revision) {
        return Ok(playlist_response(master.text.clone()).into_response());
    }
    if key == layout::hevc_relative(viewing.session.revision) {
        let object = delivery.find(&viewing.manifest, &key).await?;
        let reason = object.map_or(Reason::NotInManifest, |_| Reason::AboveCap);
        let plan = hevc(delivery, viewing).await?.ok_or_else(|| Problem::forbidden(reason))?;
        return Ok(playlist_response(plan.text.clone()).into_response());
    }
    if let Some(live) = master.live_playlist() {
        return live_revision(delivery, viewing, &master, live, &key, (method, headers)).await;
    }
    // A session reaches only what its own playlists name and the manifest knows.
    let playlist =
        if master.named_keys.contains(&key) { Some(key.clone()) } else { playlist_of_segment(&key) };
    let playlist = playlist.ok_or_else(|| Problem::forbidden(Reason::NotInPlaylists))?;
    let named = master.named_keys.contains(&playlist)
        || hevc(delivery, viewing).await?.is_some_and(|plan| plan.named_keys.contains(&playlist));
    if !named {
        return Err(Problem::forbidden(reason_for(delivery, viewing, &key).await));
    }
    let plan = media(delivery, viewing, &playlist).await?;
    if playlist == key {
        return Ok(playlist_response(plan.text.clone()).into_response());
    }
    if !plan.named_keys.contains(&key) {
        return Err(Problem::forbidden(reason_for(delivery, viewing, &key).await));
    }
    let Some(object) = delivery.find(&viewing.manifest, &key).await? else {
        // The segments of the source rendition are named, but are not objects.
        return segment_response(delivery, viewing, &key, method, headers).await;
    };
    if key.ends_with(".vtt") {
        return captions::segment(delivery, viewing, (object, &playlist), method, headers).await;
    }
    object_response(delivery, object, method, headers, CachePolicy::Immutable).await
}

/// Serves a revision whose video is still being made.
///
/// Its video playlist is read again for each request. The audio playlist is cut to the same number
/// of segments. No manifest has the new segments yet: the playlist names each once it is complete
/// in storage.
async fn live_revision(
    delivery: &Delivery,
    viewing: &Viewing,
    master: &SessionPlaylist,
    live: &str,
    key: &str,
    (method, headers): (&Method, &HeaderMap),
) -> Result<Response, Problem> {
    let (tenant, recording) = (viewing.tenant.as_str(), viewing.recording());
    let video = delivery.playlists.live((tenant, recording, live), Window::default()).await?;
    let folder = live.strip_suffix(layout::LIVE_PLAYLIST).unwrap_or(live);
    if key == live {
        let plan = hls_filter::filter_media(&video.text, live, viewing.window());
        return Ok(playlist_response(plan.text).into_response());
    }
    if let Some(name) = key.strip_prefix(folder) {
        let named_keys = hls_filter::filter_media(&video.text, live, viewing.window()).named_keys;
        if name.contains('/') || !named_keys.contains(key) {
            let complete = hls_filter::filter_media(&video.text, live, Window::default());
            let is_named = complete.named_keys.contains(key);
            let reason = if is_named { Reason::OutsideWindow } else { Reason::NotInPlaylists };
            return Err(Problem::forbidden(reason));
        }
        return live_segment(delivery, viewing, key, (method, headers)).await;
    }
    let playlist = if master.named_keys.contains(key) {
        key.to_owned()
    } else {
        playlist_of_segment(key).unwrap_or_default()
    };
    if !master.named_keys.contains(&playlist) {
        return Err(Problem::forbidden(reason_for(delivery, viewing, key).await));
    }
    let complete = media(delivery, viewing, &playlist).await?;
    if playlist == key {
        // Cut first, and apply the window once, to the result.
        let complete = object_ref(delivery, viewing, &playlist).await?;
        let complete = delivery.playlists.media(&complete, Window::default()).await?;
        let plan = hls_filter::filter_media(
            &hls_filter::in_step(&complete.text, &video.text),
            key,
            viewing.window(),
        );
        return Ok(playlist_response(plan.text).into_response());
    }
    if !complete.named_keys.contains(key) {
        return Err(Problem::forbidden(reason_for(delivery, viewing, key).await));
    }
    let object = object_ref(delivery, viewing, key).await?;
    object_response(delivery, object, method, headers, CachePolicy::Immutable).await
}

/// Responds with a segment of a rendition that is still being made, or was when the session began.
async fn live_segment(
    delivery: &Delivery,
    viewing: &Viewing,
    key: &str,
    (method, headers): (&Method, &HeaderMap),
) -> Result<Response, Problem> {
    let respond = |object| object_response(delivery, object, method, headers, CachePolicy::Immutable);
    if let Some(object) = delivery.find(&viewing.manifest, key).await? {
        return respond(object).await;
    }
    let (tenant, recording) = (viewing.tenant.as_str(), viewing.recording());
    let storage_key = layout::object_key(tenant, recording, key);
    let failed = match delivery.store.head(&storage_key).await {
        Ok(size_bytes) => {
            // A key is written once, so its hash can stand for that of the content.
            let facts = ObjectFacts { size_bytes, sha256: sha256_hex(storage_key.as_bytes()) };
            let object = ObjectRef::new(tenant, recording, key, Location::of_object(key, &facts));
            match respond(object).await {
                Ok(response) => return Ok(response),
                Err(problem) => problem,
            }
        }
        Err(error) => error.into(),
    };
    // Once its step is over, it lies in an object with others. If no inventory has it, its step has
    // failed and was taken back: a 404, and not our fault.
    let newest = read_manifest(&delivery.store, tenant, recording).await?;
    let found = match newest {
        Some(manifest) => delivery.find(&manifest, key).await?,
        None => None,
    };
    match found {
        Some(object) => respond(object).await,
        None => Err(failed),
    }
}

/// A response with a playlist. It belongs to one session, so no cache may store it.
pub fn playlist_response(text: String) -> impl IntoResponse {
    let length = HeaderValue::from(text.len());
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("application/vnd.apple.mpegurl")),
        (header::CACHE_CONTROL, HeaderValue::from_static("private, no-store")),
        (header::CONTENT_LENGTH, length),
    ];
    (headers, text)
}
