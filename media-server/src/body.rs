//! Bodies of requests: small, and refused with the server's own problems.

use std::time::Duration;

use axum::body::{Bytes, to_bytes};
use axum::extract::{FromRequest, Request};
use http::StatusCode;
use serde::de::DeserializeOwned;

use crate::problem::Problem;

/// Size limit of a JSON body.
const MAX_BODY_BYTES: usize = 64 * 1024;
/// Size limit of a text.
const MAX_TEXT_BYTES: usize = 2 << 20;
/// Size limit of a list of names: the most names of the most characters, four bytes each.
const MAX_NAMES_BYTES: usize = 9 << 20;
/// Time limit for a body to arrive.
const MAX_WAIT: Duration = Duration::from_secs(10);
/// The same for a text.
const MAX_TEXT_WAIT: Duration = Duration::from_secs(60);

/// A request's JSON body.
pub struct JsonBody<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for JsonBody<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        let bytes = read(request, MAX_BODY_BYTES, MAX_WAIT).await?;
        let body = serde_json::from_slice(&bytes).map(Self);
        body.map_err(|error| invalid_json("valid for this request", &error))
    }
}

/// A request's body as text, in UTF-8.
pub struct TextBody(pub String);

impl<S: Send + Sync> FromRequest<S> for TextBody {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        text(read(request, MAX_TEXT_BYTES, MAX_TEXT_WAIT).await?).map(Self)
    }
}

/// A list of names, in UTF-8.
pub struct NamesBody(pub String);

impl<S: Send + Sync> FromRequest<S> for NamesBody {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        text(read(request, MAX_NAMES_BYTES, MAX_TEXT_WAIT).await?).map(Self)
    }
}

/// The strings of a JSON list; `None` if the text is none.
pub fn json_list(text: &str) -> Result<Option<Vec<String>>, Problem> {
    if !text.trim_start_matches('\u{feff}').trim_start().starts_with('[') {
        return Ok(None);
    }
    serde_json::from_str(text).map(Some).map_err(|error| invalid_json("a list of strings", &error))
}

/// The parser's own words would quote the body.
fn invalid_json(expected: &str, error: &serde_json::Error) -> Problem {
    let (line, column) = (error.line(), error.column());
    let detail = format!("The JSON body is not {expected}: line {line}, column {column}.");
    Problem::invalid("invalid_json", detail)
}

fn text(bytes: Bytes) -> Result<String, Problem> {
    String::from_utf8(bytes.into()).map_err(|_| Problem::invalid("encoding", "The body is not UTF-8."))
}

async fn read(request: Request, max_bytes: usize, max_wait: Duration) -> Result<Bytes, Problem> {
    tokio::time::timeout(max_wait, to_bytes(request.into_body(), max_bytes))
        .await
        .map_err(|_| {
            Problem::new(StatusCode::REQUEST_TIMEOUT, "timeout", "The request took too long to arrive.")
        })?
        .map_err(|_| Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", "The request is too large."))
}
