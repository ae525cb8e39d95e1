//! Form of a key: segments of letters, digits, `.`, `_`, `-`, none hidden, none
//! climbing.

use crate::{Error, Result};

/// Longest key in bytes. S3 allows 1,024; the rest is left to a configured prefix.
const MAX_KEY_BYTES: usize = 768;

/// Refuses keys that are not `a/b/c` of plain segments. Strict, since a key becomes a path, a URL
/// and a log field.
pub fn check_key(key: &str) -> Result<()> {
    if key.len() <= MAX_KEY_BYTES && key.split('/').all(plain_segment) {
        Ok(())
    } else {
        Err(Error::invalid("not an object key"))
    }
}

/// Refuses prefixes that are not the beginning of a key.
pub(crate) fn check_prefix(prefix: &str) -> Result<()> {
    let (folders, rest) = prefix.rsplit_once('/').map_or((None, prefix), |(f, r)| (Some(f), r));
    let folders_ok = folders.is_none_or(|f| f.split('/').all(plain_segment));
    if prefix.len() <= MAX_KEY_BYTES && folders_ok && (rest.is_empty() || plain_segment(rest)) {
        Ok(())
    } else {
        Err(Error::invalid("not the beginning of an object key"))
    }
}

/// No leading dot: it keeps `.` and `..` out, and the fs backend's own folders out of reach.
fn plain_segment(segment: &str) -> bool {
    !segment.is_empty()
        && segment.len() <= 200
        && !segment.starts_with('.')
        && segment.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_keys_pass() {
        for good in ["a", "a/b/c.mp4", "_system/keys/api/x.json", "t/r/hls/1/master.m3u8", "a/b-_.9"] {
            assert!(check_key(good).is_ok(), "{good}");
        }
        let long = "a/".repeat(600) + "a";
        for bad in [
            "",
            "/",
            "/a",
            "a/",
            "a//b",
            ".",
            "..",
            "a/..",
            "a/../b",
            "a/./b",
            ".tmp/x",
            "a/.hidden",
            "a\0b",
            "a b",
            "a\\b",
            "a%2e%2e/b",
            "ä",
            "a\nb",
            "a?b",
            "a#b",
            "~",
            &long,
        ] {
            assert!(check_key(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_prefix_is_the_beginning_of_a_key() {
        for good in ["", "a", "a/", "a/b", "a/b/"] {
            assert!(check_prefix(good).is_ok(), "{good}");
        }
        for bad in ["/", "a//", "../", "a/../", ".tmp/", "a/.."] {
            assert!(check_prefix(bad).is_err(), "{bad}");
        }
    }
}
