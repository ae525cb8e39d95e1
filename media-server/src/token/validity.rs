//! The times of a token: when it counts, and how long it may live. The same limits hold for tokens
//! that a platform signs itself, because a revocation is kept only as long as a token can live.

use super::RefusalReason;

/// How far a platform's clock may be ahead of ours.
pub const MAX_CLOCK_SKEW_S: u64 = 60;
/// From here on a number of seconds is one of milliseconds: in seconds it is the year 5138.
const FIRST_IN_MS: u64 = 100_000_000_000;

/// How long tokens may live, in seconds.
#[derive(Clone, Copy, Debug)]
pub struct Lifetimes {
    /// A link.
    pub link_s: u64,
    /// A session.
    pub session_s: u64,
}

/// What a token's times are compared with.
#[derive(Clone, Copy, Debug)]
pub struct Validity {
    /// The time, in seconds since 1970.
    pub now_s: u64,
    /// The limits.
    pub lifetimes: Lifetimes,
}

impl Validity {
    /// Checks a token that may live for `max_life_s`.
    pub(super) fn check(
        &self,
        issued_at_s: Option<u64>,
        expires_at_s: u64,
        max_life_s: u64,
    ) -> Result<(), RefusalReason> {
        if expires_at_s.max(issued_at_s.unwrap_or(0)) >= FIRST_IN_MS {
            return Err(RefusalReason::TimeInMs);
        }
        if self.now_s >= expires_at_s {
            return Err(RefusalReason::Expired);
        }
        let latest_expiry_s = match issued_at_s {
            Some(issued_at_s) if issued_at_s > self.now_s + MAX_CLOCK_SKEW_S => {
                return Err(RefusalReason::IssuedInFuture);
            }
            Some(issued_at_s) => issued_at_s + max_life_s,
            None => self.now_s + MAX_CLOCK_SKEW_S + max_life_s,
        };
        if expires_at_s > latest_expiry_s { Err(RefusalReason::LivesTooLong) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW_S: u64 = 1_795_000_000;
    const LIFE_S: u64 = 604_800;

    fn check(issued_at_s: Option<u64>, expires_at_s: u64) -> Option<RefusalReason> {
        let lifetimes = Lifetimes { link_s: LIFE_S, session_s: LIFE_S };
        Validity { now_s: NOW_S, lifetimes }.check(issued_at_s, expires_at_s, LIFE_S).err()
    }

    #[test]
    fn a_token_that_a_platform_signs_lives_no_longer_than_one_of_ours() {
        assert_eq!(check(Some(NOW_S), NOW_S + LIFE_S), None);
        assert_eq!(check(Some(NOW_S), NOW_S + LIFE_S + 1), Some(RefusalReason::LivesTooLong));
        assert_eq!(check(Some(0), NOW_S + 60), Some(RefusalReason::LivesTooLong));
        assert_eq!(check(None, NOW_S + LIFE_S + MAX_CLOCK_SKEW_S), None);
        assert_eq!(check(None, NOW_S + LIFE_S + MAX_CLOCK_SKEW_S + 1), Some(RefusalReason::LivesTooLong));
    }

    #[test]
    fn milliseconds_are_named_as_such() {
        for (issued_at_s, expires_at_s) in
            [(None, NOW_S * 1000), (Some(NOW_S), NOW_S * 1000), (Some(NOW_S * 1000), NOW_S + 60)]
        {
            assert_eq!(check(issued_at_s, expires_at_s), Some(RefusalReason::TimeInMs));
        }
        assert_eq!(check(None, u64::MAX), Some(RefusalReason::TimeInMs));
    }

    #[test]
    fn an_issue_time_in_the_future_is_refused_and_a_clock_may_be_off_by_a_minute() {
        assert_eq!(check(Some(NOW_S + MAX_CLOCK_SKEW_S), NOW_S + 900), None);
        assert_eq!(
            check(Some(NOW_S + MAX_CLOCK_SKEW_S + 1), NOW_S + 900),
            Some(RefusalReason::IssuedInFuture)
        );
        assert_eq!(check(Some(NOW_S), NOW_S), Some(RefusalReason::Expired));
    }
}
