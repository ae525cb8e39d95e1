//! The files of a lesson next to its stream: images, words and events, each only for the session's
//! recording.

use axum::body::Body;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse, Response};
use chalkstream_store::layout;
use http::{HeaderMap, HeaderValue, Method, header};
use serde::Deserialize;

use crate::access::{FileViewing, Viewing};
use crate::delivery::{CachePolicy, Delivery, caption_file, object_response};
use crate::events::{Audience, Streams, last_event_id};
use crate::problem::Problem;
use crate::reason::Reason;
use crate::transcripts::Transcripts;

/// `/s/{session}/{recording}/events`: the recording's events.
pub(super) async fn events(
    State(streams): State<Streams>,
    viewing: Viewing,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let audience = Audience::Recording(viewing.tenant.clone(), viewing.recording().to_owned());
    streams.open(audience, (viewing.targets(), viewing.session.first_issued_at_s()), last_event_id(&headers))
}

/// The requested part of a transcript: the cues that begin in it. In ms.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
pub(super) struct TimeRange {
    #[serde(default)]
    from_ms: Option<u64>,
    #[serde(default)]
    to_ms: Option<u64>,
}

impl TimeRange {
    fn is_all(self) -> bool {
        self.from_ms.is_none() && self.to_ms.is_none()
    }

    fn holds(self, start_ms: u64) -> bool {
        self.from_ms.is_none_or(|from| start_ms >= from) && self.to_ms.is_none_or(|to| start_ms < to)
    }
}

/// `/s/{session}/{recording}/{file}`: poster, storyboard, transcript, captions, talk times.
///
/// A session with a window gets the words inside it and no images, because a storyboard sheet
/// covers the entire lesson. The address of a search result's still loads images and nothing else.
pub(super) async fn serve(
    State(delivery): State<Delivery>,
    State(transcripts): State<Transcripts>,
    FileViewing { viewing, only_images }: FileViewing,
    Path((_, _, file)): Path<(String, String, String)>,
    part: Result<Query<TimeRange>, QueryRejection>,
    method: Method,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let window = viewing.window();
    if only_images && !file.ends_with(".jpg") {
        return Err(Problem::forbidden(Reason::ImagesOnly));
    }
    if file == "transcript.json" {
        let Query(part) = part.map_err(|_| Problem::invalid("query", "The query string is not valid."))?;
        return transcript(&delivery, &transcripts, &viewing, part).await;
    }
    if !window.is_open() {
        return Err(Problem::forbidden(Reason::OutsideWindow));
    }
    if file == "captions.vtt" {
        return caption_file(&delivery, &viewing.manifest, &method, &headers).await;
    }
    let key = key(&viewing, &file).ok_or_else(Problem::not_found)?;
    let object = delivery.find(&viewing.manifest, &key).await?;
    let object = object.ok_or_else(|| Problem::not_found().because(Reason::NotInManifest))?;
    object_response(&delivery, object, &method, &headers, CachePolicy::Private).await
}

/// The key of a file by its name; `None` for any other name.
fn key(viewing: &Viewing, file: &str) -> Option<String> {
    let files = &viewing.manifest.files;
    match file {
        "poster.jpg" => files.get("poster").cloned(),
        "storyboard.vtt" | "talk.json" => files.get(file).cloned(),
        sheet => {
            let number = sheet.strip_prefix("storyboard-")?.strip_suffix(".jpg")?;
            if !(1..=6).contains(&number.len()) || !number.bytes().all(|b| b.is_ascii_digit()) {
                return None;
            }
            // Sheets lie next to the track that names them.
            let (folder, _) = files.get("storyboard.vtt")?.rsplit_once('/')?;
            Some(format!("{folder}/{sheet}"))
        }
    }
}

/// The transcript, without an entity tag so that it may be compressed: it is text, and the
/// connection may be weak.
async fn transcript(
    delivery: &Delivery,
    transcripts: &Transcripts,
    viewing: &Viewing,
    part: TimeRange,
) -> Result<Response, Problem> {
    let manifest = &viewing.manifest;
    let key = manifest.files.get("transcript.json").ok_or_else(Problem::not_found)?;
    let window = viewing.window();
    let body = if window.is_open() && part.is_all() && !transcripts.is_corrected(manifest).await? {
        let key = layout::object_key(&viewing.tenant, viewing.recording(), key);
        Body::from_stream(delivery.store.read(&key, None).await?.stream)
    } else {
        let found = transcripts.get(manifest).await?.ok_or_else(Problem::not_found)?;
        // The cues that lie entirely inside the window, as in search, and begin in the part.
        let is_wanted = |start_ms, end_ms| window.holds(start_ms, end_ms) && part.holds(start_ms);
        Body::from(found.select(is_wanted))
    };
    let mut response = body.into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-store"));
    Ok(response)
}
