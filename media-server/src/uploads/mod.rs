//! Uploads: tus 1.0.0 on object storage, with creation (with bytes, with a later length),
//! termination, expiration and concatenation.

mod answers;
mod concat;
mod create;
mod discard;
mod finish;
mod housekeeping;
mod ingest;
mod lock;
mod protocol;
mod requests;
mod state;

#[cfg(test)]
mod extensions;
#[cfg(test)]
mod recovery;
#[cfg(test)]
mod takeover;
#[cfg(test)]
mod tests;

pub use answers::mark;
pub use discard::{forget, unbind};
pub use finish::job_of;
pub use housekeeping::{left_alone, start as start_housekeeping};
pub use lock::Locks;

use axum::routing::post;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::App;

/// `/v1/uploads` and `/v1/uploads/{id}`.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(create::create, answers::options))
        .routes(routes!(requests::head, requests::patch, requests::terminate, requests::overridden))
        // Many clients are set up with a slash at the end.
        .route("/v1/uploads/", post(create::create).options(answers::options))
}
