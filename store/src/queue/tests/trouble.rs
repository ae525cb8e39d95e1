//! What a Redis in trouble costs: no running step, and no result.

use super::*;
use crate::{EventKind, Events};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redis_away_is_said_at_once_and_passes() {
    let (mut redis, queue) = queue().await;
    let spec = job("t", vec![step("a", &[]), step("b", &["a"])]);
    queue.submit(&spec).await.unwrap();
    let lease = next(&queue).await;
    redis.stop();
    let start = Instant::now();
    assert_eq!(queue.ping().await.unwrap_err().kind, Kind::Unavailable);
    assert_eq!(queue.lease("w", LEASE_MS).await.unwrap_err().kind, Kind::Unavailable);
    assert_eq!(queue.heartbeat(&lease, LEASE_MS, None).await.unwrap_err().kind, Kind::Unavailable);
    assert_eq!(queue.complete(&lease, json!(1), &[]).await.unwrap_err().kind, Kind::Unavailable);
    assert_eq!(queue.submit(&job("t", vec![step("a", &[])])).await.unwrap_err().kind, Kind::Unavailable);
    assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
    assert_eq!(Queue::connect(&redis.settings()).await.err().unwrap().kind, Kind::Unavailable);

    // Back, with all it had: the worker's result counts.
    redis.resume().await;
    let limit = Instant::now() + Duration::from_secs(5);
    let view = loop {
        match queue.complete(&lease, json!(1), &[]).await {
            Ok(view) => break view,
            Err(error) => assert!(error.is_transient() && Instant::now() < limit, "{error}"),
        }
    };
    assert_eq!(state(&view, "b"), StepState::Ready);
    assert_eq!(queue.heartbeat(&lease, LEASE_MS, None).await.unwrap(), Heartbeat::Lost);
    assert_eq!(next(&queue).await.step, "b");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_that_hangs_is_away() {
    let (redis, queue) = queue().await;
    queue.ping().await.unwrap();
    redis.freeze(true);
    let start = Instant::now();
    let asked = queue.submit(&job("t", vec![step("a", &[])])).await;
    redis.freeze(false);
    assert_eq!(asked.unwrap_err().kind, Kind::Unavailable);
    assert!(start.elapsed() < Duration::from_secs(6), "{:?}", start.elapsed());
    let limit = Instant::now() + Duration::from_secs(5);
    while let Err(error) = queue.ping().await {
        assert!(error.is_transient() && Instant::now() < limit);
    }
}

/// A queue with a step that runs and one that waits.
async fn one_runs_and_one_waits() -> (RedisServer, Queue, Lease) {
    let (redis, queue) = queue().await;
    queue.submit(&job("t", vec![step("a", &[])])).await.unwrap();
    let lease = next(&queue).await;
    queue.submit(&job("t", vec![step("b", &[])])).await.unwrap();
    (redis, queue, lease)
}

#[tokio::test]
async fn a_full_redis_costs_no_running_step() {
    let (redis, queue, lease) = one_runs_and_one_waits().await;
    redis.command(&["CONFIG", "SET", "maxmemory", "1"]).await;
    assert_eq!(queue.heartbeat(&lease, LEASE_MS, None).await.unwrap(), Heartbeat::Continue);
    let waiting = next(&queue).await;
    assert_eq!(waiting.step, "b", "the running one stays with its worker");
    none(&queue).await;
    let refused = queue.submit(&job("t", vec![step("c", &[])])).await.unwrap_err();
    assert_eq!(refused.kind, Kind::Unavailable, "nothing new comes in");
    let view = queue.complete(&lease, json!(1), &[]).await.unwrap();
    assert_eq!(view.state, JobState::Done);
    let failed = queue.fail(&waiting, &failure(NEVER)).await.unwrap();
    assert_eq!(failed.outcome, Outcome::JobFailed);
    queue.sweep(0).await.unwrap();
    let events = Events::connect(&redis.settings()).unwrap();
    events.publish("t", "r", EventKind::State, json!({})).await.unwrap();
    assert_eq!(queue.eviction_policy().await.unwrap().as_deref(), Some("noeviction"));
    redis.command(&["CONFIG", "SET", "maxmemory", "0"]).await;
    queue.submit(&job("t", vec![step("c", &[])])).await.unwrap();
}

#[tokio::test]
async fn a_redis_that_refuses_writes_for_a_while_costs_no_result() {
    let (redis, queue, lease) = one_runs_and_one_waits().await;
    // A replica is missing, and the server was made a replica itself.
    let troubles: [(&[&str], &[&str]); 2] = [
        (&["CONFIG", "SET", "min-replicas-to-write", "1"], &["CONFIG", "SET", "min-replicas-to-write", "0"]),
        (&["REPLICAOF", "127.0.0.1", "1"], &["REPLICAOF", "NO", "ONE"]),
    ];
    for (trouble, end) in troubles {
        redis.command(trouble).await;
        let refused = queue.complete(&lease, json!(1), &[]).await.unwrap_err();
        assert!(refused.is_transient(), "{trouble:?}: {refused}");
        let refused = queue.fail(&lease, &failure(COUNTED)).await.unwrap_err();
        assert!(refused.is_transient(), "{trouble:?}: {refused}");
        redis.command(end).await;
        assert_eq!(queue.heartbeat(&lease, LEASE_MS, None).await.unwrap(), Heartbeat::Continue);
    }
    queue.complete(&lease, json!(1), &[]).await.unwrap();
}

#[tokio::test]
async fn a_rotated_password_costs_no_result() {
    let (redis, queue, lease) = one_runs_and_one_waits().await;
    let url = format!("{}?pass=new", redis.settings().url.expose());
    redis.command(&["CONFIG", "SET", "requirepass", "new"]).await;
    let mut admin = redis::Client::open(url).unwrap().get_multiplexed_async_connection().await.unwrap();
    let _: i64 = redis::cmd("CLIENT").arg(&["KILL", "TYPE", "normal"]).query_async(&mut admin).await.unwrap();
    let limit = Instant::now() + Duration::from_secs(5);
    // The connection that was cut is found out first.
    while Instant::now() < limit {
        let refused = queue.complete(&lease, json!(1), &[]).await.unwrap_err();
        assert!(refused.is_transient(), "{refused}");
        if refused.message.contains("password") {
            break;
        }
    }
    let _: () = redis::cmd("CONFIG").arg(&["SET", "requirepass", ""]).query_async(&mut admin).await.unwrap();
    let view = loop {
        match queue.complete(&lease, json!(1), &[]).await {
            Ok(view) => break view,
            Err(error) => assert!(error.is_transient() && Instant::now() < limit, "{error}"),
        }
    };
    assert_eq!(view.state, JobState::Done);
}
