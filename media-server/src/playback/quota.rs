//! How often a tenant may revoke: one that loops must not fill the log for all.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use http::StatusCode;

use crate::problem::Problem;

/// A bucket of tokens for each tenant, filled evenly. Clones share the buckets.
#[derive(Clone)]
pub struct Quota {
    per_minute: u32,
    buckets: Arc<Mutex<HashMap<String, Bucket>>>,
}

struct Bucket {
    left: f64,
    filled: Instant,
}

impl Quota {
    /// Allows `per_minute` at once, and as many in each minute.
    pub fn new(per_minute: u32) -> Self {
        Self { per_minute, buckets: Arc::default() }
    }

    /// Takes one.
    ///
    /// # Errors
    /// 429 if the tenant has none left.
    pub fn take(&self, tenant: &str) -> Result<(), Problem> {
        self.take_at(tenant, Instant::now())
    }

    fn take_at(&self, tenant: &str, now: Instant) -> Result<(), Problem> {
        let per_s = f64::from(self.per_minute) / 60.0;
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        if !buckets.contains_key(tenant) {
            let full = Bucket { left: f64::from(self.per_minute), filled: now };
            buckets.insert(tenant.to_owned(), full);
        }
        let Some(bucket) = buckets.get_mut(tenant) else { return Ok(()) };
        let elapsed_s = now.saturating_duration_since(bucket.filled).as_secs_f64();
        bucket.left = (bucket.left + elapsed_s * per_s).min(f64::from(self.per_minute));
        bucket.filled = now;
        if bucket.left < 1.0 {
            return Err(Problem::new(
                StatusCode::TOO_MANY_REQUESTS,
                "too_many_revocations",
                "This tenant revokes too often; wait a moment, or revoke the viewer, recording or signing key.",
            )
            .retry_after_s(1 + (1.0 / per_s) as u32));
        }
        bucket.left -= 1.0;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_tenant_that_loops_is_slowed_down_and_no_other() {
        let quota = Quota::new(60);
        let start = Instant::now();
        for _ in 0..60 {
            quota.take_at("t", start).expect("a minute's worth at once");
        }
        let refused = quota.take_at("t", start).expect_err("no more");
        assert_eq!(
            (refused.status(), refused.code()),
            (StatusCode::TOO_MANY_REQUESTS, "too_many_revocations")
        );
        quota.take_at("u", start).expect("another tenant's");
        quota.take_at("t", start + Duration::from_secs(1)).expect("one a second");
        assert!(quota.take_at("t", start + Duration::from_secs(1)).is_err());
    }
}
