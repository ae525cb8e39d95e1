//! Times as caption files write them: hours, minutes, seconds and milliseconds.

/// Formats `01:02:03.456`, with `separator` before the milliseconds.
pub fn format_ms(ms: u64, separator: char) -> String {
    let (seconds, ms) = (ms / 1000, ms % 1000);
    format!("{:02}:{:02}:{:02}{separator}{ms:03}", seconds / 3600, seconds / 60 % 60, seconds % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hours_have_two_digits_or_more() {
        assert_eq!(format_ms(3_723_456, '.'), "01:02:03.456");
        assert_eq!(format_ms(360_000_000, ','), "100:00:00,000");
    }
}
