//! `queue_peer REDIS_URL JOBS CONCURRENCY`: submits jobs of one step that does nothing, prints
//! "ready", waits for a line, and works them off. Prints `{"seconds"}`. `scripts/bench queue`
//! compares it with BullMQ.
#![allow(clippy::print_stdout)]

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use chalkstream_config::{Redis, Secret};
use chalkstream_store::layout::new_recording_id;
use chalkstream_store::{JobSpec, LeaseOffer, LeaseRequest, Occupancy, Queue, StepSpec};
use serde_json::json;

/// As of a worker.
const LEASE_MS: u64 = 15_000;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    let mut arguments = std::env::args().skip(1);
    let usage = "usage: queue_peer REDIS_URL JOBS CONCURRENCY";
    let url = arguments.next().ok_or(usage)?;
    let jobs: usize = arguments.next().ok_or(usage)?.parse()?;
    let concurrency: usize = arguments.next().ok_or(usage)?.parse()?;
    let queue = Queue::connect(&Redis { url: Secret::new(url), ..Redis::default() }).await?;
    for number in 0..jobs {
        let step = StepSpec {
            name: "step".into(),
            needs: Vec::new(),
            optional: false,
            priority: 0,
            cost_ms: 100,
            input: json!({ "of": number }),
            requires: Vec::new(),
        };
        let job = JobSpec {
            tenant: "bench".into(),
            recording: new_recording_id(),
            steps: vec![step],
            due_at_ms: None,
            dedupe: None,
        };
        queue.submit(&job).await?;
    }
    let mut lines = std::io::stdin().lines();
    println!("ready");
    lines.next();

    let done = Arc::new(AtomicUsize::new(0));
    let start = Instant::now();
    let workers: Vec<_> =
        (0..concurrency).map(|_| tokio::spawn(work(queue.clone(), jobs, Arc::clone(&done)))).collect();
    for worker in workers {
        worker.await??;
    }
    println!("{}", json!({ "seconds": start.elapsed().as_secs_f64() }));
    lines.next();
    Ok(())
}

/// One slot of a worker.
async fn work(queue: Queue, jobs: usize, done: Arc<AtomicUsize>) -> chalkstream_store::Result<()> {
    let request = LeaseRequest {
        worker: "bench",
        lease_ms: LEASE_MS,
        only_short: false,
        occupancy: Occupancy::Busy,
        tenant_steps_max: 0,
        capabilities: &[],
    };
    while done.load(Ordering::Relaxed) < jobs {
        match queue.offer(&request).await? {
            LeaseOffer::Step(lease) => {
                queue.complete(&lease, json!({ "fence": lease.fence }), &[]).await?;
                done.fetch_add(1, Ordering::Relaxed);
            }
            // The last steps are in other slots' hands.
            _ => tokio::time::sleep(Duration::from_millis(1)).await,
        }
    }
    Ok(())
}
