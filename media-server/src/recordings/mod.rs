//! Recordings: listing, reading, cancelling, retrying, and their events.

mod actions;
mod captions;
mod cues;
mod files;
mod jobs;
mod lists;
mod live;
mod routes;
mod service;
mod view;

#[cfg(test)]
mod lists_tests;
#[cfg(test)]
mod scale_tests;
#[cfg(test)]
mod tests;

pub use lists::Lists;
pub use service::Recordings;

use axum::extract::FromRef;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::access::Access;
use crate::corrections::Corrections;
use crate::delivery::Delivery;
use crate::events::Streams;

/// `/v1/recordings…`, `/v1/events` and `/v1/jobs`.
pub fn api_routes<S>() -> OpenApiRouter<S>
where
    S: Clone + Send + Sync + 'static,
    Access: FromRef<S>,
    Recordings: FromRef<S>,
    Streams: FromRef<S>,
    Delivery: FromRef<S>,
    Corrections: FromRef<S>,
{
    OpenApiRouter::new()
        .routes(routes!(routes::list))
        .routes(routes!(routes::get))
        .routes(routes!(actions::cancel))
        .routes(routes!(actions::retry))
        .routes(routes!(live::recording_events))
        .routes(routes!(live::tenant_events))
        .routes(routes!(files::transcript))
        .routes(routes!(files::talk))
        .routes(routes!(cues::get, cues::correct))
        .routes(routes!(cues::undo))
        .routes(routes!(captions::upload, captions::take_back))
        .routes(routes!(jobs::list))
}
