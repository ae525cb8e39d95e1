//! What the event stream promises, against a real Redis.

use serde_json::json;

use super::*;
use crate::Kind;
use crate::testing::RedisServer;

const SOON: Duration = Duration::from_secs(10);
const NOW: Duration = Duration::ZERO;

async fn events() -> (RedisServer, Events) {
    let redis = RedisServer::start().await;
    let events = Events::connect(&redis.settings()).unwrap();
    (redis, events)
}

async fn publish(events: &Events, n: u64) -> String {
    events.publish("t", "r", EventKind::Step, json!({ "n": n })).await.unwrap()
}

fn numbers(events: &[Event]) -> Vec<u64> {
    events.iter().map(|event| event.data["n"].as_u64().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_goes_on_where_it_was() {
    let (_redis, events) = events().await;
    assert_eq!(events.latest_id().await.unwrap(), "0-0");
    assert!(events.read_after("0-0", NOW).await.unwrap().is_empty());
    for n in 0..600 {
        publish(&events, n).await;
    }
    let (mut at, mut seen) = ("0-0".to_string(), Vec::new());
    loop {
        let page = events.clone().read_after(&at, NOW).await.unwrap();
        let Some(last) = page.last() else { break };
        at = last.id.clone();
        seen.extend(numbers(&page));
    }
    assert_eq!(seen, (0..600).collect::<Vec<_>>());
    assert_eq!(at, events.latest_id().await.unwrap());
    let first = &events.read_after("0-0", NOW).await.unwrap()[0];
    assert_eq!((first.tenant.as_str(), first.recording.as_str(), first.kind), ("t", "r", EventKind::Step));
    assert!(first.at_ms > 1_700_000_000_000);
    for bad in ["", "x", "1-x", "-", "$", "+"] {
        assert_eq!(events.read_after(bad, NOW).await.unwrap_err().kind, Kind::InvalidInput);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_waiting_reader_is_woken_and_holds_up_nobody() {
    let (_redis, events) = events().await;
    let reader = events.clone();
    let other = events.clone();
    let waiting = tokio::spawn(async move { reader.read_after("0-0", SOON).await });
    let also = tokio::spawn(async move { other.read_after("0-0", SOON).await });
    let start = Instant::now();
    publish(&events, 7).await;
    assert_eq!(numbers(&waiting.await.unwrap().unwrap()), [7]);
    assert_eq!(numbers(&also.await.unwrap().unwrap()), [7]);
    assert!(start.elapsed() < Duration::from_secs(3));
    // A wait past the library's half a second for an answer ends with nothing, not with an error.
    let start = Instant::now();
    let last = events.latest_id().await.unwrap();
    assert!(events.read_after(&last, Duration::from_millis(2_600)).await.unwrap().is_empty());
    assert!(start.elapsed() >= Duration::from_millis(2_500));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flush_neither_hangs_a_reader_nor_hides_what_comes() {
    let (redis, events) = events().await;
    publish(&events, 1).await;
    let before = events.position().await.unwrap();
    assert!(events.covers(&before).await.unwrap());
    let reader = events.clone();
    let id = before.id.clone();
    let waiting = tokio::spawn(async move { reader.read_after(&id, SOON).await });
    redis.flush().await;
    publish(&events, 2).await;
    assert_eq!(numbers(&waiting.await.unwrap().unwrap()), [2]);
    // What was lost with it can be had from storage only, and the reader learns so.
    assert!(!events.covers(&before).await.unwrap());
    assert!(events.covers(&events.position().await.unwrap()).await.unwrap());
    // A stream that was started again on a clock that is behind: ids do not reach the old one.
    let ahead = "99999999999999-0";
    assert_eq!(numbers(&events.read_after(ahead, NOW).await.unwrap()), [2]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_from_before_the_stream_has_a_name_are_no_gap() {
    let (redis, events) = events().await;
    let seen = publish(&events, 1).await;
    publish(&events, 2).await;
    assert_eq!(events.gap_after(&seen).await.unwrap(), None);
    assert_eq!(numbers(&events.read_after(&seen, NOW).await.unwrap()), [2]);

    redis.flush().await;
    let next = publish(&events, 3).await;
    let lost = Id { ms: Id::parse(&seen).unwrap().ms - 1, number: 0 }.to_string();
    let left = events.gap_after(&lost).await.unwrap().expect("a loss is a gap");
    assert_eq!(numbers(&events.read_after(&left, NOW).await.unwrap()), [3]);
    for id in [left, next] {
        assert_eq!(events.gap_after(&id).await.unwrap(), None, "reported once: {id}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_stream_is_trimmed_and_says_what_it_covers() {
    let redis = RedisServer::start().await;
    let settings = config::Redis { events_kept: 100, ..redis.settings() };
    let events = Events::connect(&settings).unwrap();
    let start = events.position().await.unwrap();
    publish(&events, 0).await;
    assert!(events.covers(&start).await.unwrap());
    let early = events.position().await.unwrap();
    for n in 1..1_000 {
        publish(&events, n).await;
    }
    let late = events.position().await.unwrap();
    assert!(!events.covers(&start).await.unwrap());
    assert!(!events.covers(&early).await.unwrap());
    assert!(events.covers(&late).await.unwrap());
    assert!(events.read_after("0-0", NOW).await.unwrap().len() < 300);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redis_away_is_said_and_passes() {
    let (mut redis, events) = events().await;
    let id = publish(&events, 1).await;
    redis.stop();
    assert_eq!(events.read_after(&id, SOON).await.unwrap_err().kind, Kind::Unavailable);
    redis.resume().await;
    let limit = Instant::now() + SOON;
    while let Err(error) = events.publish("t", "r", EventKind::State, json!({ "n": 2 })).await {
        assert!(error.is_transient() && Instant::now() < limit);
    }
    assert_eq!(numbers(&events.read_after(&id, SOON).await.unwrap()), [2]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn progress_pushes_out_nothing_and_is_read_separately() {
    let redis = RedisServer::start().await;
    let settings = chalkstream_config::Redis { events_kept: 100, ..redis.settings() };
    let events = Events::connect(&settings).unwrap();
    let progress = events.for_progress();
    let (start, changed) = (events.position().await.unwrap(), publish(&events, 1).await);
    let reader = progress.clone();
    let waiting = tokio::spawn(async move { reader.read_after("0-0", SOON).await });
    for n in 0..3_000 {
        events.publish("t", "r", EventKind::Progress, json!({ "n": n })).await.unwrap();
    }
    let seen = events.read_after("0-0", NOW).await.unwrap();
    assert_eq!(seen.iter().map(|event| event.id.clone()).collect::<Vec<_>>(), [changed]);
    assert!(events.covers(&start).await.unwrap());
    let first = &waiting.await.unwrap().unwrap()[0];
    assert_eq!((first.kind, first.data["n"].as_u64()), (EventKind::Progress, Some(0)));
    let kept = progress.read_after("0-0", NOW).await.unwrap();
    assert!(numbers(&kept)[0] > 1_500, "only the last are kept: {}", numbers(&kept)[0]);
}
