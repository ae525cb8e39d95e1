//! Captions and transcripts as they are delivered: the objects that the worker wrote, with the text
//! of corrected cues.

use std::sync::Arc;

use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use chalkstream_store::Manifest;
use http::{HeaderMap, HeaderValue, Method, header};

use super::hls_filter;
use super::object::{CachePolicy, object_response, text_response};
use super::object_ref::ObjectRef;
use super::service::Delivery;
use super::session_playlists::object_ref;
use crate::access::Viewing;
use crate::corrections::{change_srt, change_vtt, plain_text};
use crate::problem::Problem;
use crate::reason::Reason;
use crate::token::Window;
use crate::transcripts::CutTranscript;

/// The time that a file with all captions covers.
const ALL_MS: (u64, u64) = (0, u64::MAX);

/// A segment of captions, which `playlist` names. Of a session with a window only the captions
/// inside it: the segment holds a minute of words.
pub(super) async fn segment(
    delivery: &Delivery,
    viewing: &Viewing,
    (object, playlist): (ObjectRef, &str),
    method: &Method,
    headers: &HeaderMap,
) -> Result<Response, Problem> {
    let (corrected, window) = (corrected(delivery, &viewing.manifest).await?, viewing.window());
    if window.is_open() && corrected.is_none() {
        return object_response(delivery, object, method, headers, CachePolicy::Private).await;
    }
    let mut etag = object.hash.clone();
    let mut text = read(delivery, &object).await?;
    if let Some(corrected) = corrected {
        let complete = object_ref(delivery, viewing, playlist).await?;
        let complete = delivery.playlists.media(&complete, Window::default()).await?;
        let span_ms = hls_filter::span_ms(&complete.text, &object.key).unwrap_or(ALL_MS);
        text = change_vtt(&text, &corrected.changes, span_ms);
        etag = format!("{etag}-{}", corrected.tag);
    }
    if window.is_open() {
        let made = (object.key.as_str(), quoted(&etag), Bytes::from(text));
        return text_response(delivery, made, method, headers).await;
    }
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("text/vtt; charset=utf-8")),
        (header::CACHE_CONTROL, HeaderValue::from_static("private, no-store")),
    ];
    Ok((headers, hls_filter::captions_within(&text, window)).into_response())
}

/// All captions of a recording as WebVTT, for the page.
///
/// # Errors
/// 404 if there are none.
pub async fn caption_file(
    delivery: &Delivery,
    manifest: &Manifest,
    method: &Method,
    headers: &HeaderMap,
) -> Result<Response, Problem> {
    file(delivery, manifest, "captions.vtt", method, headers).await
}

/// The transcript of a recording as `json`, `vtt`, `srt` or `txt`, for platforms.
///
/// # Errors
/// 404 if there is none, or no such format.
pub async fn transcript_file(
    delivery: &Delivery,
    manifest: &Manifest,
    format: &str,
    method: &Method,
    headers: &HeaderMap,
) -> Result<Response, Problem> {
    let name = match format {
        "json" => "transcript.json",
        "vtt" => "captions.vtt",
        "srt" => "captions.srt",
        "txt" => "transcript.txt",
        _ => return Err(Problem::not_found()),
    };
    file(delivery, manifest, name, method, headers).await
}

async fn file(
    delivery: &Delivery,
    manifest: &Manifest,
    name: &str,
    method: &Method,
    headers: &HeaderMap,
) -> Result<Response, Problem> {
    let key = manifest.files.get(name).ok_or_else(Problem::not_found)?;
    let object = delivery.find(manifest, key).await?;
    let object = object.ok_or_else(|| Problem::not_found().because(Reason::NotInManifest))?;
    let Some(corrected) = corrected(delivery, manifest).await? else {
        return object_response(delivery, object, method, headers, CachePolicy::Private).await;
    };
    let changes = &corrected.changes;
    let text: Bytes = match name {
        "transcript.json" => corrected.select(|_, _| true),
        "captions.vtt" => change_vtt(&read(delivery, &object).await?, changes, ALL_MS).into(),
        "captions.srt" => change_srt(&read(delivery, &object).await?, changes).into(),
        _ => plain_text(&corrected.transcript().map_err(Problem::internal)?).into(),
    };
    let etag = quoted(&format!("{}-{}", object.hash, corrected.tag));
    text_response(delivery, (key, etag, text), method, headers).await
}

/// The transcript with its corrections; `None` if nothing was corrected.
async fn corrected(delivery: &Delivery, manifest: &Manifest) -> Result<Option<Arc<CutTranscript>>, Problem> {
    if !delivery.transcripts.is_corrected(manifest).await? {
        return Ok(None);
    }
    Ok(delivery.transcripts.get(manifest).await?.filter(|transcript| !transcript.tag.is_empty()))
}

async fn read(delivery: &Delivery, object: &ObjectRef) -> Result<String, Problem> {
    let body = object.read(&delivery.store).await?;
    Ok(String::from_utf8_lossy(&body).into_owned())
}

fn quoted(etag: &str) -> String {
    format!("\"{etag}\"")
}
