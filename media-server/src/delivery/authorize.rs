//! Asks of a cache in front of this server: may this viewer have that segment?

use axum::Router;
use axum::extract::{FromRef, State};
use axum::routing::get;
use chalkstream_store::layout;
use http::request::Parts;
use http::{HeaderMap, Method, StatusCode};

use super::routes::respond_to;
use super::service::Delivery;
use crate::access::Access;
use crate::problem::Problem;
use crate::reason::Reason;

/// The request header with the address that the viewer asked the cache for.
const ORIGINAL_URI: &str = "x-original-uri";

/// `/authorize`.
pub fn routes<S>() -> Router<S>
where
    S: Clone + Send + Sync + 'static,
    Access: FromRef<S>,
    Delivery: FromRef<S>,
{
    Router::new().route("/authorize", get(authorize))
}

/// 204 if the address is one of a stream and its session may have it, else 403.
///
/// It is decided by the code that answers the address itself: recording, window, cap, expiry and
/// revocation count as there.
async fn authorize(
    State(access): State<Access>,
    State(delivery): State<Delivery>,
    parts: Parts,
) -> Result<StatusCode, Problem> {
    let uri = parts.headers.get(ORIGINAL_URI).and_then(|uri| uri.to_str().ok());
    let asked = uri.and_then(|uri| Asked::parse(uri, delivery.public_url.path()));
    let asked = asked.ok_or_else(|| Problem::forbidden(Reason::NoRoute))?;
    let viewing = access.open_session(&parts.extensions, asked.session, Some(asked.recording)).await?;
    let response = respond_to(&delivery, &viewing, asked.path, &Method::HEAD, &HeaderMap::new()).await;
    match response {
        Ok(_) => Ok(StatusCode::NO_CONTENT),
        // A cache knows no other refusal.
        Err(problem) if problem.status() == StatusCode::NOT_FOUND => {
            Err(Problem::forbidden(Reason::NotInManifest))
        }
        Err(problem) => Err(problem),
    }
}

/// An address below `/s/{session}/{recording}/hls/`.
#[derive(Debug, PartialEq, Eq)]
struct Asked<'a> {
    session: &'a str,
    recording: &'a str,
    path: &'a str,
}

impl<'a> Asked<'a> {
    /// The parts of an address below `folder`; `None` for any other. Nothing in our addresses needs
    /// an escape, so one that has some is not ours.
    fn parse(uri: &'a str, folder: &str) -> Option<Self> {
        let path = uri.split('?').next()?;
        let (session, rest) = path.strip_prefix(folder)?.strip_prefix("/s/")?.split_once('/')?;
        let (recording, path) = rest.split_once("/hls/")?;
        let is_plain = !path.contains('%') && layout::valid_recording(recording);
        is_plain.then_some(Self { session, recording, path })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_addresses_of_streams_are_understood() {
        let id = "0198c0de-0000-7000-8000-000000000000";
        let uri = format!("/video/s/TOKEN/{id}/hls/video/9/v240/00001.m4s?x=1");
        let asked = Asked::parse(&uri, "/video").unwrap();
        assert_eq!(asked, Asked { session: "TOKEN", recording: id, path: "video/9/v240/00001.m4s" });
        for other in [
            format!("/s/TOKEN/{id}/hls/00001.m4s"),
            format!("/video/s/TOKEN/{id}/poster.jpg"),
            format!("/video/s/TOKEN/{id}/hls/%2e%2e/00001.m4s"),
            "/video/s/TOKEN/x/hls/00001.m4s".into(),
            String::new(),
        ] {
            assert_eq!(Asked::parse(&other, "/video"), None, "{other}");
        }
    }
}
