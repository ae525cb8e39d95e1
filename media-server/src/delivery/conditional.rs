//! Conditional and range requests (RFC 9110), as a pure decision.

use std::ops::Range;

use http::{HeaderMap, header};

/// The part of an object to send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RangeDecision {
    /// 200 with all of it.
    Complete,
    /// 206 with these bytes.
    Partial(Range<u64>),
    /// 304.
    NotModified,
    /// 416.
    Unsatisfiable,
}

/// Decides for an object of `size_bytes` with this strong entity tag (quotes included).
///
/// A request for several ranges gets everything, as RFC 9110 allows: no player sends one, and it
/// would let a client waste the server's work.
pub fn decide(request: &HeaderMap, etag: &str, size_bytes: u64) -> RangeDecision {
    if let Some(condition) = text(request, header::IF_NONE_MATCH)
        && (condition.trim() == "*" || condition.split(',').any(|tag| weak(tag) == weak(etag)))
    {
        return RangeDecision::NotModified;
    }
    let Some(range) = text(request, header::RANGE) else { return RangeDecision::Complete };
    // A range of another version would be spliced into the wrong bytes.
    if request.contains_key(header::IF_RANGE) && text(request, header::IF_RANGE).map(str::trim) != Some(etag)
    {
        return RangeDecision::Complete;
    }
    parse_range(range, size_bytes)
}

fn parse_range(range: &str, size_bytes: u64) -> RangeDecision {
    let Some(spec) = range.trim().strip_prefix("bytes=") else { return RangeDecision::Complete };
    let Some((from, to)) = spec.trim().split_once('-') else { return RangeDecision::Complete };
    let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    if !digits(from) || !digits(to) || (from.is_empty() && to.is_empty()) {
        return RangeDecision::Complete;
    }
    // More digits than a u64 holds is a position beyond every end.
    let number = |text: &str| text.parse::<u64>().unwrap_or(u64::MAX);
    if from.is_empty() {
        return match number(to).min(size_bytes) {
            0 => RangeDecision::Unsatisfiable,
            last => RangeDecision::Partial(size_bytes - last..size_bytes),
        };
    }
    let start = number(from);
    let end = if to.is_empty() { size_bytes } else { number(to).saturating_add(1).min(size_bytes) };
    if !to.is_empty() && number(to) < start {
        return RangeDecision::Complete;
    }
    if start >= size_bytes { RangeDecision::Unsatisfiable } else { RangeDecision::Partial(start..end) }
}

fn text(headers: &HeaderMap, name: http::HeaderName) -> Option<&str> {
    headers.get(name)?.to_str().ok()
}

fn weak(tag: &str) -> &str {
    let tag = tag.trim();
    tag.strip_prefix("W/").unwrap_or(tag)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(headers: &[(header::HeaderName, &str)]) -> RangeDecision {
        let map = headers.iter().map(|(k, v)| (k.clone(), v.parse().expect("a header value"))).collect();
        decide(&map, "\"abc\"", 100)
    }

    #[test]
    fn single_ranges() {
        let cases = [
            ("bytes=0-", RangeDecision::Partial(0..100)),
            ("bytes=10-19", RangeDecision::Partial(10..20)),
            ("bytes=90-1000", RangeDecision::Partial(90..100)),
            ("bytes=-5", RangeDecision::Partial(95..100)),
            ("bytes=-500", RangeDecision::Partial(0..100)),
            ("bytes=-0", RangeDecision::Unsatisfiable),
            ("bytes=100-", RangeDecision::Unsatisfiable),
            ("bytes=99999999999999999999999-", RangeDecision::Unsatisfiable),
            ("bytes=0-0,5-6", RangeDecision::Complete),
            ("bytes=5-2", RangeDecision::Complete),
            ("bytes=a-b", RangeDecision::Complete),
            ("bytes=-", RangeDecision::Complete),
            ("items=0-1", RangeDecision::Complete),
        ];
        for (range, expected) in cases {
            assert_eq!(ask(&[(header::RANGE, range)]), expected, "{range}");
        }
    }

    #[test]
    fn conditions() {
        assert_eq!(ask(&[(header::IF_NONE_MATCH, "\"x\", W/\"abc\"")]), RangeDecision::NotModified);
        assert_eq!(ask(&[(header::IF_NONE_MATCH, "*")]), RangeDecision::NotModified);
        assert_eq!(
            ask(&[(header::IF_NONE_MATCH, "\"x\""), (header::RANGE, "bytes=1-2")]),
            RangeDecision::Partial(1..3)
        );
        assert_eq!(
            ask(&[(header::IF_RANGE, "\"abc\""), (header::RANGE, "bytes=1-2")]),
            RangeDecision::Partial(1..3)
        );
        assert_eq!(
            ask(&[(header::IF_RANGE, "\"old\""), (header::RANGE, "bytes=1-2")]),
            RangeDecision::Complete
        );
        assert_eq!(
            ask(&[(header::IF_RANGE, "W/\"abc\""), (header::RANGE, "bytes=1-2")]),
            RangeDecision::Complete
        );
    }
}
