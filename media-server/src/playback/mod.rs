//! Playback authority: links, the sessions they are exchanged for, and taking them back.

mod exchange;
mod links;
mod revocations;

pub use links::{LinkRequest, MintedLink, mint};

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::App;

/// Routes for platforms.
pub fn api_routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(links::create)).routes(routes!(revocations::create))
}

/// Routes for viewers.
pub fn routes() -> axum::Router<App> {
    exchange::routes()
}
