//! Times in WebVTT files.

/// Reads `[hh:]mm:ss.ttt` in milliseconds; `None` if it is malformed.
pub fn parse_time_ms(text: &str) -> Option<u64> {
    let (clock, ms) = text.trim().rsplit_once('.')?;
    let seconds = clock
        .split(':')
        .try_fold(0_u64, |total, part| total.checked_mul(60)?.checked_add(part.parse::<u64>().ok()?))?;
    seconds.checked_mul(1000)?.checked_add(ms.parse::<u64>().ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hours_may_be_absent() {
        assert_eq!(parse_time_ms("01:00:05.500"), Some(3_605_500));
        assert_eq!(parse_time_ms("00:01.900 "), Some(1_900));
        for bad in ["", "00:01", "x.5", "9999999999999999999:00.000"] {
            assert_eq!(parse_time_ms(bad), None, "{bad}");
        }
    }
}
