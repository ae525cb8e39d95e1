//! A tenant's list of pupils' names, which must not be in text, search and captions.
//!
//! Workers remove them from what is recognised, and this server from what people write. As an
//! option workers silence them in audio too.

mod routes;
mod service;

#[cfg(test)]
mod tests;
#[cfg(test)]
mod upload_tests;

pub use service::NameLists;

use axum::extract::FromRef;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::access::Access;

/// `/v1/names`.
pub fn api_routes<S>() -> OpenApiRouter<S>
where
    S: Clone + Send + Sync + 'static,
    Access: FromRef<S>,
    NameLists: FromRef<S>,
{
    OpenApiRouter::new().routes(routes!(routes::get, routes::put, routes::remove))
}
