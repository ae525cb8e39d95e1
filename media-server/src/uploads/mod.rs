//! Uploads: tus 1.0.0 (core, creation, termination, expiration) on object storage.

mod discard;
mod finish;
mod housekeeping;
mod ingest;
mod lock;
mod protocol;
mod requests;
mod state;

#[cfg(test)]
mod recovery;
#[cfg(test)]
mod tests;

pub use discard::{forget, unbind};
pub use finish::job_of;
pub use housekeeping::{left_alone, start as start_housekeeping};
pub use lock::Locks;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::App;

/// An upload that brings no byte for this long is given up; an acknowledged one is remembered for as long.
const EXPIRES_AFTER_MS: u64 = 24 * 3600 * 1000;

/// `/v1/uploads` and `/v1/uploads/{id}`.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(requests::create, requests::options)).routes(routes!(
        requests::head,
        requests::patch,
        requests::terminate
    ))
}
