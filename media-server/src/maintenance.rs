//! Regular clean-up of what no request will touch again. Every server does it; doing it twice
//! changes nothing.

use std::time::Duration;

use chalkstream_store::Authority;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::deletion::Deletions;
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
    let mut open_deletions = 0;
    for tenant in authority.tenants() {
        let results = [
            ("uploads", clean_up(uploads, &tenant.id).await),
            ("deleted recordings", deletions.sweep(&tenant.id).await.map(|open| open_deletions += open)),
        ];
        for (area, result) in results {
            if let Err(problem) = log_and_continue(result, &tenant.id) {
                // The readiness check reports that storage is away; here the work only waits.
                tracing::debug!(tenant_id = tenant.id, area, code = problem.code(), "clean-up postponed");
                return;
            }
        }
    }
    deletions.set_open(open_deletions);
}
