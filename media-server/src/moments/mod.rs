//! Moments: spans with an id that survives corrections and new recognitions; the anchor of notes
//! and clips.

mod routes;
mod service;
mod span;

#[cfg(test)]
mod tests;

pub use service::Moments;

use axum::extract::FromRef;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::access::Access;
use crate::playback::Links;
use crate::recordings::Recordings;
use crate::search::Search;

/// `/v1/recordings/{id}/moments…`.
pub fn api_routes<S>() -> OpenApiRouter<S>
where
    S: Clone + Send + Sync + 'static,
    Access: FromRef<S>,
    Links: FromRef<S>,
    Moments: FromRef<S>,
    Recordings: FromRef<S>,
    Search: FromRef<S>,
{
    OpenApiRouter::new()
        .routes(routes!(routes::mint, routes::list))
        .routes(routes!(routes::get, routes::remove))
}
