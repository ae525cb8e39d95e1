//! A tenant's vocabulary: words and names that the recogniser should know how to spell.

mod routes;
#[cfg(test)]
mod tests;

pub use routes::Vocabularies;

use axum::extract::FromRef;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::access::Access;

/// `/v1/vocabulary`.
pub fn api_routes<S>() -> OpenApiRouter<S>
where
    S: Clone + Send + Sync + 'static,
    Access: FromRef<S>,
    Vocabularies: FromRef<S>,
{
    OpenApiRouter::new().routes(routes!(routes::get, routes::put, routes::remove))
}
