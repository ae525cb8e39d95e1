//! The time of day, as numbers that are stored and compared.

use jiff::Timestamp;

/// Milliseconds since the epoch.
pub fn now_ms() -> u64 {
    u64::try_from(Timestamp::now().as_millisecond()).unwrap_or_default()
}

/// Seconds since the epoch.
pub fn now_s() -> u64 {
    u64::try_from(Timestamp::now().as_second()).unwrap_or_default()
}
