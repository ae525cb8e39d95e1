//! The numbers of the metrics.

use super::*;

#[tokio::test]
async fn jobs_and_steps_are_counted_by_state() {
    let (_redis, queue) = queue().await;
    let urgent = StepSpec { priority: 1, ..step("a", &[]) };
    for (tenant, steps) in [
        ("t", vec![step("a", &[]), step("b", &["a"])]),
        ("t", vec![step("a", &[])]),
        ("other", vec![urgent, step("b", &[])]),
    ] {
        queue.submit(&job(tenant, steps)).await.unwrap();
    }
    let counted = QueueStats { open: 3, ready: 4, ..QueueStats::default() };
    assert_eq!(queue.stats().await.unwrap(), counted, "a step that needs another is not ready");
    next(&queue).await;
    let (delayed, failed) = (next(&queue).await, next(&queue).await);
    let later = queue.clone().with_policy(RetryPolicy { base_ms: 3_600_000, cap_ms: 3_600_000, ..AT_ONCE });
    later.fail(&delayed, &failure("internal")).await.unwrap();
    queue.fail(&failed, &failure("step_forbidden")).await.unwrap();
    let counted = QueueStats { open: 2, dead: 1, ready: 1, leased: 1, delayed: 1 };
    assert_eq!(queue.stats().await.unwrap(), counted);
}
