//! Regular clean-up of what no request will touch again. Every server does it; doing it twice
//! changes nothing.

use std::time::Duration;

use chalkstream_store::Authority;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::deletion::Deletions;
use crate::problem::Problem;
use crate::uploads::{Uploads, clean_up, log_and_continue};

/// Time between two passes.
const INTERVAL: Duration = Duration::from_secs(60);

/// Cleans up in the background, until `shutdown`.
pub fn start(
    uploads: Uploads,
    deletions: Deletions,
    authority: Authority,
    tasks: &TaskTracker,
    shutdown: CancellationToken,
) {
    tasks.spawn(async move {
        let mut passes = tokio::time::interval(INTERVAL);
        passes.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return,
                _ = passes.tick() => {}
            }
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = pass(&uploads, &deletions, &authority) => {}
            }
        }
    });
}

async fn pass(uploads: &Uploads, deletions: &Deletions, authority: &Authority) {
    let mut open_deletions = Some(0);
    for tenant in authority.tenants() {
        let results = [
            ("uploads", clean_up(uploads, &tenant.id).await),
            ("deleted recordings", sweep(deletions, &tenant.id, &mut open_deletions).await),
        ];
        for (area, result) in results {
            if let Err(problem) = log_and_continue(result, &tenant.id) {
                // The readiness check reports that storage is away; here the work only waits.
                tracing::debug!(tenant_id = tenant.id, area, code = problem.code(), "clean-up postponed");
                return;
            }
        }
    }
    // Without one tenant's the number would be too low.
    if let Some(open) = open_deletions {
        deletions.set_open(open);
    }
}

/// Goes on with a tenant's deletions and adds them to `open`, which a failure makes `None`.
async fn sweep(deletions: &Deletions, tenant: &str, open: &mut Option<i64>) -> Result<(), Problem> {
    let swept = deletions.sweep(tenant).await;
    *open = open.zip(swept.as_ref().ok().copied()).map(|(sum, own)| sum + own);
    swept.map(drop)
}
