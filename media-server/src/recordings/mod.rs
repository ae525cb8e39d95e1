//! Recordings: what there is, how far it is, and what can be done with it.

mod actions;
mod cache;
mod delete;
mod files;
mod jobs;
mod live;
mod routes;
mod view;

#[cfg(test)]
mod tests;

pub use cache::{Manifests, now_ms, now_s};
pub use delete::sweep as sweep_deleted;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::App;

/// `/v1/recordings…`, `/v1/events` and `/v1/jobs`.
pub fn api_routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(routes::list))
        .routes(routes!(routes::get, delete::delete))
        .routes(routes!(actions::cancel))
        .routes(routes!(actions::retry))
        .routes(routes!(live::recording_events))
        .routes(routes!(live::tenant_events))
        .routes(routes!(files::transcript))
        .routes(routes!(jobs::list))
}
