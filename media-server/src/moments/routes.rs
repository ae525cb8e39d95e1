//! The routes of moments, for platforms.

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use chalkstream_store::Manifest;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::service::{FoundMoment, Moments};
use crate::access::ApiCaller;
use crate::body::JsonBody;
use crate::corrections::check_author;
use crate::playback::{LinkRequest, Links};
use crate::problem::{Problem, ProblemBody};
use crate::recordings::Recordings;
use crate::search::Search;

/// Length limit of a span.
const MAX_SPAN_MS: u64 = 600_000;
/// Playback starts this much before the first word, so that all of it is audible.
const LEAD_MS: u64 = 500;

/// A span: of a search result, or of what a person selected. At most ten minutes.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewMoment {
    /// Start in ms.
    start_ms: u64,
    /// End in ms.
    end_ms: u64,
    /// The person who mints it: an opaque name of at most 128 bytes.
    author: String,
}

/// The moments of a recording.
#[derive(Debug, Serialize, ToSchema)]
pub struct MomentIds {
    /// Their ids, at most 1,000.
    moments: Vec<String>,
}

/// The viewer of a moment.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub struct MomentQuery {
    /// The viewer of link and still: an opaque name of at most 128 bytes. Without one there are
    /// none.
    viewer: Option<String>,
}

/// A moment: a span that is found again when the transcript changes.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = StableMoment)]
pub struct StableMomentView {
    /// Its id, stable within the recording.
    id: String,
    /// The recording.
    recording: String,
    /// Its title.
    title: String,
    /// Start in ms, by the transcript as it is now.
    start_ms: u64,
    /// End in ms.
    end_ms: u64,
    /// The words that apply now; empty if nothing is said.
    text: String,
    /// False if its words were not found: then text and times are as it was minted.
    found: bool,
    /// The person who minted it.
    author: String,
    /// The target of a W3C Web Annotation.
    target: AnnotationTarget,
    /// A still, as in search.
    #[serde(skip_serializing_if = "Option::is_none")]
    still: Option<String>,
    /// Link to the page, at this moment.
    #[serde(skip_serializing_if = "Option::is_none")]
    link: Option<String>,
}

/// A specific resource of the W3C Web Annotation Data Model: a recording, and a selector of a part.
#[derive(Debug, Serialize, ToSchema)]
pub struct AnnotationTarget {
    /// `SpecificResource`.
    #[serde(rename = "type")]
    kind: &'static str,
    /// `urn:uuid:` and the recording's id.
    source: String,
    /// The time.
    selector: FragmentSelector,
}

/// A media fragment.
#[derive(Debug, Serialize, ToSchema)]
pub struct FragmentSelector {
    /// `FragmentSelector`.
    #[serde(rename = "type")]
    kind: &'static str,
    /// The specification of `value`.
    #[serde(rename = "conformsTo")]
    conforms_to: &'static str,
    /// `t=12.3,15.6`, in seconds.
    value: String,
    /// The words; absent if nothing is said.
    #[serde(rename = "refinedBy", skip_serializing_if = "Option::is_none")]
    refined_by: Option<TextQuoteSelector>,
}

/// A quote.
#[derive(Debug, Serialize, ToSchema)]
pub struct TextQuoteSelector {
    /// `TextQuoteSelector`.
    #[serde(rename = "type")]
    kind: &'static str,
    /// The words.
    exact: String,
    /// Some of the text before.
    prefix: String,
    /// Some of the text after.
    suffix: String,
}

/// Mint the moment of a span.
///
/// Its id stays, and leads to the same words when they are corrected or recognised again. The same
/// span with the same words has the same id: 200 instead of 201. 409 if the recording has 1,000.
#[utoipa::path(post, path = "/v1/recordings/{id}/moments", tag = "search",
    params(("id" = String, Path)), request_body = NewMoment,
    responses(
        (status = 200, body = StableMomentView),
        (status = 201, body = StableMomentView),
        (status = 400, body = ProblemBody),
        (status = 404, body = ProblemBody),
        (status = 409, body = ProblemBody),
    ))]
pub async fn mint(
    State(recordings): State<Recordings>,
    State(moments): State<Moments>,
    caller: ApiCaller,
    Path(id): Path<String>,
    JsonBody(new): JsonBody<NewMoment>,
) -> Result<(StatusCode, Json<StableMomentView>), Problem> {
    if new.start_ms >= new.end_ms {
        return Err(Problem::invalid("window", "start_ms must be below end_ms."));
    }
    check_author(&new.author)?;
    if new.end_ms - new.start_ms > MAX_SPAN_MS {
        return Err(Problem::invalid("window", "A moment has at most ten minutes."));
    }
    let manifest = recordings.current(&caller.tenant, &id).await?;
    if manifest.media.as_ref().is_some_and(|media| new.start_ms >= media.duration_ms) {
        return Err(Problem::invalid("window", "start_ms is behind the end of the recording."));
    }
    let (found, is_new) = moments.mint(&manifest, (new.start_ms, new.end_ms), new.author).await?;
    let status = if is_new { StatusCode::CREATED } else { StatusCode::OK };
    Ok((status, Json(view(&manifest, found))))
}

/// List the ids of a recording's moments.
#[utoipa::path(get, path = "/v1/recordings/{id}/moments", tag = "search", params(("id" = String, Path)),
    responses((status = 200, body = MomentIds), (status = 404, body = ProblemBody)))]
pub async fn list(
    State(recordings): State<Recordings>,
    State(moments): State<Moments>,
    caller: ApiCaller,
    Path(id): Path<String>,
) -> Result<Json<MomentIds>, Problem> {
    let manifest = recordings.current(&caller.tenant, &id).await?;
    Ok(Json(MomentIds { moments: moments.ids(&manifest).await? }))
}

/// Get a moment: its words, a still, a link that starts there, and its selector.
#[utoipa::path(get, path = "/v1/recordings/{id}/moments/{moment}", tag = "search",
    params(("id" = String, Path), ("moment" = String, Path), MomentQuery),
    responses((status = 200, body = StableMomentView), (status = 404, body = ProblemBody)))]
pub async fn get(
    State(recordings): State<Recordings>,
    State(moments): State<Moments>,
    State(links): State<Links>,
    State(search): State<Search>,
    caller: ApiCaller,
    Path((id, moment)): Path<(String, String)>,
    query: Result<Query<MomentQuery>, QueryRejection>,
) -> Result<Json<StableMomentView>, Problem> {
    let Query(query) = query.map_err(|_| Problem::invalid("query", "The query string is not valid."))?;
    let manifest = recordings.current(&caller.tenant, &id).await?;
    let mut view = view(&manifest, moments.find(&manifest, &moment).await?);
    if let Some(viewer) = query.viewer {
        let request = LinkRequest { recording: id, viewer: viewer.clone(), ..LinkRequest::default() };
        let link = links.mint(&caller.tenant, &request)?;
        let base = links.still_base(&link.id, &viewer, &manifest)?;
        view.still = search.still(&manifest, view.start_ms).await.map(|image| base + &image);
        view.link = Some(format!("{}#t={}", link.url, seconds(view.start_ms.saturating_sub(LEAD_MS))));
    }
    Ok(Json(view))
}

/// Remove a moment.
#[utoipa::path(delete, path = "/v1/recordings/{id}/moments/{moment}", tag = "search",
    params(("id" = String, Path), ("moment" = String, Path)),
    responses((status = 204), (status = 404, body = ProblemBody)))]
pub async fn remove(
    State(recordings): State<Recordings>,
    State(moments): State<Moments>,
    caller: ApiCaller,
    Path((id, moment)): Path<(String, String)>,
) -> Result<StatusCode, Problem> {
    let manifest = recordings.current(&caller.tenant, &id).await?;
    moments.remove(&manifest, &moment).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn view(manifest: &Manifest, found: FoundMoment) -> StableMomentView {
    let FoundMoment { stored, span, is_found } = found;
    let quote = TextQuoteSelector {
        kind: "TextQuoteSelector",
        exact: span.exact.clone(),
        prefix: span.prefix,
        suffix: span.suffix,
    };
    StableMomentView {
        id: stored.id,
        recording: manifest.recording.clone(),
        title: manifest.title.clone(),
        start_ms: span.start_ms,
        end_ms: span.end_ms,
        found: is_found,
        author: stored.author,
        target: AnnotationTarget {
            kind: "SpecificResource",
            source: format!("urn:uuid:{}", manifest.recording),
            selector: FragmentSelector {
                kind: "FragmentSelector",
                conforms_to: "http://www.w3.org/TR/media-frags/",
                value: format!("t={},{}", seconds(span.start_ms), seconds(span.end_ms)),
                refined_by: Some(quote).filter(|quote| !quote.exact.is_empty()),
            },
        },
        text: span.exact,
        still: None,
        link: None,
    }
}

/// Milliseconds as seconds.
fn seconds(ms: u64) -> String {
    format!("{}.{:03}", ms / 1000, ms % 1000)
}
