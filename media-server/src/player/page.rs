//! The page's HTML, and the headers that keep it to itself.

use axum::response::{IntoResponse, Response};
use http::{HeaderValue, header};

use super::assets::{PAGE, VENDOR};
use super::lesson::Lesson;
use super::service::Player;
use crate::access::Viewing;
use crate::problem::Problem;

const PLAYER: &str = include_str!("../../assets/page/player.html");
const REFUSAL: &str = include_str!("../../assets/page/refusal.html");

/// The page of a session. It may come before anything can be watched (revision 0).
///
/// # Errors
/// Where the page cannot be made.
pub async fn page(player: &Player, viewing: &Viewing) -> Result<Response, Problem> {
    let lesson = Lesson::load(player, viewing).await?;
    let facts = serde_json::to_string(&lesson).map_err(Problem::internal)?;
    let folder = player.public_url.path();
    let vendor = format!("{folder}/assets/{}", VENDOR.version);
    let html = fill(
        PLAYER,
        &[
            ("title", &lesson.title),
            ("assets", &format!("{folder}/assets/{}", PAGE.version)),
            ("hls", &format!("{vendor}/hls.js")),
            ("chrome", &format!("{vendor}/chrome.js")),
            ("lesson", &facts),
        ],
    );
    Ok(answer(html, &policy(&player.embedders)))
}

/// The page for someone whose link or session was refused; it has the problem's status.
pub fn refusal(problem: &Problem) -> Response {
    let (title, text) = match problem.code() {
        "token_expired" => ("This link has expired", "Ask for a new link to watch the lesson."),
        "token_revoked" => ("This link was withdrawn", "Ask the person who sent it for a new one."),
        "token_invalid" | "forbidden" => {
            ("This link does not work", "Check that it was copied whole, or ask for a new one.")
        }
        "unavailable" => ("Not available at the moment", "Try again in a minute."),
        _ => ("Something went wrong", "Try again in a minute. If it stays so, ask for a new link."),
    };
    let assets = format!("/assets/{}", PAGE.version);
    let values = [("title", title), ("text", text), ("code", problem.code()), ("assets", assets.as_str())];
    let mut response = answer(fill(REFUSAL, &values.map(|(k, v)| (k, v))), &policy(&[]));
    *response.status_mut() = problem.status();
    response
}

fn answer(html: String, policy: &str) -> Response {
    let policy = HeaderValue::try_from(policy)
        .unwrap_or_else(|_| HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'"));
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8")),
        (header::CONTENT_SECURITY_POLICY, policy),
        (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
        (header::CACHE_CONTROL, HeaderValue::from_static("private, no-store")),
    ];
    (headers, html).into_response()
}

/// Nothing from anyone but us, and no inline script. Inline style must be allowed: Media Chrome's components carry
/// their style inside; no text of a user ever becomes markup, so there is nothing to carry a foreign one. `blob:`
/// is Media Source; `data:` are the placeholder picture and the empty track hls.js puts captions into.
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

/// Puts values, escaped, in the place of `{{name}}`. Values are not looked into again.
fn fill(template: &str, values: &[(&str, &str)]) -> String {
    let mut out = String::with_capacity(template.len() + 4096);
    let mut rest = template;
    while let Some((before, after)) = rest.split_once("{{") {
        out.push_str(before);
        let Some((name, after)) = after.split_once("}}") else { break };
        if let Some((_, value)) = values.iter().find(|(key, _)| *key == name) {
            escape(value, &mut out);
        }
        rest = after;
    }
    out.push_str(rest);
    out
}

/// Escapes text for HTML, inside and outside quotes.
fn escape(text: &str, out: &mut String) {
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Whatever a title holds, it adds no tag, no attribute and no placeholder to the page.
        #[test]
        fn a_title_stays_text(title in "\\PC{0,60}|(<|>|\"|'|&|\\{\\{lesson\\}\\}|</title>|<script>|onload=){0,12}") {
            let with = fill(PLAYER, &[("title", &title), ("lesson", "SECRET")]);
            let without = fill(PLAYER, &[("title", ""), ("lesson", "SECRET")]);
            for sign in ['<', '>', '"', '\''] {
                prop_assert_eq!(with.matches(sign).count(), without.matches(sign).count());
            }
            prop_assert_eq!(with.matches("SECRET").count(), 1);
        }
    }

    #[test]
    fn the_pages_hold_no_inline_script_and_no_placeholder_is_forgotten() {
        for template in [PLAYER, REFUSAL] {
            for (at, _) in template.match_indices("<script") {
                let tag = &template[at..at + template[at..].find('>').unwrap()];
                assert!(tag.contains("src="), "{tag}");
            }
            for banned in ["onclick", "onload", "style=", "http://", "https://"] {
                assert!(!template.contains(banned), "{banned}");
            }
            let names =
                ["title", "assets", "hls", "chrome", "lesson", "text", "code"].map(|name| (name, "x"));
            assert!(!fill(template, &names).contains("{{"));
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
