//! The routes of a tenant's vocabulary.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use chalkstream_store::vocabulary::{self, Vocabulary};
use chalkstream_store::{Kind, Store};
use http::{HeaderValue, StatusCode, header};
use serde::Serialize;
use utoipa::ToSchema;

use crate::access::ApiCaller;
use crate::body::{TextBody, json_list};
use crate::problem::{Problem, ProblemBody};

/// The vocabularies in storage.
#[derive(Clone)]
pub struct Vocabularies {
    store: Store,
}

impl Vocabularies {
    /// Vocabularies in `store`.
    pub fn new(store: Store) -> Self {
        Self { store }
    }
}

/// Words and names that the recogniser should know how to spell.
#[derive(Serialize, ToSchema)]
#[schema(as = Vocabulary)]
pub struct VocabularyView {
    /// The terms, the most important first.
    terms: Vec<String>,
}

/// The number of terms that count now.
#[derive(Debug, Serialize, ToSchema)]
pub struct TermsCount {
    /// Terms, each once.
    count: usize,
}

/// Get the vocabulary of the key's tenant; it is empty if there is none.
#[utoipa::path(get, path = "/v1/vocabulary", tag = "vocabulary",
    responses((status = 200, body = VocabularyView), (status = 503, body = ProblemBody)))]
pub async fn get(State(own): State<Vocabularies>, caller: ApiCaller) -> Result<Response, Problem> {
    let terms = vocabulary::read(&own.store, &caller.tenant).await.map_err(|error| match error.kind {
        // The next list puts it right, and until then workers go on without.
        Kind::Corrupt => {
            tracing::error!(tenant_id = caller.tenant, %error, "vocabulary cannot be read");
            let detail = "The vocabulary cannot be read; send it again.";
            Problem::new(StatusCode::SERVICE_UNAVAILABLE, "vocabulary_unreadable", detail)
        }
        _ => error.into(),
    })?;
    let no_store = HeaderValue::from_static("private, no-store");
    let view = VocabularyView { terms: terms.into() };
    Ok(([(header::CACHE_CONTROL, no_store)], Json(view)).into_response())
}

/// Replace the vocabulary of the key's tenant.
///
/// The body is a JSON list of strings, or plain text with commas, semicolons or line breaks between
/// the terms: at most 200 words or names, of 100 bytes each and 4,096 bytes together. From then on
/// recordings are transcribed with them as hints. The terms that an upload brings come first, then
/// these in their order, as far as about 40 words. Put the most important ones first. A term with a
/// name of `/v1/names` is no hint.
#[utoipa::path(put, path = "/v1/vocabulary", tag = "vocabulary",
    request_body(content = Vec<String>, content_type = "application/json"),
    responses(
        (status = 200, body = TermsCount),
        (status = 400, body = ProblemBody),
        (status = 413, body = ProblemBody),
    ))]
pub async fn put(
    State(own): State<Vocabularies>,
    caller: ApiCaller,
    TextBody(text): TextBody,
) -> Result<Json<TermsCount>, Problem> {
    let terms = match json_list(&text)? {
        Some(terms) => Vocabulary::new(terms),
        None => Vocabulary::parse(&text),
    };
    let terms = terms.map_err(|error| Problem::invalid("vocabulary", error.to_string()))?;
    let count = terms.len();
    vocabulary::write(&own.store, &caller.tenant, terms).await?;
    Ok(Json(TermsCount { count }))
}

/// Remove the vocabulary of the key's tenant; none is fine.
#[utoipa::path(delete, path = "/v1/vocabulary", tag = "vocabulary", responses((status = 204)))]
pub async fn remove(State(own): State<Vocabularies>, caller: ApiCaller) -> Result<StatusCode, Problem> {
    vocabulary::remove(&own.store, &caller.tenant).await?;
    Ok(StatusCode::NO_CONTENT)
}
