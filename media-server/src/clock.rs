//! The wall clock, and points in time as text.

pub use chalkstream_store::clock::{now_ms, now_s};
use http::HeaderValue;

/// Seconds since 1970 as RFC 3339. Empty for a time beyond the calendar.
pub fn rfc3339(at_s: u64) -> String {
    i64::try_from(at_s)
        .ok()
        .and_then(|at| jiff::Timestamp::from_second(at).ok())
        .map(|at| at.to_string())
        .unwrap_or_default()
}

/// Milliseconds since 1970 as an HTTP date. `None` for a time beyond the calendar.
pub fn http_date(at_ms: u64) -> Option<HeaderValue> {
    let at = jiff::Timestamp::from_millisecond(i64::try_from(at_ms).ok()?).ok()?;
    at.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_http_dates() {
        assert_eq!(http_date(784_111_777_000).expect("a date"), "Sun, 06 Nov 1994 08:49:37 GMT");
    }
}
