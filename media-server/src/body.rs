//! JSON bodies of requests: small, and refused with the server's own problems.

use std::time::Duration;

use axum::body::to_bytes;
use axum::extract::{FromRequest, Request};
use http::StatusCode;
use serde::de::DeserializeOwned;

use crate::problem::Problem;

/// Size limit of a JSON body.
const MAX_BODY_BYTES: usize = 64 * 1024;
/// Time limit for a body to arrive.
const MAX_WAIT: Duration = Duration::from_secs(10);

/// A request's JSON body.
pub struct JsonBody<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for JsonBody<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        let read = to_bytes(request.into_body(), MAX_BODY_BYTES);
        let bytes = tokio::time::timeout(MAX_WAIT, read)
            .await
            .map_err(|_| {
                Problem::new(StatusCode::REQUEST_TIMEOUT, "timeout", "The request took too long to arrive.")
            })?
            .map_err(|_| {
                Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", "The request is too large.")
            })?;
        serde_json::from_slice(&bytes).map(Self).map_err(|error| {
            Problem::invalid(
                "invalid_json",
                format!(
                    "The JSON body is not valid for this request: line {}, column {}.",
                    error.line(),
                    error.column()
                ),
            )
        })
    }
}
