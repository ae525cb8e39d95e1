//! The HTML pages, and the headers that isolate them.

use askama::Template;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, header};

use super::assets::{PAGE, VENDOR};
use super::lesson::Lesson;
use super::service::Player;
use crate::access::Viewing;
use crate::problem::Problem;

#[derive(Template)]
#[template(path = "player.html")]
struct PlayerPage<'a> {
    title: &'a str,
    assets: &'a str,
    hls: &'a str,
    chrome: &'a str,
    /// The lesson, as JSON.
    lesson: &'a str,
}

#[derive(Template)]
#[template(path = "refusal.html")]
struct RefusalPage<'a> {
    title: &'a str,
    text: &'a str,
    code: &'a str,
    assets: &'a str,
}

#[derive(Template)]
#[template(path = "home.html")]
struct HomePage<'a> {
    folder: &'a str,
    assets: &'a str,
}

/// The page of a session. It may come before there is anything to watch (revision 0).
///
/// # Errors
/// If the lesson cannot be read.
pub(super) async fn page(player: &Player, viewing: &Viewing) -> Result<Response, Problem> {
    let lesson = Lesson::load(player, viewing).await?;
    let json = serde_json::to_string(&lesson).map_err(Problem::internal)?;
    let folder = player.public_url.path();
    let vendor = format!("{folder}/assets/{}", VENDOR.version);
    let page = PlayerPage {
        title: &lesson.title,
        assets: &assets(folder),
        hls: &format!("{vendor}/hls.js"),
        chrome: &format!("{vendor}/chrome.js"),
        lesson: &json,
    };
    response(&page, &policy(&player.embedders))
}

/// The page for a viewer whose link or session was refused. It has the problem's status.
pub(super) fn refusal(player: &Player, problem: Problem) -> Response {
    let (title, text) = match problem.code() {
        "token_expired" => ("This link has expired", "Ask for a new link to watch the lesson."),
        "token_revoked" => ("This link was withdrawn", "Ask the person who sent it for a new one."),
        "token_invalid" | "forbidden" => {
            ("This link does not work", "Check that you copied all of it, or ask for a new one.")
        }
        "token_lives_too_long" | "token_issued_in_future" | "token_time_in_ms" | "token_version" => (
            "This link was not made correctly",
            "Ask the person who sent it for a new one, and give them the code below.",
        ),
        "unavailable" | "too_many_requests" => ("Not available at the moment", "Try again in a minute."),
        _ => ("Something went wrong", "Try again in a minute. If that does not help, ask for a new link."),
    };
    let assets = assets(player.public_url.path());
    let page = RefusalPage { title, text, code: problem.code(), assets: &assets };
    match response(&page, &policy(&[])) {
        Ok(mut response) => {
            *response.status_mut() = problem.status();
            response.extensions_mut().insert(problem.record());
            response
        }
        Err(_) => problem.into_response(),
    }
}

/// `/`: what this server is, how to get a link, and where the documentation is.
pub(super) async fn home(State(player): State<Player>) -> Result<Response, Problem> {
    let folder = player.public_url.path();
    response(&HomePage { folder, assets: &assets(folder) }, &policy(&[]))
}

/// The folder of our own scripts and style.
fn assets(folder: &str) -> String {
    format!("{folder}/assets/{}", PAGE.version)
}

fn response(page: &impl Template, policy: &str) -> Result<Response, Problem> {
    let html = page.render().map_err(Problem::internal)?;
    let policy = HeaderValue::try_from(policy)
        .unwrap_or_else(|_| HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'"));
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8")),
        (header::CONTENT_SECURITY_POLICY, policy),
        (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
        (header::CACHE_CONTROL, HeaderValue::from_static("private, no-store")),
    ];
    Ok((headers, html).into_response())
}

/// The content security policy: nothing from other sites, and no inline script.
///
/// Media Chrome's components need inline style. No user's text ever becomes markup, so none can
/// carry a style. `blob:` is Media Source. `data:` is the placeholder image and the empty track
/// into which hls.js puts captions.
fn policy(embedders: &[String]) -> String {
    let plain = |origin: &&String| {
        !origin.is_empty() && origin.bytes().all(|b| b.is_ascii_alphanumeric() || b":/.-*[]".contains(&b))
    };
    let ancestors = if embedders.iter().any(|origin| origin == "*") {
        "*".to_owned()
    } else {
        embedders.iter().filter(plain).fold("'self'".to_owned(), |all, origin| all + " " + origin)
    };
    format!(
        "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; \
         media-src 'self' blob: data:; connect-src 'self'; base-uri 'none'; form-action 'none'; \
         frame-ancestors {ancestors}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// A title adds no tag, attribute or placeholder to the page, whatever it contains.
        #[test]
        fn a_title_stays_text(title in "\\PC{0,60}|(<|>|\"|'|&|\\{\\{lesson\\}\\}|</title>|<script>|onload=){0,12}") {
            let render = |title| {
                PlayerPage { title, assets: "", hls: "", chrome: "", lesson: "SECRET" }.render().unwrap()
            };
            let (with, without) = (render(&title), render(""));
            for sign in ['<', '>', '"', '\''] {
                prop_assert_eq!(with.matches(sign).count(), without.matches(sign).count());
            }
            prop_assert_eq!(with.matches("SECRET").count(), 1);
        }
    }

    #[test]
    fn the_pages_hold_no_inline_script_and_ask_no_third_party() {
        for template in [
            include_str!("../../templates/player.html"),
            include_str!("../../templates/refusal.html"),
            include_str!("../../templates/home.html"),
        ] {
            for (at, _) in template.match_indices("<script") {
                let tag = &template[at..at + template[at..].find('>').unwrap()];
                assert!(tag.contains("src="), "{tag}");
            }
            for banned in ["onclick", "onload", "style=", "http://", "https://"] {
                assert!(!template.contains(banned), "{banned}");
            }
        }
    }

    #[test]
    fn only_the_configured_origins_may_embed_the_page() {
        assert!(policy(&["*".into()]).ends_with("frame-ancestors *"));
        let some = policy(&["https://a.example".into(), "evil; script-src *".into()]);
        assert!(some.ends_with("frame-ancestors 'self' https://a.example"), "{some}");
        assert!(policy(&[]).ends_with("frame-ancestors 'self'"));
        assert!(!some.contains("unsafe-eval"));
    }
}
