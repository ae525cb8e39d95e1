//! The routes of a tenant's list of names.

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::response::{IntoResponse, Response};
use chalkstream_formats::names::NameList;
use http::{HeaderValue, StatusCode, header};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::service::NameLists;
use crate::access::ApiCaller;
use crate::body::{NamesBody, json_list};
use crate::problem::{Problem, ProblemBody};

/// Names that are removed from text, search and captions.
#[derive(Serialize, ToSchema)]
#[schema(as = Names)]
pub struct NamesView {
    /// The names.
    names: Vec<String>,
    /// Whether they are silenced in audio too.
    silence: bool,
}

/// The number of names that count now.
#[derive(Debug, Serialize, ToSchema)]
pub struct NamesCount {
    /// Names, each once.
    count: usize,
    /// Whether they are silenced in audio too.
    silence: bool,
}

/// An option of the list.
#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub struct NamesQuery {
    /// Whether names are silenced in the audio of recordings too; as before if it is left out.
    silence: Option<bool>,
}

/// Get the list of names of the key's tenant; it is empty if there is none.
#[utoipa::path(get, path = "/v1/names", tag = "names",
    responses((status = 200, body = NamesView), (status = 503, body = ProblemBody)))]
pub async fn get(State(lists): State<NameLists>, caller: ApiCaller) -> Result<Response, Problem> {
    let names = lists.list(&caller.tenant).await?.into();
    let view = NamesView { names, silence: lists.is_silencing(&caller.tenant).await? };
    let no_store = HeaderValue::from_static("private, no-store");
    Ok(([(header::CACHE_CONTROL, no_store)], Json(view)).into_response())
}

/// Replace the list of names of the key's tenant.
///
/// The body is a JSON list of strings, or plain text with a name a line: first names or full names,
/// at most 20,000 of 100 characters. From then on they are removed from what is recognised,
/// corrected or uploaded, and from titles and file names, with their inflected forms and what
/// sounds like them: `[name]` stands there. Each part of a full name counts too. What is stored
/// already stays as it is.
///
/// With `silence=true` they are silent in all audio of recordings that are uploaded from then on.
/// Such a recording can be watched only when its speech is recognised, and the uploaded file is not
/// one of its renditions. If its names cannot be found, it fails. The option stays until
/// `silence=false`, or until the list is removed.
#[utoipa::path(put, path = "/v1/names", tag = "names", params(NamesQuery),
    request_body(content = Vec<String>, content_type = "application/json"),
    responses(
        (status = 200, body = NamesCount),
        (status = 400, body = ProblemBody),
        (status = 413, body = ProblemBody),
    ))]
pub async fn put(
    State(lists): State<NameLists>,
    caller: ApiCaller,
    query: Result<Query<NamesQuery>, QueryRejection>,
    NamesBody(text): NamesBody,
) -> Result<Json<NamesCount>, Problem> {
    let Query(query) = query.map_err(|_| {
        Problem::invalid("query", "The query string is not valid: `silence` is `true` or `false`.")
    })?;
    let list = match json_list(&text)? {
        Some(names) => NameList::new(names),
        None => NameList::from_lines(&text),
    };
    let list = list.map_err(|error| Problem::invalid("names", error.to_string()))?;
    let count = list.len();
    let silence = match query.silence {
        Some(silence) => silence,
        // A list that is replaced each night must not switch it off.
        None => lists.is_silencing(&caller.tenant).await?,
    };
    lists.write(&caller.tenant, list, silence).await?;
    Ok(Json(NamesCount { count, silence }))
}

/// Remove the list of names of the key's tenant; none is fine.
#[utoipa::path(delete, path = "/v1/names", tag = "names", responses((status = 204)))]
pub async fn remove(State(lists): State<NameLists>, caller: ApiCaller) -> Result<StatusCode, Problem> {
    lists.remove(&caller.tenant).await?;
    Ok(StatusCode::NO_CONTENT)
}
