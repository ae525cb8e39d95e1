//! JSON bodies of requests: small, and refused in the server's own words.

use axum::body::to_bytes;
use axum::extract::{FromRequest, Request};
use http::StatusCode;
use serde::de::DeserializeOwned;

use crate::app::App;
use crate::problem::Problem;

/// Largest JSON body, in bytes.
const MAX_BODY_BYTES: usize = 64 * 1024;
/// Longest time a small body may take to arrive.
const MAX_WAIT: std::time::Duration = std::time::Duration::from_secs(10);

/// A request's JSON body.
pub struct JsonBody<T>(pub T);

impl<T: DeserializeOwned> FromRequest<App> for JsonBody<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &App) -> Result<Self, Problem> {
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
                    "The body is not what is expected here: line {}, column {}.",
                    error.line(),
                    error.column()
                ),
            )
        })
    }
}
