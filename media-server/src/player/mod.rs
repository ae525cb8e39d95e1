//! The player page: its HTML, its scripts, and what it reads of its session.

mod assets;
mod files;
mod lesson;
mod page;

use axum::Router;
use axum::routing::get;

use crate::app::App;

pub use page::{page, refusal};

/// `/assets/…` and what a page reads of its session: `/s/{session}/{recording}/lesson.json` and the like.
pub fn routes() -> Router<App> {
    Router::new()
        .route("/assets/{version}/{file}", get(assets::serve))
        .route("/s/{session}/{recording}/lesson.json", get(lesson::serve))
        .route("/s/{session}/{recording}/events", get(files::events))
        .route("/s/{session}/{recording}/search", get(crate::search::search_session))
        .route("/s/{session}/{recording}/{file}", get(files::serve))
}
