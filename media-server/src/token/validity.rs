//! The times of a token: when it counts, and how long it may live. The same limits hold for tokens
//! that a platform signs itself, because a revocation is kept only as long as a token can live.

use chalkstream_config::{MAX_CLOCK_SKEW_S, Settings};

use super::{RefusalReason, Session};

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

impl Lifetimes {
    /// The lifetimes that the settings allow.
    pub fn from_settings(settings: &Settings) -> Self {
        Self { link_s: settings.playback.link_ttl_max_s, session_s: settings.max_session_s() }
    }
}

/// What a token's times are compared with.
#[derive(Clone, Copy, Debug)]
pub struct Validity {
    /// The time, in seconds since 1970.
    pub now_s: u64,
    /// The limits.
    pub lifetimes: Lifetimes,
    /// Since when our tokens have version 2, in seconds since 1970.
    pub version_2_since_s: u64,
}

impl Validity {
    /// Checks the times of a link.
    pub(super) fn check_link(
        &self,
        issued_at_s: Option<u64>,
        expires_at_s: u64,
    ) -> Result<(), RefusalReason> {
        let last_of_version_1_s = self.version_2_since_s + self.lifetimes.link_s + MAX_CLOCK_SKEW_S;
        self.check(issued_at_s, expires_at_s, self.lifetimes.link_s, last_of_version_1_s)
    }

    /// Checks the times of a session: it lives no longer than a session may, and it was made while
    /// its link could live.
    pub(super) fn check_session(&self, session: &Session) -> Result<(), RefusalReason> {
        let Lifetimes { link_s, session_s } = self.lifetimes;
        let last_of_version_1_s = self.version_2_since_s + link_s + session_s + MAX_CLOCK_SKEW_S;
        self.check(session.issued_at_s, session.expires_at_s, session_s, last_of_version_1_s)?;
        match (session.link_issued_at_s, session.issued_at_s) {
            (Some(at_s), _) if at_s >= FIRST_IN_MS => Err(RefusalReason::TimeInMs),
            (Some(at_s), _) if at_s > self.now_s + MAX_CLOCK_SKEW_S => Err(RefusalReason::IssuedInFuture),
            (Some(at_s), Some(own_s)) if own_s > at_s + link_s + MAX_CLOCK_SKEW_S => {
                Err(RefusalReason::LivesTooLong)
            }
            _ => Ok(()),
        }
    }

    fn check(
        &self,
        issued_at_s: Option<u64>,
        expires_at_s: u64,
        max_life_s: u64,
        last_of_version_1_s: u64,
    ) -> Result<(), RefusalReason> {
        if expires_at_s.max(issued_at_s.unwrap_or(0)) >= FIRST_IN_MS {
            return Err(RefusalReason::TimeInMs);
        }
        if self.now_s >= expires_at_s {
            return Err(RefusalReason::Expired);
        }
        if issued_at_s.is_none() && self.now_s >= last_of_version_1_s {
            return Err(RefusalReason::OldVersion);
        }
        let latest_expiry_s = match issued_at_s {
            Some(issued_at_s) if issued_at_s > self.now_s + MAX_CLOCK_SKEW_S => {
                return Err(RefusalReason::IssuedInFuture);
            }
            Some(issued_at_s) => issued_at_s + max_life_s,
            None => last_of_version_1_s.min(self.now_s + MAX_CLOCK_SKEW_S + max_life_s),
        };
        if expires_at_s > latest_expiry_s { Err(RefusalReason::LivesTooLong) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::token::Window;

    const NOW_S: u64 = 1_795_000_000;
    const LIFE_S: u64 = 604_800;

    fn validity(now_s: u64) -> Validity {
        let lifetimes = Lifetimes { link_s: LIFE_S, session_s: 36_000 };
        Validity { now_s, lifetimes, version_2_since_s: NOW_S }
    }

    fn check(issued_at_s: Option<u64>, expires_at_s: u64) -> Option<RefusalReason> {
        validity(NOW_S).check_link(issued_at_s, expires_at_s).err()
    }

    fn session(link_issued_at_s: Option<u64>, issued_at_s: Option<u64>, expires_at_s: u64) -> Session {
        Session {
            id: "s".into(),
            link: "l".into(),
            recording: "r".into(),
            viewer: "v".into(),
            issued_at_s,
            expires_at_s,
            window: Window::default(),
            max_bps: None,
            revision: 1,
            link_issued_at_s,
            may_correct: false,
        }
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

    #[test]
    fn version_1_is_accepted_until_its_sessions_end() {
        let last_link_s = NOW_S + LIFE_S + MAX_CLOCK_SKEW_S;
        let before = validity(last_link_s - 1);
        assert_eq!(before.check_link(None, last_link_s), Ok(()));
        assert_eq!(before.check_link(None, last_link_s + 1), Err(RefusalReason::LivesTooLong));
        let after = validity(last_link_s);
        assert_eq!(after.check_link(None, last_link_s + 1), Err(RefusalReason::OldVersion));
        assert_eq!(after.check_link(Some(last_link_s), last_link_s + 1), Ok(()));
        assert_eq!(after.check_session(&session(None, None, last_link_s + 36_000)), Ok(()));
        let end = validity(last_link_s + 36_000);
        assert_eq!(end.check_session(&session(None, None, end.now_s + 1)), Err(RefusalReason::OldVersion));
        assert_eq!(end.check_session(&session(None, Some(end.now_s), end.now_s + 36_000)), Ok(()));
    }

    #[test]
    fn a_session_is_made_while_its_link_lives_and_a_server_takes_a_moment() {
        let check = |link_s, own_s, life_s| {
            validity(NOW_S).check_session(&session(Some(link_s), Some(own_s), own_s + life_s)).err()
        };
        let oldest_s = NOW_S - LIFE_S - MAX_CLOCK_SKEW_S;
        assert_eq!(check(oldest_s, NOW_S, 36_000), None);
        assert_eq!(check(oldest_s - 1, NOW_S, 36_000), Some(RefusalReason::LivesTooLong));
        assert_eq!(check(0, NOW_S, 36_000), Some(RefusalReason::LivesTooLong));
        assert_eq!(check(NOW_S, NOW_S, 36_001), Some(RefusalReason::LivesTooLong));
        assert_eq!(check(NOW_S + MAX_CLOCK_SKEW_S, NOW_S, 36_000), None);
        assert_eq!(check(NOW_S + MAX_CLOCK_SKEW_S + 1, NOW_S, 36_000), Some(RefusalReason::IssuedInFuture));
        assert_eq!(check(NOW_S * 1000, NOW_S, 36_000), Some(RefusalReason::TimeInMs));
    }
}
