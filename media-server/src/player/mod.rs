//! The player page: its HTML, its scripts, and what it reads of its session.

mod assets;
mod cues;
mod files;
mod lesson;
mod page;
mod service;
mod watch;

#[cfg(test)]
mod tests;

use axum::Router;
use axum::extract::FromRef;
use axum::routing::{get, post};

use crate::access::Access;
use crate::corrections::Corrections;
use crate::delivery::Delivery;
use crate::events::Streams;
use crate::playback::Links;
use crate::search::Search;
use crate::transcripts::Transcripts;

pub use service::Player;

/// `/`, `/watch/…`, `/assets/…` and what a page reads of its session, such as
/// `/s/{session}/{recording}/lesson.json`.
pub fn routes<S>() -> Router<S>
where
    S: Clone + Send + Sync + 'static,
    Access: FromRef<S>,
    Corrections: FromRef<S>,
    Delivery: FromRef<S>,
    Links: FromRef<S>,
    Player: FromRef<S>,
    Search: FromRef<S>,
    Streams: FromRef<S>,
    Transcripts: FromRef<S>,
{
    Router::new()
        .route("/", get(page::home))
        .route("/watch/{link}", get(watch::watch))
        .route("/watch/s/{session}", get(watch::watch_session))
        .route("/assets/{version}/{file}", get(assets::serve))
        .route("/s/{session}/{recording}/lesson.json", get(lesson::serve))
        .route("/s/{session}/{recording}/events", get(files::events))
        .route("/s/{session}/{recording}/search", get(crate::search::search_session))
        .route("/s/{session}/{recording}/cues/{cue}", get(cues::get).patch(cues::correct))
        .route("/s/{session}/{recording}/cues/{cue}/undo", post(cues::undo))
        .route("/s/{session}/{recording}/{file}", get(files::serve))
}
