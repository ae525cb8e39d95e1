//! Times as caption files write them: `HH:MM:SS` and milliseconds.

/// Writes `01:02:03.456`, with the given mark before the milliseconds.
pub fn write(ms: u64, mark: char) -> String {
    let (seconds, ms) = (ms / 1000, ms % 1000);
    format!("{:02}:{:02}:{:02}{mark}{ms:03}", seconds / 3600, seconds / 60 % 60, seconds % 60)
}

/// Reads a time with or without hours, with `.` or `,` before the milliseconds.
pub fn read(text: &str) -> Option<u64> {
    let (clock, fraction) = text.trim().split_once(['.', ','])?;
    if fraction.len() != 3 || !fraction.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let mut seconds = 0u64;
    let parts: Vec<&str> = clock.split(':').collect();
    if !(2..=3).contains(&parts.len()) {
        return None;
    }
    for part in parts {
        if part.is_empty() || part.len() > 9 || !part.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        seconds = seconds.checked_mul(60)?.checked_add(part.parse().ok()?)?;
    }
    seconds.checked_mul(1000)?.checked_add(fraction.parse().ok()?)
}

/// Reads a line `start --> end`, with settings or not behind it; none when it is no such line or ends too early.
pub fn read_line(line: &str) -> Option<(u64, u64)> {
    let (start, rest) = line.split_once("-->")?;
    let (start, end) = (read(start)?, read(rest.split_whitespace().next()?)?);
    (start <= end).then_some((start, end))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_in_all_their_forms() {
        assert_eq!(write(3_723_456, '.'), "01:02:03.456");
        assert_eq!(write(360_000_000, ','), "100:00:00,000");
        assert_eq!(read("01:02:03.456"), Some(3_723_456));
        assert_eq!(read("02:03,456"), Some(123_456));
        for bad in ["", "1", "01:02", "01:02.1", "a:b.000", "1:2:3:4.000", "-1:00.000", "99999999999:00.000"]
        {
            assert_eq!(read(bad), None, "{bad}");
        }
        assert_eq!(read_line("00:01.000 --> 00:02.500 line:0 align:start"), Some((1000, 2500)));
        assert_eq!(read_line("00:03.000 --> 00:02.500"), None);
    }
}
