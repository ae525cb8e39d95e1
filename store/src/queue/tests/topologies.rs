//! The queue, the events and the leases where Redis is more than one server: what was accepted is
//! there after the server that held it died.

use super::*;
use crate::testing::RedisFleet;
use crate::{Event, EventKind, Events, Leases, Renewed};

/// Calls until Redis answers again.
async fn patiently<T>(mut call: impl AsyncFnMut() -> Result<T>) -> T {
    let limit = Instant::now() + Duration::from_secs(60);
    loop {
        match call().await {
            Ok(answer) => return answer,
            Err(error) => assert!(error.is_transient() && Instant::now() < limit, "{error:?}"),
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn read_patiently(events: Events, after: String) -> Vec<Event> {
    loop {
        match events.read_after(&after, Duration::from_secs(60)).await {
            Ok(news) => return news,
            Err(error) => assert!(error.is_transient(), "{error:?}"),
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// A step runs and a reader waits while the server that holds everything dies.
async fn a_failover_loses_nothing(mut fleet: RedisFleet) {
    const LONG: Duration = Duration::from_secs(600);
    let settings = fleet.settings();
    let queue = Queue::connect(&settings).await.unwrap().with_policy(AT_ONCE);
    let (events, leases) = (Events::connect(&settings).unwrap(), Leases::connect(&settings).unwrap());
    let spec = job("t", vec![step("a", &[]), step("b", &["a"])]);
    queue.submit(&spec).await.unwrap();
    let lease = next(&queue).await;
    assert_eq!(queue.heartbeat(&lease, LEASE_MS, None).await.unwrap(), Heartbeat::Continue);
    let begin = events.position().await.unwrap();
    events.publish("t", "r", EventKind::State, json!({ "n": 1 })).await.unwrap();
    assert!(leases.take("upload", "s1", LONG).await.unwrap());
    assert_eq!(queue.claim("t", "key", &spec.recording).await.unwrap(), spec.recording);
    assert_eq!(queue.eviction_policy().await.unwrap().as_deref(), Some("noeviction"));
    let seen = events.read_after(&begin.id, Duration::ZERO).await.unwrap();
    assert_eq!(seen.len(), 1);
    let waiting = tokio::spawn(read_patiently(events.clone(), seen[0].id.clone()));

    fleet.fail_over().await;
    let view = patiently(async || queue.complete(&lease, json!({ "done": true }), &[]).await).await;
    assert_eq!((state(&view, "a"), state(&view, "b")), (StepState::Done, StepState::Ready));
    assert_eq!(patiently(async || queue.heartbeat(&lease, LEASE_MS, None).await).await, Heartbeat::Lost);
    let next = patiently(async || queue.lease("w", LEASE_MS).await).await.expect("there is work");
    assert_eq!(next.step, "b");
    assert_eq!(patiently(async || leases.renew("upload", "s1", LONG).await).await, Renewed::Held);
    let published = json!({ "n": 2 });
    patiently(async || events.publish("t", "r", EventKind::State, published.clone()).await).await;
    let news = tokio::time::timeout(Duration::from_secs(30), waiting).await.unwrap().unwrap();
    assert_eq!(news[0].data, published);
    assert!(patiently(async || events.covers(&begin).await).await, "it is the same stream");
    let view = patiently(async || queue.complete(&next, json!(1), &[]).await).await;
    assert_eq!(view.state, JobState::Done);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failover_by_sentinels_loses_nothing() {
    a_failover_loses_nothing(RedisFleet::sentinel().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failover_in_a_cluster_loses_nothing() {
    a_failover_loses_nothing(RedisFleet::cluster().await).await;
}
