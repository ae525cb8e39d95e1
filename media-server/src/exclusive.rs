//! Work that one server at a time does.

use std::time::Duration;

use chalkstream_store::{Leases, Renewed};

use crate::problem::Problem;

/// How long the right lives unless it is renewed: a server that died is replaced after it.
const LEASE: Duration = Duration::from_secs(30);

/// Does `work` while this server has the right to `name`. `None` if another server has it.
///
/// # Errors
/// As `work`; 503 if Redis is away, or another server took over meanwhile.
pub async fn exclusively<T>(
    leases: &Leases,
    name: &str,
    work: impl Future<Output = Result<T, Problem>>,
) -> Result<Option<T>, Problem> {
    let holder = uuid::Uuid::now_v7().simple().to_string();
    if !leases.take(name, &holder, LEASE).await? {
        return Ok(None);
    }
    let lost = async {
        loop {
            tokio::time::sleep(LEASE / 3).await;
            if let Ok(Renewed::Lost) = leases.renew(name, &holder, LEASE).await {
                return;
            }
        }
    };
    let done = tokio::select! {
        done = work => done.map(Some),
        () = lost => Err(Problem::unavailable("Another server took this over.")),
    };
    // If this fails, the right ends by itself.
    let _ = leases.release(name, &holder).await;
    done
}
