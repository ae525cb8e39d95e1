//! Uploads: tus 1.0.0 on object storage, with creation (with bytes, with a later length),
//! termination, expiration and concatenation.

mod concat;
mod create;
mod discard;
mod finish;
mod housekeeping;
mod ingest;
mod lock;
mod problems;
mod protocol;
mod receive;
mod requests;
mod responses;
mod service;
mod state;

#[cfg(test)]
mod extensions;
#[cfg(test)]
mod recovery;
#[cfg(test)]
mod takeover;
#[cfg(test)]
mod tests;

pub use discard::{forget, unbind_object};
pub use housekeeping::{clean_up, log_and_continue};
pub use responses::add_version;
pub use service::{Counters, Uploads};

use axum::extract::FromRef;
use axum::routing::post;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::access::Access;

/// `/v1/uploads` and `/v1/uploads/{id}`.
pub fn routes<S>() -> OpenApiRouter<S>
where
    S: Clone + Send + Sync + 'static,
    Access: FromRef<S>,
    Uploads: FromRef<S>,
{
    OpenApiRouter::new()
        .routes(routes!(create::create, responses::options))
        .routes(routes!(requests::head, requests::patch, requests::terminate, requests::overridden))
        // Many clients are configured with a trailing slash.
        .route("/v1/uploads/", post(create::create).options(responses::options))
}
