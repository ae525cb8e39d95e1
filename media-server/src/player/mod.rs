//! The player page.

use axum::Router;
use axum::response::{IntoResponse, Response};

use crate::app::App;
use crate::auth::Viewing;
use crate::problem::Problem;

/// `/assets/…` and what a page reads of its session: `/s/{session}/{recording}/lesson.json` and the like.
pub fn routes() -> Router<App> {
    Router::new()
}

/// The page of a session. It may come before anything can be watched (revision 0).
///
/// # Errors
/// Where the page cannot be made.
pub async fn page(_app: &App, _viewing: &Viewing) -> Result<Response, Problem> {
    Ok("".into_response())
}

/// The page for someone whose link or session was refused; it has the problem's status.
pub fn refusal(problem: &Problem) -> Response {
    problem.status().into_response()
}
