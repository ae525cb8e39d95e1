//! The files of a lesson next to its stream: images, words and events, each only for the session's
//! recording.

use axum::body::Body;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse, Response};
use chalkstream_store::layout;
use http::{HeaderMap, HeaderValue, Method, header};
use serde::Deserialize;
use serde_json::Value;

use crate::access::Viewing;
use crate::delivery::{CachePolicy, Delivery, ObjectRef, object_response};
use crate::events::{Audience, Streams, last_event_id};
use crate::problem::Problem;
use crate::reason::Reason;
use crate::token::Window;

/// `/s/{session}/{recording}/events`: the recording's events.
pub(super) async fn events(
    State(streams): State<Streams>,
    viewing: Viewing,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let audience = Audience::Recording(viewing.tenant.clone(), viewing.recording().to_owned());
    streams.open(audience, viewing.targets(), last_event_id(&headers))
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

/// `/s/{session}/{recording}/{file}`: poster, storyboard, transcript, captions.
///
/// A session with a window gets the words inside it and no images, because a storyboard sheet
/// covers the entire lesson.
pub(super) async fn serve(
    State(delivery): State<Delivery>,
    viewing: Viewing,
    Path((_, _, file)): Path<(String, String, String)>,
    part: Result<Query<TimeRange>, QueryRejection>,
    method: Method,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let window = viewing.window();
    if file == "transcript.json" {
        let Query(part) = part.map_err(|_| Problem::invalid("query", "The query string is not valid."))?;
        return transcript(&delivery, &viewing, part).await;
    }
    if !window.is_open() {
        return Err(Problem::forbidden(Reason::OutsideWindow));
    }
    let key = key(&viewing, &file).ok_or_else(Problem::not_found)?;
    let facts = viewing.manifest.objects.get(&key);
    let facts = facts.ok_or_else(|| Problem::not_found().because(Reason::NotInManifest))?;
    let object = ObjectRef { tenant: &viewing.tenant, recording: viewing.recording(), key: &key, facts };
    object_response(&delivery, object, &method, &headers, CachePolicy::Private).await
}

/// The key of a file by its name; `None` for any other name.
fn key(viewing: &Viewing, file: &str) -> Option<String> {
    let files = &viewing.manifest.files;
    match file {
        "poster.jpg" => files.get("poster").cloned(),
        "storyboard.vtt" | "captions.vtt" => files.get(file).cloned(),
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
async fn transcript(delivery: &Delivery, viewing: &Viewing, part: TimeRange) -> Result<Response, Problem> {
    let (key, _) = viewing.file("transcript.json").ok_or_else(Problem::not_found)?;
    let key = layout::object_key(&viewing.tenant, viewing.recording(), key);
    let window = viewing.window();
    let body = if window.is_open() && part.is_all() {
        Body::from_stream(delivery.store.read(&key, None).await?.stream)
    } else {
        Body::from(within(&delivery.store.get(&key).await?, window, part).map_err(Problem::internal)?)
    };
    let mut response = body.into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-store"));
    Ok(response)
}

/// A transcript with only the cues that lie entirely inside the window, as in search, and begin in
/// the part.
fn within(body: &[u8], window: Window, part: TimeRange) -> Result<Vec<u8>, serde_json::Error> {
    let mut transcript: Value = serde_json::from_slice(body)?;
    if let Some(cues) = transcript.get_mut("cues").and_then(Value::as_array_mut) {
        cues.retain(|cue| {
            let at = |name: &str| cue.get(name).and_then(Value::as_u64);
            let (Some(start), Some(end)) = (at("start_ms"), at("end_ms")) else { return false };
            window.holds(start, end) && part.holds(start)
        });
    }
    serde_json::to_vec(&transcript)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_leaves_the_cues_inside_it() {
        let body = br#"{"language":"en","cues":[{"start_ms":0,"end_ms":900,"text":"a"},
            {"start_ms":1000,"end_ms":1900,"text":"b"},{"start_ms":1950,"end_ms":2100,"text":"c"},{"text":"d"}]}"#;
        let window = Window { start_ms: Some(1000), end_ms: Some(2000) };
        let left: Value =
            serde_json::from_slice(&within(body, window, TimeRange::default()).unwrap()).unwrap();
        assert_eq!(left["cues"].as_array().unwrap().len(), 1);
        assert_eq!(left["cues"][0]["text"], "b");
        assert_eq!(left["language"], "en");

        let texts = |from_ms, to_ms| {
            let left = within(body, Window::default(), TimeRange { from_ms, to_ms }).unwrap();
            let left: Value = serde_json::from_slice(&left).unwrap();
            let cues = left["cues"].as_array().unwrap().clone();
            cues.iter().map(|cue| cue["text"].as_str().unwrap().to_owned()).collect::<String>()
        };
        assert_eq!(texts(Some(0), Some(1000)), "a");
        assert_eq!(texts(Some(1000), None), "bc");
        assert_eq!(texts(None, Some(1950)), "ab");
        assert_eq!(texts(Some(5000), Some(6000)), "");
    }
}
