//! Regular clean-up of what no request will touch again. One server does what all share, elected by
//! a lease in Redis. Without Redis every server does it: doing it twice changes nothing.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use chalkstream_store::listing::build;
use chalkstream_store::{Authority, Leases, Store};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::clock::now_ms;
use crate::deletion::Deletions;
use crate::problem::Problem;
use crate::uploads::{Uploads, clean_up, log_and_continue};

/// Time between two passes.
const INTERVAL: Duration = Duration::from_secs(60);
/// After this long without its holder the lease goes to another server.
const LEASE: Duration = Duration::from_secs(150);
/// Lease of the server that cleans up.
const CLEAN_UP_LEASE: &str = "clean-up";
/// Lease of the server that verifies lists.
const LISTS_LEASE: &str = "lists";
/// How often all manifests are compared with the lists of recordings.
const VERIFY_INTERVAL_MS: u64 = 24 * 3_600_000;

/// The parts of the server that need cleaning up.
pub struct Maintenance {
    pub store: Store,
    pub uploads: Uploads,
    pub deletions: Deletions,
    pub authority: Authority,
    pub leases: Arc<Leases>,
}

impl Maintenance {
    /// Cleans up in the background, until `shutdown`.
    pub fn start(self, tasks: &TaskTracker, shutdown: CancellationToken) {
        tasks.spawn(async move {
            let holder = uuid::Uuid::now_v7().to_string();
            let work = async { tokio::join!(self.clean_up(&holder), self.verify_lists(&holder)) };
            shutdown.run_until_cancelled(work).await;
            // So that another server need not wait. If Redis is away, the leases end by themselves.
            for name in [CLEAN_UP_LEASE, LISTS_LEASE] {
                let _ = self.leases.release(name, &holder).await;
            }
        });
    }

    async fn clean_up(&self, holder: &str) {
        let mut passes = every_minute();
        loop {
            passes.tick().await;
            self.pass(self.leases.is_elected(CLEAN_UP_LEASE, holder, LEASE).await).await;
        }
    }

    async fn pass(&self, is_elected: bool) {
        let mut open_deletions = Some(0);
        for tenant in self.authority.tenants() {
            let uploads = match is_elected {
                true => clean_up(&self.uploads, &tenant.id).await,
                false => Ok(()),
            };
            let results = [
                ("uploads", uploads),
                // Each server has copies of its own to remove.
                ("deleted recordings", sweep(&self.deletions, &tenant.id, &mut open_deletions).await),
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
            self.deletions.set_open(open);
        }
    }

    /// Makes the lists of each tenant's recordings, and once a day compares them with the
    /// manifests. A large tenant takes minutes, so it is not part of a pass.
    async fn verify_lists(&self, holder: &str) {
        let mut verified_at_ms: HashMap<String, u64> = HashMap::new();
        let mut passes = every_minute();
        loop {
            passes.tick().await;
            for tenant in self.authority.tenants() {
                let is_due = |at_ms: Option<u64>| {
                    at_ms.is_none_or(|at_ms| now_ms().saturating_sub(at_ms) > VERIFY_INTERVAL_MS)
                };
                if !is_due(verified_at_ms.get(&tenant.id).copied())
                    || !self.leases.is_elected(LISTS_LEASE, holder, LEASE).await
                {
                    continue;
                }
                let verify = async {
                    match build::built_at_ms(&self.store, &tenant.id).await? {
                        Some(at_ms) if !is_due(Some(at_ms)) => Ok(at_ms),
                        _ => {
                            let build::Verified { recordings, repaired } =
                                build::verify(&self.store, &tenant.id).await?;
                            tracing::info!(tenant_id = tenant.id, recordings, repaired, "lists verified");
                            Ok::<_, chalkstream_store::Error>(now_ms())
                        }
                    }
                };
                match self.while_elected(holder, verify).await {
                    Ok(at_ms) => drop(verified_at_ms.insert(tenant.id.clone(), at_ms)),
                    Err(error) => {
                        tracing::warn!(tenant_id = tenant.id, %error, "lists not verified");
                    }
                }
            }
        }
    }

    /// Keeps the lease of the lists for as long as `work` takes.
    async fn while_elected<T>(&self, holder: &str, work: impl Future<Output = T>) -> T {
        let keep = async {
            loop {
                tokio::time::sleep(LEASE / 3).await;
                self.leases.is_elected(LISTS_LEASE, holder, LEASE).await;
            }
        };
        tokio::select! {
            result = work => result,
            () = keep => std::future::pending().await,
        }
    }
}

fn every_minute() -> tokio::time::Interval {
    let mut passes = tokio::time::interval(INTERVAL);
    passes.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    passes
}

/// Goes on with a tenant's deletions and adds them to `open`, which a failure makes `None`.
async fn sweep(deletions: &Deletions, tenant: &str, open: &mut Option<i64>) -> Result<(), Problem> {
    let swept = deletions.sweep(tenant).await;
    *open = open.zip(swept.as_ref().ok().copied()).map(|(sum, own)| sum + own);
    swept.map(drop)
}
