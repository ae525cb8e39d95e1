//! Which responses are compressed: playlists, JSON and pages. Never a segment, and nothing with an
//! entity tag, whose bytes must be the same for everyone.

use http::{Response, header};
use tower_http::compression::predicate::Predicate;

/// True for responses worth compressing.
#[derive(Clone, Copy, Debug)]
pub struct TextOnly;

impl Predicate for TextOnly {
    fn should_compress<B: axum::body::HttpBody>(&self, response: &Response<B>) -> bool {
        let headers = response.headers();
        if headers.contains_key(header::ETAG) || headers.contains_key(header::CONTENT_RANGE) {
            return false;
        }
        let long_enough = response.body().size_hint().exact().is_none_or(|bytes| bytes >= 512);
        let kind =
            headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let kind = kind.split(';').next().unwrap_or_default().trim();
        long_enough
            && matches!(kind, "application/vnd.apple.mpegurl" | "application/json" | "text/html" | "text/vtt")
    }
}
