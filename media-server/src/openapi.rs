//! The API's description, generated from the routes.

use axum::Router;
use axum::routing::get;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{ComponentsBuilder, InfoBuilder, OpenApi, OpenApiBuilder};
use utoipa_axum::router::OpenApiRouter;

use crate::app::App;

/// Every route that platforms use, with its description.
fn api() -> (Router<App>, OpenApi) {
    OpenApiRouter::with_openapi(head())
        .merge(crate::uploads::routes())
        .merge(crate::recordings::api_routes())
        .merge(crate::deletion::routes())
        .merge(crate::playback::api_routes())
        .merge(crate::search::routes())
        .merge(crate::moments::api_routes())
        .merge(crate::names::api_routes())
        .merge(crate::vocabulary::api_routes())
        .split_for_parts()
}

/// The routes, and `/openapi.json` that describes them.
pub fn routes() -> Router<App> {
    let (router, _) = api();
    router.route(
        "/openapi.json",
        get(|| async { ([(http::header::CONTENT_TYPE, "application/json")], document()) }),
    )
}

/// The description as text. A test keeps `docs/ref/openapi.json` equal to it.
pub fn document() -> String {
    let (_, openapi) = api();
    openapi.to_pretty_json().unwrap_or_default() + "\n"
}

fn head() -> OpenApi {
    let info = InfoBuilder::new()
        .title("Chalkstream")
        .version("1")
        .description(Some(
            "Lesson recordings in, adaptive streams and searchable transcripts out. Errors are RFC 9457 \
             problem details with a stable `code`. \
             The addresses of viewers (`/watch/…`, `/p/…`, `/s/…`) are not listed here: they follow from links.",
        ))
        .build();
    let key = SecurityScheme::Http(
        HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .description(Some("An API key: cs_{id}_{secret}"))
            .build(),
    );
    OpenApiBuilder::new()
        .info(info)
        .components(Some(ComponentsBuilder::new().security_scheme("api_key", key).build()))
        .security(Some([SecurityRequirement::new("api_key", [] as [&str; 0])]))
        .build()
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_copy_in_the_documentation_is_equal() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/ref/openapi.json");
        let now = super::document();
        if std::env::var_os("CHALKSTREAM_UPDATE_DOCS").is_some() {
            std::fs::write(path, &now).expect("the copy can be written");
        }
        let copy = std::fs::read_to_string(path).unwrap_or_default();
        assert!(
            copy == now,
            "docs/ref/openapi.json is out of date: run this test with CHALKSTREAM_UPDATE_DOCS=1"
        );
    }
}
