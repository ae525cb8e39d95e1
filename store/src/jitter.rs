//! Full-jitter backoff: a wait drawn evenly between nothing and a doubling ceiling, so that those
//! who failed together do not come back together.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

/// A random number that need not be secret. The standard library seeds every `RandomState`
/// differently.
pub(crate) fn random_u64() -> u64 {
    RandomState::new().hash_one(std::time::Instant::now().elapsed().as_nanos())
}

/// The most the wait before attempt `attempt` + 1 may be (`attempt` counts from 1).
pub(crate) fn ceiling_ms(attempt: u32, base_ms: u64, cap_ms: u64) -> u64 {
    let doubled = base_ms.saturating_mul(1u64 << attempt.saturating_sub(1).min(32));
    doubled.min(cap_ms)
}

/// The wait before attempt `attempt` + 1.
pub(crate) fn wait(attempt: u32, base_ms: u64, cap_ms: u64) -> Duration {
    let ceiling = ceiling_ms(attempt, base_ms, cap_ms);
    Duration::from_millis(random_u64() % (ceiling + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ceiling_doubles_up_to_the_cap() {
        let ceilings: Vec<u64> = (1..=5).map(|attempt| ceiling_ms(attempt, 100, 1_000)).collect();
        assert_eq!(ceilings, [100, 200, 400, 800, 1_000]);
        assert_eq!(ceiling_ms(u32::MAX, u64::MAX, 7), 7);
    }

    #[test]
    fn waits_differ() {
        let waits: std::collections::BTreeSet<_> = (0..50).map(|_| wait(20, 1_000, 1_000_000)).collect();
        assert!(waits.len() > 40);
    }
}
