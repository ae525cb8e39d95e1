//! The numbers of the metrics.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::*;

#[tokio::test]
async fn jobs_and_steps_are_counted_by_state_and_class() {
    let (_redis, mut queue) = queue().await;
    let now_ms = Arc::new(AtomicU64::new(1_800_000_000_000));
    queue.clock = Some(Arc::clone(&now_ms));
    let ladder = StepSpec { priority: 1, ..step("a", &[]) };
    for (tenant, steps) in [
        ("t", vec![step("a", &[]), step("b", &["a"])]),
        ("t", vec![step("a", &[])]),
        ("other", vec![ladder, step("b", &[])]),
    ] {
        queue.submit(&job(tenant, steps)).await.unwrap();
        now_ms.fetch_add(1_000, Ordering::Relaxed);
    }
    let mut classes = [ClassStats::default(); CLASSES.len()];
    classes[0] = ClassStats { ready: 3, waited_ms: 3_000 };
    classes[4] = ClassStats { ready: 1, waited_ms: 1_000 };
    let counted = QueueStats { open: 3, ready: 4, classes, ..QueueStats::default() };
    assert_eq!(queue.stats().await.unwrap(), counted, "a step that needs another is not ready");
    next(&queue).await;
    let (delayed, failed) = (next(&queue).await, next(&queue).await);
    let later = queue.clone().with_policy(RetryPolicy { base_ms: 3_600_000, cap_ms: 3_600_000, ..AT_ONCE });
    later.fail(&delayed, &failure("internal")).await.unwrap();
    queue.fail(&failed, &failure("step_forbidden")).await.unwrap();
    let stats = queue.stats().await.unwrap();
    let counted = QueueStats { open: 2, dead: 1, ready: 1, leased: 1, delayed: 1, ..QueueStats::default() };
    assert_eq!(QueueStats { classes: Default::default(), ..stats }, counted);
}

#[tokio::test]
async fn a_lease_that_ends_without_a_word_is_counted_as_lost() {
    let (_redis, queue) = queue().await;
    queue.submit(&job("t", vec![step("a", &[])])).await.unwrap();
    for lost in 0..3 {
        assert_eq!(queue.stats().await.unwrap().lost, lost);
        queue.lease("dying", ENDED_MS).await.unwrap().unwrap();
        queue.sweep(0).await.unwrap();
    }
}

#[tokio::test]
async fn progress_is_that_of_the_attempt_that_runs() {
    let (_redis, queue) = queue().await;
    let spec = job("t", vec![step("words", &[])]);
    queue.submit(&spec).await.unwrap();
    let shown = async || {
        let view = queue.job("t", &spec.recording).await.unwrap().unwrap();
        let words = view.step("words").unwrap();
        (words.state, words.progress)
    };
    let nearly = Progress { done_ms: 9, total_ms: 10 };
    for end in ["released", "failed", "lost", "lost and leased again"] {
        let lease = next(&queue).await;
        assert_eq!(shown().await, (StepState::Leased, None));
        let lease_ms = if end.starts_with("lost") { ENDED_MS } else { LEASE_MS };
        assert_eq!(queue.heartbeat(&lease, lease_ms, Some(nearly)).await.unwrap(), Heartbeat::Continue);
        assert_eq!(shown().await, (StepState::Leased, Some(nearly)));
        match end {
            "released" => queue.release(&lease).await.unwrap(),
            "failed" => drop(queue.fail(&lease, &failure("internal")).await.unwrap()),
            "lost" => drop(queue.sweep(0).await.unwrap()),
            _ => continue,
        }
        assert_eq!(shown().await, (StepState::Ready, None), "{end}");
    }
    next(&queue).await;
    assert_eq!(shown().await, (StepState::Leased, None));
}
