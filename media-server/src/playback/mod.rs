//! Playback authority: links, the sessions they are exchanged for, and revocations.

mod links;
mod quota;
mod revocations;
mod service;
mod stream;

#[cfg(test)]
mod tests;

pub use links::{LinkRequest, MintedLink};
pub use service::{Links, newest_revision};
pub use stream::routes;

use axum::extract::FromRef;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::access::Access;
use crate::manifests::Manifests;

/// Routes for platforms.
pub fn api_routes<S>() -> OpenApiRouter<S>
where
    S: Clone + Send + Sync + 'static,
    Access: FromRef<S>,
    Manifests: FromRef<S>,
    Links: FromRef<S>,
{
    OpenApiRouter::new()
        .routes(routes!(links::create))
        .routes(routes!(revocations::create, revocations::list))
        .routes(routes!(revocations::lift))
}
