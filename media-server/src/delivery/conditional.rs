//! Which part of an object a request gets: RFC 9110's conditions and single ranges, as a pure decision.

use std::ops::Range;

use http::{HeaderMap, header};

/// What to answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// 200 with all of it.
    Whole,
    /// 206 with these bytes.
    Part(Range<u64>),
    /// 304.
    NotModified,
    /// 416.
    Unsatisfiable,
}

/// Decides for an object of `size_bytes` with this strong entity tag (quotes included).
///
/// Several ranges in one request are answered with the whole, as RFC 9110 allows: no player asks for them, and
/// they are a way to make a server work for nothing.
pub fn decide(request: &HeaderMap, etag: &str, size_bytes: u64) -> Answer {
    if let Some(condition) = text(request, header::IF_NONE_MATCH)
        && (condition.trim() == "*" || condition.split(',').any(|tag| weak(tag) == weak(etag)))
    {
        return Answer::NotModified;
    }
    let Some(range) = text(request, header::RANGE) else { return Answer::Whole };
    // A range of something else than the client has would be spliced into the wrong bytes.
    if request.contains_key(header::IF_RANGE) && text(request, header::IF_RANGE).map(str::trim) != Some(etag)
    {
        return Answer::Whole;
    }
    parse_range(range, size_bytes)
}

fn parse_range(range: &str, size_bytes: u64) -> Answer {
    let Some(spec) = range.trim().strip_prefix("bytes=") else { return Answer::Whole };
    let Some((from, to)) = spec.trim().split_once('-') else { return Answer::Whole };
    let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    if !digits(from) || !digits(to) || (from.is_empty() && to.is_empty()) {
        return Answer::Whole;
    }
    // More digits than a u64 holds is a position past every end.
    let number = |text: &str| text.parse::<u64>().unwrap_or(u64::MAX);
    if from.is_empty() {
        return match number(to).min(size_bytes) {
            0 => Answer::Unsatisfiable,
            last => Answer::Part(size_bytes - last..size_bytes),
        };
    }
    let start = number(from);
    let end = if to.is_empty() { size_bytes } else { number(to).saturating_add(1).min(size_bytes) };
    if !to.is_empty() && number(to) < start {
        return Answer::Whole;
    }
    if start >= size_bytes { Answer::Unsatisfiable } else { Answer::Part(start..end) }
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

    fn ask(headers: &[(header::HeaderName, &str)]) -> Answer {
        let map = headers.iter().map(|(k, v)| (k.clone(), v.parse().expect("a header value"))).collect();
        decide(&map, "\"abc\"", 100)
    }

    #[test]
    fn single_ranges() {
        let cases = [
            ("bytes=0-", Answer::Part(0..100)),
            ("bytes=10-19", Answer::Part(10..20)),
            ("bytes=90-1000", Answer::Part(90..100)),
            ("bytes=-5", Answer::Part(95..100)),
            ("bytes=-500", Answer::Part(0..100)),
            ("bytes=-0", Answer::Unsatisfiable),
            ("bytes=100-", Answer::Unsatisfiable),
            ("bytes=99999999999999999999999-", Answer::Unsatisfiable),
            ("bytes=0-0,5-6", Answer::Whole),
            ("bytes=5-2", Answer::Whole),
            ("bytes=a-b", Answer::Whole),
            ("bytes=-", Answer::Whole),
            ("items=0-1", Answer::Whole),
        ];
        for (range, expected) in cases {
            assert_eq!(ask(&[(header::RANGE, range)]), expected, "{range}");
        }
    }

    #[test]
    fn conditions() {
        assert_eq!(ask(&[(header::IF_NONE_MATCH, "\"x\", W/\"abc\"")]), Answer::NotModified);
        assert_eq!(ask(&[(header::IF_NONE_MATCH, "*")]), Answer::NotModified);
        assert_eq!(
            ask(&[(header::IF_NONE_MATCH, "\"x\""), (header::RANGE, "bytes=1-2")]),
            Answer::Part(1..3)
        );
        assert_eq!(ask(&[(header::IF_RANGE, "\"abc\""), (header::RANGE, "bytes=1-2")]), Answer::Part(1..3));
        assert_eq!(ask(&[(header::IF_RANGE, "\"old\""), (header::RANGE, "bytes=1-2")]), Answer::Whole);
        assert_eq!(ask(&[(header::IF_RANGE, "W/\"abc\""), (header::RANGE, "bytes=1-2")]), Answer::Whole);
    }
}
